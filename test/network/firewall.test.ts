// The real ipset and iptables, both backends, inside namespaces made here.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parseNetwork } from "../../agent/model/address.ts";
import { createRunner, type RunCommand } from "../../agent/respond/command.ts";
import { cutConnections } from "../../agent/respond/connections.ts";
import { createFirewall, type Firewall } from "../../agent/respond/firewall.ts";
import { addresses, createNetwork, type Network } from "./namespaces.ts";

describe.each(["-nft", "-legacy"] as const)("the firewall on iptables%s", (variant) => {
	let network: Network;
	let run: RunCommand;
	let firewall: Firewall;
	let before = "";

	/** Everything that iptables and ipset know, without counters and dates. */
	function state(): string {
		const tables = ["iptables", "ip6tables"].map((tool) => network.run("host", `${tool}${variant}-save`));
		const sets = network.run("host", "ipset", "list");
		return [...tables, sets]
			.join("\n")
			.replace(/^#.*$/gm, "")
			.replace(/\[\d+:\d+\]/g, "[]");
	}

	const block = async (text: string, ttl = 60) => {
		const steps: string[] = [];
		return { seen: await firewall.block(parseNetwork(text), ttl, steps), steps };
	};

	beforeAll(async () => {
		network = await createNetwork();
		run = createRunner(network.inside("host"));
		firewall = createFirewall({ run, variant });
		// The first rule ever makes the table, and iptables itself never takes an empty one away.
		for (const tool of ["iptables", "ip6tables"]) {
			for (const act of ["-A", "-D"]) network.run("host", `${tool}${variant}`, act, "INPUT", "-j", "ACCEPT");
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
			const target = parseNetwork(near[family]);
			await block(near[family]);
			expect(await firewall.unblock(target, [])).toBe(true);
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
			await cutConnections(run, parseNetwork(near[family]), steps);
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
		await expect.poll(() => firewall.holds(parseNetwork(addresses.near.v4)), { timeout: 10_000 }).toBe(false);
		expect(await network.connects("near", addresses.host.v4)).toBe(true);
	});

	it("says that an address stays blocked while a wider entry covers it", async () => {
		await block("10.77.1.0/24");
		await block(addresses.near.v4);
		const steps: string[] = [];
		expect(await firewall.unblock(parseNetwork(addresses.near.v4), steps)).toBe(false);
		expect(steps.join("\n")).toContain("a wider entry still covers it");
		expect(await network.connects("near", addresses.host.v4)).toBe(false);
	});

	it("sees that a block is not in force when somebody flushed the table, and repairs it at the next", async () => {
		const target = parseNetwork(addresses.near.v4);
		await block(addresses.near.v4);
		network.run("host", `iptables${variant}`, "-F", "INPUT");
		const steps: string[] = [];
		expect(await firewall.inForce(target, steps)).toBe(false);
		expect(steps.join("\n")).toContain("missing or not first");
		expect((await block(addresses.near.v4)).seen).toBe(true);
		expect(await network.connects("near", addresses.host.v4)).toBe(false);
	});

	it("comes first again when another tool put a rule before it, and leaves that rule alone", async () => {
		const rule = ["INPUT", "-s", "10.77.1.2/32", "-j", "ACCEPT"];
		await block(addresses.near.v4);
		network.run("host", `iptables${variant}`, "-I", ...rule);
		try {
			expect(await firewall.inForce(parseNetwork(addresses.near.v4), [])).toBe(false);
			expect((await block(addresses.near.v4)).seen).toBe(true);
			expect(await network.connects("near", addresses.host.v4)).toBe(false);
			expect(await firewall.remove([])).toBe(true);
			expect(network.run("host", `iptables${variant}`, "-S", "INPUT")).toContain(
				"-A INPUT -s 10.77.1.2/32 -j ACCEPT",
			);
		} finally {
			network.run("host", `iptables${variant}`, "-D", ...rule);
		}
		expect(state()).toBe(before);
	});

	it("goes into DOCKER-USER where Docker has made it, also when Docker came later", async () => {
		const iptables = (...args: string[]) => network.run("host", `iptables${variant}`, ...args);
		await block(addresses.near.v4);
		expect(iptables("-S", "FORWARD")).toContain("-A FORWARD -j PICKET-FWD");
		iptables("-N", "DOCKER-USER");
		iptables("-A", "DOCKER-USER", "-j", "RETURN");
		iptables("-I", "FORWARD", "-j", "DOCKER-USER");
		try {
			expect((await block(addresses.near.v4)).seen).toBe(true);
			expect(iptables("-S", "DOCKER-USER").split("\n")[1]).toBe("-A DOCKER-USER -j PICKET-FWD");
			expect(iptables("-S", "FORWARD")).not.toContain("PICKET-FWD");
			expect(await network.connects("near", addresses.inner.v4)).toBe(false);
			expect(await firewall.remove([])).toBe(true);
			expect(iptables("-S", "DOCKER-USER").trim().split("\n")).toEqual([
				"-N DOCKER-USER",
				"-A DOCKER-USER -j RETURN",
			]);
		} finally {
			iptables("-D", "FORWARD", "-j", "DOCKER-USER");
			iptables("-F", "DOCKER-USER");
			iptables("-X", "DOCKER-USER");
		}
		expect(state()).toBe(before);
	});

	it("touches nothing when there is nothing to take away", async () => {
		const steps: string[] = [];
		expect(await firewall.remove(steps)).toBe(true);
		expect(steps).toEqual([]);
		expect(await firewall.holds(parseNetwork("192.0.2.1"))).toBe(false);
		expect(state()).toBe(before);
	});

	it("refuses to use a set of its name that somebody made otherwise", async () => {
		network.run("host", "ipset", "create", "picket4", "hash:ip");
		try {
			await expect(block(addresses.near.v4)).rejects.toMatchObject({ code: "PICKET_FIREWALL_UNUSABLE" });
		} finally {
			network.run("host", "ipset", "destroy", "picket4");
		}
		expect(state()).toBe(before);
	});
});
