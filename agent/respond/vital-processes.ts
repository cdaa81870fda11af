// Which processes are never killed. Told by what they are to the kernel (parents, executable, namespaces): a name
// is anybody's to choose.
import { statSync } from "node:fs";
import { join } from "node:path";
import { type ProcessIdentity, readIdentity, readLink, readUid } from "./procfs.ts";
import { isSameFile, type VitalPrograms } from "./vital-programs.ts";

export interface ProcessFloorDeps {
	/** Where /proc lies below. */
	readonly root: string;
	/** The sensor's pid. */
	readonly self: number;
	/** Names (comm) or paths of executables. */
	readonly extra: () => readonly string[];
	readonly programs: VitalPrograms;
}

/** A process tree deeper than this is damaged. */
const maxDepth = 1000;

/** Gives the reason why the process is never touched, undefined when it may be. */
export function createProcessFloor(
	deps: ProcessFloorDeps,
): (identity: ProcessIdentity) => string | undefined {
	const { root, self } = deps;

	function ancestry(): Set<number> {
		const pids = new Set<number>([1, self]);
		for (let pid = self; pids.size < maxDepth; ) {
			const parent = readIdentity(root, pid)?.parentPid ?? 0;
			if (parent <= 0 || pids.has(parent)) break;
			pids.add(parent);
			pid = parent;
		}
		return pids;
	}

	return (identity) => {
		const { pid, comm } = identity;
		if (pid === 1) return "it is the init process";
		if (pid === self) return "it is the sensor itself";
		if (identity.kernelThread || pid === 2 || identity.parentPid === 2) return "it is a kernel thread";
		if (ancestry().has(pid)) return "the sensor runs below it";
		if (identity.parentPid === self && isSameProgram(root, pid, self)) return "it is a part of the sensor";
		const executable = executableOf(root, pid);
		const listed = deps.extra();
		if (listed.includes(comm) || (executable !== undefined && listed.includes(executable))) {
			return "it is protected by configuration";
		}
		const vital = vitalExecutable(root, pid, deps.programs);
		return vital === undefined ? undefined : `${vital} keeps this host reachable and its containers running`;
	};
}

/** Path of the executable of a process, also of one that was replaced on disk since; undefined when unreadable. */
function executableOf(root: string, pid: number): string | undefined {
	return readLink(root, `proc/${pid}/exe`)?.replace(/ \(deleted\)$/, "");
}

/** The host's vital program that the process runs, if it does. */
export function vitalExecutable(root: string, pid: number, programs: VitalPrograms): string | undefined {
	const path = hostExecutable(root, pid, programs);
	if (path === undefined || !sshDaemon.test(path) || (readUid(root, pid) ?? 0) === 0) return path;
	// Anybody may start the host's sshd for himself. Of the real one only a session is not root's, and its parent is.
	const parent = readIdentity(root, pid)?.parentPid ?? 0;
	const ofDaemon = sshDaemon.test(hostExecutable(root, parent, programs) ?? "");
	return ofDaemon && (readUid(root, parent) ?? 0) === 0 ? path : undefined;
}

const sshDaemon = /\/(sshd(-session|-auth)?|dropbear(multi)?)$/;

/**
 * The vital file that the process runs. By inode wherever it was started (services live in mount
 * namespaces of their own). By path for what an upgrade has replaced on disk, but then only in the host's user
 * namespace and mounts or on its disk: in a container, or in namespaces of his own, anybody may call a file
 * /usr/sbin/sshd.
 */
function hostExecutable(root: string, pid: number, programs: VitalPrograms): string | undefined {
	const file = fileOf(root, pid);
	const known = file && programs.files().find((one) => one.running && isSameFile(one, file));
	if (known !== undefined) return known.path;
	const path = executableOf(root, pid);
	if (path === undefined || !programs.runs(path)) return undefined;
	const inHost = (kind: string) => {
		const namespace = readLink(root, `proc/${pid}/ns/${kind}`);
		// Where init may not be looked at, the sensor's own namespace stands for the host's.
		const host = readLink(root, `proc/1/ns/${kind}`) ?? readLink(root, `proc/self/ns/${kind}`);
		return namespace === undefined || host === undefined || namespace === host;
	};
	const present = programs.files().find((one) => one.path === path || one.real === path);
	const onHostDisk = file !== undefined && file.device === present?.device;
	return inHost("user") && (inHost("mnt") || onHostDisk) ? path : undefined;
}

function isSameProgram(root: string, pid: number, other: number): boolean {
	const [one, two] = [fileOf(root, pid), fileOf(root, other)];
	return one !== undefined && two !== undefined && isSameFile(one, two);
}

function fileOf(root: string, pid: number): { device: bigint; inode: bigint } | undefined {
	try {
		const { dev, ino } = statSync(join(root, "proc", String(pid), "exe"), { bigint: true });
		return { device: dev, inode: ino };
	} catch {
		return undefined;
	}
}
