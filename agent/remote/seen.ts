// Which commands came already, over restarts, so that none is carried out twice: an append-only file of one JSON line
// for each that acts (before it acts, synced) and one for what came of it. Kept until a command's expiry and a day more.

import { createHash } from "node:crypto";
import {
	closeSync,
	constants,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	openSync,
	readSync,
	renameSync,
	rmSync,
	writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { syncFolder } from "../durable.ts";
import { errorText } from "../report/errors.ts";

export interface SeenCommand {
	readonly console: string;
	readonly id: string;
	/** Of what it asked for: the same id with another digest is another command. */
	readonly digest: string;
	/** Unix ms. */
	readonly expires: number;
	/** What came of it; undefined while it runs, and when the sensor ended before that was known. */
	outcome: { readonly accepted: boolean; readonly message: string } | undefined;
}

export interface SeenCommands {
	find(console: string, id: string): SeenCommand | undefined;
	/** Why one that expires then cannot be told from one that was forgotten; undefined when it can. */
	tooOld(expires: number): string | undefined;
	/** On the disk when it returns. Throws when it cannot be kept, with what to do: then it must not be carried out. */
	add(command: Omit<SeenCommand, "outcome">): void;
	/** What came of it; best effort. */
	settle(console: string, id: string, outcome: NonNullable<SeenCommand["outcome"]>): void;
	/** What was wrong with the file when it was read; "" when nothing was. */
	readonly problem: string;
	/** Of that what may still do harm: no longer once all that could have been forgotten has expired. */
	readonly danger: string;
	readonly size: number;
	close(): void;
}

export interface SeenOptions {
	readonly file: string;
	/** Unix ms. */
	readonly clock: () => number;
	/** 5,000 commands that have not expired of one console, and 20,000 of all. */
	readonly maxPerConsole?: number;
	readonly maxAll?: number;
}

const marginMs = 24 * 3600 * 1000;
/** Far above what the limits allow. */
const maxBytes = 32 * 1024 * 1024;
const maxMessage = 300;
/** No command may expire later from now (command.ts), and clocks differ. */
const dangerMs = 25 * 3600 * 1000;

/** Never throws: what cannot be read is told in `problem`. */
export function openSeenCommands(options: SeenOptions): SeenCommands {
	const { file, clock, maxPerConsole = 5000, maxAll = 20_000 } = options;
	const known = new Map<string, SeenCommand>();
	const perConsole = new Map<string, number>();
	/** The latest expiry of all that was forgotten: nothing that expires before can be told from it. */
	let forgottenUntil = 0;
	let fd: number | undefined;
	let lines = 0;
	let problem = "";
	let harmful = true;
	const opened = clock();

	const keyOf = (console: string, id: string): string => `${console}\n${id}`;
	const count = (console: string, by: number): void => {
		const now = (perConsole.get(console) ?? 0) + by;
		if (now > 0) perConsole.set(console, now);
		else perConsole.delete(console);
	};

	const forgetOld = (): void => {
		const now = clock();
		for (const [key, { console, expires }] of known) {
			if (expires + marginMs > now) continue;
			known.delete(key);
			count(console, -1);
			forgottenUntil = Math.max(forgottenUntil, expires);
		}
	};

	const take = (fields: readonly unknown[]): boolean => {
		const [kind, console, id, ...rest] = fields;
		if (kind === "forgotten" && typeof console === "number") {
			forgottenUntil = Math.max(forgottenUntil, console);
			return true;
		}
		if (typeof console !== "string" || typeof id !== "string") return false;
		const [one, two] = rest;
		if (kind === "taken" && typeof one === "string" && typeof two === "number") {
			const before = known.get(keyOf(console, id));
			if (before === undefined) count(console, 1);
			known.set(keyOf(console, id), { console, id, digest: one, expires: two, outcome: undefined });
			return true;
		}
		if (kind !== "ended" || typeof one !== "boolean" || typeof two !== "string") return false;
		const found = known.get(keyOf(console, id));
		if (found !== undefined) found.outcome = { accepted: one, message: two };
		return true;
	};

	/** A line that a crash tore is the last one, and was never carried out: it is synced before. */
	const read = (): void => {
		const text = readWhole(file);
		if (text === undefined) return;
		let damaged = 0;
		const all = text.split("\n");
		const torn = all.pop() !== "";
		for (const line of all) {
			const fields = checked(line);
			if (fields === undefined || !take(fields)) damaged++;
		}
		if (damaged > 0)
			problem = `${damaged} of ${all.length} lines of ${file} are damaged: commands they told of could run a second time`;
		harmful = damaged > 0;
		if (damaged === 0 && torn)
			problem = `the last line of ${file} was torn by a crash; its command was not carried out`;
	};

	/** Anew with what still counts: also what makes a damaged file whole. */
	const rewrite = (): void => {
		const fresh = `${file}.new`;
		rmSync(fresh, { force: true });
		const wanted = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
		const made = openSync(fresh, wanted | constants.O_APPEND, 0o600);
		try {
			const text = [
				...(forgottenUntil > 0 ? [lineOf(["forgotten", forgottenUntil])] : []),
				...[...known.values()].flatMap(linesOf),
			];
			lines = text.length;
			writeAll(made, text.join(""));
			fsyncSync(made);
			renameSync(fresh, file);
			syncFolder(dirname(file));
		} catch (error) {
			closeSync(made);
			rmSync(fresh, { force: true });
			throw error;
		}
		if (fd !== undefined) closeSync(fd);
		fd = made;
	};

	const append = (line: string, sync: boolean): void => {
		if (fd === undefined || lines > 2 * known.size + 1000) rewrite();
		const at = fd as number;
		const size = fstatSync(at).size;
		try {
			writeAll(at, line);
			if (sync) fsyncSync(at);
			lines++;
		} catch (error) {
			// Half a line would damage the next one.
			try {
				ftruncateSync(at, size);
			} catch {
				// The next rewrite leaves it out.
				lines = Number.POSITIVE_INFINITY;
			}
			throw error;
		}
	};

	try {
		read();
		forgetOld();
	} catch (error) {
		problem = `${file} cannot be read: ${errorText(error)}; commands it told of could run a second time`;
	}

	return {
		find: (console, id) => known.get(keyOf(console, id)),
		tooOld: (expires) =>
			expires <= forgottenUntil
				? `this host's clock was later than now when it forgot the commands that expired until ${new Date(forgottenUntil).toISOString()}; ` +
					"compare the clocks of console and host"
				: undefined,
		add(command) {
			forgetOld();
			if ((perConsole.get(command.console) ?? 0) >= maxPerConsole)
				throw new Error(
					`${maxPerConsole} commands of this console are remembered already; let them expire earlier`,
				);
			if (known.size >= maxAll)
				throw new Error(`${maxAll} commands are remembered already; let them expire earlier`);
			const whole: SeenCommand = { ...command, outcome: undefined };
			try {
				append(linesOf(whole).join(""), true);
			} catch (error) {
				throw new Error(
					`it cannot be remembered in ${file} (${errorText(error)}), so it could run twice; make room there`,
				);
			}
			known.set(keyOf(command.console, command.id), whole);
			count(command.console, 1);
		},
		settle(console, id, outcome) {
			const found = known.get(keyOf(console, id));
			if (found === undefined) return;
			found.outcome = { accepted: outcome.accepted, message: outcome.message.slice(0, maxMessage) };
			try {
				append(endOf(found, found.outcome), false);
			} catch {
				// That it came is kept; what came of it is in the audit.
			}
		},
		get problem() {
			return problem;
		},
		get danger() {
			return harmful && clock() < opened + dangerMs ? problem : "";
		},
		get size() {
			return known.size;
		},
		close() {
			if (fd !== undefined) closeSync(fd);
			fd = undefined;
		},
	};
}

function linesOf(command: SeenCommand): string[] {
	const { console, id, digest, expires, outcome } = command;
	const taken = lineOf(["taken", console, id, digest, expires]);
	return outcome === undefined ? [taken] : [taken, endOf(command, outcome)];
}

function endOf({ console, id }: SeenCommand, outcome: NonNullable<SeenCommand["outcome"]>): string {
	return lineOf(["ended", console, id, outcome.accepted, outcome.message]);
}

/** Behind each line the beginning of its hash: a bit that flips must not make one id into another. */
function lineOf(fields: readonly unknown[]): string {
	const text = JSON.stringify(fields);
	return `${text} ${sumOf(text)}\n`;
}

function sumOf(text: string): string {
	return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function checked(line: string): readonly unknown[] | undefined {
	const at = line.lastIndexOf(" ");
	const text = line.slice(0, Math.max(0, at));
	if (at < 0 || sumOf(text) !== line.slice(at + 1)) return undefined;
	try {
		const value: unknown = JSON.parse(text);
		return Array.isArray(value) ? value : undefined;
	} catch {
		return undefined;
	}
}

/** Undefined when there is none. Throws for what is no file of ours. */
function readWhole(file: string): string | undefined {
	let fd: number;
	try {
		fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
	try {
		const found = fstatSync(fd);
		if (!found.isFile()) throw new Error("it is no ordinary file; take it away");
		if (found.size > maxBytes) throw new Error(`it has more than ${maxBytes} bytes; take it away`);
		const bytes = Buffer.alloc(found.size);
		let read = 0;
		while (read < bytes.length) {
			const got = readSync(fd, bytes, read, bytes.length - read, read);
			if (got === 0) break;
			read += got;
		}
		return bytes.subarray(0, read).toString("utf8");
	} finally {
		closeSync(fd);
	}
}

function writeAll(fd: number, text: string): void {
	const bytes = Buffer.from(text);
	for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
