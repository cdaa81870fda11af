// Events out of a few lines of YAML: the samples signatures carry, run through the real engine by tests (and by
// whoever writes a rule). An EventView over a small buffer of its own.

import { parseNetwork } from "../model/address.ts";
import { EventFlag, EventKind, type EventView, type Observation, Text } from "../model/event.ts";
import type { Container, Process } from "../model/process.ts";
import { asLatin1 } from "./text.ts";

/** As parsed with YAML's failsafe schema: every scalar is text. */
export interface Sample {
	readonly exec?: { readonly memfd?: string; readonly unlinked?: string } | string;
	readonly open?: {
		readonly path?: string;
		readonly raw?: string;
		readonly flags?: readonly string[];
		readonly result?: string;
		readonly mode?: string;
	};
	readonly connect?: {
		readonly family?: string;
		readonly protocol?: string;
		readonly address?: string;
		readonly port?: string;
		readonly path?: string;
		readonly result?: string;
	};
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
	readonly syscall = 0;
	readonly user = -1;
	readonly effectiveUser = -1;
	readonly result: number;
	readonly openFlags: number;
	readonly repeats = 0;
	readonly mode: number;
	readonly device = 0;
	readonly inode = 1;
	readonly family: number;
	readonly protocol: number;
	readonly localPort = 40_000;
	readonly remotePort: number;
	readonly localAddressStart = 0;
	readonly remoteAddressStart = 16;
	readonly childPid = 0;
	readonly childStart = 0;
	readonly childNamespacePid = 0;
	readonly cgroupOperation = 0;
	readonly targetCgroupId = 0;
	readonly #path: number;
	readonly #raw: number;

	constructor(sample: Sample, pid: number) {
		const { open, connect } = sample;
		this.kind = open ? EventKind.open : connect ? EventKind.connect : EventKind.exec;
		this.pid = pid;
		this.tid = pid;
		const path = Buffer.from(open?.path ?? connect?.path ?? "", "utf8");
		const raw = Buffer.from(open?.raw ?? open?.path ?? "", "utf8");
		this.#path = path.length;
		this.#raw = raw.length;
		this.bytes = Buffer.concat([Buffer.alloc(32), path, raw]);
		const exec = typeof sample.exec === "object" ? sample.exec : {};
		this.flags =
			(exec.memfd === "true" ? EventFlag.fromMemfd : 0) | (exec.unlinked === "true" ? EventFlag.unlinked : 0);
		this.result = Number(open?.result ?? connect?.result ?? (open ? 3 : 0));
		this.openFlags = (open?.flags ?? []).reduce((sum, flag) => {
			const bit = flagBits[flag];
			if (bit === undefined) throw new Error(`a sample names the flag ${flag}, which is unknown`);
			return sum | bit;
		}, 0);
		this.mode = this.result < 0 ? 0 : 0o100000 | Number.parseInt(open?.mode ?? "644", 8);
		this.family = 0;
		this.protocol = 0;
		this.remotePort = Number(connect?.port ?? 0);
		if (!connect) return;
		this.protocol = connect.protocol === "udp" ? 17 : 6;
		if (connect.path !== undefined) {
			this.family = 1;
			this.protocol = 0;
			return;
		}
		const { family, words } = parseNetwork(connect.address ?? "");
		this.family = family === 4 ? 2 : 10;
		for (const [index, word] of words.entries()) this.bytes.writeUInt32BE(word, 16 + 4 * index);
	}
	half(): number {
		return 0;
	}
	word(): number {
		return 0;
	}
	signed(): number {
		return 0;
	}
	long(): number {
		return 0;
	}
	big(): bigint {
		return 0n;
	}
	textStart(field: Text): number {
		return field === Text.raw ? 32 + this.#path : 32;
	}
	textSize(field: Text): number {
		return field === Text.path ? this.#path : field === Text.raw ? this.#raw : 0;
	}
	text(field: Text): string {
		const start = this.textStart(field);
		return this.bytes.toString("latin1", start, start + this.textSize(field));
	}
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
		inode: 1,
		origin: undefined,
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
	return { event: new SampleView(sample, process.pid), process };
}
