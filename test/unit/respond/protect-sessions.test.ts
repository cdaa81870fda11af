// Who is logged in, told by the sockets of the host's own SSH daemon.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseNetwork } from "../../../agent/model/address.ts";
import { createProtection } from "../../../agent/respond/protect.ts";
import { makeRoot } from "./host.ts";

const head =
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const hex = (value: number) => value.toString(16).toUpperCase().padStart(4, "0");

/** 198.51.100.N connected to local port `port`. */
function line(last: number, port: number, inode: number, state = "01", remotePort = 50_000): string {
	const remote = `${last.toString(16).toUpperCase().padStart(2, "0")}6433C6:${hex(remotePort)}`;
	return `   0: 0A0200C0:${hex(port)} ${remote} ${state} 00000000:00000000 02:00000000 00000000     0        0 ${inode} 1 0 20\n`;
}

function daemon(pid: number, exe: string, inodes: readonly number[], more: Record<string, string> = {}) {
	const sockets = inodes.map((inode, fd) => [`proc/${pid}/fd/${fd}`, `-> socket:[${inode}]`]);
	return { [`proc/${pid}/exe`]: `-> ${exe}`, ...Object.fromEntries(sockets), ...more };
}

function host(files: Record<string, string>) {
	let now = 1_000_000;
	const root = makeRoot(files);
	const protection = createProtection({
		root,
		self: 1,
		extra: () => ({ addresses: [], containers: [], processes: [] }),
		resolve: async () => [],
		blocked: () => [],
		clock: () => now,
	});
	return {
		root,
		ask: (last: number) => protection.address(parseNetwork(`198.51.100.${last}`)),
		refresh: () => protection.refresh(),
		advance: (ms: number) => {
			now += ms;
		},
	};
}

describe("the far end of an SSH session", () => {
	it("is protected on whatever port the host's sshd listens", async () => {
		const tcp = head + line(0, 4422, 10, "0A") + line(7, 4422, 11) + line(8, 4423, 12);
		const { ask } = host({ "proc/net/tcp": tcp, ...daemon(60, "/usr/sbin/sshd", [10]) });
		expect(await ask(7)).toContain("SSH session");
		expect(await ask(8)).toBeUndefined();
	});

	it("is protected when a session's process holds the socket and another the listener", async () => {
		const tcp = head + line(0, 4422, 10, "0A") + line(7, 4422, 11) + line(8, 50_123, 12);
		// 12 is what it forwards to.
		const files = { "proc/net/tcp": tcp, ...daemon(61, "/usr/lib/openssh/sshd-session", [11, 12]) };
		const { ask } = host(files);
		expect(await ask(7)).toContain("SSH session");
		expect(await ask(8)).toBeUndefined();
	});

	it("is not who comes in through a port that a session forwards", async () => {
		const tcp = head + line(0, 8080, 10, "0A") + line(7, 8080, 11);
		const files = { "proc/net/tcp": tcp, ...daemon(61, "/usr/lib/openssh/sshd-session", [10]) };
		expect(await host(files).ask(7)).toBeUndefined();
	});

	it("is not protected on the port of a program that only calls itself sshd", async () => {
		const tcp = head + line(0, 4422, 10, "0A") + line(7, 4422, 11);
		const evil = daemon(60, "/tmp/sshd", [10, 11]);
		expect(await host({ "proc/net/tcp": tcp, ...evil }).ask(7)).toBeUndefined();
	});

	it("is not protected before it has logged in: who guesses passwords may be blocked", async () => {
		const tcp = head + line(7, 22, 11) + line(8, 22, 12);
		const files = {
			"proc/net/tcp": tcp,
			...daemon(60, "/usr/sbin/sshd", [11], { "proc/60/root": "-> /" }),
			...daemon(61, "/usr/sbin/sshd", [11], { "proc/61/root": "-> /run/sshd" }),
			// A session that is confined to its home directory.
			...daemon(62, "/usr/sbin/sshd", [12], { "proc/62/root": "-> /srv/sftp" }),
		};
		const { ask } = host(files);
		expect(await ask(7)).toBeUndefined();
		expect(await ask(8)).toContain("SSH session");
	});

	it("stays protected for ten minutes after the session broke, also when nobody asked meanwhile", async () => {
		const { ask, root, refresh, advance } = host({ "proc/net/tcp": head + line(7, 22, 11) });
		await refresh();
		advance(30_000);
		await refresh();
		rmSync(join(root, "proc/net/tcp"));
		advance(9 * 60_000);
		expect(await ask(7)).toContain("some minutes ago");
		advance(61_000);
		expect(await ask(7)).toBeUndefined();
	});

	it("is not remembered when it was there for a moment only, as a guesser is before sshd locks him in", async () => {
		const { ask, root, refresh, advance } = host({ "proc/net/tcp": head + line(7, 22, 11) });
		await refresh();
		advance(30_000);
		writeFileSync(join(root, "proc/net/tcp"), head + line(7, 22, 12));
		await refresh();
		rmSync(join(root, "proc/net/tcp"));
		advance(1000);
		expect(await ask(7)).toBeUndefined();
	});

	it("is protected on ports of the configuration, with and without a listener of sshd's own", async () => {
		const tcp = head + line(7, 2200, 11) + line(8, 2201, 12) + line(9, 2202, 13);
		const { ask } = host({
			"proc/net/tcp": tcp,
			"etc/ssh/sshd_config": "Port=2200\n#Port 2202\n",
			"etc/ssh/sshd_config.d/a.conf": "ListenAddress [2001:db8::1]:2201\n",
		});
		expect(await ask(7)).toContain("SSH session");
		expect(await ask(8)).toContain("SSH session");
		expect(await ask(9)).toBeUndefined();
	});

	it("is seen in init's network namespace too", async () => {
		const { ask } = host({
			"proc/self/ns/net": "-> net:[2]",
			"proc/1/ns/net": "-> net:[1]",
			"proc/1/net/tcp": head + line(7, 22, 11),
		});
		expect(await ask(7)).toContain("SSH session");
	});
});

describe("a time server", () => {
	it("is the peer of the host's own time daemon, not of anybody's socket", async () => {
		const udp = head + line(7, 40_000, 20, "01", 123) + line(8, 40_001, 21, "01", 123);
		const { ask, root, advance } = host({
			"proc/net/udp": udp,
			...daemon(70, "/usr/sbin/chronyd", [20]),
			...daemon(71, "/tmp/chronyd", [21]),
		});
		expect(await ask(7)).toContain("time server");
		expect(await ask(8)).toBeUndefined();
		// It asks now and then, from a new socket each time.
		writeFileSync(join(root, "proc/net/udp"), head);
		advance(60_000);
		expect(await ask(7)).toContain("time server");
	});
});
