import { EventEmitter } from "node:events";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { canShowLive, createLiveView, type LiveView } from "../../../agent/report/live.ts";
import { createKeyReader, createScreen } from "../../../agent/report/terminal.ts";
import { createTheme } from "../../../agent/report/terminal-theme.ts";
import { terminalPicture } from "../../terminal-picture.ts";
import { at, noon, numbered, state } from "./records.ts";

const enter = "\x1b[?1049h";
const leave = "\x1b[?1049l";

class Output extends EventEmitter {
	columns = 80;
	rows = 24;
	isTTY = true;
	text = "";
	frames: string[] = [];
	/** Set: writes are not finished by themselves. */
	held: ((error?: Error | null) => void)[] | undefined;
	write(text: string, done?: (error?: Error | null) => void): boolean {
		this.text += text;
		if (text.includes("\x1b[?2026h")) this.frames.push(text);
		if (done !== undefined && this.held === undefined) done();
		else if (done !== undefined) this.held?.push(done);
		return true;
	}
}
class Input extends EventEmitter {
	isTTY = true;
	raw = false;
	flowing = false;
	setRawMode(raw: boolean): void {
		this.raw = raw;
	}
	resume(): void {
		this.flowing = true;
	}
	pause(): void {
		this.flowing = false;
	}
}
class Process extends EventEmitter {
	stops: boolean[] = [];
	stop(group: boolean): void {
		this.stops.push(group);
	}
}

let input: Input;
let output: Output;
let host: Process;
let quits: number;
let view: LiveView;

beforeEach(() => {
	vi.useFakeTimers({ now: noon });
	input = new Input();
	output = new Output();
	host = new Process();
	quits = 0;
	view = createLiveView({
		input,
		output,
		clock: Date.now,
		onQuit: () => quits++,
		theme: createTheme(0),
		processEvents: host,
	});
});
afterEach(() => {
	view.close();
	vi.useRealTimers();
});

describe("the live view", () => {
	test("takes the terminal and gives it back as it was", () => {
		expect(output.text.startsWith(enter)).toBe(true);
		expect(input.raw).toBe(true);
		const summary = view.close();
		expect(output.text.endsWith(leave)).toBe(true);
		expect(output.text).toContain("\x1b[?25h");
		expect(input).toMatchObject({ raw: false, flowing: false });
		expect(summary).toMatch(/^Picket ran for 0s\./);
		expect(summary).not.toContain("\x1b");
		for (const emitter of [input, output, host]) {
			// What stays swallows errors that come late.
			for (const name of emitter.eventNames()) expect(name).toBe("error");
		}
	});

	test("closing twice gives the same summary and restores once", () => {
		const first = view.close();
		expect(view.close()).toBe(first);
		expect(output.text.split(leave)).toHaveLength(2);
	});

	test("draws at most ten times a second, however much comes", () => {
		const before = output.frames.length;
		for (let ms = 0; ms < 3000; ms++) {
			for (let n = 0; n < 5; n++) view.push(at(ms, { alert: numbered(ms * 5 + n) }));
			vi.advanceTimersByTime(1);
		}
		const drawn = output.frames.length - before;
		expect(drawn).toBeGreaterThanOrEqual(25);
		expect(drawn).toBeLessThanOrEqual(31);
	});

	test("writes only lines that changed, and nothing when nothing did", () => {
		view.status(state);
		view.push(at(0, { alert: numbered(1) }));
		vi.advanceTimersByTime(200);
		const before = output.frames.length;
		view.push(at(0, { alert: numbered(2) }));
		vi.advanceTimersByTime(150);
		const frame = output.frames.slice(before).join("");
		expect(frame).toContain("rule 2");
		expect(frame).not.toContain("rule 1");
		const size = output.text.length;
		view.push(at(0, { event: {} }));
		vi.advanceTimersByTime(150);
		expect(output.text.length).toBe(size);
	});

	test("the clock goes on by itself", () => {
		view.status(state);
		vi.advanceTimersByTime(200);
		expect(output.text).toContain("2h 13m");
		output.text = "";
		vi.advanceTimersByTime(60_000);
		expect(output.text).toContain("2h 14m");
	});

	test("a new size is drawn whole", () => {
		output.columns = 40;
		output.rows = 10;
		output.text = "";
		output.emit("resize");
		vi.advanceTimersByTime(150);
		expect(output.text).toContain("\x1b[2J");
		expect(output.text).toContain("\x1b[10;1H");
		expect(output.text).not.toContain("\x1b[11;1H");
	});

	test("a terminal without a size, and one of a single cell, are drawn too", () => {
		for (const [columns, rows] of [
			[0, 0],
			[1, 1],
			[20, 5],
			[100_000, 100_000],
		] as const) {
			output.columns = columns;
			output.rows = rows;
			output.emit("resize");
			vi.advanceTimersByTime(150);
		}
		expect(quits).toBe(0);
	});

	test("q asks to leave, once", () => {
		input.emit("data", Buffer.from("qq\x03"));
		expect(quits).toBe(1);
	});

	test("Ctrl-Z gives the terminal back and stops the whole job; going on takes it again", () => {
		input.emit("data", Buffer.from("\x1a"));
		expect(output.text.endsWith(leave)).toBe(true);
		expect(input.raw).toBe(false);
		expect(host.stops).toEqual([true]);
		const size = output.text.length;
		view.push(at(0, { alert: numbered(1) }));
		vi.advanceTimersByTime(500);
		expect(output.text.length).toBe(size);
		host.emit("SIGCONT");
		vi.advanceTimersByTime(150);
		expect(output.text.slice(size)).toContain(enter);
		expect(output.text.slice(size)).toContain("rule 1");
		expect(input.raw).toBe(true);
	});

	test("SIGTSTP from outside stops this process alone", () => {
		host.emit("SIGTSTP");
		expect(host.stops).toEqual([false]);
		expect(output.text.endsWith(leave)).toBe(true);
	});

	test.each(["exit", "uncaughtExceptionMonitor"])("on %s the terminal is restored", (name) => {
		host.emit(name);
		expect(output.text.endsWith(leave)).toBe(true);
		expect(input.raw).toBe(false);
	});

	test("a terminal that is gone ends the view, once", () => {
		output.emit("error", new Error("EIO"));
		input.emit("end");
		expect(quits).toBe(1);
	});

	test("a terminal that stands still gets no frames piled up, and the newest when it goes on", () => {
		vi.advanceTimersByTime(200);
		output.held = [];
		view.push(at(0, { alert: numbered(1) }));
		vi.advanceTimersByTime(200);
		const before = output.frames.length;
		for (let n = 2; n < 50; n++) {
			view.push(at(n, { alert: numbered(n) }));
			vi.advanceTimersByTime(100);
		}
		expect(output.frames.length).toBe(before);
		for (const done of output.held) done();
		output.held = undefined;
		vi.advanceTimersByTime(150);
		expect(output.frames.slice(before).join("")).toContain("rule 49");
	});

	test("what could not be sent to the view is counted in it", () => {
		view.missed(1204);
		vi.advanceTimersByTime(150);
		expect(output.text).toContain("+1,204 more");
		expect(view.close()).toContain("1,204 not shown here");
	});
});

describe("keys", () => {
	const read = (...chunks: string[]): string[] => {
		const keys: string[] = [];
		const reader = createKeyReader((key) => keys.push(key));
		for (const chunk of chunks) reader(Buffer.from(chunk));
		vi.advanceTimersByTime(100);
		return keys;
	};

	test("sequences are named, however a terminal sends them", () => {
		expect(read("\x1b[A\x1b[B\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[4~q")).toEqual([
			"up",
			"down",
			"up",
			"pageup",
			"pagedown",
			"home",
			"end",
			"q",
		]);
	});

	test("a sequence that comes in pieces is one key, a lone ESC is one after a while", () => {
		expect(read("\x1b", "[", "A")).toEqual(["up"]);
		expect(read("\x1b[", "5", "~")).toEqual(["pageup"]);
		expect(read("\x1b")).toEqual(["escape"]);
		expect(read("\x1b\x1b[A")).toContain("up");
	});

	test("sequences nobody knows, and floods of input, do nothing", () => {
		expect(read("\x1b[99;5u", "\x1b[<0;10;10M", "\x1bx")).toEqual([]);
		expect(read("\x1b[<0;1;1".padEnd(100_000, "1")).length).toBeLessThan(5000);
	});
});

describe("the screen", () => {
	test("nothing is drawn before it is entered", () => {
		const screen = createScreen(output, () => {});
		const size = output.text.length;
		screen.draw(["a"]);
		screen.leave();
		expect(output.text.length).toBe(size);
	});

	test("a failed write is told once", () => {
		const gone = vi.fn();
		const screen = createScreen(output, gone);
		screen.enter();
		output.held = [];
		screen.draw(["a"]);
		for (const done of output.held) done(new Error("EIO"));
		screen.draw(["b"]);
		expect(gone).toHaveBeenCalledTimes(1);
	});
});

test("a live view is for two terminals that can do more than print", () => {
	expect(canShowLive(input, output, { TERM: "xterm" })).toBe(true);
	expect(canShowLive(input, output, { TERM: "dumb" })).toBe(false);
	expect(canShowLive(input, output, {})).toBe(false);
	expect(canShowLive({ ...input, isTTY: false } as never, output, { TERM: "xterm" })).toBe(false);
});

describe("the picture of a terminal", () => {
	test("holds every text in its colour and its column", () => {
		const svg = terminalPicture("a \x1b[38;5;203mred\x1b[0m <&>\n漢\x1b[7m b \x1b[m\n", "picket <watch>");
		expect(svg).toMatch(/fill="#ff5f5f"[^>]*>red<\/text>/);
		expect(svg).toContain("&lt;&amp;&gt;");
		expect(svg).toContain("picket &lt;watch&gt;");
		expect(svg).toMatch(/<rect [^>]*fill="#d7dae0"/);
		expect(svg.match(/<text /g)?.length).toBe(1 + 5);
		expect(svg).not.toContain("\x1b");
	});
});
