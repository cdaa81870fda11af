// The real ipset and iptables, both backends, inside namespaces made here.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Direction } from "../../agent/model/verdict.ts";
import type { RunCommand } from "../../agent/respond/command.ts";
import { createConnections } from "../../agent/respond/connections.ts";
import { createFirewall, type Firewall } from "../../agent/respond/firewall.ts";
import { runnerIn, stateOf } from "./host.ts";
import { addresses, createNetwork, type Network } from "./namespaces.ts";

describe.each(["-nft", "-legacy"] as const)("the firewall on iptables%s", (variant) => {
	let network: Network;
	let run: RunCommand;
	let firewall: Firewall;
	let before = "";

	const state = () => stateOf(network, variant);

	const block = async (target: string, ttlSeconds = 60, direction: Direction = "both") => {
		const steps: string[] = [];
		return { seen: await firewall.block({ target, ttlSeconds, direction }, steps), steps };
	};

	beforeAll(async () => {
		network = await createNetwork();
		run = runnerIn(network);
		firewall = createFirewall({ run, variant });
		// The first rule ever makes the table, and iptables itself never takes an empty one away.
		// mangle exists before only with the legacy one: the nft one can take away what it made.
		const tables = variant === "-legacy" ? ["filter", "raw", "mangle"] : ["filter", "raw"];
		for (const tool of ["iptables", "ip6tables"]) {
			for (const table of tables) {
				for (const act of ["-A", "-D"]) {
					network.run("host", `${tool}${variant}`, "-t", table, act, "OUTPUT", "-j", "ACCEPT");
				}
			}
		}
		before = state();
	});

	afterEach(async () => {
		await firewall.remove([]);
	});

	afterAll(async () => {
		await network?.destroy();
	});

	for (const family of ["v4", "v6"] as const) {
		it(`cuts a blocked peer off in both directions and no other (${family})`, async () => {
			const { near, other, host } = addresses;
			expect(await network.connects("near", host[family])).toBe(true);
			expect(await network.connects("host", near[family])).toBe(true);

			const { seen, steps } = await block(near[family]);
			expect(seen, steps.join("\n")).toBe(true);
			expect(steps.join("\n")).toContain("in the set");

			expect(await network.connects("near", host[family])).toBe(false);
			expect(await network.connects("host", near[family])).toBe(false);
			expect(await network.connects("other", host[family])).toBe(true);
			expect(await network.connects("host", other[family])).toBe(true);
		});

		it(`cuts a blocked peer off from what lies behind this host (${family})`, async () => {
			const { near, inner } = addresses;
			expect(await network.connects("near", inner[family])).toBe(true);
			expect((await block(near[family])).seen).toBe(true);
			expect(await network.connects("near", inner[family])).toBe(false);
			expect(await network.connects("inner", near[family])).toBe(false);
			expect(await network.connects("other", inner[family])).toBe(true);
		});

		it(`lets the peer back when it is unblocked, and leaves nothing when removed (${family})`, async () => {
			const { near, host } = addresses;
			await block(near[family]);
			expect(await firewall.unblock(near[family], [])).toBe(true);
			expect(await network.connects("near", host[family])).toBe(true);
			await block(near[family]);
			expect(state()).not.toBe(before);
			const steps: string[] = [];
			expect(await firewall.remove(steps), steps.join("\n")).toBe(true);
			expect(state()).toBe(before);
			expect(await network.connects("near", host[family])).toBe(true);
		});

		it(`ends a connection that was open before the block (${family})`, async () => {
			const { near, host } = addresses;
			const connection = await network.open("near", host[family]);
			expect(await connection.echoes(2000)).toBe(true);
			await block(near[family]);
			const steps: string[] = [];
			await createConnections({ run }).cut(near[family], steps);
			expect(await connection.echoes(600)).toBe(false);
			expect(steps.join("\n")).toMatch(/ss -K: [1-9]\d* sockets closed/);
			// The server's side of it is gone, not only silent.
			expect(network.run("host", "ss", "-Htn", "state", "established", "sport", "=", ":7077")).toBe("");
		});
	}

	it("blocks a whole network", async () => {
		expect((await block("10.77.1.0/24")).seen).toBe(true);
		expect(await network.connects("near", addresses.host.v4)).toBe(false);
		expect(await network.connects("near", addresses.host.v6)).toBe(true);
	});

	it("lets the kernel end a block when its time is over", async () => {
		await block(addresses.near.v4, 2);
		expect(await network.connects("near", addresses.host.v4)).toBe(false);
		await expect.poll(() => firewall.holds(addresses.near.v4), { timeout: 10_000 }).toBe(false);
		expect(await network.connects("near", addresses.host.v4)).toBe(true);
	});

	it("says that an address stays blocked while a wider entry covers it", async () => {
		await block("10.77.1.0/24");
		await block(addresses.near.v4);
		const steps: string[] = [];
		expect(await firewall.unblock(addresses.near.v4, steps)).toBe(false);
		expect(steps.join("\n")).toContain("a wider entry still covers it");
		expect(await network.connects("near", addresses.host.v4)).toBe(false);
	});

	for (const direction of ["in", "out"] as const) {
		it(`drops only what ${direction === "in" ? "comes from" : "goes to"} an address when told so`, async () => {
			const { near, host, inner } = addresses;
			const other = direction === "in" ? "out" : "in";
			expect((await block(near.v4, 60, direction)).seen).toBe(true);
			expect(network.run("host", "ipset", "list", `picket4-${direction}`)).toContain(near.v4);
			expect(network.run("host", "ipset", "list", `picket4-${other}`)).not.toContain(near.v4);
			// Half of a conversation is none.
			expect(await network.connects("near", host.v4)).toBe(false);
			expect(await network.connects("near", inner.v4)).toBe(false);
			// The counters of the set tell which half: packets of the peer came in, or answers to it did not leave.
			const packets = /packets (\d+)/.exec(network.run("host", "ipset", "save", `picket4-${direction}`))?.[1];
			expect(Number(packets)).toBeGreaterThan(0);
		});
	}

	it("keeps one without an end for good", async () => {
		await block(addresses.near.v4, 0);
		expect(network.run("host", "ipset", "save", "picket4-in")).toContain(
			`add picket4-in ${addresses.near.v4} timeout 0`,
		);
		expect(await network.connects("near", addresses.host.v4)).toBe(false);
	});

	it("sees that a block is not in force when somebody flushed the table, and repairs it at the next", async () => {
		await block(addresses.near.v4);
		network.run("host", `iptables${variant}`, "-t", "mangle", "-F", "PREROUTING");
		const steps: string[] = [];
		expect(await firewall.inForce(addresses.near.v4, "both", steps)).toBe(false);
		expect(steps.join("\n")).toContain("missing or not first");
		expect((await block(addresses.near.v4)).seen).toBe(true);
		expect(await network.connects("near", addresses.host.v4)).toBe(false);
	});

	it("comes first again when another tool put a rule before it, and leaves that rule alone", async () => {
		const rule = ["PREROUTING", "-s", "10.77.1.2/32", "-j", "ACCEPT"];
		const iptables = (...args: string[]) =>
			network.run("host", `iptables${variant}`, "-t", "mangle", ...args);
		await block(addresses.near.v4, 60, "in");
		iptables("-I", ...rule);
		try {
			expect(await network.connects("near", addresses.host.v4)).toBe(true);
			expect(await firewall.inForce(addresses.near.v4, "in", [])).toBe(false);
			expect((await block(addresses.near.v4, 60, "in")).seen).toBe(true);
			expect(await network.connects("near", addresses.host.v4)).toBe(false);
			expect(await firewall.remove([])).toBe(true);
			expect(iptables("-S", "PREROUTING")).toContain("-A PREROUTING -s 10.77.1.2/32 -j ACCEPT");
		} finally {
			iptables("-D", ...rule);
			// The table that another tool came to use was left to it; iptables-nft empties and keeps it.
			if (variant === "-nft") {
				network.run("host", "sh", "-c", "printf '*mangle\\nCOMMIT\\n' | iptables-nft-restore");
			}
		}
	});

	it.each([
		["filter", "INPUT"],
		["filter", "FORWARD"],
		["raw", "PREROUTING"],
	])("drops what a rule of %s %s accepts before all others", async (table, chain) => {
		const rule = [chain, "-s", "10.77.1.2/32", "-j", "ACCEPT"];
		await block(addresses.near.v4);
		network.run("host", `iptables${variant}`, "-t", table, "-I", ...rule);
		try {
			expect(await network.connects("near", addresses.host.v4)).toBe(false);
			expect(await network.connects("near", addresses.inner.v4)).toBe(false);
		} finally {
			network.run("host", `iptables${variant}`, "-t", table, "-D", ...rule);
		}
	});

	it("touches nothing when there is nothing to take away", async () => {
		const steps: string[] = [];
		expect(await firewall.remove(steps)).toBe(true);
		expect(steps).toEqual([]);
		expect(await firewall.holds("192.0.2.1")).toBe(false);
		expect(state()).toBe(before);
	});

	it("refuses to use a set of its name that somebody made otherwise", async () => {
		network.run("host", "ipset", "create", "picket4-in", "hash:ip");
		try {
			await expect(block(addresses.near.v4)).rejects.toMatchObject({ code: "PICKET_FIREWALL_UNUSABLE" });
		} finally {
			network.run("host", "ipset", "destroy", "picket4-in");
		}
		expect(state()).toBe(before);
	});
});
