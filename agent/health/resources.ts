// What the sensor costs its host: CPU and memory of this process and of its children.
import { readdirSync, readFileSync } from "node:fs";
import type * as wire from "../model/picket.v1.ts";

/** ms over which the share is taken. */
const windowMs = 5000;

/** Ticks a second in /proc/<pid>/stat: USER_HZ, 100 on every architecture supported (proc_pid_stat(5)). */
const ticksPerSecond = 100;

/** One look at the clocks. Seconds and bytes. */
export interface ResourceReading {
	/** User and system, this process. */
	readonly ownSeconds: number;
	/** Of children, live ones and those waited for. */
	readonly childSeconds: number;
	/** This process and its live children. */
	readonly residentBytes: number;
	readonly children: readonly number[];
}

export interface ResourceUse extends wire.Resources {
	readonly cpuSeconds: number;
	/** Share of one core over the last five seconds or so; 0 on the first look. */
	readonly cpuShare: number;
	readonly residentBytes: string;
	/** Pids. */
	readonly children: readonly number[];
}

/** Gives a function to be called whenever the state is wanted, at best once a second. `clock`: Unix ms. */
export function createResourceMeter(
	clock: () => number,
	read: () => ResourceReading = readResources,
): () => ResourceUse {
	const points: { readonly time: number; readonly seconds: number }[] = [];
	return () => {
		const { ownSeconds, childSeconds, residentBytes, children } = read();
		const time = clock();
		// A child that was not seen between two looks and whose parent has not waited yet makes the sum step back.
		const seconds = Math.max(ownSeconds + childSeconds, points.at(-1)?.seconds ?? 0);
		const newest = points.at(-1);
		// The clock was set back: what was measured before it says nothing now.
		if (newest !== undefined && newest.time > time) points.length = 0;
		points.push({ time, seconds });
		// One point from before the window stays, so that it is always covered.
		while ((points[1]?.time ?? time) < time - windowMs) points.shift();
		const first = points[0] ?? { time, seconds };
		const cpuShare = time > first.time ? (seconds - first.seconds) / ((time - first.time) / 1000) : 0;
		return { cpuSeconds: seconds, cpuShare, residentBytes: String(residentBytes), children };
	};
}

/** Reads the figures of this process. What cannot be read counts as nothing. */
export function readResources(): ResourceReading {
	const { user, system } = process.cpuUsage();
	const pids = childPids();
	let childSeconds = statOf("self")?.waitedSeconds ?? 0;
	let residentBytes = process.memoryUsage.rss();
	for (const pid of pids) {
		const child = statOf(String(pid));
		childSeconds += (child?.seconds ?? 0) + (child?.waitedSeconds ?? 0);
		residentBytes += child?.residentBytes ?? 0;
	}
	return { ownSeconds: (user + system) / 1e6, childSeconds, residentBytes, children: pids };
}

/** Children of every thread; empty where the kernel does not tell (CONFIG_PROC_CHILDREN). */
function childPids(): number[] {
	const pids: number[] = [];
	try {
		for (const thread of readdirSync("/proc/self/task")) {
			const text = readFileSync(`/proc/self/task/${thread}/children`, "latin1");
			for (const pid of text.split(" ")) if (pid !== "") pids.push(Number(pid));
		}
	} catch {
		// A thread that has just ended, or a kernel without the file.
	}
	return pids;
}

interface Stat {
	readonly seconds: number;
	readonly waitedSeconds: number;
	readonly residentBytes: number;
}

function statOf(pid: string): Stat | undefined {
	let text: string;
	try {
		text = readFileSync(`/proc/${pid}/stat`, "latin1");
	} catch {
		return undefined;
	}
	return parseStat(text);
}

/** The numbers of /proc/<pid>/stat that are used, counted from behind the name, which may hold anything. */
export function parseStat(text: string): Stat | undefined {
	// Field 3, the state, is the first one here.
	const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
	const field = (number: number): number => Number(fields[number - 3]);
	const seconds = (field(14) + field(15)) / ticksPerSecond;
	const waitedSeconds = (field(16) + field(17)) / ticksPerSecond;
	// Pages of 4 KiB on x86_64 and on nearly every arm64 distribution.
	const residentBytes = field(24) * 4096;
	return Number.isNaN(seconds + waitedSeconds + residentBytes)
		? undefined
		: { seconds, waitedSeconds, residentBytes };
}
