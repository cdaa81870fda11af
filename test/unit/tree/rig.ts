// A process tree and the events and /proc facts it is told.
import { RecordView } from "../../../agent/decode/view.ts";
import type { ProcessFacts } from "../../../agent/enrich/proc.ts";
import { ProcessTree, type TreeOptions } from "../../../agent/enrich/tree.ts";
import type { EventName } from "../../../agent/model/event.ts";
import type { Process } from "../../../agent/model/process.ts";
import { memoryOf, recordOf, type Value } from "../decode/bytes.ts";

export const second = 1_000_000_000;
/** In a record's header: not known. */
export const noUser = 0xffff_ffff;

/** A tree and the events for it. Times are in seconds since boot. */
export function rig(options: Partial<TreeOptions> = {}) {
	const asked: number[] = [];
	const told: ProcessFacts[] = [];
	const running = new Map<number, ProcessFacts>();
	const tree = new ProcessTree({
		limit: 100,
		cgroup: (id) => ({ id, path: `/c${id}`, container: undefined }),
		read: (pid) => {
			asked.push(pid);
			return running.get(pid);
		},
		onRead: (facts) => told.push(facts),
		...options,
	});
	const view = new RecordView();
	const apply = (
		kind: EventName,
		pid: number,
		start: number,
		values: Record<string, Value> = {},
	): Process => {
		const record = recordOf(kind, {
			pid,
			tid: pid,
			start: BigInt(Math.round(start * second)),
			cgroupId: 1,
			user: noUser,
			effectiveUser: noUser,
			...values,
		});
		const { memory } = memoryOf([record]);
		view.attach(memory);
		if (!view.move(0, record.length, 1)) throw new Error("no record");
		return tree.apply(view);
	};
	const parentOf = new Map<number, number>();
	return {
		tree,
		apply,
		asked,
		told,
		running,
		fork(
			pid: number,
			start: number,
			childPid: number,
			childStart: number,
			values: Record<string, Value> = {},
		) {
			parentOf.set(childPid, pid);
			return apply("fork", pid, start, {
				childPid,
				childStart: BigInt(Math.round(childStart * second)),
				childCgroupId: 1,
				childNamespacePid: childPid,
				childParentPid: pid,
				...values,
			});
		},
		exec(pid: number, start: number, path: string, values: Record<string, Value> = {}) {
			return apply("exec", pid, start, {
				path,
				comm: path.replace(/^.*\//, "").slice(0, 15),
				args: `${path}\0`,
				parentPid: parentOf.get(pid) ?? 1,
				namespacePid: pid,
				...values,
			});
		},
		open: (pid: number, start: number, values: Record<string, Value> = {}) =>
			apply("open", pid, start, values),
		exit(pid: number, start: number, reaperPid = 1, time = 0) {
			const process = apply("exit", pid, start, {
				time: BigInt(Math.round((time || start + 5) * second)),
				reaperPid,
			});
			tree.forget(view);
			return process;
		},
	};
}

export function factsOf(pid: number, start: number, more: Partial<ProcessFacts> = {}): ProcessFacts {
	return {
		pid,
		start: Math.floor(start * 100) * 10_000_000,
		parentPid: 1,
		comm: `p${pid}`,
		exe: `/bin/p${pid}`,
		args: [`p${pid}`, "x"],
		cwd: "/",
		uid: 5,
		gid: 5,
		euid: 5,
		egid: 5,
		loginUid: -1,
		sessionId: -1,
		tty: 0,
		namespacePid: pid,
		sessionLeader: pid,
		processGroup: pid,
		capabilities: "3",
		capabilitiesPermitted: "7",
		capabilitiesInheritable: "0",
		streams: [],
		namespaces: { mount: 1, pid: 2, network: 3, user: 4, uts: 5, ipc: 6, cgroup: 7 },
		device: 0,
		inode: "9",
		fileMode: 0o100755,
		fileUid: 0,
		fileGid: 0,
		fileChanged: 0,
		fileModified: 0,
		unlinked: false,
		cgroupId: 0,
		...more,
	};
}
/** What an exec must say to agree with `factsOf`. */
export const asInFacts = {
	uid: 5,
	gid: 5,
	euid: 5,
	egid: 5,
	capabilities: 3n,
	permittedCapabilities: 7n,
	mountNamespace: 1,
	pidNamespace: 2,
	networkNamespace: 3,
	userNamespace: 4,
	utsNamespace: 5,
	ipcNamespace: 6,
	cgroupNamespace: 7,
};

export const namesAbove = (process: Process | undefined): string[] => {
	const names: string[] = [];
	for (let at = process?.parent; at && names.length < 1000; at = at.parent) names.push(at.comm);
	return names;
};
/** Along who started whom. */
export const makersOf = (process: Process | undefined): string[] => {
	const names: string[] = [];
	for (let at = process?.origin; at && names.length < 1000; at = at.origin) names.push(at.comm);
	return names;
};
