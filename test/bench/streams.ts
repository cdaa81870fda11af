// Records of ordinary work for the benchmarks: what a busy server and a build do, nothing any signature asks for.
import { recordOf, type Value } from "../unit/decode/bytes.ts";
import { Random } from "../unit/detect/rig.ts";

export const streams = [
	"open",
	"open for writing",
	"connect",
	"exec",
	"fork and exit",
	"mixed",
	"usual",
] as const;
export type StreamName = (typeof streams)[number];

const events = 10_000;
const programs = ["/usr/bin/node", "/usr/bin/make", "/usr/bin/python3.11", "/usr/sbin/haproxy"];
const compile =
	"-quiet\0-imultiarch\0x86_64-linux-gnu\0-I\0/srv/build/include\0-D_FORTIFY_SOURCE=2\0/srv/build/src/main.c\0-dumpbase\0main.c\0-O2\0-Wall\0-Wextra\0-std=c11\0-fstack-protector-strong\0-o\0/srv/build/out/main.s";
/** Image and arguments of what builds and service scripts run all day. */
const commands: readonly (readonly [exe: string, args: string])[] = [
	["/usr/bin/node", "--config\0/etc/app/config.yaml\0--port\x008080"],
	["/usr/bin/dash", "-c\0test -f /srv/app/ready && echo ready"],
	["/usr/bin/bash", "/srv/app/bin/start.sh\0--worker\x004"],
	["/usr/bin/cat", "/srv/app/VERSION"],
	["/usr/bin/grep", "-rn\0import\0src"],
	["/usr/bin/sed", "-e\0s/@VERSION@/1.2.3/\0config.in"],
	["/usr/bin/ls", "-l\0/srv/app/data"],
	["/usr/bin/rm", "-f\0out/main.o"],
	["/usr/bin/mkdir", "-p\0out/lib"],
	["/usr/bin/git", "rev-parse\0--short\0HEAD"],
	["/usr/libexec/gcc/x86_64-linux-gnu/14/cc1", compile],
	["/usr/bin/x86_64-linux-gnu-ld.bfd", "-o\0out/main\0out/main.o\0out/util.o\0-lc\0-lm"],
	["/usr/bin/python3.11", "manage.py\0migrate\0--noinput"],
	["/usr/bin/curl", "-fsS\0http://10.0.1.7:8080/health"],
];

/** `before` brings the processes to life; `measured` is the stream itself. The same at every call. */
export function streamOf(name: StreamName): { before: Buffer[]; measured: Buffer[] } {
	const random = new Random(1);
	const start = (pid: number) => BigInt(pid) * 1_000_000_000n;
	let time = 10n ** 13n;
	const common = (pid: number): Record<string, Value> => ({
		pid,
		tid: pid,
		start: start(pid),
		cgroupId: 7,
		time: time++,
	});
	const exec = (pid: number, parentPid: number, [path, args]: readonly [string, string]): Buffer =>
		recordOf("exec", {
			...common(pid),
			parentPid,
			namespacePid: pid,
			inode: 77,
			uid: 33,
			euid: 33,
			loginUid: 0xffff_ffff,
			comm: path.replace(/^.*\//, "").slice(0, 15),
			path,
			raw: path,
			args: `${path.replace(/^.*\//, "")}\0${args}\0`,
			cwd: "/srv/app",
		});
	const open = (pid: number, write: boolean): Buffer => {
		const path = random.pick([
			`/srv/app/data/${random.below(100)}/table-${random.below(10_000)}.bin`,
			`/usr/lib/x86_64-linux-gnu/libz-${random.below(50)}.so.1`,
			`/home/ada/src/project/node_modules/.pnpm/package-${random.below(500)}/index.js`,
			`/proc/${random.below(9999)}/status`,
			`/var/lib/app/cache-${random.below(10_000)}`,
		]);
		return recordOf("open", {
			...common(pid),
			inode: random.below(1e6),
			device: 8 << 20,
			openFlags: write ? 0o1102 : 0,
			mode: 0o100644,
			result: 11,
			path,
			raw: path,
		});
	};
	let child = 5000;
	const fork = (pid: number): Buffer => {
		child = child === 20_000 ? 5001 : child + 1;
		return recordOf("fork", {
			...common(pid),
			childPid: child,
			childStart: start(child),
			childCgroupId: 7,
			childNamespacePid: child,
			childParentPid: pid,
		});
	};
	const exit = (pid: number): Buffer => recordOf("exit", { ...common(pid), reaperPid: 1 });
	const connect = (pid: number): Buffer =>
		recordOf("connect", {
			...common(pid),
			localAddress: Buffer.from([10, 0, 0, 5]),
			remoteAddress: Buffer.from([10, 0, 1, random.below(250)]),
			family: 2,
			protocol: 6,
			localPort: 40_000,
			remotePort: random.pick([5432, 443, 80, 6379]),
			result: random.pick([0, 0, -115]),
		});

	const file = (): string =>
		random.pick([
			`/srv/app/data/${random.below(100)}/table-${random.below(10_000)}.bin`,
			`/tmp/build-${random.below(1000)}/main.o`,
			`/var/lib/app/cache-${random.below(10_000)}`,
			`/home/ada/src/project/node_modules/.cache/${random.below(500)}.json`,
		]);
	const change = (kind: "unlink" | "rename" | "chmod" | "mkdir", pid: number): Buffer => {
		const path = file();
		const target = kind === "rename" ? { target: `${path}.1`, targetRaw: `${path}.1` } : {};
		const mode = kind === "chmod" || kind === "mkdir" ? { newMode: 0o644 } : {};
		return recordOf(kind, { ...common(pid), inode: 5, device: 8 << 20, path, raw: path, ...target, ...mode });
	};
	const accept = (pid: number): Buffer =>
		recordOf("accept", {
			...common(pid),
			localAddress: Buffer.from([10, 0, 0, 5]),
			remoteAddress: Buffer.from([10, 0, 2, random.below(250)]),
			family: 2,
			protocol: 6,
			localPort: 8080,
			remotePort: 30_000 + random.below(20_000),
			result: 12,
		});
	/** What reaches a sensor from a busy server: most reading stays in the kernel. */
	const usual = (pid: number): Buffer[] => {
		const what = random.below(100);
		if (what < 50) return [open(pid, true)];
		if (what < 66) return [open(pid, false)];
		if (what < 76) return [connect(pid)];
		if (what < 84) return [accept(pid)];
		if (what < 87) return [fork(pid), exec(child, pid, random.pick(commands)), exit(child)];
		if (what < 93) return [change("unlink", pid)];
		if (what < 96) return [change("rename", pid)];
		return [change(what < 98 ? "chmod" : "mkdir", pid)];
	};

	const pids = Array.from({ length: 40 }, (_, index) => 1000 + index);
	const workers = Array.from({ length: 40 }, (_, index) => 2000 + index);
	const before = pids.map((pid) => exec(pid, 1, [random.pick(programs), "--config\0/etc/app/config.yaml"]));
	for (const pid of workers) before.push(exec(pid, random.pick(pids), ["/usr/bin/node", "worker.js"]));
	const measured: Buffer[] = [];
	while (measured.length < events) {
		const pid = random.pick(pids);
		if (name === "open") measured.push(open(pid, false));
		else if (name === "open for writing") measured.push(open(pid, true));
		else if (name === "connect") measured.push(connect(pid));
		else if (name === "exec") measured.push(exec(random.pick(workers), pid, random.pick(commands)));
		else if (name === "usual") measured.push(...usual(pid));
		else if (name === "fork and exit") measured.push(fork(pid), exit(child));
		else {
			const what = random.below(100);
			if (what < 95) measured.push(open(pid, random.chance(0.3)));
			else if (what < 97) measured.push(fork(pid), exec(child, pid, random.pick(commands)), exit(child));
			else measured.push(connect(pid));
		}
	}
	return { before, measured };
}
