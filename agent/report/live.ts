// The live view of a sensor in a terminal: `npm start` and `picket watch`. Takes records and states in, draws
// at most ten times a second, gives the terminal back however the process ends. Everything drawn is made in
// live-frame.ts.

import type * as wire from "../model/picket.v1.ts";
import { renderFrame, visibleEntries } from "./live-frame.ts";
import { applyKey } from "./live-keys.ts";
import { applyRecord, applyStatus, createModel } from "./live-model.ts";
import { renderSummary } from "./live-tally.ts";
import { createKeyReader, createScreen, type TerminalInput, type TerminalOutput } from "./terminal.ts";
import { type Theme, themeOf } from "./terminal-theme.ts";

/** ms between two frames at least, and between two at most (clock and uptime). */
const frameMs = 100;
const idleMs = 1000;

/** The part of `process` that is used: signals, and its end. */
export interface ProcessEvents {
	on(name: string, listener: () => void): unknown;
	off(name: string, listener: () => void): unknown;
	/**
	 * Stops this process until SIGCONT; with `group` the whole job, as Ctrl-Z does where the terminal sees to it:
	 * npm stops along with it and the shell gets its prompt back.
	 */
	stop(group: boolean): void;
}

export interface LiveViewOptions {
	readonly input: TerminalInput;
	readonly output: TerminalOutput;
	/** Unix ms. */
	readonly clock: () => number;
	/** The user wants to leave (q, Ctrl-C), or the terminal is gone. Called once. */
	readonly onQuit: () => void;
	/** A view on a sensor that goes on afterwards (`picket watch`); changes the summary's words. */
	readonly watching?: boolean;
	readonly theme?: Theme;
	readonly processEvents?: ProcessEvents;
}

export interface LiveView {
	push(record: wire.OutputRecord): void;
	/** The sensor's state; once a second or so makes the sparkline read well. */
	status(status: wire.Status): void;
	/** Records that did not reach this view. */
	missed(count: number): void;
	/** Gives the terminal back. The summary, plain text of several lines, is for the caller to print. */
	close(): string;
}

/** Whether a live view makes sense here: both ends a terminal that can do more than print. */
export function canShowLive(
	input: TerminalInput,
	output: TerminalOutput,
	environment: Readonly<Record<string, string | undefined>>,
): boolean {
	const { TERM = "" } = environment;
	return input.isTTY === true && output.isTTY === true && TERM !== "" && TERM !== "dumb";
}

export function createLiveView(options: LiveViewOptions): LiveView {
	const { input, output, clock, processEvents = nodeProcess } = options;
	const model = createModel(options.theme ?? themeOf(process.env));
	const begun = clock();
	let timer: NodeJS.Timeout | undefined;
	let drawnAt = Number.NEGATIVE_INFINITY;
	let due = Number.POSITIVE_INFINITY;
	let closed = false;
	let asked = false;

	const quit = (): void => {
		if (asked) return;
		asked = true;
		options.onQuit();
	};
	const screen = createScreen(output, quit);
	const columns = (): number => Math.max(1, Math.min(output.columns || 80, 1000));
	const rows = (): number => Math.max(1, Math.min(output.rows || 24, 500));
	const draw = (): void => {
		const now = clock();
		due = Number.POSITIVE_INFINITY;
		drawnAt = now;
		const drawn = screen.draw(renderFrame(model, columns(), rows(), now));
		schedule(drawn ? idleMs : frameMs);
	};
	// A wish for a later frame never puts off an earlier one.
	const schedule = (delay: number): void => {
		const now = clock();
		const at = Math.max(now + delay, drawnAt + frameMs);
		if (closed || at >= due) return;
		due = at;
		clearTimeout(timer);
		timer = setTimeout(draw, Math.max(0, Math.min(at - now, idleMs)));
		timer.unref();
	};
	const onKey = (key: string): void => {
		switch (applyKey(model, key, visibleEntries(model, columns(), rows()))) {
			case "quit":
				quit();
				break;
			case "suspend":
				restore();
				processEvents.stop(true);
				break;
			case "redraw":
				screen.forget();
				schedule(0);
				break;
			case "changed":
				schedule(0);
				break;
			case "none":
		}
	};
	const reader = createKeyReader(onKey);
	const raw = (on: boolean): void => {
		try {
			input.setRawMode?.(on);
		} catch {
			// The terminal is gone; that shows in writing to it.
		}
	};
	const restore = (): void => {
		screen.leave();
		raw(false);
	};
	const stopped = (): void => {
		restore();
		processEvents.stop(false);
	};
	const resume = (): void => {
		raw(true);
		screen.enter();
		screen.forget();
		schedule(0);
	};
	const resized = (): void => {
		screen.forget();
		schedule(0);
	};
	// The monitor event comes before Node prints the error, so the error lands on the restored screen.
	const listeners: readonly (readonly [string, () => void])[] = [
		["exit", restore],
		["uncaughtExceptionMonitor", restore],
		["SIGTSTP", stopped],
		["SIGCONT", resume],
	];
	for (const [name, listener] of listeners) processEvents.on(name, listener);
	output.on("resize", resized);
	output.on("error", quit);
	input.on("data", reader);
	input.on("end", quit);
	input.on("error", quit);
	raw(true);
	input.resume();
	screen.enter();
	draw();

	return {
		push(record) {
			if (closed) return;
			applyRecord(model, record, clock());
			schedule(0);
		},
		status(status) {
			if (closed) return;
			applyStatus(model, status);
			schedule(0);
		},
		missed(count) {
			if (closed) return;
			model.missed += count;
			model.activity.skip(count, clock());
			schedule(0);
		},
		close() {
			if (!closed) {
				closed = true;
				clearTimeout(timer);
				for (const [name, listener] of listeners) processEvents.off(name, listener);
				output.off("resize", resized);
				input.off("data", reader);
				input.off("end", quit);
				restore();
				input.pause();
			}
			const { host, status, missed, tally } = model;
			const started = options.watching || !status?.started ? begun : Date.parse(status.started);
			const duration = clock() - (Number.isNaN(started) ? begun : started);
			return renderSummary(tally, { host, duration, watching: options.watching ?? false, status, missed });
		},
	};
}

const nodeProcess: ProcessEvents = {
	on: (name, listener) => process.on(name, listener),
	off: (name, listener) => process.off(name, listener),
	// SIGTSTP is caught here and would not stop it.
	stop: (group) => process.kill(group ? 0 : process.pid, "SIGSTOP"),
};
