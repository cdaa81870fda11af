// Acts on real containers, through the order in which every action runs, with a real Docker engine that is well,
// slow or dead.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createDocker } from "../../agent/docker.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import type { Order } from "../../agent/model/verdict.ts";
import { freezersOf, isFrozen, setFrozen } from "../../agent/respond/freezer.ts";
import { threadStates } from "../../agent/respond/procfs.ts";
import { createResponder, type HostResponder, type ResponderDeps } from "../../agent/respond/responder.ts";
import { type Engine, startEngine } from "./engine.ts";

const byHand = { requester: "cli", reason: "test", alertId: "", eventTime: undefined };
const logger = pino({ level: "silent" });
let engine: Engine;
let folder: string;
let responder: HostResponder;
let names = 0;

beforeAll(async () => {
	engine = await startEngine({ bridge: true });
});
afterAll(async () => {
	await engine?.stop();
});
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-acts-"));
	responder = make();
	return async () => {
		await responder.close();
		rmSync(folder, { recursive: true });
	};
});

function make(more: Partial<ResponderDeps> = {}): HostResponder {
	const docker = createDocker({ socketPath: engine.socketPath, logger, clock: Date.now });
	return createResponder({
		mode: () => "enforce",
		stateDir: join(folder, "state"),
		logger,
		clock: Date.now,
		runtimes: () => [docker],
		processes: { open: () => 0, signal: () => {}, close: () => {}, exited: () => true },
		protectedExtra: () => ({ addresses: [], containers: [], processes: [] }),
		settings: { actionsPerMinute: 1000 },
		...more,
	});
}

/** A container of its own for each test. */
async function container(...args: string[]): Promise<{ id: string; name: string }> {
	const name = `acted-${++names}`;
	return { name, id: await engine.run("-d", "--name", name, ...args, engine.image) };
}

async function inspect(id: string): Promise<Record<string, unknown>> {
	return JSON.parse(await engine.docker("inspect", "--format", "{{json .}}", id));
}

async function act(order: Order, by = responder): Promise<wire.Action> {
	return by.order(order, byHand);
}

const steps = (action: wire.Action) => (action.steps ?? []).join("\n");

/** Does any process of the container run on? Counts what its shell writes. */
async function beats(pid: number): Promise<boolean> {
	const ticks = () => readFileSync(`/proc/${pid}/root/tmp/beat`, "utf8").length;
	const before = ticks();
	await new Promise((resolve) => setTimeout(resolve, 500));
	return ticks() > before;
}

function daemonOf({ socketPath }: Engine): number {
	return Number(readFileSync(join(socketPath, "../dockerd.pid"), "utf8"));
}
const beating = ["sh", "-c", "while :; do echo >> /tmp/beat; sleep 0.05; done"];

describe("pause and resume", () => {
	it("leave the container as it was to the last field of its inspection but its state", async () => {
		const { id, name } = await container("--restart", "always", "--label", "tier=web");
		const before = await inspect(id);
		const paused = await act({ kind: "pause", container: name, ttlSeconds: 60 });
		expect(paused, steps(paused)).toMatchObject({ outcome: "OUTCOME_VERIFIED", target: id });
		expect(steps(paused)).toContain("the kernel says it is frozen");
		expect(Date.parse(paused.expires ?? "") - Date.now()).toBeGreaterThan(50_000);
		expect(await inspect(id)).toMatchObject({ State: { Paused: true } });
		expect(responder.active()).toMatchObject([{ kind: "pause", target: id }]);
		expect((await act({ kind: "pause", container: id, ttlSeconds: 60 })).outcome).toBe("OUTCOME_UNCHANGED");
		const resumed = await act({ kind: "resume", container: name });
		expect(resumed.outcome, steps(resumed)).toBe("OUTCOME_VERIFIED");
		expect(await inspect(id)).toEqual(before);
		expect(responder.active()).toEqual([]);
		expect((await act({ kind: "resume", container: name })).outcome).toBe("OUTCOME_UNCHANGED");
		await engine.docker("rm", "--force", id);
	});

	it("take a median of under 100 ms from the order to the frozen container", async () => {
		const { id } = await container();
		const took: number[] = [];
		for (let i = 0; i < 15; i++) {
			const paused = await act({ kind: "pause", container: id, ttlSeconds: 60 });
			expect(paused.outcome, steps(paused)).toBe("OUTCOME_VERIFIED");
			took.push(paused.secondsToEffect ?? 0);
			await act({ kind: "resume", container: id });
		}
		took.sort((a, b) => a - b);
		process.stdout.write(`order to frozen: median ${took[7]} s, longest ${took.at(-1)} s\n`);
		await engine.docker("rm", "--force", id);
	});

	it("leave alone what somebody else has paused", async () => {
		const { id } = await container();
		await engine.docker("pause", id);
		const action = await act({ kind: "pause", container: id, ttlSeconds: 60 });
		expect(action, steps(action)).toMatchObject({ outcome: "OUTCOME_UNCHANGED" });
		expect(action.expires).toBeUndefined();
		expect(responder.active()).toEqual([]);
		await engine.docker("rm", "--force", id);
	});

	it("are refused for the sensor's own container, a missing one and one that does not run", async () => {
		const { id, name } = await container();
		const own = join(folder, "own");
		mkdirSync(join(own, "proc/self"), { recursive: true });
		writeFileSync(join(own, "proc/self/cgroup"), `0::/docker/${id}\n`);
		for (const kind of ["pause", "stop", "restart", "remove", "disconnect"] as const) {
			const action = await act({ kind, container: name }, make({ root: own }));
			expect(action.outcome, `${kind} ${steps(action)}`).toBe("OUTCOME_REFUSED");
			expect(steps(action)).toContain("the sensor runs in it");
		}
		expect(await inspect(id)).toMatchObject({ State: { Running: true, Paused: false } });
		await engine.docker("stop", id);
		const ended = await act({ kind: "pause", container: name });
		expect(ended.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(ended)).toContain("does not run");
		await engine.docker("rm", id);
		const missing = await act({ kind: "pause", container: name });
		expect(missing.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(missing)).toContain(`there is no container ${name}`);
	});
});

describe("stop, start, restart and remove", () => {
	it("keep the restart policy, which does not start it again", async () => {
		const { id, name } = await container("--restart", "always");
		const before = await inspect(id);
		const stopped = await act({ kind: "stop", container: name });
		expect(stopped, steps(stopped)).toMatchObject({
			outcome: "OUTCOME_VERIFIED",
			undo: `picket start-container ${name}`,
		});
		// The engine begins a restart within 100 ms.
		await new Promise((resolve) => setTimeout(resolve, 1500));
		const after = await inspect(id);
		expect(after).toMatchObject({ State: { Running: false, Restarting: false }, RestartCount: 0 });
		expect(after.HostConfig).toEqual(before.HostConfig);
		expect((await act({ kind: "stop", container: name })).outcome).toBe("OUTCOME_UNCHANGED");
		const started = await act({ kind: "start", container: name });
		expect(started.outcome, steps(started)).toBe("OUTCOME_VERIFIED");
		expect((await act({ kind: "start", container: name })).outcome).toBe("OUTCOME_UNCHANGED");
		const pid = await engine.pidOf(id);
		const restarted = await act({ kind: "restart", container: name });
		expect(restarted.outcome, steps(restarted)).toBe("OUTCOME_VERIFIED");
		expect(await engine.pidOf(id)).not.toBe(pid);
		await act({ kind: "pause", container: name });
		const removed = await act({ kind: "remove", container: name });
		expect(removed, steps(removed)).toMatchObject({ outcome: "OUTCOME_VERIFIED", undo: "" });
		expect(steps(removed)).toContain("cannot be undone");
		await expect(inspect(id)).rejects.toThrow("No such");
		expect(responder.active()).toEqual([]);
	});

	it("of a removed container leave its volume", async () => {
		await engine.docker("volume", "create", "kept");
		const { id } = await container("-v", "kept:/data", "-v", "/unnamed");
		const [volume] = (await inspect(id)).Mounts as { Type: string; Name: string }[];
		await act({ kind: "remove", container: id });
		const left = (await engine.docker("volume", "ls", "--quiet")).split("\n");
		expect(left).toEqual(expect.arrayContaining(["kept", volume?.Name]));
		expect(left).toHaveLength(2);
		await engine.docker("volume", "rm", ...left);
	});
});

describe("disconnect and reconnect", () => {
	/** Without what the engine gives out anew for every endpoint. */
	function lasting(networks: unknown): unknown {
		return Object.fromEntries(
			Object.entries(networks as Record<string, Record<string, unknown>>).map(([name, endpoint]) => {
				const { EndpointID: _, ...rest } = endpoint;
				return [name, rest];
			}),
		);
	}
	const settings = async (id: string) => (await inspect(id)).NetworkSettings as Record<string, unknown>;

	it("cut every network off and give all back: names, aliases, addresses, published ports", async () => {
		await engine.docker("network", "create", "--subnet", "10.99.1.0/24", "front");
		await engine.docker("network", "create", "back");
		const { id, name } = await container("--network", "front", "--ip", "10.99.1.77", "-p", "18080:80");
		await engine.docker("network", "connect", "--alias", "db", "back", id);
		const before = await settings(id);
		const cut = await act({ kind: "disconnect", container: name, ttlSeconds: 60 });
		expect(cut, steps(cut)).toMatchObject({ outcome: "OUTCOME_VERIFIED", undo: `picket reconnect ${name}` });
		expect(cut.expires).toBeDefined();
		expect((await settings(id)).Networks).toEqual({});
		expect(responder.active()).toMatchObject([{ kind: "disconnect", target: id }]);
		expect((await act({ kind: "disconnect", container: name })).outcome).toBe("OUTCOME_UNCHANGED");
		// A later process knows what to give back.
		await responder.close();
		responder = make();
		const back = await act({ kind: "reconnect", container: name });
		expect(back.outcome, steps(back)).toBe("OUTCOME_VERIFIED");
		const after = await settings(id);
		expect(lasting(after.Networks)).toEqual(lasting(before.Networks));
		expect(after.Ports).toEqual(before.Ports);
		expect(responder.active()).toEqual([]);
		await engine.docker("rm", "--force", id);
		await engine.docker("network", "rm", "front", "back");
	});

	it("ask for the address it had where the engine would give another, and do without where they must", async () => {
		await engine.docker("network", "create", "--subnet", "10.99.2.0/24", "named");
		await engine.docker("network", "create", "unnamed");
		for (const [network, same] of [
			["named", true],
			["unnamed", false],
		] as const) {
			const { id: first } = await container("--network", network);
			const { id } = await container("--network", network);
			const address = async () => {
				const { Networks } = (await settings(id)) as { Networks: Record<string, { IPAddress: string }> };
				return Networks[network]?.IPAddress;
			};
			const before = await address();
			expect(before).toMatch(/\.3$/);
			await act({ kind: "disconnect", container: id });
			await engine.docker("rm", "--force", first);
			const back = await act({ kind: "reconnect", container: id });
			expect(back.outcome, steps(back)).toBe("OUTCOME_VERIFIED");
			expect((await address()) === before, steps(back)).toBe(same);
			await engine.docker("rm", "--force", id);
			await engine.docker("network", "rm", network);
		}
	});

	it("of the default bridge give back what they took", async () => {
		const { id } = await container();
		const before = await settings(id);
		const cut = await act({ kind: "disconnect", container: id });
		expect(cut.outcome, steps(cut)).toBe("OUTCOME_VERIFIED");
		const back = await act({ kind: "reconnect", container: id });
		expect(back.outcome, steps(back)).toBe("OUTCOME_VERIFIED");
		expect(lasting((await settings(id)).Networks)).toEqual(lasting(before.Networks));
		await engine.docker("rm", "--force", id);
	});

	it("are refused where there is no network of its own, and say when there is none", async () => {
		const { id: bare } = await container("--network", "none");
		expect((await act({ kind: "disconnect", container: bare })).outcome).toBe("OUTCOME_UNCHANGED");
		const { id: host } = await container("--network", "host");
		const { id: guest } = await container("--network", `container:${bare}`);
		for (const shared of [host, guest]) {
			const action = await act({ kind: "disconnect", container: shared });
			expect(action.outcome).toBe("OUTCOME_REFUSED");
			expect(steps(action)).toContain("no network of its own");
		}
		expect((await act({ kind: "reconnect", container: bare })).outcome).toBe("OUTCOME_REFUSED");
		await engine.docker("rm", "--force", guest, host, bare);
	});
});

describe("an engine that does not answer", () => {
	const all = ["pause", "resume", "stop", "start", "restart", "remove", "disconnect", "reconnect"] as const;

	it("holds no order up for more than 5 s; what can be done by cgroup is done", async () => {
		const { id, name } = await container("--label", "x=y");
		const daemon = daemonOf(engine);
		process.kill(daemon, "SIGSTOP");
		try {
			const stopped = () => threadStates("/", daemon).every((state) => state === "T");
			await expect.poll(stopped, { timeout: 10_000 }).toBe(true);
			for (const kind of all) {
				const begun = performance.now();
				const action = await act({ kind, container: name });
				expect(performance.now() - begun, kind).toBeLessThan(5000);
				expect(action.outcome, `${kind} ${steps(action)}`).toBe("OUTCOME_FAILED");
				expect(steps(action)).toMatch(/did not answer within 1.5 s/);
			}
			const recall = () => ({ id, name, image: "x" });
			responder = make({ recall });
			const begun = performance.now();
			const paused = await act({ kind: "pause", container: name, ttlSeconds: 60 });
			expect(performance.now() - begun).toBeLessThan(5000);
			expect(paused.outcome, steps(paused)).toBe("OUTCOME_VERIFIED");
			expect((await act({ kind: "pause", container: name, ttlSeconds: 60 })).outcome).toBe(
				"OUTCOME_UNCHANGED",
			);
		} finally {
			process.kill(daemon, "SIGCONT");
		}
		// The engine is back and takes it for running.
		expect(await inspect(id)).toMatchObject({ State: { Running: true, Paused: false } });
		const resumed = await act({ kind: "resume", container: name });
		expect(resumed.outcome, steps(resumed)).toBe("OUTCOME_VERIFIED");
		expect(steps(resumed)).toContain("thaw");
		await engine.docker("rm", "--force", id);
	});

	it("that is dead leaves containers that are frozen and thawed by their cgroup", async () => {
		const dying = await startEngine();
		let id = "";
		try {
			id = await dying.run("-d", dying.image, ...beating);
			const pid = await dying.pidOf(id);
			await expect.poll(() => beats(pid), { timeout: 10_000 }).toBe(true);
			process.kill(daemonOf(dying), "SIGKILL");
			const docker = createDocker({ socketPath: dying.socketPath, logger, clock: Date.now });
			responder = make({ runtimes: () => [docker] });
			await expect(docker.list()).rejects.toMatchObject({ code: "DOCKER_DOWN" });
			const paused = await act({ kind: "pause", container: id, ttlSeconds: 60 });
			expect(paused.outcome, steps(paused)).toBe("OUTCOME_VERIFIED");
			expect(await beats(pid)).toBe(false);
			expect((await act({ kind: "stop", container: id })).outcome).toBe("OUTCOME_FAILED");
			const resumed = await act({ kind: "resume", container: id });
			expect(resumed.outcome, steps(resumed)).toBe("OUTCOME_VERIFIED");
			expect(await beats(pid)).toBe(true);
		} finally {
			// The daemon did not live to end its container, which is in none of its namespaces.
			const cgroup = (await freezersOf("/", id, 0)).find(({ version }) => version === 2);
			if (cgroup !== undefined) writeFileSync(join(cgroup.directory, "cgroup.kill"), "1");
			await dying.stop();
			const left = async () => {
				dying.removeCgroup(`docker/${id}`);
				return (await freezersOf("/", id, 0)).length;
			};
			await expect.poll(left, { timeout: 10_000 }).toBe(0);
			dying.removeCgroup("docker");
		}
	});

	it("and comes back stops what was frozen behind its back", async () => {
		const name = `acted-${++names}`;
		const id = await engine.run("-d", "--name", name, engine.image, ...beating);
		const [freezer] = await freezersOf("/", id, await engine.pidOf(id));
		if (freezer === undefined) throw new Error("no freezer");
		const host = { root: "/", self: process.pid };
		expect(await setFrozen(host, freezer, true)).toBe(true);
		const stopped = await act({ kind: "stop", container: id });
		expect(stopped.outcome, steps(stopped)).toBe("OUTCOME_VERIFIED");
		expect(await isFrozen("/", freezer)).toBe(false);
		await engine.docker("rm", "--force", id);
	});
});
