// Events of a host at ordinary work, made up: what a rule's cost is measured on when there is no recording. Some
// thousands, the same at every call.

import { recordOf, type Value } from "../model/encode.ts";
import type { EventName } from "../model/event.ts";

const perKind = 1000;
const programs: readonly (readonly [exe: string, ...args: string[]])[] = [
	["/usr/sbin/nginx", "nginx", "-g", "daemon off;"],
	["/usr/bin/python3.12", "python3", "manage.py", "runworker", "--queue", "mail"],
	["/usr/bin/dash", "sh", "-c", "test -r /srv/shop/ready && exec /srv/shop/bin/start"],
	["/usr/bin/bash", "bash", "/usr/local/bin/backup.sh", "--incremental"],
	["/usr/bin/git", "git", "fetch", "--prune", "origin"],
	["/usr/bin/make", "make", "-j8", "all"],
	[
		"/usr/libexec/gcc/x86_64-linux-gnu/14/cc1",
		"cc1",
		"-quiet",
		"-O2",
		"-I",
		"include",
		"src/cart.c",
		"-o",
		"cart.s",
	],
	["/usr/bin/tar", "tar", "-czf", "/var/backups/shop.tgz", "/srv/shop"],
	["/usr/bin/curl", "curl", "-fsS", "http://10.20.0.4:8080/healthz"],
	["/usr/bin/find", "find", "/var/cache/shop", "-mtime", "+7", "-delete"],
	["/usr/sbin/cron", "cron", "-f"],
	["/usr/bin/psql", "psql", "-h", "10.20.0.9", "-c", "select 1"],
];
const files = [
	"/srv/shop/static/img/%.webp",
	"/usr/lib/x86_64-linux-gnu/libshop-%.so.2",
	"/home/mia/work/shop/node_modules/left/%/index.js",
	"/proc/%/stat",
	"/var/cache/shop/page-%.html",
	"/var/log/nginx/access-%.log",
	"/tmp/build-%/main.o",
	"/etc/ssl/certs/ca-%.pem",
];

const pick = <T>(from: readonly T[], number: number): T => from[number % from.length] as T;
const fileOf = (number: number): string => pick(files, number).replace("%", String((number * 7919) % 10_007));

/** Records in the order in which the kernel would send them. */
export function usualRecords(): Buffer[] {
	let time = 10n ** 13n;
	const pids = programs.map((_, index) => 1000 + index);
	const common = (pid: number): Record<string, Value> => ({
		pid,
		tid: pid,
		start: BigInt(pid) * 10n ** 9n,
		cgroupId: 7,
		time: time++,
	});
	const exec = (number: number): Buffer => {
		const [exe, ...args] = pick(programs, number);
		const pid = pick(pids, number);
		return recordOf("exec", {
			...common(pid),
			parentPid: pick(pids, number + 5),
			namespacePid: pid,
			inode: 77,
			uid: 33,
			euid: 33,
			loginUid: 0xffff_ffff,
			comm: exe.replace(/^.*\//, "").slice(0, 15),
			path: exe,
			raw: exe,
			args: `${args.join("\0")}\0`,
			cwd: "/srv/shop",
		});
	};
	const file = (kind: EventName, number: number, more: Record<string, Value> = {}): Buffer => {
		const path = fileOf(number);
		return recordOf(kind, {
			...common(pick(pids, number)),
			inode: number,
			path,
			raw: path,
			result: 0,
			...more,
		});
	};
	const open = (number: number): Buffer =>
		file("open", number, { openFlags: number % 4 === 0 ? 0o1101 : 0, mode: 0o100644, result: 11 });
	const socket = (kind: EventName, number: number): Buffer =>
		recordOf(kind, {
			...common(pick(pids, number)),
			localAddress: Buffer.from([10, 20, 0, 5]),
			remoteAddress: Buffer.from([10, 20, 1, number % 250]),
			family: 2,
			protocol: 6,
			localPort: kind === "accept" ? 443 : 40_000 + (number % 20_000),
			remotePort: kind === "accept" ? 40_000 + (number % 20_000) : pick([443, 5432, 6379, 80], number),
			result: number % 3 === 0 ? -115 : 0,
		});
	const renamed = (number: number) => ({ target: `${fileOf(number)}~`, targetRaw: `${fileOf(number)}~` });
	const makers: readonly ((number: number) => Buffer)[] = [
		exec,
		(number) =>
			recordOf("fork", { ...common(pick(pids, number)), childPid: 5000 + number, childCgroupId: 7 }),
		(number) => recordOf("exit", { ...common(5000 + number), reaperPid: 1 }),
		open,
		(number) => socket("connect", number),
		(number) => socket("accept", number),
		(number) => socket("send", number),
		(number) => file("rename", number, renamed(number)),
		(number) => file("unlink", number),
		(number) => file("mkdir", number),
		(number) => file("rmdir", number),
		(number) => file("symlink", number, renamed(number)),
		(number) => file("chmod", number, { newMode: 0o644 }),
		(number) => file("chown", number),
		(number) => file("truncate", number),
	];
	const records = programs.map((_, number) => exec(number));
	for (let number = 0; number < perKind; number++) for (const make of makers) records.push(make(number));
	return records;
}
