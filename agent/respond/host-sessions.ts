// The far ends that somebody works through: SSH sessions, on whatever port, and the time servers that the host's time
// daemon talks to. Told by who holds the socket, so that an attacker's own socket protects nobody.
import { readdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { HostAddress } from "./host-addresses.ts";
import { readLink, readText } from "./procfs.ts";
import { addressFromHex, established, listening, readSockets, type Socket, socketsOf } from "./sockets.ts";
import { vitalExecutable } from "./vital-processes.ts";
import type { VitalPrograms } from "./vital-programs.ts";

export interface SessionDeps {
	/** Where /proc lies below. */
	readonly root: string;
	/** Where the host's /etc lies below. */
	readonly host: string;
	/** Folders such as "proc/net", one for each network namespace of the host. */
	readonly nets: () => readonly string[];
	readonly programs: VitalPrograms;
	readonly clock: () => number;
}

const sshPrograms = new Set(["sshd", "sshd-session", "sshd-auth", "dropbear", "dropbearmulti"]);
const timePrograms = new Set(["chronyd", "ntpd", "systemd-timesyncd"]);
const ntpPort = 123;
/** Where sshd locks in the part of it that talks to somebody who has not logged in yet. */
const beforeLogin =
	/^((\/var)?\/run\/sshd|\/var\/empty(\/sshd)?|\/usr\/share\/empty(\.sshd)?|\/var\/lib\/(sshd|empty))$/;

/** An admin whose session broke has this long to come back before his address may be blocked. */
const keptForMs = 10 * 60_000;
const maxKept = 1024;

/** Reads the peers as they are now, and those of sessions seen within the last minutes. */
export function createSessions(deps: SessionDeps): () => Promise<HostAddress[]> {
	const { root, host, nets, programs, clock } = deps;
	const kept = new Map<string, { peer: HostAddress; until: number }>();

	return async () => {
		const holders = findHolders(root, programs);
		const configured = await configuredPorts(host);
		const found: HostAddress[] = [];
		for (const net of nets()) {
			const tcp = await tablesOf(root, net, "tcp");
			const ports = new Set(configured);
			for (const socket of tcp) {
				if (socket.state === listening && holders.ssh.has(socket.inode)) ports.add(socket.localPort);
			}
			for (const socket of tcp) {
				const ofSsh = ports.has(socket.localPort) || holders.ssh.has(socket.inode);
				if (socket.state !== established || !ofSsh || holders.strangers.has(socket.inode)) continue;
				found.push(...peerOf(socket, "the far end of an SSH session"));
			}
			for (const socket of await tablesOf(root, net, "udp")) {
				if (socket.remotePort !== ntpPort || !holders.time.has(socket.inode)) continue;
				found.push(...peerOf(socket, "a time server of this host"));
			}
		}
		return [...found, ...keep(found)];
	};

	function keep(found: readonly HostAddress[]): HostAddress[] {
		const now = clock();
		for (const { address, why } of found) {
			const key = `${address.words} ${why}`;
			kept.delete(key);
			kept.set(key, { peer: { address, why: `${why}, as of some minutes ago` }, until: now + keptForMs });
		}
		for (const [key, { until }] of kept) {
			if (until < now || kept.size > maxKept) kept.delete(key);
		}
		return [...kept.values()].map(({ peer }) => peer);
	}
}

interface Holders {
	/** Inodes of the sockets of the host's SSH daemon. */
	readonly ssh: ReadonlySet<string>;
	/** Those of them whose other end has not logged in. */
	readonly strangers: ReadonlySet<string>;
	readonly time: ReadonlySet<string>;
}

function findHolders(root: string, programs: VitalPrograms): Holders {
	const ssh = new Set<string>();
	const strangers = new Set<string>();
	const time = new Set<string>();
	for (const pid of pidsOf(root)) {
		const name = basename(readLink(root, `proc/${pid}/exe`) ?? "").replace(/ \(deleted\)$/, "");
		const into = sshPrograms.has(name) ? ssh : timePrograms.has(name) ? time : undefined;
		if (into === undefined || vitalExecutable(root, pid, programs) === undefined) continue;
		const locked = into === ssh && beforeLogin.test(readLink(root, `proc/${pid}/root`) ?? "");
		for (const inode of socketsOf(root, pid)) {
			into.add(inode);
			if (locked) strangers.add(inode);
		}
	}
	return { ssh, strangers, time };
}

function pidsOf(root: string): number[] {
	try {
		return readdirSync(join(root, "proc"))
			.filter((name) => /^\d+$/.test(name))
			.map(Number);
	} catch {
		return [];
	}
}

async function tablesOf(root: string, net: string, protocol: string): Promise<Socket[]> {
	const texts = await Promise.all([protocol, `${protocol}6`].map((name) => readText(root, `${net}/${name}`)));
	return texts.flatMap((text) => [...readSockets(text ?? "")]);
}

/** 22 and whatever the daemons' configurations name besides: a socket of systemd's listens for them as well. */
export async function configuredPorts(host: string): Promise<ReadonlySet<number>> {
	const directory = "etc/ssh/sshd_config.d";
	const more = await readdir(join(host, directory)).catch(() => []);
	const files = ["etc/ssh/sshd_config", ...more.map((name) => `${directory}/${name}`)];
	const texts = await Promise.all(files.map((file) => readText(host, file)));
	const found = texts.flatMap((text) => [
		...(text ?? "").matchAll(/^\s*Port[\s=]+(\d+)/gim),
		...(text ?? "").matchAll(/^\s*ListenAddress[\s=]+(?:\[[^\]]*\]|[^\s:]+):(\d+)\s*(?:#.*)?$/gim),
	]);
	return new Set([22, ...found.map((match) => Number(match[1]))]);
}

function peerOf({ remote }: Socket, why: string): HostAddress[] {
	const address = addressFromHex(remote, true);
	return address === undefined ? [] : [{ address, why }];
}
