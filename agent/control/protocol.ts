// What goes over the control socket: a JSON object a line, in both directions. Owns the errors and the
// cutting of a byte stream into lines; server.ts and client.ts own the connections.
import type { Socket } from "node:net";
import type * as wire from "../model/picket.v1.ts";
import type { RecordKind } from "../report/record.ts";

/** Bytes. A longer request ends its connection. */
export const maxRequestBytes = 64 * 1024;

export type { RecordKind };

export type RequestId = string | number | null;

export interface Request {
	readonly id: RequestId;
	readonly method: string;
	readonly params: Readonly<Record<string, unknown>>;
}

export interface ErrorBody {
	readonly code: string;
	readonly message: string;
	/** What to do about it; may be empty. */
	readonly remedy: string;
}

/**
 * Why a subscriber did not get records: it asked for fewer events a second ("rate"), or it did not read
 * quickly enough ("slow").
 */
export type MissReason = "rate" | "slow";

export type ServerLine =
	| { readonly id: RequestId; readonly result: unknown }
	| { readonly id: RequestId; readonly error: ErrorBody }
	| { readonly record: wire.OutputRecord }
	| { readonly missed: number; readonly reason: MissReason };

/** Codes raised here; a handler may throw a ControlError with a code of its own. */
export type ControlErrorCode =
	| "ALREADY_RUNNING"
	| "SOCKET_PATH"
	| "NOT_RUNNING"
	| "NOT_PERMITTED"
	| "TIMEOUT"
	| "DISCONNECTED"
	| "BAD_REQUEST"
	| "BAD_PARAMS"
	| "UNKNOWN_METHOD"
	| "TOO_MANY_CONNECTIONS"
	| "INTERNAL";

/** `remedy` says what to do; `code` is one of ControlErrorCode or the handler's own. */
export class ControlError extends Error {
	override readonly name = "ControlError";
	readonly code: string;
	readonly remedy: string;

	constructor(code: string, message: string, remedy: string, cause?: unknown) {
		super(message, cause === undefined ? undefined : { cause });
		this.code = code;
		this.remedy = remedy;
	}
}

export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads one request line. Throws a ControlError BAD_REQUEST or BAD_PARAMS. */
export function parseRequest(line: string): Request {
	const shape = 'Send one object a line: {"id": 1, "method": "status", "params": {}}.';
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch {
		throw new ControlError("BAD_REQUEST", "the request is not JSON", shape);
	}
	if (!isObject(value)) throw new ControlError("BAD_REQUEST", "the request is not a JSON object", shape);
	const { method, params } = value;
	const id = requestId(value);
	if (typeof method !== "string" || method === "") {
		throw new ControlError("BAD_REQUEST", "the request has no method", shape);
	}
	if (params !== undefined && params !== null && !isObject(params)) {
		throw new ControlError("BAD_PARAMS", "params is not a JSON object", shape);
	}
	return { id, method, params: params ?? {} };
}

/** The id of anything that came in, null when it has none that can be sent back. */
export function requestId(value: unknown): RequestId {
	if (!isObject(value)) return null;
	const { id } = value;
	return (typeof id === "string" && id.length <= 128) || typeof id === "number" ? id : null;
}

/**
 * The lines of a socket, one after the other; reading stops while a line is being worked on, so the kernel's
 * socket buffer is the only queue. Throws a ControlError BAD_REQUEST for a line above `maxBytes`.
 */
export async function* readLines(socket: Socket, maxBytes: number): AsyncGenerator<string> {
	let parts: Buffer[] = [];
	let size = 0;
	const tooLong = (): ControlError =>
		new ControlError("BAD_REQUEST", `a line is longer than ${maxBytes} bytes`, "Send less in one request.");
	for await (const data of socket) {
		let rest = data as Buffer;
		for (;;) {
			const end = rest.indexOf(10);
			if (size + (end < 0 ? rest.length : end) > maxBytes) throw tooLong();
			if (end < 0) break;
			parts.push(rest.subarray(0, end));
			const line = Buffer.concat(parts).toString("utf8").trim();
			parts = [];
			size = 0;
			rest = rest.subarray(end + 1);
			if (line !== "") yield line;
		}
		if (rest.length > 0) parts.push(rest);
		size += rest.length;
	}
}
