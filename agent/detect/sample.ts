// Events out of a few lines of YAML: the samples signatures carry, run through the real engine by tests (and by
// whoever writes a rule). An EventView over a small buffer of its own.

import { parseNetwork } from "../model/address.ts";
import {
	EventFlag,
	EventKind,
	type EventName,
	type EventView,
	eventNames,
	type Observation,
	Text,
} from "../model/event.ts";
import { hostArchitecture } from "../model/kernel-names.ts";
import type { Container, Process, StandardStream } from "../model/process.ts";
import { structs } from "../model/structs.ts";
import { syscallNumber } from "../model/syscalls.ts";
import { asLatin1 } from "./text.ts";

/** exec: memfd, unlinked. open: path, raw, flags, result, mode. connect: address, port, path, … Others: their record's members. */
type Events = { readonly [Name in EventName]?: Given | string };

/** As parsed with YAML's failsafe schema: every scalar is text. */
export interface Sample extends Events {
	readonly process?: SampleProcess;
	readonly ancestors?: readonly SampleProcess[];
	readonly container?: {
		readonly id?: string;
		readonly name?: string;
		readonly image?: string;
		readonly privileged?: string;
		readonly labels?: Record<string, string>;
	};
}
interface SampleProcess {
	readonly exe?: string;
	readonly comm?: string;
	readonly args?: readonly string[] | string;
	readonly uid?: string;
	readonly login_uid?: string;
	readonly cwd?: string;
	readonly tty?: string;
	readonly pid?: string;
	/** The peer of the socket that is its standard input, "198.51.100.7:4444". */
	readonly stdin?: string;
}

const flagBits: Readonly<Record<string, number>> = {
	O_RDONLY: 0,
	O_WRONLY: 1,
	O_RDWR: 2,
	O_CREAT: 0o100,
	O_EXCL: 0o200,
	O_TRUNC: 0o1000,
	O_APPEND: 0o2000,
	O_CLOEXEC: 0o2000000,
};

type Members = Readonly<Record<string, number | Buffer>>;

/** An event read out of a record of its own, laid out as the kernel's. */
class SampleView implements EventView {
	readonly kind: EventKind;
	readonly bytes: Buffer;
	readonly number = 1;
	readonly time = 1e12;
	readonly pid: number;
	readonly tid: number;
	readonly start = 9e11;
	readonly cgroupId = 1;
	readonly flags: number;
	readonly syscall: number;
	readonly user = -1;
	readonly effectiveUser = -1;
	readonly result: number;
	readonly openFlags: number;
	readonly repeats = 0;
	readonly mode: number;
	readonly device: number;
	readonly inode: number;
	readonly family: number;
	readonly protocol: number;
	readonly localPort: number;
	readonly remotePort: number;
	readonly localAddressStart: number;
	readonly remoteAddressStart: number;
	readonly childPid = 0;
	readonly childStart = 0;
	readonly childNamespacePid = 0;
	readonly cgroupOperation = 0;
	readonly targetCgroupId = 0;
	readonly #texts = new Map<number, { start: number; size: number }>();

	constructor(name: EventName, { members, texts, flags, syscall }: SampleRecord, pid: number) {
		const struct = structs[name];
		this.kind = EventKind[name];
		this.pid = pid;
		this.tid = pid;
		this.flags = flags;
		this.syscall = syscall;
		const tails: Buffer[] = [];
		let end = struct.bytes;
		for (const [text, value] of Object.entries(texts)) {
			if (struct[text] === undefined) throw new Error(`a sample gives ${name} a ${text}, which it has not`);
			const bytes = Buffer.from(value, "utf8");
			this.#texts.set(Text[text as keyof typeof Text], { start: end, size: bytes.length });
			tails.push(bytes);
			end += bytes.length;
		}
		this.bytes = Buffer.concat([Buffer.alloc(struct.bytes), ...tails]);
		for (const [member, value] of Object.entries(members)) {
			const at = struct[member];
			if (at === undefined) throw new Error(`a sample gives ${name} a ${member}, which it has not`);
			if (typeof value === "object") value.copy(this.bytes, at);
			else if (halves.has(member)) this.bytes.writeUInt16LE(value, at);
			else if (longs.has(member)) this.bytes.writeBigUInt64LE(BigInt(value), at);
			else this.bytes.writeUInt32LE(value >>> 0, at);
		}
		const read = (member: string): number => (struct[member] === undefined ? 0 : this.word(struct[member]));
		const readHalf = (member: string): number =>
			struct[member] === undefined ? 0 : this.half(struct[member]);
		this.result = read("result") | 0;
		this.openFlags = read("openFlags");
		this.mode = read("mode");
		this.device = read("device");
		this.inode = read("inode");
		this.family = readHalf("family");
		this.protocol = readHalf("protocol");
		this.localPort = readHalf("localPort");
		this.remotePort = readHalf("remotePort");
		this.localAddressStart = struct.localAddress ?? 0;
		this.remoteAddressStart = struct.remoteAddress ?? 0;
	}
	half(at: number): number {
		return this.bytes.readUInt16LE(at);
	}
	word(at: number): number {
		return this.bytes.readUInt32LE(at);
	}
	signed(at: number): number {
		return this.bytes.readInt32LE(at);
	}
	long(at: number): number {
		return Number(this.big(at));
	}
	big(at: number): bigint {
		return this.bytes.readBigUInt64LE(at);
	}
	textStart(field: Text): number {
		return this.#texts.get(field)?.start ?? 0;
	}
	textSize(field: Text): number {
		return this.#texts.get(field)?.size ?? 0;
	}
	text(field: Text): string {
		const start = this.textStart(field);
		return this.bytes.toString("latin1", start, start + this.textSize(field));
	}
}
const halves = new Set(["family", "protocol", "localPort", "remotePort"]);
const longs = new Set(
	"inode size address targetStart capabilities permittedCapabilities inheritableCapabilities".split(" "),
);

/** What a sample says of its event, in the record's own terms. */
interface SampleRecord {
	readonly members: Members;
	readonly texts: Readonly<Record<string, string>>;
	readonly flags: number;
	readonly syscall: number;
}

function kindOf(sample: Sample): EventName {
	return eventNames.find((name) => sample[name] !== undefined) ?? "exec";
}

function recordOf(name: EventName, sample: Sample): SampleRecord {
	const given = sample[name];
	if (typeof given !== "object") return { members: {}, texts: {}, flags: 0, syscall: 0 };
	if (name === "open") return openOf(given);
	if (name === "connect" && given.remoteAddress === undefined) return connectOf(given);
	if (name !== "exec") return anyOf(given);
	const flag = (key: "memfd" | "unlinked", bit: number) => (given[key] === "true" ? bit : 0);
	const flags = flag("memfd", EventFlag.fromMemfd) | flag("unlinked", EventFlag.unlinked);
	return { members: {}, texts: {}, flags, syscall: syscallOf(given) };
}

type Given = Readonly<Record<string, string | readonly string[]>>;
const one = (given: Given, key: string): string | undefined => {
	const value = given[key];
	return typeof value === "string" ? value : undefined;
};

function syscallOf(given: Given): number {
	const name = one(given, "syscall");
	if (name === undefined) return 0;
	const number = syscallNumber(name, hostArchitecture);
	if (number === undefined) throw new Error(`a sample names the system call ${name}, which is unknown`);
	return number;
}

function openOf(given: Given): SampleRecord {
	const result = Number(one(given, "result") ?? 3);
	const flags = typeof given.flags === "object" ? given.flags : [];
	const path = one(given, "path") ?? "";
	return {
		members: {
			inode: 1,
			result,
			mode: result < 0 ? 0 : 0o100000 | Number.parseInt(one(given, "mode") ?? "644", 8),
			openFlags: flags.reduce((sum, flag) => {
				const bit = flagBits[flag];
				if (bit === undefined) throw new Error(`a sample names the flag ${flag}, which is unknown`);
				return sum | bit;
			}, 0),
		},
		texts: { path, raw: one(given, "raw") ?? path },
		flags: eventFlagsOf(given),
		syscall: syscallOf(given),
	};
}

function connectOf(given: Given): SampleRecord {
	const result = Number(one(given, "result") ?? 0);
	const path = one(given, "path");
	const rest = { flags: 0, syscall: syscallOf(given) };
	if (path !== undefined) return { members: { family: 1, result }, texts: { path }, ...rest };
	return {
		members: {
			...addressOf(one(given, "address") ?? "", "remoteAddress"),
			protocol: one(given, "protocol") === "udp" ? 17 : 6,
			localPort: 40_000,
			remotePort: Number(one(given, "port") ?? 0),
			result,
		},
		texts: {},
		...rest,
	};
}

function addressOf(text: string, member: string): Members {
	const { family, words } = parseNetwork(text);
	const bytes = Buffer.alloc(16);
	for (const [index, word] of words.entries()) bytes.writeUInt32BE(word, 4 * index);
	return { family: family === 4 ? 2 : 10, [member]: bytes };
}

function socketStream(peer: string): StandardStream {
	const at = peer.lastIndexOf(":");
	const { family, remoteAddress } = addressOf(peer.slice(0, at), "remoteAddress") as {
		family: number;
		remoteAddress: Buffer;
	};
	return {
		type: 12,
		inode: 1,
		family,
		remotePort: Number(peer.slice(at + 1)),
		localPort: 40_000,
		remoteAddress: remoteAddress.subarray(0, family === 2 ? 4 : 16),
	};
}

/** Members by the record's own names, numbers in any notation; `event_flags` by EventFlag's; `asked` a list. */
function anyOf(given: Given): SampleRecord {
	let members: Members = {};
	const texts: Record<string, string> = {};
	for (const [key, value] of Object.entries(given)) {
		if (key === "syscall" || key === "event_flags") continue;
		if (Object.hasOwn(Text, key) && typeof value === "string") texts[key] = value;
		else if (key === "localAddress" || key === "remoteAddress")
			members = { ...members, ...addressOf(String(value), key) };
		else if (typeof value === "object")
			members = { ...members, [key]: Buffer.from(Int32Array.from(value.map(Number)).buffer) };
		else members = { ...members, [key]: Number(value) };
	}
	return { members, texts, flags: eventFlagsOf(given), syscall: syscallOf(given) };
}

function eventFlagsOf({ event_flags: flags }: Given): number {
	if (typeof flags !== "object") return 0;
	return flags.reduce((sum, flag) => sum | EventFlag[flag as keyof typeof EventFlag], 0);
}

function processOf(
	from: SampleProcess,
	parent: Process | undefined,
	container: Container | undefined,
	exec: Sample["exec"],
): Process {
	const exe = asLatin1(from.exe ?? "/usr/bin/unknown");
	const base = exe.replace(/^.*\//, "");
	const args = typeof from.args === "string" ? [asLatin1(from.args)] : (from.args?.map(asLatin1) ?? [base]);
	const pid = Number(from.pid ?? 1000);
	const flags = typeof exec === "object" ? exec : {};
	return {
		pid,
		start: 9e11,
		parent,
		parentPid: parent?.pid ?? 1,
		comm: (from.comm === undefined ? base : asLatin1(from.comm)).slice(0, 15),
		exe,
		args,
		argsTruncated: false,
		argsBytes: args.join(" ").length,
		cwd: asLatin1(from.cwd ?? "/"),
		uid: Number(from.uid ?? 0),
		gid: Number(from.uid ?? 0),
		euid: Number(from.uid ?? 0),
		egid: Number(from.uid ?? 0),
		loginUid: Number(from.login_uid ?? -1),
		sessionId: -1,
		tty: Number(from.tty ?? 0),
		ttyName: "",
		namespacePid: pid,
		capabilities: 0n,
		namespaces: { mount: 1, pid: 1, network: 1, user: 1, uts: 1, ipc: 1, cgroup: 1 },
		device: 0,
		inode: 1n,
		origin: undefined,
		startedBy: undefined,
		sessionLeader: 0,
		processGroup: 0,
		capabilitiesPermitted: 0n,
		capabilitiesInheritable: 0n,
		streams: from.stdin === undefined ? [] : [socketStream(from.stdin)],
		environment: [],
		fileMode: 0,
		fileUid: 0,
		fileGid: 0,
		fileChanged: 0,
		fileModified: 0,
		upperLayer: false,
		fromMemfd: flags.memfd === "true",
		unlinked: flags.unlinked === "true",
		rawPath: exe,
		interpreter: "",
		previousExe: "",
		execTime: 9e11,
		cgroup: { id: 1, path: container ? `/docker/${container.id}` : "/", container },
		fromProc: false,
		exited: 0,
	};
}

/** Throws an Error that says what is wrong with the sample. */
export function observationOf(sample: Sample): Observation {
	const given = sample.container;
	const container: Container | undefined = given && {
		id: (given.id ?? "0123456789ab").padEnd(64, "0"),
		runtime: "docker",
		name: given.name ?? "",
		image: given.image ?? "",
		imageId: "",
		labels: given.labels ?? {},
		podName: "",
		podNamespace: "",
		podUid: "",
		privileged: given.privileged === "true",
		mounts: [],
		created: 0,
		known: true,
	};
	let parent: Process | undefined;
	for (const each of [...(sample.ancestors ?? [])].reverse())
		parent = processOf(each, parent, container, undefined);
	const process = processOf(sample.process ?? {}, parent, container, sample.exec);
	const name = kindOf(sample);
	return { event: new SampleView(name, recordOf(name, sample), process.pid), process };
}
