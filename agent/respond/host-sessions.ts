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

const sshListeners = new Set(["sshd", "dropbear", "dropbearmulti"]);
const sshPrograms = new Set([...sshListeners, "sshd-session", "sshd-auth"]);
const timePrograms = new Set(["chronyd", "ntpd", "systemd-timesyncd"]);
const ntpPort = 123;
const sshPeer = "the far end of an SSH session";
/** Where sshd locks in the part of it that talks to somebody who has not logged in yet. */
const beforeLogin =
	/^((\/var)?\/run\/sshd|\/var\/empty(\/sshd)?|\/usr\/share\/empty(\.sshd)?|\/var\/lib\/(sshd|empty))$/;

/** An admin whose session broke has this long to come back before his address may be blocked. */
const keptForMs = 10 * 60_000;
/** Before sshd has locked anybody in, a guesser looks like a session: it must have lasted to be remembered. */
const sessionAfterMs = 10_000;
const maxKept = 1024;

/** Reads the peers as they are now, and those of sessions seen within the last minutes. */
export function createSessions(deps: SessionDeps): () => Promise<HostAddress[]> {
	const { root, host, nets, programs, clock } = deps;
	/** By inode, when each was first seen. */
	let since = new Map<string, number>();
	const kept = new Map<string, { peer: HostAddress; until: number }>();

	return async () => {
		const holders = findHolders(root, programs);
		const configured = await configuredPorts(host);
		const now = clock();
		const present = new Map<string, number>();
		const found: HostAddress[] = [];
		const note = ({ remote, inode }: Socket, why: string, lasting: boolean) => {
			const address = addressFromHex(remote, true);
			if (address === undefined) return;
			found.push({ address, why });
			const first = since.get(inode) ?? now;
			present.set(inode, first);
			if (!lasting || now - first >= sessionAfterMs) keep({ address, why }, now);
		};
		for (const net of nets()) {
			const tcp = await tablesOf(root, net, "tcp");
			const { ssh, open } = listeners(tcp, holders);
			for (const table of tcp) {
				for (const socket of readSockets(table, established)) {
					const { localPort, inode } = socket;
					const ofSsh = configured.has(localPort) || ssh.has(localPort);
					// A connection that sshd forwards is its own as well, but leads out: nobody listens on its port.
					const ofSession = holders.ssh.has(inode) && open.has(localPort);
					if ((ofSsh || ofSession) && !holders.strangers.has(inode)) note(socket, sshPeer, true);
				}
			}
			for (const table of await tablesOf(root, net, "udp")) {
				for (const socket of readSockets(table, established)) {
					const ofDaemon = socket.remotePort === ntpPort && holders.time.has(socket.inode);
					if (ofDaemon) note(socket, "a time server of this host", false);
				}
			}
		}
		since = present;
		for (const [key, { until }] of kept) {
			if (until < now || kept.size > maxKept) kept.delete(key);
		}
		return [...found, ...[...kept.values()].map(({ peer }) => peer)];
	};

	function keep({ address, why }: HostAddress, now: number): void {
		const key = `${address.words} ${why}`;
		kept.delete(key);
		kept.set(key, { peer: { address, why: `${why}, as of some minutes ago` }, until: now + keptForMs });
	}
}

/** Ports that somebody listens on, and those of them that are the SSH daemon's. */
function listeners(tables: readonly string[], holders: Holders): { ssh: Set<number>; open: Set<number> } {
	const [ssh, open] = [new Set<number>(), new Set<number>()];
	for (const table of tables) {
		for (const { localPort, inode } of readSockets(table, listening)) {
			open.add(localPort);
			if (holders.listeners.has(inode)) ssh.add(localPort);
		}
	}
	return { ssh, open };
}

interface Holders {
	/** Inodes of the sockets of the host's SSH daemon; a session listens only for what it forwards. */
	readonly listeners: ReadonlySet<string>;
	readonly ssh: ReadonlySet<string>;
	/** Those of them whose other end has not logged in. */
	readonly strangers: ReadonlySet<string>;
	readonly time: ReadonlySet<string>;
}

function findHolders(root: string, programs: VitalPrograms): Holders {
	const listeners = new Set<string>();
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
			if (sshListeners.has(name)) listeners.add(inode);
		}
	}
	return { listeners, ssh, strangers, time };
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

async function tablesOf(root: string, net: string, protocol: string): Promise<string[]> {
	const texts = await Promise.all([protocol, `${protocol}6`].map((name) => readText(root, `${net}/${name}`)));
	return texts.map((text) => text ?? "");
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
