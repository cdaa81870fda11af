import { describe, expect, it } from "vitest";
import { parseNetwork } from "../../../agent/model/address.ts";
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
`,
	"proc/net/ipv6_route": `00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000001 00000400 00000001 00000000 00000003     eth0
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
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
) {
	const all = { addresses: [], containers: [], processes: [], ...extra };
	let now = 0;
	const made = createProtection({
		root: makeRoot(files),
		self: 1,
		extra: () => all,
		resolve,
		clock: () => now,
	});
	return { ask: (text: string) => made.address(parseNetwork(text)), advance: (ms: number) => (now += ms) };
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
		["198.51.100.0/24", ""],
		["::/32", ""],
	])("%s: %s", async (text, why) => {
		expect(await protection().ask(text)).toContain(why);
	});

	it.each(["203.0.113.5", "192.0.2.77", "198.51.100.8", "198.51.100.9", "2001:db8:1::5", "8.0.0.0/8"])(
		"is not %s",
		async (text) => {
			expect(await protection().ask(text)).toBeUndefined();
		},
	);

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

describe("on the real host", () => {
	it("its own addresses are found", async () => {
		const { hostAddresses } = await import("../../../agent/respond/host-addresses.ts");
		const found = await hostAddresses("/");
		expect(found.map(({ why }) => why)).toContain("an address of this host");
	});
});
