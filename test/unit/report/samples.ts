// Made-up events, processes and records for the tests of reporting.
import { type Logger, pino } from "pino";
import { EventKind, type EventName, type EventView, Text } from "../../../agent/model/event.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import type { Process } from "../../../agent/model/process.ts";
import type { Finding } from "../../../agent/model/verdict.ts";
import type { WireContext } from "../../../agent/report/wire.ts";

export const silent: Logger = pino({ level: "silent" });

/** A logger that keeps what it is told. */
export function listeningLogger(): { logger: Logger; lines: { msg?: string }[] } {
	const lines: { msg?: string }[] = [];
	const logger = pino({ level: "debug" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
	return { logger, lines };
}

export const context: WireContext = {
	bootTimeMs: () => 1_750_000_000_250,
	userName: (uid) => (uid === 0 ? "root" : uid === 1000 ? "ana" : undefined),
	bootId: "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
	architecture: "x64",
};

type Texts = Partial<Record<keyof typeof Text, string>>;
type Numbers = Partial<Omit<EventView, "kind" | "text" | "textStart" | "textSize" | "bytes">>;

export function fakeEvent(
	kind: EventName,
	given: Numbers & { texts?: Texts; local?: number[]; remote?: number[] } = {},
): EventView {
	const { texts = {}, local, remote, ...numbers } = given;
	const bytes = Buffer.from([0, 0, 0, 0, ...(local ?? []), ...(remote ?? [])]);
	const textOf = (field: Text): string =>
		texts[(Object.keys(Text) as (keyof typeof Text)[]).find((name) => Text[name] === field) ?? "path"] ?? "";
	return {
		kind: EventKind[kind],
		bytes,
		number: 7,
		time: 5_000_000_001,
		pid: 1204,
		tid: 1205,
		start: 4_000_000_000,
		cgroupId: 55,
		flags: 0,
		syscall: 0,
		user: -1,
		effectiveUser: -1,
		half: () => 0,
		word: () => 0,
		signed: () => 0,
		long: () => 0,
		big: () => 0n,
		textStart: () => 0,
		textSize: (field) => textOf(field).length,
		text: textOf,
		result: 0,
		openFlags: 0,
		repeats: 0,
		mode: 0,
		device: 0,
		inode: 0,
		family: 0,
		protocol: 0,
		localPort: 0,
		remotePort: 0,
		localAddressStart: local === undefined ? 0 : 4,
		remoteAddressStart: remote === undefined ? 0 : 4 + (local?.length ?? 0),
		childPid: 0,
		childStart: 0,
		childNamespacePid: 0,
		cgroupOperation: 0,
		targetCgroupId: 0,
		...numbers,
	};
}

export function fakeProcess(given: Partial<Process> = {}): Process {
	return {
		pid: 1204,
		start: 4_000_000_000,
		parent: undefined,
		parentPid: 1,
		comm: "curl",
		exe: "/usr/bin/curl",
		args: ["curl", "http://x"],
		argsTruncated: false,
		argsBytes: 14,
		cwd: "/root",
		uid: 0,
		gid: 0,
		euid: 0,
		egid: 0,
		loginUid: -1,
		sessionId: 0,
		tty: 0,
		ttyName: "",
		namespacePid: 12,
		capabilities: 0n,
		namespaces: { mount: 0, pid: 0, network: 0, user: 0, uts: 0, ipc: 0, cgroup: 0 },
		device: 0,
		inode: 0n,
		origin: given.parent,
		startedBy: undefined,
		sessionLeader: 0,
		processGroup: 0,
		capabilitiesPermitted: 0n,
		capabilitiesInheritable: 0n,
		streams: [],
		environment: [],
		fileMode: 0,
		fileUid: 0,
		fileGid: 0,
		fileChanged: 0,
		fileModified: 0,
		upperLayer: false,
		fromMemfd: false,
		unlinked: false,
		rawPath: "",
		interpreter: "",
		previousExe: "",
		execTime: 4_000_000_000,
		cgroup: undefined,
		fromProc: false,
		exited: 0,
		...given,
	};
}

export function fakeFinding(given: Partial<Finding> = {}): Finding {
	return {
		rule: "Read sensitive file",
		origin: "falco",
		priority: "Warning",
		severity: "medium",
		summary: "somebody read a file",
		description: "",
		tactics: ["credential-access"],
		techniques: ["T1003.008"],
		tags: [],
		fields: {},
		...given,
	};
}

export const host = "web-1";

export function eventRecord(sequence: number, path = "/etc/passwd"): wire.OutputRecord {
	return {
		time: "2026-01-02T03:04:05Z",
		host,
		sequence: String(sequence),
		event: { id: `0-${sequence}`, open: { path, result: "SUCCESS", returnValue: 3 } },
	};
}

export function alertRecord(sequence: number): wire.OutputRecord {
	return {
		time: "2026-01-02T03:04:05Z",
		host,
		sequence: String(sequence),
		alert: { id: `a${sequence}`, rule: "r", severity: "SEVERITY_HIGH", summary: "s", count: 1 },
	};
}

/** Small seeded generator of numbers from 0 to below 1 (mulberry32), so that a failure can be repeated. */
export function seeded(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
	};
}
