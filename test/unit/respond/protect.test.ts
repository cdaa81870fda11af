import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseNetwork } from "../../../agent/model/address.ts";
import type { RunCommand } from "../../../agent/respond/command.ts";
import { networkAddresses } from "../../../agent/respond/host-addresses.ts";
import { createProtection, type ProtectedExtra } from "../../../agent/respond/protect.ts";
import { makeRoot } from "./host.ts";

// Taken from a real host; addresses changed to those of documentation.
const files = {
	"proc/net/fib_trie": `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.10
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
`,
	"proc/net/if_inet6": `20010db8000000000000000000000010 02 40 00 80     eth0
fe80000000000000021122fffe334455 02 40 20 80     eth0
`,
	"proc/net/route": `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
`,
	"proc/net/ipv6_route": `00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000001 00000400 00000001 00000000 00000003     eth0
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
fd170000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001  docker0
`,
	"etc/resolv.conf":
		"# by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver junk\n",
	"run/systemd/resolve/resolv.conf": "nameserver 198.51.100.53\n",
	"etc/ssh/sshd_config": "#Port 9\nPort 2222\n",
	"proc/net/tcp": `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0A0200C0:0016 076433C6:D431 01 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0A0200C0:0016 086433C6:D431 06 00000000:00000000 00:00000000 00000000     0        0 1
   2: 0A0200C0:01BB 096433C6:D431 01 00000000:00000000 00:00000000 00000000     0        0 1
   3: 0A0200C0:08AE 0A6433C6:D431 01 00000000:00000000 00:00000000 00000000     0        0 1
`,
	"proc/net/tcp6": `  sl  local_address                         remote_address                        st
   0: 0000000000000000FFFF00000A0200C0:0016 0000000000000000FFFF00000B6433C6:D431 01 00000000
   1: B80D0120000000000000000010000000:0016 B80D0120000000000000000099000000:D431 01 00000000
`,
};

function protection(
	extra: Partial<ProtectedExtra> = {},
	resolve = async (_name: string): Promise<string[]> => [],
	more: Record<string, string> = {},
	run?: RunCommand,
) {
	const root = makeRoot({ ...files, ...more });
	const all = { addresses: [], containers: [], processes: [], ...extra };
	let now = 0;
	const made = createProtection({
		root,
		...(run && { run }),
		self: 1,
		extra: () => all,
		resolve,
		blocked: () => [],
		clock: () => now,
	});
	return {
		ask: (text: string) => made.address(parseNetwork(text)),
		root,
		advance: (ms: number) => (now += ms),
	};
}

describe("an address that is never blocked", () => {
	it.each([
		["127.0.0.1", "loopback"],
		["127.99.0.0/16", "loopback"],
		["169.254.169.254", "link-local"],
		["fe80::abcd", "link-local"],
		["239.1.1.1", "multicast"],
		["ff02::1", "multicast"],
		["255.255.255.255", "broadcast"],
		["192.0.2.10", "an address of this host"],
		["192.0.2.0/24", "an address of this host"],
		["192.0.2.255", "broadcast"],
		["2001:db8::10", "an address of this host"],
		["2001:db8::/32", "an address of this host"],
		["192.0.2.1", "router"],
		["2001:db8::1", "router"],
		["192.0.2.53", "name server"],
		["198.51.100.53", "name server"],
		["198.51.100.7", "SSH session"],
		["198.51.100.10", "SSH session"],
		["198.51.100.11", "SSH session"],
		["2001:db8::99", "SSH session"],
		["198.51.100.0/24", "198.51.100.53 is a name server"],
		["::/32", "loopback"],
		["240.0.0.1", "reserved"],
		["100.100.100.200", "clouds have their metadata"],
		["168.63.129.16", "clouds have their metadata"],
		["fd00:ec2::254", "clouds have their metadata"],
		["8.0.0.0/15", "wider than a /16"],
		["2a00::/31", "wider than a /32"],
		["64:ff9b::169.254.169.254", "stands for 169.254.169.254"],
		["64:ff9b::198.51.100.7", "SSH session"],
		["64:ff9b::/96", "stands for 0.0.0.0/0"],
		["64:ff9b:1::/64", "stands for 0.0.0.0/0"],
		["2002:7f00:1::/48", "loopback"],
		["2002:c633:6407::1", "SSH session"],
		["::198.51.100.7", "SSH session"],
		["::fffe:0:0/95", "stands for 0.0.0.0/0"],
		["172.17.0.9", "container"],
		["172.17.0.0/24", "container"],
		["fd17::9", "container"],
	])("%s: %s", async (text, why) => {
		expect(await protection().ask(text)).toContain(why);
	});

	it.each([
		"203.0.113.5",
		"192.0.2.77",
		"198.51.100.8",
		"198.51.100.9",
		"2001:db8:1::5",
		"8.0.0.0/16",
		"64:ff9b::203.0.113.5",
		"172.18.0.9",
	])("is not %s", async (text) => {
		expect(await protection().ask(text)).toBeUndefined();
	});

	it("can be added by configuration: address, network, host name, with a port", async () => {
		const addresses = ["203.0.113.5", "203.0.113.64/26", "console.example:7000", "[2001:db8:9::1]:7000"];
		const asked: string[] = [];
		const { ask } = protection({ addresses }, async (name) => {
			asked.push(name);
			return ["203.0.113.9", "2001:db8:9::2"];
		});
		for (const text of ["203.0.113.5", "203.0.113.70", "203.0.113.9", "2001:db8:9::1", "2001:db8:9::2"]) {
			expect(await ask(text), text).toContain("protected by configuration");
		}
		expect(await ask("203.0.113.0/25")).toContain("protected");
		expect(await ask("203.0.113.10")).toBeUndefined();
		expect(asked).toEqual(["console.example"]);
	});

	it("stays protected when its name cannot be resolved any more", async () => {
		let works = true;
		const { ask, advance } = protection({ addresses: ["console.example"] }, async () => {
			if (!works) throw new Error("no answer");
			return ["203.0.113.9"];
		});
		expect(await ask("203.0.113.9")).toContain("protected");
		works = false;
		advance(3_600_000);
		expect(await ask("203.0.113.9")).toContain("protected");
	});
});

describe("what is asked of the host", () => {
	it("is seen by the next order, a quarter of a second later at most", async () => {
		const { ask, advance, root } = protection();
		expect(await ask("203.0.113.5")).toBeUndefined();
		const line = "   9: 0A0200C0:0016 057100CB:D431 01 00000000:00000000 00:00000000 00000000 0 0 77\n";
		appendFileSync(join(root, "proc/net/tcp"), line);
		advance(250);
		expect(await ask("203.0.113.5")).toContain("SSH session");
	});

	it("finds the real host's own addresses", async () => {
		const found = await networkAddresses("/", "proc/net");
		expect(found.map(({ why }) => why)).toContain("an address of this host");
	});

	it("takes 10,000 networks in a row", async () => {
		const { ask } = protection();
		let free = 0;
		for (let index = 0; index < 10_000; index++) {
			if ((await ask(`44.${index >> 8}.${index & 255}.0/24`)) === undefined) free++;
		}
		expect(free).toBe(10_000);
	});
});

describe("services the host uses", () => {
	const more = {
		"etc/chrony/chrony.conf": "# pool no.example\npool ntp.example iburst\nserver 198.51.101.1\n",
		"etc/systemd/timesyncd.conf": "[Time]\nNTP=198.51.101.2 time.example\n#FallbackNTP=198.51.101.3\n",
		"etc/docker/daemon.json": '{"dns":["198.51.101.4"]}',
		"var/lib/docker/containers/x/resolv.conf":
			"nameserver 127.0.0.11\n# ExtServers: [198.51.101.5 host(198.51.101.6)]\n",
		"run/chrony/chronyd.sock": "",
	};
	const names: Record<string, string[]> = {
		"ntp.example": ["198.51.101.7"],
		"time.example": ["2001:db8:9::7"],
	};

	it.each([
		["198.51.101.1", "time server"],
		["198.51.101.2", "time server"],
		["198.51.101.4", "name server"],
		["198.51.101.5", "name server"],
		["198.51.101.6", "name server"],
		["198.51.101.7", "time server"],
		["2001:db8:9::7", "time server"],
		["198.51.101.8", "time server"],
		["198.51.101.9", "router"],
	])("%s: %s", async (text, why) => {
		const run: RunCommand = async (file, args) => {
			const said = {
				"chronyc -n -c sources": "^,*,198.51.101.8,2,6,377,9,0,0,0\n#,?,PPS0,0,4,0,0,0,0,0\n",
				"ip -4 route show table all":
					"default proto static \n\tnexthop via 198.51.101.9 dev eth0 weight 1 \n",
			}[[file, ...args].join(" ")];
			return { code: 0, stdout: said ?? "", stderr: "" };
		};
		const { ask } = protection({}, async (name) => names[name] ?? [], more, run);
		expect(await ask(text)).toContain(why);
		expect(await ask("198.51.101.3")).toBeUndefined();
	});

	it("stay protected by their files while their tools hang", async () => {
		const { ask } = protection({}, undefined, more, () => new Promise(() => {}));
		expect(await ask("203.0.113.5")).toBeUndefined();
		expect(await ask("198.51.101.1")).toContain("time server");
		expect(await ask("192.0.2.1")).toContain("router");
	});
});
