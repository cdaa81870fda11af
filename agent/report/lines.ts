// Sinks that write a line a record: to standard output (or any writable stream), to a file, and to whatever else a
// target is made for. A reader that does not keep up fills a bounded queue, not the memory and not the event loop.
import { constants } from "node:fs";
import { type FileHandle, lstat, open, rename, rm } from "node:fs/promises";
import type { Writable } from "node:stream";
import type { Logger } from "pino";
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "./errors.ts";
import { createLosses } from "./losses.ts";
import { createRecordQueue } from "./queue.ts";
import { recordKind, recordLine } from "./record.ts";
import type { Sink } from "./sinks.ts";

export interface LineSinkOptions {
	readonly clock: () => number;
	readonly logger: Logger;
	/** Output.gap. */
	readonly report: (gap: wire.Gap) => void;
	/** One line without its end, or undefined for a record that is not shown; recordLine by default. */
	readonly format?: (record: wire.OutputRecord) => string | undefined;
	/** 10,000 and 8 MiB by default. */
	readonly maxRecords?: number;
	readonly maxBytes?: number;
	/** ms from a loss until it is told. */
	readonly lossDelayMs?: number;
}

/** Where lines go, some at a time. */
export interface Target {
	/** Resolves when the next ones may come. Rejects when these did not get through, with PartlyWritten when some did. */
	write(lines: readonly string[]): Promise<void>;
	/** After a failure: ms until the next try, undefined for never. */
	readonly retryMs: number | undefined;
	close(): Promise<void>;
}

/** The first `taken` lines got through, the others did not. */
export class PartlyWritten extends Error {
	readonly taken: number;

	constructor(taken: number, message: string) {
		super(message);
		this.taken = taken;
	}
}

const chunkBytes = 64 * 1024;
const closeMs = 2000;

/** Never throws; what the target does not take is kept as far as there is room. */
export function createLineSink(name: string, target: Target, options: LineSinkOptions): Sink {
	const format = options.format ?? recordLine;
	const losses = createLosses({
		where: `sink:${name}`,
		clock: options.clock,
		report: options.report,
		...(options.lossDelayMs === undefined ? {} : { delayMs: options.lossDelayMs }),
	});
	const queue = createRecordQueue<string>({
		maxRecords: options.maxRecords ?? 10_000,
		maxBytes: options.maxBytes ?? 8 * 1024 * 1024,
		lost: (kind) => losses.count(kind),
	});
	let sent = 0;
	let problem = "";
	let ended = false;
	let closing = false;
	let running: Promise<void> | undefined;
	let wake: (() => void) | undefined;

	const pump = async (): Promise<void> => {
		for (;;) {
			const items = queue.take(1000, chunkBytes);
			if (items.length === 0) return;
			try {
				await target.write(items.flatMap((item) => item.payload ?? []));
				sent += items.length;
				queue.release(items);
				if (problem !== "") options.logger.info({ sink: name }, "sink works again");
				problem = "";
			} catch (error) {
				const taken = items.splice(0, error instanceof PartlyWritten ? error.taken : 0);
				sent += taken.length;
				queue.release(taken);
				queue.putBack(items);
				const text = errorText(error);
				if (target.retryMs === undefined) {
					ended = true;
					problem = text;
					queue.release(queue.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY));
					return;
				}
				if (problem !== text) options.logger.warn({ sink: name, error: text }, "sink cannot write");
				problem = text;
				if (closing) return;
				await new Promise<void>((resolve) => {
					const timer = setTimeout(resolve, target.retryMs).unref();
					wake = () => {
						clearTimeout(timer);
						resolve();
					};
				});
			}
		}
	};
	const start = (): void => {
		running ??= pump().finally(() => {
			running = undefined;
			// Something may have come between the last look at the queue and now.
			if (queue.waiting > 0 && !ended && !closing) start();
		});
	};
	return {
		name,
		push(record) {
			if (ended || closing) return;
			const kind = recordKind(record);
			const line = kind === undefined ? undefined : format(record);
			if (kind === undefined || line === undefined) return;
			queue.push({ kind, sequence: Number(record.sequence), bytes: line.length + 1, payload: line });
			start();
		},
		status: () => ({
			name,
			connected: !ended && problem === "",
			sent: String(sent),
			acknowledged: String(sent),
			queued: String(queue.held),
			lost: String(losses.total),
			problem,
		}),
		async close() {
			losses.tell();
			closing = true;
			wake?.();
			let timer: NodeJS.Timeout | undefined;
			const late = new Promise<void>((resolve) => {
				timer = setTimeout(resolve, closeMs);
			});
			await Promise.race([running, late]);
			clearTimeout(timer);
			losses.close();
			await target.close();
		},
	};
}

export interface StreamTarget {
	readonly name: string;
	readonly stream: Writable;
	/** The reader has gone (EPIPE and the like): nothing more will be written. */
	readonly onGone?: () => void;
}

/** Lines to a stream such as process.stdout, which is not closed. A reader that goes away ends it quietly. */
export function createStreamSink(target: StreamTarget, options: LineSinkOptions): Sink {
	const { stream } = target;
	let gone: Error | undefined;
	const onError = (error: Error): void => {
		if (gone === undefined) target.onGone?.();
		gone ??= error;
	};
	// Stays for good: a write that fails late must not end the process.
	stream.on("error", onError);
	stream.on("close", () => onError(new Error("the reader has gone")));
	return createLineSink(
		target.name,
		{
			retryMs: undefined,
			write: (lines) =>
				new Promise((resolve, reject) => {
					if (gone !== undefined) return reject(gone);
					stream.write(chunkOf(lines), (error) => (error ? reject(error) : resolve()));
				}),
			close: async () => {},
		},
		options,
	);
}

export interface FileTarget {
	readonly name: string;
	readonly path: string;
	/** ms between tries when the file cannot be written; 10,000 by default. */
	readonly retryMs?: number;
	/** Before the file is larger than this it becomes `path`.1, and `path`.`keep` is the oldest that stays. */
	readonly rotate?: { readonly bytes: number; readonly keep: number };
}

function chunkOf(lines: readonly string[]): string {
	return `${lines.join("\n")}\n`;
}

/**
 * Lines appended to a file, which is made when missing (0600: command lines hold secrets). A full disk is waited out.
 * Rotates by itself when asked to, and follows a rotation by another.
 */
export function createFileSink(target: FileTarget, options: LineSinkOptions): Sink {
	let file: FileHandle | undefined;
	/** Bytes of whole lines, to cut off a line that a full disk has left half written. */
	let whole = 0;
	const drop = async (): Promise<void> => {
		const handle = file;
		file = undefined;
		await handle?.close().catch(() => {});
	};
	return createLineSink(
		target.name,
		{
			retryMs: target.retryMs ?? 10_000,
			async write(lines) {
				const chunk = chunkOf(lines);
				try {
					// Log rotation renames the file away: the lines belong into the new one.
					if (file !== undefined && !(await isSame(file, target.path))) await drop();
					file ??= await openLog(target.path);
					whole = (await file.stat()).size;
					const { rotate } = target;
					if (rotate !== undefined && whole > 0 && whole + Buffer.byteLength(chunk) > rotate.bytes) {
						await drop();
						await moveAside(target.path, rotate.keep);
						file = await openLog(target.path);
						whole = 0;
					}
					await file.appendFile(chunk);
				} catch (error) {
					await file?.truncate(whole).catch(() => {});
					await drop();
					throw error;
				}
			},
			async close() {
				await file?.close();
				file = undefined;
			},
		},
		options,
	);
}

const appending =
	constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * A regular file of that very name. Where others may write to the folder, a link would turn root's appending against
 * any file of the host, and a pipe would hold it up.
 */
async function openLog(path: string): Promise<FileHandle> {
	const mend = "name a file in a folder that only root can write to";
	const file = await open(path, appending, 0o600).catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ELOOP") throw new Error(`${path} is a symbolic link: ${mend}`);
		throw error;
	});
	const found = await file.stat();
	if (found.isFile() && found.nlink <= 1) return file;
	await file.close();
	throw new Error(
		`${path} is ${found.isFile() ? "another file by a hard link" : "no regular file"}: ${mend}`,
	);
}

/** path → path.1 → path.2 …; what is left half done by a crash is gone on with the next time. */
async function moveAside(path: string, keep: number): Promise<void> {
	await rm(keep === 0 ? path : `${path}.${keep}`, { force: true });
	for (let number = keep - 1; number >= 0; number--) {
		const from = number === 0 ? path : `${path}.${number}`;
		await rename(from, `${path}.${number + 1}`).catch((error: NodeJS.ErrnoException) => {
			if (error.code !== "ENOENT") throw error;
		});
	}
}

async function isSame(file: FileHandle, path: string): Promise<boolean> {
	const [held, named] = await Promise.all([file.stat(), lstat(path).catch(() => undefined)]);
	return named !== undefined && held.ino === named.ino && held.dev === named.dev;
}
