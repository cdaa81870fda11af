// The terminal itself: full screen on and off, changed lines only, keys. Knows nothing of what is shown.
import { writeSync, write as writeTo } from "node:fs";

const esc = "\x1b";
// Without automatic wrapping a character that is wider than thought cannot push a line down.
const enterSequence = `${esc}[?1049h${esc}[?25l${esc}[?7l${esc}[2J`;
const leaveSequence = `${esc}[0m${esc}[?2026l${esc}[?7h${esc}[?25h${esc}[?1049l`;

/** The part of process.stdout that is used. With a `fd`, frames are written beside the event loop. */
export interface TerminalOutput {
	readonly columns?: number;
	readonly rows?: number;
	readonly isTTY?: boolean;
	readonly fd?: number;
	write(text: string, done?: (error?: Error | null) => void): boolean;
	on(name: "resize" | "error", listener: (error?: unknown) => void): unknown;
	off(name: "resize" | "error", listener: (error?: unknown) => void): unknown;
}

/** The part of process.stdin that is used. */
export interface TerminalInput {
	readonly isTTY?: boolean;
	setRawMode?(raw: boolean): unknown;
	on(name: "data" | "end" | "error", listener: (data: Buffer | string) => void): unknown;
	off(name: "data" | "end" | "error", listener: (data: Buffer | string) => void): unknown;
	resume(): unknown;
	pause(): unknown;
}

export interface Screen {
	enter(): void;
	/** Gives the terminal back; written before it returns, so it also works while the process ends. */
	leave(): void;
	/** Draws the lines that differ from the last frame. False: the terminal is still busy with that one. */
	draw(lines: readonly string[]): boolean;
	/** The next frame is drawn whole. */
	forget(): void;
}

/** `onGone` is called once, when nothing can be written any more. */
export function createScreen(output: TerminalOutput, onGone: () => void): Screen {
	let shown: readonly string[] = [];
	let whole = true;
	let entered = false;
	let busy = false;
	let gone = false;
	const written = (error?: Error | null): void => {
		busy = false;
		if (!error || gone) return;
		gone = true;
		onGone();
	};
	// Node writes to a terminal synchronously: one that stands still (a stalled connection) would stop the
	// sensor. So frames go through the thread pool, one at a time, and frames in between are left out.
	const send = (text: string): void => {
		busy = true;
		if (output.fd === undefined) output.write(text, written);
		else writeAll(output.fd, Buffer.from(text), 0, written);
	};
	const sendNow = (text: string): void => {
		if (gone) return;
		try {
			if (output.fd === undefined) output.write(text);
			else writeSync(output.fd, text);
		} catch (error) {
			written(error instanceof Error ? error : new Error(String(error)));
		}
	};
	return {
		enter() {
			if (entered) return;
			entered = true;
			whole = true;
			sendNow(enterSequence);
		},
		leave() {
			if (!entered) return;
			entered = false;
			// A frame may be on its way in the thread pool; it must not come after this. Its end cannot be awaited
			// while the process ends, but it needs a moment only.
			if (busy && output.fd !== undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30);
			sendNow(leaveSequence);
		},
		draw(lines) {
			if (!entered || gone) return true;
			if (busy) return false;
			let text = whole ? `${esc}[0m${esc}[2J` : "";
			for (const [index, line] of lines.entries()) {
				// Cleared first: behind a full line the cursor stands on its last cell, and clearing would take that.
				if (whole || line !== shown[index]) text += `${esc}[${index + 1};1H${esc}[0m${esc}[K${line}`;
			}
			shown = lines;
			whole = false;
			// 2026: terminals that know it show the frame at once, others ignore it.
			if (text !== "") send(`${esc}[?2026h${text}${esc}[?2026l`);
			return true;
		},
		forget() {
			whole = true;
		},
	};
}

function writeAll(fd: number, data: Buffer, from: number, done: (error?: Error | null) => void): void {
	writeTo(fd, data, from, data.length - from, null, (error, count) => {
		if (error?.code === "EAGAIN") {
			setTimeout(() => writeAll(fd, data, from, done), 50).unref();
		} else if (error) done(error);
		else if (from + count < data.length) writeAll(fd, data, from + count, done);
		else done();
	});
}

const named: Readonly<Record<string, string>> = {
	"\x03": "interrupt",
	"\x04": "interrupt",
	"\x1a": "suspend",
	"\x0c": "redraw",
	"\x1b": "escape",
	"\x1b[A": "up",
	"\x1b[B": "down",
	"\x1bOA": "up",
	"\x1bOB": "down",
	"\x1b[5~": "pageup",
	"\x1b[6~": "pagedown",
	"\x1b[H": "home",
	"\x1b[F": "end",
	"\x1bOH": "home",
	"\x1bOF": "end",
	"\x1b[1~": "home",
	"\x1b[4~": "end",
	"\x1b[7~": "home",
	"\x1b[8~": "end",
};
// A CSI sequence (ECMA-48 5.4), an SS3 sequence, Alt with a key, or one character.
// biome-ignore lint/suspicious/noControlCharactersInRegex: keys are sent with them
const keys = /\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[@-~]|\x1b[^[O\x1b]|./gsu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: keys are sent with them
const unfinished = /\x1b(?:\[[0-?]*[ -/]*|O)?$/;

/**
 * Cuts input into keys: a name ("up", "interrupt") or the character itself. A sequence that comes in pieces is
 * put together; `escapeMs` after a lone ESC it is the key of that name.
 */
export function createKeyReader(
	onKey: (key: string) => void,
	escapeMs = 50,
): (data: Buffer | string) => void {
	let rest = "";
	let timer: NodeJS.Timeout | undefined;
	const give = (text: string): void => {
		for (const [key] of text.matchAll(keys)) {
			const name = named[key];
			if (name !== undefined) onKey(name);
			else if (!key.startsWith(esc)) onKey(key);
		}
	};
	return (data) => {
		clearTimeout(timer);
		const text = rest + String(data).slice(0, 4096);
		const open = unfinished.exec(text);
		rest = open === null || open[0].length > 32 ? "" : open[0];
		give(text.slice(0, text.length - rest.length));
		if (rest === "") return;
		timer = setTimeout(() => {
			const lone = rest === esc;
			rest = "";
			if (lone) onKey("escape");
		}, escapeMs);
		timer.unref();
	};
}
