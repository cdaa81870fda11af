// What other tools do to a firewall, and what is left of ours ten seconds later. A hundred times with PICKET_SOAK.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RunCommand } from "../../agent/respond/command.ts";
import type { HostResponder, ResponderDeps } from "../../agent/respond/responder.ts";
import { byHand, responderIn, runnerIn, stateOf } from "./host.ts";
import { addresses, createNetwork, type Network } from "./namespaces.ts";

const soak = process.env.PICKET_SOAK === "1";
const times = soak ? 100 : 5;
const periodMs = 300;
const { near, host, inner } = addresses;
let network: Network;
let root = "";
let responder: HostResponder;
let repairs: string[] = [];
let problems: string[] = [];
let calls = 0;

/** Which iptables the host's own stands for: what update-alternatives changes. */
let standard: "-nft" | "-legacy" = "-nft";

function start(more: Partial<ResponderDeps> = {}): HostResponder {
	const run = runnerIn(network);
	const chosen: RunCommand = (file, args, input) => {
		calls++;
		return run(file.replace(/^(ip6?tables)(?!-nft|-legacy)/, `$1${standard}`), args, input);
	};
	return responderIn(network, root, {
		run: chosen,
		reconcile: {
			periodMs,
			onRepair: (reason, steps) => repairs.push(`${reason}: ${steps.join("; ")}`),
			onProblem: (message) => problems.push(message),
		},
		...more,
	});
}

const iptables = (...args: string[]) => network.run("host", `iptables${standard}`, ...args);
const ipset = (...args: string[]) => network.run("host", "ipset", ...args);

/** Jumps to our chains in every table of both backends, and what comes first where they belong. */
function jumps(): { count: number; first: string[] } {
	const saved = ["iptables-nft-save", "iptables-legacy-save"]
		.map((tool) => network.run("host", tool))
		.join("\n");
	const lines = saved.split("\n");
	const firstOf = (chain: string) => lines.find((line) => line.startsWith(`-A ${chain} `)) ?? "";
	return {
		count: lines.filter((line) => / -[jg] PICKET-/.test(line)).length,
		first: ["PREROUTING", "POSTROUTING"].map(firstOf),
	};
}

const whole = {
	count: 2,
	first: [
		"-A PREROUTING -m comment --comment picket -j PICKET-IN",
		"-A POSTROUTING -m comment --comment picket -j PICKET-OUT",
	],
};

/** Whole, and a look has found it so: the next damage is not done in the midst of a repair. */
async function restored(): Promise<void> {
	await expect.poll(jumps, { timeout: 10_000, interval: 50 }).toEqual(whole);
	await expect.poll(() => ipset("list", "picket4-in"), { timeout: 10_000 }).toContain(`${near.v4} timeout`);
	await expect.poll(() => ipset("list", "picket4-out"), { timeout: 10_000 }).toContain(`${near.v4} timeout`);
	const { looks } = responder.reconciled();
	await expect.poll(() => responder.reconciled().looks, { timeout: 20_000 }).toBeGreaterThan(looks + 1);
}

/** As Docker leaves them when its daemon starts: a jump of its own before all others, its chains made anew. */
function dockerRestarts(): void {
	const quiet = (...args: string[]) => {
		try {
			iptables(...args);
		} catch {
			// It was not there.
		}
	};
	for (const chain of ["DOCKER-USER", "DOCKER-ISOLATION-STAGE-1", "DOCKER"]) {
		quiet("-N", chain);
		quiet("-D", "FORWARD", "-j", chain);
		iptables("-I", "FORWARD", "-j", chain);
	}
	quiet("-A", "DOCKER-USER", "-j", "RETURN");
	quiet("-t", "nat", "-N", "DOCKER");
	iptables("-t", "nat", "-F", "DOCKER");
	quiet("-t", "nat", "-D", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DOCKER");
	iptables("-t", "nat", "-I", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DOCKER");
}

const mangle = (...args: string[]) => iptables("-t", "mangle", ...args);
const damages: Record<string, () => void> = {
	"iptables -F of every table": () => {
		iptables("-F");
		mangle("-F");
	},
	"iptables -F and -X": () => {
		mangle("-F");
		mangle("-X");
	},
	"an iptables-restore of another tool's rules": () => {
		const lines = ["*mangle", "-A PREROUTING -i lo -j ACCEPT", "COMMIT", ""].join("\\n");
		network.run("host", "sh", "-c", `printf '${lines}' | iptables${standard}-restore`);
	},
	"rules of another tool before ours": () => {
		mangle("-I", "PREROUTING", "-p", "tcp", "-j", "ACCEPT");
		mangle("-I", "POSTROUTING", "-p", "tcp", "-j", "ACCEPT");
	},
	"our jumps once more": () => {
		mangle("-A", "PREROUTING", "-j", "PICKET-IN");
		mangle("-I", "POSTROUTING", "-j", "PICKET-OUT");
	},
	"an accepting rule in our own chain": () => void mangle("-I", "PICKET-IN", "-j", "ACCEPT"),
	"ipset flush": () => void ipset("flush"),
	"ipset destroy after a flush": () => {
		mangle("-F");
		for (const set of ["picket4-in", "picket4-out"]) {
			// nf_tables lets go of a set a moment after its last rule is gone.
			network.run(
				"host",
				"sh",
				"-c",
				`for i in 1 2 3 4 5 6 7 8 9; do ipset destroy ${set} && exit; sleep 0.05; done; ipset flush ${set}`,
			);
		}
	},
	"a restart of Docker": dockerRestarts,
};

beforeAll(async () => {
	network = await createNetwork();
	root = mkdtempSync(join(tmpdir(), "picket-network-"));
});

afterEach(async () => {
	await responder.release();
	await responder.close();
	for (const tool of ["iptables-nft", "iptables-legacy"]) {
		for (const table of ["filter", "nat", "mangle"]) {
			network.run("host", tool, "-t", table, "-F");
			network.run("host", tool, "-t", table, "-X");
		}
	}
	for (const set of ipset("list", "-n").split("\n").filter(Boolean)) ipset("destroy", set);
	repairs = [];
	problems = [];
	standard = "-nft";
});

afterAll(async () => {
	await network?.destroy();
	rmSync(root, { recursive: true, force: true });
});

describe.each([
	["-nft", times],
	["-legacy", soak ? 100 : 1],
] as const)("a block on iptables%s", (variant, times) => {
	it.each(Object.entries(damages))(
		`is whole again after %s, ${times} times`,
		async (name, damage) => {
			standard = variant;
			responder = start();
			const order = { kind: "block", address: near.v4, ttlSeconds: 3600 } as const;
			expect((await responder.order(order, byHand)).outcome).toBe("OUTCOME_VERIFIED");
			for (let time = 0; time < times; time++) {
				damage();
				await restored();
			}
			expect(await network.connects("near", host.v4)).toBe(false);
			expect(await network.connects("near", inner.v4)).toBe(false);
			expect(await network.connects("other", host.v4)).toBe(true);
			// Nothing of Docker's reaches the table of ours.
			if (name !== "a restart of Docker") expect(repairs.length).toBeGreaterThanOrEqual(1);
			expect(problems).toEqual([]);
		},
		30_000 + times * 4000,
	);
});

it(
	`moves to the backend that the host's iptables stands for, ${times} times, and is in one only`,
	async () => {
		responder = start();
		await responder.order({ kind: "block", address: near.v4, ttlSeconds: 3600 }, byHand);
		for (let time = 0; time < times; time++) {
			standard = standard === "-nft" ? "-legacy" : "-nft";
			await restored();
			await expect
				.poll(() => iptables("-t", "mangle", "-S", "PREROUTING"), { timeout: 10_000 })
				.toContain("PICKET-IN");
		}
		expect(await network.connects("near", host.v4)).toBe(false);
		await responder.release();
		for (const one of ["-nft", "-legacy"]) expect(stateOf(network, one)).not.toMatch(/picket/i);
	},
	30_000 + times * 4000,
);

it("puts the entries back with what is left of their time", async () => {
	responder = start();
	await responder.order({ kind: "block", address: near.v4, ttlSeconds: 3600 }, byHand);
	await responder.order({ kind: "block", address: near.v6, ttlSeconds: 100, direction: "in" }, byHand);
	await responder.order({ kind: "block", address: "192.0.2.1", ttlSeconds: 0, permanent: true }, byHand);
	ipset("flush");
	await restored();
	await expect
		.poll(() => ipset("list", "picket6-in"), { timeout: 10_000 })
		.toMatch(/fd77:1::2 timeout (9\d|100) /);
	expect(ipset("list", "picket6-out")).not.toContain(near.v6);
	expect(ipset("list", "picket4-out")).toContain("192.0.2.1 timeout 0 ");
});

it("is looked after at once when somebody noticed a change", async () => {
	responder = start({ reconcile: { periodMs: 3_600_000, onRepair: (reason) => repairs.push(reason) } });
	await responder.order({ kind: "block", address: near.v4, ttlSeconds: 3600 }, byHand);
	mangle("-F");
	await responder.reconcile("docker restarted");
	expect(jumps()).toEqual(whole);
	expect(repairs).toEqual(["docker restarted"]);
	expect(responder.reconciled()).toEqual({ looks: 1, repairs: 1, failures: 0 });
});

it("runs no command on a host that never blocked anything, nor in observe mode", async () => {
	responder = start();
	calls = 0;
	await responder.reconcile("start");
	await new Promise((resolve) => setTimeout(resolve, 3 * periodMs));
	expect(calls).toBe(0);
	await responder.order({ kind: "block", address: near.v4, ttlSeconds: 3600 }, byHand);
	await responder.close();
	responder = start({ mode: () => "observe" });
	calls = 0;
	await responder.reconcile("start");
	expect(calls).toBe(0);
});

it("does not look any more when nothing is blocked", async () => {
	responder = start();
	await responder.order({ kind: "block", address: near.v4, ttlSeconds: 3600 }, byHand);
	await expect.poll(() => responder.reconciled().looks, { timeout: 10_000 }).toBeGreaterThan(1);
	await responder.order({ kind: "unblock", address: near.v4 }, byHand);
	await new Promise((resolve) => setTimeout(resolve, 2 * periodMs));
	calls = 0;
	await new Promise((resolve) => setTimeout(resolve, 3 * periodMs));
	expect(calls).toBe(0);
});

it("is told once when it cannot be put back, and counted", async () => {
	let broken = false;
	const run = runnerIn(network);
	responder = start({
		run: (file, args, input) =>
			broken && file.endsWith("-restore")
				? Promise.resolve({ code: 4, stdout: "", stderr: "Resource temporarily unavailable" })
				: run(file, args, input),
	});
	await responder.order({ kind: "block", address: near.v4, ttlSeconds: 3600 }, byHand);
	broken = true;
	mangle("-F");
	await expect.poll(() => responder.reconciled().failures, { timeout: 10_000 }).toBeGreaterThan(1);
	expect(problems).toHaveLength(1);
	expect(problems[0]).toContain("Resource temporarily unavailable");
	broken = false;
	await restored();
});

it("finds at its restart what stands, and touches nothing of it", async () => {
	const dead = start();
	await dead.order({ kind: "block", address: near.v4, ttlSeconds: 3600 }, byHand);
	const before = stateOf(network).replace(/timeout \d+/g, "");
	const changing: string[] = [];
	const run = runnerIn(network);
	responder = start({
		run: (file, args, input) => {
			if (
				/-restore$/.test(file) ||
				args.some((arg) => /^(restore|add|del|flush|destroy|-[ADIFX])$/.test(arg))
			) {
				changing.push([file, ...args].join(" "));
			}
			return run(file, args, input);
		},
	});
	await responder.reconcile("start");
	expect(changing).toEqual([]);
	expect(stateOf(network).replace(/timeout \d+/g, "")).toBe(before);
	expect(await network.connects("near", host.v4)).toBe(false);
	mangle("-F");
	await restored();
	await dead.close();
});

it("takes over what a version before this one blocked", async () => {
	ipset("create", "picket4", "hash:net", "family", "inet", "timeout", "1800", "counters");
	ipset("add", "picket4", near.v4, "timeout", "600");
	const old = [
		["-N", "PICKET-IN"],
		["-A", "PICKET-IN", "-m", "set", "--match-set", "picket4", "src", "-j", "DROP"],
		["-I", "INPUT", "1", "-j", "PICKET-IN"],
	];
	for (const args of old) iptables(...args);
	responder = start();
	await responder.order({ kind: "block", address: "192.0.2.1", ttlSeconds: 600 }, byHand);
	expect(ipset("list", "-n").split("\n")).not.toContain("picket4");
	expect(ipset("list", "picket4-in")).toMatch(/10\.77\.1\.2 timeout (5\d\d|600) /);
	expect(iptables("-S")).not.toContain("PICKET");
	expect(jumps()).toEqual(whole);
	expect(await network.connects("near", host.v4)).toBe(false);
});
