// The programs without which nobody gets in, nothing starts or the containers lose their keeper. Told by path and,
// so that a hard link or a symbolic link is no way around, by inode. What follows from it is decided by who asks.
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ProgramMatch } from "../model/refusal.ts";

export interface VitalFile {
	/** On the host: as listed here, and with its links resolved. */
	readonly path: string;
	readonly real: string;
	readonly device: bigint;
	readonly inode: bigint;
	readonly why: string;
	/** A process of it is vital too. */
	readonly running: boolean;
}

export interface VitalPrograms {
	/** Why a refusal on the whole host would harm it, undefined when it would not. */
	refused(match: ProgramMatch): string | undefined;
	/** The first vital program of this host that a list of the only allowed ones leaves out. */
	missing(allowed: readonly ProgramMatch[]): string | undefined;
	/** Is a process of the file that has this name vital? Looks at the name only. */
	runs(path: string): boolean;
	/** Those that are on this host now. */
	files(): readonly VitalFile[];
}

interface Group {
	readonly why: string;
	readonly running: boolean;
	/** In a folder for programs; or absolute. A trailing "*" stands for any end. */
	readonly names: readonly string[];
}

const folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"];
const shells: Group = {
	why: "it is a shell, which services, scripts and logins need",
	running: false,
	names: ["sh", "bash", "rbash", "dash", "ash", "zsh", "ksh", "ksh93", "mksh", "fish", "busybox"],
};
const groups: readonly Group[] = [
	{
		why: "nobody could log in without it",
		running: true,
		names: [
			"sshd",
			"/usr/lib/openssh/sshd-*",
			"/usr/lib/ssh/sshd-*",
			"/usr/libexec/openssh/sshd-*",
			"/usr/libexec/sshd-*",
			"dropbear",
			"dropbearmulti",
			"login",
			"agetty",
			"getty",
			"sulogin",
		],
	},
	{
		why: "containers lose their keeper without it",
		running: true,
		names: [
			"dockerd",
			"docker-proxy",
			"docker-init",
			"containerd",
			"containerd-shim*",
			"runc",
			"crun",
			"crio",
			"conmon",
			"conmonrs",
			"podman",
			"kubelet",
			"/usr/libexec/podman/conmon",
		],
	},
	{
		why: "the system itself does not run without it",
		running: true,
		names: [
			"init",
			"/usr/lib/systemd/systemd*",
			"/lib/systemd/systemd*",
			"dbus-daemon",
			"dbus-broker",
			"dbus-broker-launch",
			"NetworkManager",
			"dhclient",
			"dhcpcd",
			"wpa_supplicant",
			"chronyd",
			"ntpd",
			"elogind",
			"openrc-run",
			"supervise-daemon",
			"runsvdir",
			"s6-svscan",
		],
	},
	shells,
	{
		why: "every program is loaded with it",
		running: false,
		names: [
			"/lib64/ld-*",
			"/lib/ld-*",
			"/lib64/libc.so*",
			"/lib/libc.so*",
			"/lib/x86_64-linux-gnu/ld-*",
			"/lib/x86_64-linux-gnu/libc.so*",
			"/lib/aarch64-linux-gnu/ld-*",
			"/lib/aarch64-linux-gnu/libc.so*",
		],
	},
	{
		why: "an administrator needs it to take anything back",
		running: false,
		names: ["su", "sudo", "doas", "unix_chkpwd", "systemctl", "env", "kmod", "modprobe", "mount", "umount"],
	},
	{
		why: "the sensor works with it",
		running: false,
		names: ["picket", "ip", "ss", "ipset", "conntrack", "nft", "iptables*", "ip6tables*", "xtables-*"],
	},
];

/** How long a look at the files is used. */
const seenForMs = 10_000;

export interface VitalProgramsDeps {
	/** Where the host's files lie below. */
	readonly host: string;
	/** The sensor's own executables. */
	readonly own: readonly string[];
	readonly clock: () => number;
}

export function createVitalPrograms({ host, own, clock }: VitalProgramsDeps): VitalPrograms {
	const all: readonly Group[] = [...groups, { why: "the sensor runs by it", running: false, names: own }];
	let seen: readonly VitalFile[] = [];
	let at = Number.NEGATIVE_INFINITY;

	function files(): readonly VitalFile[] {
		const now = clock();
		if (now >= at && now - at < seenForMs) return seen;
		at = now;
		const found = findFiles(host, [...all, { ...shells, names: loginShells(host) }]);
		// Where login and sh are one busybox, an attacker's shell is not to pass for a login.
		const idle = new Set(found.filter((file) => !file.running).map(keyOf));
		seen = found.map((file) => ({ ...file, running: file.running && !idle.has(keyOf(file)) }));
		return seen;
	}

	const named = (path: string) => all.find((group) => group.names.some((name) => isNamed(path, name)));

	function refused(match: ProgramMatch): string | undefined {
		switch (match.by) {
			case "any":
				return "nothing could be started on this host any more";
			case "not-from-image":
				return undefined;
			case "directory": {
				const folders = [match.path, `${realPath(host, match.path) ?? match.path}/`];
				const inside = files().find(({ path, real }) =>
					folders.some((folder) => path.startsWith(folder) || real.startsWith(folder)),
				);
				return inside && `${inside.path} is below it: ${inside.why}`;
			}
			case "name": {
				const { name } = match;
				const known = files().find(({ path, real }) => basename(path) === name || basename(real) === name);
				const why = known?.why ?? folders.map((folder) => named(`${folder}/${name}`)).find(Boolean)?.why;
				return why && `${name}: ${why}`;
			}
			case "inode": {
				// Devices have two notations and, on btrfs, two numbers: the inode alone is enough of a doubt.
				const known = files().find(({ inode }) => inode === match.inode);
				return known && `it is ${known.path}: ${known.why}`;
			}
			case "path": {
				const why = named(match.path)?.why;
				if (why !== undefined) return `${match.path}: ${why}`;
				const target = look(host, match.path);
				const known = target && files().find((file) => isSameFile(file, target));
				return known && `${match.path} is ${known.path}: ${known.why}`;
			}
		}
	}

	return {
		refused,
		files,
		runs: (path) => named(path)?.running === true,
		missing(allowed) {
			const lacking = files().find((file) => !allowed.some((match) => allows(match, file)));
			return lacking && `${lacking.path}: ${lacking.why}`;
		},
	};
}

export function isSameFile(
	a: { readonly device: bigint; readonly inode: bigint },
	b: { readonly device: bigint; readonly inode: bigint },
): boolean {
	return a.inode === b.inode && a.device === b.device;
}

function allows(match: ProgramMatch, { real, inode }: VitalFile): boolean {
	switch (match.by) {
		case "any":
			return true;
		case "not-from-image":
			return false;
		// The kernel compares the path that all links lead to.
		case "path":
			return match.path === real;
		case "directory":
			return real.startsWith(match.path);
		case "name":
			return match.name === basename(real);
		case "inode":
			return match.inode === inode;
	}
}

/** Does the path have the name, which may stand for any folder of programs and end in "*"? */
function isNamed(path: string, name: string): boolean {
	const folder = dirname(path);
	const ofFolder = name.startsWith("/") ? folder === dirname(name) : folders.includes(folder);
	return ofFolder && fits(basename(path), basename(name));
}

function fits(text: string, name: string): boolean {
	return name.endsWith("*") ? text.startsWith(name.slice(0, -1)) : text === name;
}

/** Each folder is listed once, however many names it is known by: /bin is /usr/bin on most hosts. */
function findFiles(host: string, wanted: readonly Group[]): VitalFile[] {
	const byFolder = new Map<string, { exact: Map<string, Group>; open: [string, Group][] }>();
	const known = new Map<string, string | undefined>();
	const add = (path: string, group: Group) => {
		const written = dirname(path);
		if (!known.has(written)) known.set(written, realPath(host, written));
		const folder = known.get(written);
		if (folder === undefined) return;
		const names = byFolder.get(folder) ?? { exact: new Map<string, Group>(), open: [] };
		byFolder.set(folder, names);
		const name = basename(path);
		if (name.endsWith("*")) names.open.push([name, group]);
		else if (!names.exact.has(name)) names.exact.set(name, group);
	};
	for (const group of wanted) {
		for (const name of group.names) {
			if (name.startsWith("/")) add(name, group);
			else for (const folder of folders) add(`${folder}/${name}`, group);
		}
	}
	return [...byFolder].flatMap(([folder, { exact, open }]) =>
		list(join(host, folder)).flatMap((name) => {
			const group = exact.get(name) ?? open.find(([pattern]) => fits(name, pattern))?.[1];
			const file = group && look(host, `${folder}/${name}`);
			return file ? [{ ...file, why: group.why, running: group.running }] : [];
		}),
	);
}

function list(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}

function loginShells(host: string): string[] {
	try {
		const lines = readFileSync(join(host, "etc/shells"), "utf8").split("\n");
		return lines.filter((line) => line.startsWith("/") && !line.includes("*"));
	} catch {
		return [];
	}
}

/** Undefined when there is no such file. */
function look(host: string, path: string): Omit<VitalFile, "why" | "running"> | undefined {
	const real = realPath(host, path);
	const stat =
		real === undefined ? undefined : statSync(join(host, real), { bigint: true, throwIfNoEntry: false });
	if (real === undefined || stat?.isFile() !== true) return undefined;
	return { path, real, device: stat.dev, inode: stat.ino };
}

function keyOf({ device, inode }: VitalFile): string {
	return `${device}:${inode}`;
}

/**
 * As realpath(3), but below a root that is not the one this process runs in: absolute links start there. Undefined when
 * there is no such file.
 */
function realPath(root: string, path: string): string | undefined {
	let resolved = "";
	const parts = path.split("/").reverse();
	// As many links as the kernel follows.
	for (let links = 0; links < 40; ) {
		const part = parts.pop();
		if (part === undefined) return resolved || "/";
		if (part === "" || part === ".") continue;
		if (part === "..") {
			resolved = dirname(resolved || "/").replace(/^\/$/, "");
			continue;
		}
		const next = `${resolved}/${part}`;
		const stat = lstatSync(join(root, next), { throwIfNoEntry: false });
		if (stat === undefined) return undefined;
		if (!stat.isSymbolicLink()) {
			resolved = next;
			continue;
		}
		links++;
		const target = readlinkSync(join(root, next));
		if (target.startsWith("/")) resolved = "";
		parts.push(...target.split("/").reverse());
	}
	return undefined;
}
