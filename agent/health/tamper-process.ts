// What can be done to the sensor's process: traced, stopped, frozen, moved to other limits, started with code of others
// in it, its clock set back. Reads files of /proc and /sys of this process only.

import type { Sign, TamperCheck } from "./tamper.ts";
import { textOf } from "./tamper-files.ts";

/** Who traces us, by /proc/self/status. */
export function tracer(
	status: () => string | undefined = () => textOf("/proc/self/status"),
): TamperCheck["look"] {
	return () => {
		const pid = /^TracerPid:\s*(\d+)$/m.exec(status() ?? "")?.[1] ?? "0";
		if (pid === "0") return [];
		const name = textOf(`/proc/${pid}/comm`) ?? "?";
		const seen = `process ${pid} (${name}) has hold of the sensor as a debugger does`;
		const remedy = "end that process unless it is yours, and restart the sensor: it may have been changed";
		return [{ key: "tracer", severity: "critical", seen, remedy }];
	};
}

const limitFiles = ["cgroup.freeze", "cpu.max", "memory.max", "memory.high", "pids.max"];

/** The cgroup this process is in and what that allows it. `mount`: of cgroup2; "" for none. */
export function ownCgroup(
	mount: string,
	membership = () => textOf("/proc/self/cgroup"),
): TamperCheck["look"] {
	const look = () => {
		const path = /^0::(.*)$/m.exec(membership() ?? "")?.[1] ?? "";
		const limits = limitFiles.map((name) => [name, textOf(`${mount}${path}/${name}`) ?? ""] as const);
		return { path, limits: new Map(mount === "" || path === "" ? [] : limits) };
	};
	const first = look();
	const remedy = "if this was not you, find out who did it; restart the sensor to take it as it is";
	return () => {
		const now = look();
		const signs: Sign[] = [];
		const sign = (key: string, seen: string): void => {
			signs.push({ key: `cgroup ${key}`, severity: "high", seen, remedy });
		};
		if (now.path !== first.path) {
			sign("path", `the sensor was moved from cgroup ${first.path} to ${now.path}`);
			return signs;
		}
		for (const [name, value] of first.limits) {
			const other = now.limits.get(name);
			if (other !== value) sign(name, `${name} of the sensor's cgroup is ${other}, it was ${value}`);
		}
		return signs;
	};
}

/** Variables with which others' code gets into a process as it starts. */
const loaders = ["LD_PRELOAD", "LD_AUDIT"];
const nodeLoads = /(^|\s)(-r|--require|--import|--loader|--experimental-loader|--inspect\S*)(\s|=|$)/;

/** It cannot change after the start: told for as long as the sensor runs. */
export function environment(variables: Readonly<Record<string, string | undefined>>): TamperCheck["look"] {
	const named = loaders.filter((name) => (variables[name] ?? "") !== "");
	if (nodeLoads.test(variables.NODE_OPTIONS ?? "")) named.push("NODE_OPTIONS");
	const signs = named.map(
		(name): Sign => ({
			key: `environment ${name}`,
			severity: "critical",
			seen: `the sensor was started with ${name}=${(variables[name] ?? "").slice(0, 200)}`,
			remedy:
				"that puts code of others into it: take it out of the service's environment and restart the sensor",
		}),
	);
	return () => signs;
}

/** Clock set back by this much (ms) is no correction of its drift. */
const mostBackMs = 10_000;

/** `clocks`: CLOCK_BOOTTIME and CLOCK_REALTIME, ms. */
export function clockBack(
	clocks: () => { readonly bootMs: number; readonly realMs: number },
	note: (sign: Sign) => void,
): TamperCheck["look"] {
	const offset = (): number => {
		const { bootMs, realMs } = clocks();
		return realMs - bootMs;
	};
	let before = offset();
	return () => {
		const now = offset();
		const back = before - now;
		before = now;
		if (back > mostBackMs) {
			note({
				key: "clock",
				severity: "high",
				seen: `the clock was set back by ${Math.round(back / 1000)} s`,
				remedy: "records from before and after overlap in time, go by their sequence; see who set it",
			});
		}
		return [];
	};
}

export interface PauseWatchOptions {
	/** ms that only go forward and stand still while the machine sleeps. */
	monotonic(): number;
	/** The same, but they go on then (CLOCK_BOOTTIME). */
	bootMs(): number;
	/** ms that the main thread ran, and that it waited for a CPU. */
	used?(): { readonly ran: number; readonly waited: number };
	note(sign: Sign): void;
}

const tickMs = 1000;
/** A pause that no busy host explains, ms. */
const pauseMs = 3000;
/** The two clocks are not read in one moment, ms. */
const sleptMs = 100;

/** Notices that the process stood still: stopped by a signal, frozen, held by a debugger. */
export function watchPauses(options: PauseWatchOptions): { tick(): void; close(): void } {
	const { monotonic, used = schedule, note } = options;
	let last = monotonic();
	let before = used();
	let asleep = options.bootMs() - last;
	const tick = (): void => {
		const now = monotonic();
		const sleptBefore = asleep;
		asleep = options.bootMs() - now;
		const after = used();
		const idle = now - last - tickMs - (after.ran - before.ran) - (after.waited - before.waited);
		last = now;
		before = after;
		if (idle < pauseMs) return;
		// Processes are stopped some seconds before the machine sleeps, and go on some after it woke.
		if (asleep - sleptBefore > sleptMs) return;
		note({
			key: "paused",
			severity: "critical",
			seen: `the sensor stood still for ${(idle / 1000).toFixed(0)} s: stopped, frozen, or its machine was paused`,
			remedy:
				"unless you or the hypervisor did it, find out who did (an alert may name the sender of a signal); what " +
				"happened meanwhile was captured as far as the ring held it, and judged late",
		});
	};
	const timer = setInterval(tick, tickMs).unref();
	return { tick, close: () => clearInterval(timer) };
}

/** schedstat: ns on a CPU, ns waiting for one (Documentation/scheduler/sched-stats.rst). */
function schedule(): { ran: number; waited: number } {
	const [ran = 0, waited = 0] = (textOf(`/proc/self/task/${process.pid}/schedstat`) ?? "")
		.split(" ")
		.map(Number);
	return { ran: ran / 1e6, waited: waited / 1e6 };
}
