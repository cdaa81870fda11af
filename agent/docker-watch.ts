// Follows the Docker engine's event stream for as long as it is asked to: reconnects, lists again after every
// gap, and inspects what an event only announced. Never throws; the transport is docker.ts's.

import type { Readable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import {
	type Complain,
	type ContainerState,
	type DockerEvent,
	readEvent,
	readExecStart,
	type StateChange,
} from "./docker-answers.ts";
import type { ContainerExec, ContainerFacts } from "./model/process.ts";

export interface Watch {
	close(): void;
	/** True while the event stream is open. */
	connected(): boolean;
}

export interface WatchSource {
	/** Opens the event stream; rejects with a DockerError. */
	openEvents(signal: AbortSignal): Promise<Readable>;
	listed(): Promise<readonly { facts: ContainerFacts; state: ContainerState }[]>;
	inspect(id: string): Promise<ContainerFacts | undefined>;
	/** The pid of an exec's process, 0 until it has one. */
	execPid(execId: string): Promise<number>;
	clock: () => number;
	complain: Complain;
	/** Told of every failure; must not throw. */
	failed(error: unknown): void;
	/** The engine closed the event stream in good order. */
	ended(): void;
	/** A listener of ours threw. */
	listenerFailed(error: unknown): void;
}

export interface Backoff {
	/** ms. */
	readonly first: number;
	readonly last: number;
}

// The longest line we take; labels of one container come in one line.
const maxLine = 1 << 20;
const parallelInspections = 4;
const maxPending = 1024;
const maxAttempts = 3;
const maxRunning = 16_384;
const parallelExecs = 16;
/** ms before each look for an exec's pid. */
const execDelays = [50, 100, 200, 400, 800, 1600, 3200];
// A rename too: an inspection under way may still bring the old name.
const inspected: ReadonlySet<string> = new Set(["create", "start", "update", "rename"]);

export function watchDocker(
	source: WatchSource,
	backoff: Backoff,
	onFacts: (facts: ContainerFacts) => void,
	onState: (change: StateChange) => void,
	onExec: (exec: ContainerExec) => void,
): Watch {
	const closing = new AbortController();
	/** Ids that run as far as told; what is missing from the list after a gap has ended unseen. */
	const running = new Set<string>();
	/** While a list is under way: ids that had an event since, which is newer than the list. */
	let touched: Set<string> | undefined;
	const inspections = createInspections(source, facts);
	let open = false;
	let execsAsked = 0;

	void follow();
	return {
		close: () => closing.abort(),
		connected: () => open,
	};

	async function follow(): Promise<void> {
		let delay = backoff.first;
		while (!closing.signal.aborted) {
			try {
				await session(() => {
					delay = backoff.first;
				});
			} catch (error) {
				if (!closing.signal.aborted) source.failed(error);
			}
			open = false;
			inspections.clear();
			// Rejects only when closed, which the loop's condition sees.
			await wait(delay, undefined, { signal: closing.signal, ref: false }).catch(() => undefined);
			delay = Math.min(delay * 2, backoff.last);
		}
	}

	/** From one connect to the stream's end. The stream is open before the list is asked for: no gap between. */
	async function session(settled: () => void): Promise<void> {
		const stream = await source.openEvents(closing.signal);
		open = true;
		const ended = readLines(stream, closing.signal, source.complain, (line) => {
			const event = readEvent(line, source.clock(), source.complain);
			if (event !== undefined) take(event);
			const exec = readExecStart(line, source.complain);
			if (exec !== undefined) void followExec(exec);
		});
		// Handled below; without this a stream that fails during the list is an unhandled rejection.
		ended.catch(() => undefined);
		try {
			touched = new Set();
			await reconcile(touched);
			touched = undefined;
			settled();
			await ended;
			if (!closing.signal.aborted) source.ended();
		} finally {
			stream.destroy();
		}
	}

	async function reconcile(touched: ReadonlySet<string>): Promise<void> {
		const before = [...running];
		const listed = await source.listed();
		const now = source.clock();
		const alive = new Set<string>();
		for (const { facts: told, state } of listed) {
			alive.add(told.id);
			facts(told);
			inspections.add(told.id);
			if (!touched.has(told.id)) change(told.id, state, now);
		}
		for (const id of before) {
			if (alive.has(id) || touched.has(id)) continue;
			const left = await source.inspect(id);
			if (!touched.has(id)) change(id, left === undefined ? "removed" : "stopped", now);
		}
	}

	function take(event: DockerEvent): void {
		touched?.add(event.id);
		if (event.facts !== undefined) facts(event.facts);
		if (inspected.has(event.action)) inspections.add(event.id);
		const state = stateAfter(event.action);
		if (state !== undefined) change(event.id, state, event.time);
	}

	/** The engine announces an exec before it starts it: its pid is there a little later. */
	async function followExec(exec: ContainerExec): Promise<void> {
		tell(() => onExec(exec));
		if (execsAsked >= parallelExecs) return;
		execsAsked++;
		try {
			for (const delay of execDelays) {
				await wait(delay, undefined, { signal: closing.signal, ref: false });
				const pid = await source.execPid(exec.execId);
				if (pid === 0) continue;
				tell(() => onExec({ ...exec, pid }));
				return;
			}
		} catch (error) {
			if (!closing.signal.aborted) source.failed(error);
		} finally {
			execsAsked--;
		}
	}

	function change(id: string, state: ContainerState, time: number): void {
		if (state === "stopped" || state === "removed") running.delete(id);
		else if (state !== "created" && running.size < maxRunning) running.add(id);
		tell(() => onState({ id, state, time }));
	}

	function facts(told: ContainerFacts): void {
		tell(() => onFacts(told));
	}

	function tell(call: () => void): void {
		if (closing.signal.aborted) return;
		try {
			call();
		} catch (error) {
			source.listenerFailed(error);
		}
	}
}

function stateAfter(action: DockerEvent["action"]): ContainerState | undefined {
	switch (action) {
		case "create":
			return "created";
		case "start":
		case "unpause":
			return "running";
		case "pause":
			return "paused";
		case "die":
			return "stopped";
		case "destroy":
			return "removed";
		case "rename":
		case "update":
			return undefined;
	}
}

/** Inspects a few at a time; an id asked for twice while it waits is inspected once. */
function createInspections(source: WatchSource, onFacts: (facts: ContainerFacts) => void) {
	const pending = new Map<string, number>();
	let active = 0;
	return { add: (id: string) => add(id, 1), clear: () => pending.clear() };

	function add(id: string, attempt: number): void {
		if (pending.size >= maxPending) {
			source.complain("too many containers at once to inspect");
			return;
		}
		if (!pending.has(id)) pending.set(id, attempt);
		if (active < parallelInspections) void work();
	}

	async function work(): Promise<void> {
		active++;
		for (const [id, attempt] of pending) {
			pending.delete(id);
			try {
				const facts = await source.inspect(id);
				if (facts !== undefined) onFacts(facts);
			} catch (error) {
				source.failed(error);
				if (attempt < maxAttempts && pending.size < maxPending) pending.set(id, attempt + 1);
			}
		}
		active--;
	}
}

/** Resolves at the end of the stream, rejects when it breaks. A line too long or not JSON is skipped. */
function readLines(
	stream: Readable,
	signal: AbortSignal,
	complain: Complain,
	onLine: (line: unknown) => void,
): Promise<void> {
	let rest = "";
	let skipping = false;
	stream.setEncoding("utf8");
	stream.on("data", (chunk: string) => {
		let start = 0;
		for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", start)) {
			if (!skipping) line(rest + chunk.slice(start, end));
			rest = "";
			skipping = false;
			start = end + 1;
		}
		if (!skipping) rest += chunk.slice(start);
		if (rest.length > maxLine) {
			complain("event line above 1 MiB");
			rest = "";
			skipping = true;
		}
	});
	return new Promise((resolve, reject) => {
		const stop = () => stream.destroy();
		signal.addEventListener("abort", stop, { once: true });
		stream.once("error", reject);
		stream.once("close", () => {
			signal.removeEventListener("abort", stop);
			resolve();
		});
	});

	function line(json: string): void {
		if (json.trim() === "") return;
		let value: unknown;
		try {
			value = JSON.parse(json);
		} catch {
			complain("event that is not JSON");
			return;
		}
		onLine(value);
	}
}
