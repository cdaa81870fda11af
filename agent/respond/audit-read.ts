// Reading the audit: does its chain hold, and which acts were announced but never told of again.
import { hash } from "node:crypto";
import { closeSync, createReadStream, fstatSync, openSync, readSync } from "node:fs";
import { createInterface } from "node:readline";
import type * as wire from "../model/picket.v1.ts";
import type { Order } from "../model/verdict.ts";

export const firstHash = "0".repeat(64);

export interface Line {
	readonly number: number;
	readonly hash: string;
	readonly previous: string;
	/** The hash its content really has. */
	readonly computed: string;
	readonly body: Readonly<Record<string, unknown>>;
}

export function hashOf(text: string): string {
	return hash("sha256", text);
}

/** Undefined when that is no entry. */
export function readLine(text: string): Line | undefined {
	let parsed: unknown;
	try {
		parsed = JSON.parse(text);
	} catch {
		return undefined;
	}
	if (typeof parsed !== "object" || parsed === null) return undefined;
	const { hash, ...body } = parsed as Record<string, unknown>;
	const { number, previous } = body;
	if (typeof hash !== "string" || typeof number !== "number" || typeof previous !== "string")
		return undefined;
	return { number, hash, previous, computed: hashOf(JSON.stringify(body)), body };
}

export interface AuditCheck {
	readonly entries: number;
	/** Line numbers (1-based) of lines torn by a crash; each is explained by the entry after it. */
	readonly torn: readonly number[];
	/** First line at which the chain does not hold, with the reason. */
	readonly broken: { readonly line: number; readonly reason: string } | undefined;
	/** Of the last entry that holds. Kept elsewhere it shows later whether lines were cut off at the end. */
	readonly last: string;
}

/** Walks the chain of a whole audit file, given as text. */
export function verifyAudit(text: string): AuditCheck {
	const walk = createWalk();
	for (const line of text.split("\n")) walk.next(line);
	return walk.end();
}

/** The same for a file of any size. Rejects when it cannot be read. */
export async function verifyAuditFile(file: string): Promise<AuditCheck> {
	const walk = createWalk();
	const lines = createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY });
	for await (const line of lines) walk.next(line);
	return walk.end();
}

function createWalk() {
	const torn: number[] = [];
	let last = firstHash;
	let entries = 0;
	let line = 0;
	/** A line that is no entry, until the next one explains it. */
	let open: number | undefined;
	let broken: AuditCheck["broken"];

	function judge(content: string): AuditCheck["broken"] {
		const entry = readLine(content);
		const explained = entry?.body.stage === "note" && entry.previous === last;
		if (open !== undefined && !explained) return { line: open, reason: "is not an audit entry" };
		if (entry === undefined) {
			open = line;
			return undefined;
		}
		if (entry.computed !== entry.hash)
			return { line, reason: "was altered: its hash does not fit its content" };
		if (entry.previous !== last)
			return { line, reason: "does not follow the line before: lines were removed or added" };
		if (open !== undefined) torn.push(open);
		open = undefined;
		last = entry.hash;
		entries++;
		return undefined;
	}

	return {
		next(content: string): void {
			line++;
			if (content !== "" && broken === undefined) broken = judge(content);
		},
		end(): AuditCheck {
			// The last line of all may be torn with nobody having come back since.
			if (open !== undefined && broken === undefined) torn.push(open);
			return { entries, torn, broken, last };
		},
	};
}

/** An act that was announced, of which nothing was told afterwards: the sensor ended in between. */
export interface Interrupted {
	readonly order: Order;
	readonly action: wire.Action;
	/** Unix ms of the first event, or of the order when it was given by hand. */
	readonly arrived: number;
}

/** An act lasts seconds, and at most so much is written meanwhile. */
const searched = 4 * 1024 * 1024;

/** Oldest first. None when there is no audit. */
export function interruptedActs(file: string): Interrupted[] {
	const found = new Map<string, Interrupted>();
	for (const text of tailOf(file, searched).split("\n")) {
		const body = readLine(text)?.body;
		const action = body?.action as wire.Action | undefined;
		if (typeof action?.id !== "string") continue;
		if (body?.stage === "outcome") found.delete(action.id);
		const { order, arrived } = body as { order?: Order; arrived?: unknown };
		if (body?.stage === "intent" && typeof order?.kind === "string" && typeof arrived === "number")
			found.set(action.id, { order, action, arrived });
	}
	return [...found.values()];
}

function tailOf(file: string, bytes: number): string {
	let fd: number;
	try {
		fd = openSync(file, "r");
	} catch (error) {
		if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return "";
		throw error;
	}
	try {
		return readTail(fd, bytes);
	} finally {
		closeSync(fd);
	}
}

/** The last `bytes` of an open file; the first line of them may be cut. */
export function readTail(fd: number, bytes: number): string {
	const { size } = fstatSync(fd);
	const buffer = Buffer.alloc(Math.min(size, bytes));
	readSync(fd, buffer, 0, buffer.length, size - buffer.length);
	return buffer.toString("utf8");
}
