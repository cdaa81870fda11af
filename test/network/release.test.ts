// The plain shell script that undoes everything without the sensor: on the real firewall of a namespace, real
// cgroups made here, and an engine on paper (a script called docker that keeps its containers in files).
import { type ChildProcess, execFile, spawn } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { openAudit } from "../../agent/respond/audit.ts";
import { verifyAudit } from "../../agent/respond/audit-read.ts";
import { createRunner } from "../../agent/respond/command.ts";
import { createFirewall } from "../../agent/respond/firewall.ts";
import { createKeeper } from "../../agent/respond/keeper.ts";
import { type Entry, openLedger } from "../../agent/respond/ledger.ts";
import { readIdentity } from "../../agent/respond/procfs.ts";
import { addresses, createNetwork, type Network } from "./namespaces.ts";

const script = new URL("../../packaging/release.sh", import.meta.url).pathname;
const bootId = fs.readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
const web = "ab12".repeat(16);
const shop = "cd34".repeat(16);

/** Answers inspect, unpause, start and network connect; a container is a folder of files. */
const engine = `#!/bin/sh
cd "$(dirname "$0")/../engine" || exit 1
echo "$@" >>calls
[ -e down ] && { echo "Cannot connect to the Docker daemon" >&2; exit 1; }
for id; do :; done
[ -d "$id" ] || { echo "Error: No such container: $id" >&2; exit 1; }
case $1 in
inspect) case $5 in
	*Paused*) cat "$id/paused" ;;
	*Running*) cat "$id/running" ;;
	*Networks*) cat "$id/networks" ;;
	*) echo "$id" ;;
	esac ;;
unpause) echo false >"$id/paused" ;;
start) echo true >"$id/running" ;;
network) shift 2; while [ $# -gt 2 ]; do shift; done; printf '%s ' "$1" "id-of-$1" >>"$id/networks" ;;
esac
`;

function makeHost() {
	const root = fs.mkdtempSync(join(tmpdir(), "picket-release-"));
	onTestFinished(() => fs.rmSync(root, { recursive: true, force: true }));
	const state = join(root, "state");
	for (const folder of ["bin", "engine", "state"]) fs.mkdirSync(join(root, folder));
	fs.writeFileSync(join(root, "bin", "docker"), engine, { mode: 0o755 });
	const file = (...path: string[]) => join(root, "engine", ...path);
	return {
		root,
		state,
		file,
		ledger: openLedger(state, bootId),
		/** What is in force by the word of the file as it is now. */
		entries: () => openLedger(state, bootId).entries(),
		container(id: string, paused: boolean) {
			fs.mkdirSync(file(id));
			fs.writeFileSync(file(id, "paused"), `${paused}\n`);
			fs.writeFileSync(file(id, "running"), "true\n");
			fs.writeFileSync(file(id, "networks"), "bridge id-of-bridge ");
		},
		paused: (id: string) => fs.readFileSync(file(id, "paused"), "utf8").trim() === "true",
		calls: () => (fs.existsSync(file("calls")) ? fs.readFileSync(file("calls"), "utf8") : ""),
		environment: { ...process.env, PATH: `${join(root, "bin")}:${process.env.PATH}` },
	};
}
type Host = ReturnType<typeof makeHost>;

function entryOf(kind: Entry["kind"], target: string, more: Partial<Entry> = {}): Entry {
	const who = { actionId: "1", requester: "policy", reason: "", alertId: "" };
	return {
		kind,
		target,
		targetName: target,
		...who,
		since: Date.now(),
		expires: Date.now() + 60_000,
		...more,
	};
}

const later = { timeout: 30_000, interval: 50 };

describe("the release script", () => {
	let network: Network;
	let before = "";

	/** Into the network namespace alone: `ip netns exec` would hide the cgroups. */
	function release(host: Host, shell = "sh"): Promise<{ code: number; out: string }> {
		const files = ["--state-dir", host.state, "--bpffs", join(host.root, "bpf"), "--switch", switchOf(host)];
		const args = [`--net=/run/netns/${network.name("host")}`, ...shell.split(" "), script, ...files];
		return new Promise((resolve) => {
			execFile("nsenter", args, { env: host.environment }, (error, stdout, stderr) => {
				resolve({ code: Number(error?.code ?? 0), out: stdout + stderr });
			});
		});
	}
	const switchOf = (host: Host) => join(host.root, "etc", "disable-enforcement");

	function tables(): string {
		const tools = ["iptables", "ip6tables"].flatMap((tool) => [`${tool}-nft-save`, `${tool}-legacy-save`]);
		const saved = tools.map((tool) => network.run("host", tool)).join("\n");
		return `${saved}\n${network.run("host", "ipset", "list", "-n")}`
			.replace(/^#.*$/gm, "")
			.replace(/\[\d+:\d+\]/g, "[]");
	}

	beforeAll(async () => {
		network = await createNetwork();
		// A rule of somebody else's, with what makes parsing hard, in every table there is.
		for (const tool of ["iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"]) {
			for (const table of ["filter", "mangle"]) {
				const comment = ["-m", "comment", "--comment", 'not "PICKET-IN" -j PICKET'];
				network.run("host", tool, "-t", table, "-A", "INPUT", ...comment, "-j", "ACCEPT");
			}
		}
		before = tables();
	});

	afterAll(async () => {
		await network?.destroy();
	});

	it.each(["-nft", "-legacy"] as const)(
		"leaves nothing of us in iptables%s, and everything of others",
		async (variant) => {
			const host = makeHost();
			const firewall = createFirewall({ run: createRunner(network.inside("host")), variant });
			for (const family of ["v4", "v6"] as const) {
				const address = addresses.near[family];
				host.ledger.put(entryOf("block", address));
				const block = { target: address, ttlSeconds: 60, direction: "both" } as const;
				expect(await firewall.block(block, [])).toBe(true);
			}
			// And what versions to come may have in other tables.
			for (const line of ["-N PICKET-RAW", "-I PREROUTING -j PICKET-RAW", "-A PICKET-RAW -j RETURN"])
				network.run("host", `iptables${variant}`, "-t", "mangle", ...line.split(" "));
			expect(await network.connects("near", addresses.host.v4)).toBe(false);

			const { code, out } = await release(host);
			expect(code, out).toBe(0);
			expect(out).toContain("nothing of Picket is in force");
			expect(tables()).toBe(before);
			expect(await network.connects("near", addresses.host.v4)).toBe(true);
			expect(host.entries()).toEqual([]);
			expect((await release(host)).code).toBe(0);
		},
	);

	it("resumes, reconnects and starts what the ledger names and nothing else, and continues the audit", async () => {
		const host = makeHost();
		const other = "ee56".repeat(16);
		for (const id of [web, shop, other]) host.container(id, true);
		fs.writeFileSync(host.file(shop, "running"), "false\n");
		const networks = [
			{ network: "bridge", ipv4: "", ipv6: "", aliases: [] },
			{ network: "shop_net", ipv4: "10.9.0.7", ipv6: "", aliases: ["web", "o'dd $(x)"] },
		];
		host.ledger.putAll([
			entryOf("pause", web, { expires: 0 }),
			entryOf("disconnect", web, { networks }),
			entryOf("stop", shop, { expires: 0 }),
			entryOf("pause", "ff".repeat(32)),
			entryOf("refuseEgress", web),
		]);
		fs.mkdirSync(join(host.root, "bpf", "maps"), { recursive: true });
		const audit = openAudit(join(host.state, "audit.jsonl"), Date.now);
		audit.append({ stage: "note", message: 'one ","hash":"' });
		fs.appendFileSync(join(host.state, "audit.jsonl"), '{"number":2,"torn');

		const { code, out } = await release(host);
		expect(code, out).toBe(0);
		expect(host.paused(web)).toBe(false);
		expect(host.paused(other)).toBe(true);
		expect(fs.readFileSync(host.file(shop, "running"), "utf8")).toBe("true\n");
		expect(host.calls()).toContain(
			`network connect --ip 10.9.0.7 --alias web --alias o'dd $(x) shop_net ${web}`,
		);
		expect(host.calls()).not.toContain("connect bridge");
		expect(host.calls()).not.toContain(`unpause ${other}`);
		expect(fs.existsSync(join(host.root, "bpf"))).toBe(false);
		expect(host.entries()).toEqual([]);
		audit.append({ stage: "note" });
		const text = fs.readFileSync(join(host.state, "audit.jsonl"), "utf8");
		expect(verifyAudit(text), text).toMatchObject({ torn: [2], broken: undefined });
		expect(verifyAudit(text).entries).toBeGreaterThanOrEqual(6);
	});

	it("says what stayed, keeps it in the ledger, and does it the next time", async () => {
		const host = makeHost();
		host.container(web, true);
		host.ledger.putAll([entryOf("pause", web), entryOf("disconnect", shop)]);
		fs.writeFileSync(host.file("down"), "");
		const first = await release(host);
		// The paused one has no cgroup to be thawed here, so it does not run; the other cannot be asked for.
		expect(first.code, first.out).toBe(1);
		expect(first.out).toContain(`disconnect of container ${shop} could not be undone`);
		expect(host.entries()).toMatchObject([{ kind: "disconnect" }]);
		fs.rmSync(host.file("down"));
		expect((await release(host)).code).toBe(0);
		expect(host.entries()).toEqual([]);
	});

	it("stops a living sensor from beginning anew, with the kill switch", async () => {
		const host = makeHost();
		const start = readIdentity("/", process.pid)?.startTicks;
		fs.writeFileSync(join(host.state, "sensor.pid"), `${process.pid} ${start}\n`);
		const { code, out } = await release(host);
		expect(code, out).toBe(0);
		expect(out).toContain("to enforce again: rm");
		expect(fs.existsSync(switchOf(host))).toBe(true);
		// The same pid of an earlier process is no sensor.
		fs.rmSync(switchOf(host));
		fs.writeFileSync(join(host.state, "sensor.pid"), `${process.pid} ${Number(start) - 7}\n`);
		expect((await release(host, "busybox sh")).code).toBe(0);
		expect(fs.existsSync(switchOf(host))).toBe(false);
	});
});

describe("a frozen cgroup", () => {
	const hierarchies = { freezer: "/sys/fs/cgroup/freezer", unified: "/sys/fs/cgroup/unified" };

	it.each(["freezer", "unified"] as const)("of %s is thawed where no engine answers", async (kind) => {
		const root = fs.existsSync(hierarchies.unified) ? hierarchies[kind] : "/sys/fs/cgroup";
		const host = makeHost();
		fs.writeFileSync(host.file("down"), "");
		const directory = join(root, `docker-${web}.scope`);
		const child = spawn("sleep", ["60"]);
		fs.mkdirSync(directory);
		onTestFinished(async () => {
			const ended = new Promise((resolve) => child.once("exit", resolve));
			setFrozen(directory, false);
			child.kill("SIGKILL");
			await ended;
			await expect.poll(() => remove(directory), later).toBe(true);
		});
		fs.writeFileSync(join(directory, "cgroup.procs"), String(child.pid));
		setFrozen(directory, true);
		await expect.poll(() => isFrozen(directory), later).toBe(true);
		host.ledger.put(entryOf("pause", web, { expires: Date.now() - 1000 }));
		const keeper = keep(host);
		await expect.poll(() => host.entries().length, later).toBe(0);
		expect(isFrozen(directory)).toBe(false);
		expect(await keeper.ended).toBe(0);
	});

	const v1 = (directory: string) => join(directory, "freezer.state");
	function setFrozen(directory: string, frozen: boolean): void {
		if (fs.existsSync(v1(directory))) fs.writeFileSync(v1(directory), frozen ? "FROZEN" : "THAWED");
		else fs.writeFileSync(join(directory, "cgroup.freeze"), frozen ? "1" : "0");
	}
	function isFrozen(directory: string): boolean {
		if (fs.existsSync(v1(directory))) return fs.readFileSync(v1(directory), "utf8").startsWith("FROZEN");
		return fs.readFileSync(join(directory, "cgroup.events"), "utf8").includes("frozen 1");
	}
	function remove(directory: string): boolean {
		try {
			fs.rmdirSync(directory);
			return true;
		} catch {
			return false;
		}
	}
});

function keep(host: Host, ...more: string[]): { child: ChildProcess; ended: Promise<number | null> } {
	const child = spawn("sh", [script, "keep", "--state-dir", host.state, ...more], { env: host.environment });
	const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
	onTestFinished(async () => {
		child.kill("SIGKILL");
		await ended;
	});
	return { child, ended };
}

describe("the keeper", () => {
	/** A process that stands for the sensor. */
	function sensorOf(host: Host): { die(): Promise<void> } {
		const child = spawn("sleep", ["60"]);
		const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
		const die = () => {
			child.kill("SIGKILL");
			return ended;
		};
		onTestFinished(die);
		const start = readIdentity("/", child.pid ?? 0)?.startTicks;
		fs.writeFileSync(join(host.state, "sensor.pid"), `${child.pid} ${start}\n`);
		return { die };
	}

	it("does nothing while the sensor lives, and ends what is due when it is dead", async () => {
		const host = makeHost();
		host.container(web, true);
		host.container(shop, true);
		const sensor = sensorOf(host);
		host.ledger.putAll([
			entryOf("pause", web, { expires: Date.now() - 1000 }),
			entryOf("pause", shop, { expires: Date.now() + 3_600_000 }),
		]);
		const { ended } = keep(host);
		expect(await Promise.race([ended, wait(2500)])).toBeUndefined();
		expect(host.calls()).toBe("");
		await sensor.die();
		await expect.poll(() => host.paused(web), later).toBe(false);
		expect(host.paused(shop)).toBe(true);
		await expect.poll(host.entries, later).toMatchObject([{ target: shop }]);
		host.ledger.remove("pause", shop);
		expect(await ended).toBe(0);
	});

	it("ends a pause when its time is over and not before, one keeper at a time", async () => {
		const host = makeHost();
		host.container(web, true);
		const expires = Date.now() + 3000;
		host.ledger.put(entryOf("pause", web, { expires }));
		const keepers = [keep(host), keep(host)];
		while (Date.now() < expires - 300) {
			expect(host.paused(web)).toBe(true);
			await wait(50);
		}
		await expect.poll(() => host.paused(web), later).toBe(false);
		expect(Date.now() - expires).toBeLessThan(5000);
		expect(await Promise.all(keepers.map(({ ended }) => ended))).toEqual([0, 0]);
		expect(host.calls().match(/^unpause/gm)).toHaveLength(1);
	});

	it("leaves what is not to end to others, and what somebody resumed alone", async () => {
		const host = makeHost();
		host.container(web, false);
		host.container(shop, true);
		host.ledger.putAll([
			entryOf("pause", web, { expires: Date.now() - 1 }),
			entryOf("pause", shop, { expires: 0 }),
		]);
		expect(await keep(host).ended).toBe(0);
		expect(host.calls()).not.toContain("unpause");
		expect(host.entries()).toMatchObject([{ target: shop }]);
	});

	it("tries again until the engine is back", async () => {
		const host = makeHost();
		fs.writeFileSync(host.file("down"), "");
		host.container(web, true);
		const networks = [{ network: "shop", ipv4: "", ipv6: "", aliases: [] }];
		host.ledger.put(entryOf("disconnect", web, { expires: Date.now() - 1, networks }));
		const { ended } = keep(host);
		await expect.poll(host.calls, later).toContain("inspect");
		expect(host.entries()).toHaveLength(1);
		fs.rmSync(host.file("down"));
		expect(await ended).toBe(0);
		expect(host.calls()).toContain(`network connect shop ${web}`);
		expect(host.entries()).toEqual([]);
	});

	it("is started by the sensor with the first entry that needs it, and takes over when it dies", async () => {
		const host = makeHost();
		host.container(web, true);
		const child = spawn("sleep", ["60"]);
		const dead = new Promise((resolve) => child.once("exit", resolve));
		onTestFinished(async () => {
			child.kill("SIGKILL");
			await dead;
		});
		const { PATH } = process.env;
		process.env.PATH = host.environment.PATH;
		onTestFinished(() => {
			process.env.PATH = PATH;
		});
		const told = createKeeper({
			...{ stateDir: host.state, root: "/", self: child.pid ?? 0, socket: "", leaveCgroup: false },
			entries: host.entries,
			logger: pino({ level: "silent" }),
		});
		const lock = join(host.state, "keeper.lock");
		const put = (entry: Entry) => {
			host.ledger.put(entry);
			told([entry]);
		};
		put(entryOf("block", "203.0.113.9"));
		expect(fs.readFileSync(join(host.state, "sensor.pid"), "utf8")).toContain(`${child.pid} `);
		put(entryOf("pause", shop, { expires: 0 }));
		await wait(500);
		expect(fs.existsSync(lock)).toBe(false);
		put(entryOf("pause", web, { expires: Date.now() + 1000 }));
		await expect.poll(() => fs.existsSync(lock), later).toBe(true);
		await wait(2500);
		expect(host.paused(web)).toBe(true);
		child.kill("SIGKILL");
		await expect.poll(() => host.paused(web), later).toBe(false);
		await expect
			.poll(
				() =>
					host
						.entries()
						.map(({ kind }) => kind)
						.sort(),
				later,
			)
			.toEqual(["block", "pause"]);
	});

	it("does not stay in the cgroup of the sensor when it is to leave it", async () => {
		const host = makeHost();
		const root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((path) =>
			fs.existsSync(join(path, "cgroup.procs")),
		);
		const directory = join(root ?? "", `picket-test-${process.pid}`);
		fs.mkdirSync(directory);
		host.ledger.put(entryOf("pause", web, { expires: Date.now() + 3_600_000 }));
		const inside = `echo $$ >${directory}/cgroup.procs; exec sh ${script} keep --state-dir ${host.state} --leave-cgroup`;
		const child = spawn("sh", ["-c", inside], { env: host.environment });
		const ended = new Promise((resolve) => child.once("exit", resolve));
		onTestFinished(async () => {
			child.kill("SIGKILL");
			await ended;
			fs.rmdirSync(directory);
		});
		const cgroups = () => fs.readFileSync(`/proc/${child.pid}/cgroup`, "utf8");
		await expect.poll(() => fs.existsSync(join(host.state, "keeper.lock")), later).toBe(true);
		expect(cgroups()).not.toContain("picket-test-");
		expect(child.exitCode).toBeNull();
	});
});
