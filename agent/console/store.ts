// The reference console's memory: one line of JSON a record, on the disk before it is acknowledged. Many
// sensors' batches share one fdatasync.
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createInterface } from "node:readline";
import type * as wire from "../model/picket.v1.ts";
import { errorText, ReportError } from "../report/errors.ts";
import { recordLine } from "../report/record.ts";

export interface Store {
	/** Last sequence stored for each run, by runKey; as found when the store was opened. */
	readonly last: ReadonlyMap<string, bigint>;
	/** Resolves when the records are on the disk. Rejects with ReportError STORE; none of them is then stored. */
	append(hostId: string, bootId: string, records: readonly wire.OutputRecord[]): Promise<void>;
	close(): Promise<void>;
}

/** A sensor between two boots: within it sequences only grow. */
export function runKey(hostId: string, bootId: string): string {
	return JSON.stringify([hostId, bootId]);
}

/** For consoles that only show: takes everything, keeps nothing. */
export function createForgettingStore(): Store {
	return { last: new Map(), append: async () => {}, close: async () => {} };
}

interface Waiting {
	readonly text: string;
	resolve(): void;
	reject(error: Error): void;
}

/** Opens or makes the file (0600). Throws ReportError STORE. */
export async function openStore(path: string): Promise<Store> {
	let file: FileHandle;
	let opened: FileHandle | undefined;
	let whole: number;
	let last: Map<string, bigint>;
	try {
		file = opened = await open(path, "a+", 0o600);
		// A line cut off by a crash was never acknowledged: the sensor sends it again.
		whole = await wholeLines(file);
		await file.truncate(whole);
		last = await scan(path);
	} catch (error) {
		await opened?.close();
		throw new ReportError("STORE", `store ${path} cannot be opened: ${errorText(error)}`, error);
	}
	let queue: Waiting[] = [];
	let running: Promise<void> | undefined;

	const flush = async (): Promise<void> => {
		while (queue.length > 0) {
			const group = queue;
			queue = [];
			const bytes = Buffer.from(group.map((one) => one.text).join(""));
			try {
				await file.appendFile(bytes);
				await file.datasync();
				whole += bytes.length;
				for (const one of group) one.resolve();
			} catch (error) {
				await file.truncate(whole).catch(() => {});
				const failure = new ReportError("STORE", `store ${path}: ${errorText(error)}`, error);
				for (const one of group) one.reject(failure);
			}
		}
		running = undefined;
	};
	return {
		last,
		append(hostId, bootId, records) {
			if (records.length === 0) return Promise.resolve();
			const head = `{"hostId":${JSON.stringify(hostId)},"bootId":${JSON.stringify(bootId)},`;
			const text = records.map((record) => `${head}${recordLine(record).slice(1)}\n`).join("");
			return new Promise((resolve, reject) => {
				queue.push({ text, resolve, reject });
				running ??= flush();
			});
		},
		async close() {
			await running;
			await file.close();
		},
	};
}

// The line's own beginning: a record's content cannot stand there, whatever names it holds.
const text = String.raw`"((?:[^"\\]|\\.)*)"`;
const lineHead = new RegExp(
	`^\\{"hostId":${text},"bootId":${text},"time":${text},"host":${text},"sequence":"(\\d+)"`,
);

async function scan(path: string): Promise<Map<string, bigint>> {
	const last = new Map<string, bigint>();
	const input = createReadStream(path);
	for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
		const match = lineHead.exec(line.slice(0, 4096));
		if (match === null) continue;
		const [, hostId, bootId, , , sequence] = match;
		const key = runKey(JSON.parse(`"${hostId}"`), JSON.parse(`"${bootId}"`));
		const number = BigInt(sequence ?? 0);
		if (number > (last.get(key) ?? 0n)) last.set(key, number);
	}
	return last;
}

/** Bytes up to and with the last line end. */
async function wholeLines(file: FileHandle): Promise<number> {
	const chunk = Buffer.alloc(64 * 1024);
	let end = (await file.stat()).size;
	while (end > 0) {
		const start = Math.max(0, end - chunk.length);
		const { bytesRead } = await file.read(chunk, 0, end - start, start);
		const at = chunk.subarray(0, bytesRead).lastIndexOf(0x0a);
		if (at !== -1) return start + at + 1;
		end = start;
	}
	return 0;
}
