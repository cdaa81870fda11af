import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import type { Attachment, ContainerRuntime } from "../../../agent/respond/containers.ts";
import { freezersOf, isCgroupOf, setFrozen } from "../../../agent/respond/freezer.ts";
import { byHand, fakeRuntime, makeResponder, makeRoot, web } from "./host.ts";

const steps = (action: wire.Action) => (action.steps ?? []).join("\n");
const pause = (container: string) => ({ kind: "pause", container, ttlSeconds: 60 }) as const;

/** What docker.ts rejects with. */
function failure(code: string, message: string): Error {
	return Object.assign(new Error(message), { code });
}

/** An engine of which every call ends like this. */
function broken(how: () => Promise<never>, name = "podman"): ContainerRuntime {
	const { runtime } = fakeRuntime();
	return { ...runtime, name, state: how, pause: how, stop: how };
}
const silent = () => broken(() => new Promise(() => {}));
const dead = () => broken(() => Promise.reject(failure("DOCKER_DOWN", "it does not listen")));
const absent = () => broken(() => Promise.reject(failure("DOCKER_ABSENT", "there is no socket")));
const garbage = () => broken(() => Promise.reject(failure("DOCKER_MALFORMED", "it does not speak HTTP")));

const freezerMounts = [
	"30 24 0:26 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw",
	"31 24 0:27 / /sys/fs/cgroup/freezer rw shared:5 - cgroup cgroup rw,freezer",
	"32 24 0:28 / /sys/fs/cgroup/pids rw shared:6 - cgroup cgroup rw,pids",
].join("\n");

/** A host with version 1's freezer only, whose one file is its own proof. */
function frozenHost(files: Record<string, string> = {}) {
	return makeRoot({
		"proc/self/mountinfo": freezerMounts.split("\n").slice(1).join("\n"),
		[`sys/fs/cgroup/freezer/docker/${web.id}/freezer.state`]: "THAWED\n",
		[`sys/fs/cgroup/freezer/docker/${web.id}/cgroup.procs`]: "4711\n",
		...files,
	});
}

describe("of several runtimes", () => {
	it("the one that knows the container is asked to act, however the others fare", async () => {
		for (const other of [silent(), dead(), absent(), garbage(), fakeRuntime().runtime]) {
			const docker = fakeRuntime(web);
			const { responder } = makeResponder({ runtimes: () => [other, docker.runtime] });
			const action = await responder.order(pause(web.id), byHand);
			expect(action.outcome, steps(action)).toBe("OUTCOME_VERIFIED");
			expect(docker.calls).toEqual([`pause ${web.id}`]);
			await responder.close();
		}
	});

	it("two that have a container of the name are asked for neither", async () => {
		const [docker, podman] = [fakeRuntime(web), fakeRuntime({ ...web, id: "cd".repeat(32) })];
		const runtimes = () => [docker.runtime, { ...podman.runtime, name: "podman" }];
		const { responder } = makeResponder({ runtimes });
		const action = await responder.order(pause("web-1"), byHand);
		expect(action.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(action)).toContain("docker and podman both have a container web-1");
		expect([...docker.calls, ...podman.calls]).toEqual([]);
	});

	it("one that is not installed does not keep the other's no from being a no", async () => {
		const { responder } = makeResponder({ runtimes: () => [fakeRuntime().runtime, absent()] });
		const action = await responder.order(pause("web-1"), byHand);
		expect(action.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(action)).toContain("there is no container web-1");
	});

	it.each([
		["dead", dead, "it does not listen"],
		["silent", silent, "did not answer within 1.5 s"],
		["talking nonsense", garbage, "does not speak HTTP"],
		["not installed, the only one", absent, "there is no socket"],
	])("one that is %s is a failure, and not the container's absence", async (_, make, reason) => {
		const { responder } = makeResponder({ runtimes: () => [make()] });
		const action = await responder.order(pause("web-1"), byHand);
		expect(action.outcome).toBe("OUTCOME_FAILED");
		expect(steps(action)).toContain(reason);
	});

	it("none is refused with what to do", async () => {
		const { responder } = makeResponder({ runtimes: () => [] });
		const action = await responder.order(pause("web-1"), byHand);
		expect(action.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(action)).toContain("no container engine is connected");
	});
});

describe("without an engine's answer", () => {
	it("a container is frozen by its cgroup, remembered with it and thawed by a later process", async () => {
		const root = frozenHost();
		const state = join(root, `sys/fs/cgroup/freezer/docker/${web.id}/freezer.state`);
		const recall = () => web;
		const first = makeResponder({ root, runtimes: () => [dead()], recall });
		const action = await first.responder.order(pause("web-1"), byHand);
		expect(action.outcome, steps(action)).toBe("OUTCOME_VERIFIED");
		expect(readFileSync(state, "utf8").trim()).toBe("FROZEN");
		const [entry] = first.responder.active();
		expect(JSON.parse(entry?.detail ?? "")).toMatchObject({
			directory: `/sys/fs/cgroup/freezer/docker/${web.id}`,
		});
		expect(entry?.expires).toBeGreaterThan(Date.now() + 50_000);
		await first.responder.close();
		const docker = fakeRuntime(web);
		const second = makeResponder({ ...first.deps, runtimes: () => [docker.runtime] });
		const resumed = await second.responder.order({ kind: "resume", container: "web-1" }, byHand);
		expect(resumed.outcome, steps(resumed)).toBe("OUTCOME_VERIFIED");
		expect(readFileSync(state, "utf8").trim()).toBe("THAWED");
		expect(docker.calls).toEqual([]);
		expect(second.responder.active()).toEqual([]);
	});

	it("an engine that takes the pause and falls silent is helped out", async () => {
		const root = frozenHost();
		const docker = fakeRuntime(web);
		const runtime = { ...docker.runtime, pause: () => Promise.reject(failure("DOCKER_SLOW", "no answer")) };
		const { responder } = makeResponder({ root, runtimes: () => [runtime] });
		const action = await responder.order(pause("web-1"), byHand);
		expect(action.outcome, steps(action)).toBe("OUTCOME_VERIFIED");
		expect(steps(action)).toContain("freeze /sys/fs/cgroup/freezer");
	});

	it("what the engine itself paused is not thawed behind its back", async () => {
		const docker = fakeRuntime(web);
		const first = makeResponder({ root: makeRoot(), runtimes: () => [docker.runtime] });
		await first.responder.order(pause("web-1"), byHand);
		const [entry] = first.responder.active();
		expect(entry?.detail).toBeUndefined();
		const frozen = frozenHost({ [`sys/fs/cgroup/freezer/docker/${web.id}/freezer.state`]: "FROZEN\n" });
		const second = makeResponder({ root: frozen, stateDir: first.stateDir, runtimes: () => [dead()] });
		const resumed = await second.responder.order({ kind: "resume", container: web.id }, byHand);
		expect(resumed.outcome).toBe("OUTCOME_FAILED");
		expect(steps(resumed)).toContain("start the engine");
	});

	it("a cgroup with the sensor in it is never frozen", async () => {
		const below = `sys/fs/cgroup/freezer/docker/${web.id}/inner/cgroup.procs`;
		const root = frozenHost({ [below]: `${process.pid}\n` });
		const { responder } = makeResponder({ root, runtimes: () => [dead()] });
		const action = await responder.order(pause(web.id), byHand);
		expect(action.outcome).toBe("OUTCOME_REFUSED");
		expect(readFileSync(join(root, below, "../../freezer.state"), "utf8")).toBe("THAWED\n");
	});

	it("a freezer that does not come to rest is let go again, and that is no success", async () => {
		// Plain files: nobody ever writes "frozen 1".
		const directory = `sys/fs/cgroup/unified/docker/${web.id}`;
		const root = makeRoot({
			"proc/self/mountinfo": freezerMounts,
			[`${directory}/cgroup.freeze`]: "0",
			[`${directory}/cgroup.events`]: "populated 1\nfrozen 0\n",
		});
		const { responder } = makeResponder({ root, runtimes: () => [dead()] });
		const action = await responder.order(pause(web.id), byHand);
		expect(action.outcome, steps(action)).toBe("OUTCOME_NO_EFFECT");
		expect(readFileSync(join(root, directory, "cgroup.freeze"), "utf8")).toBe("0");
		expect(responder.active()).toEqual([]);
	});
});

describe("the cgroup of a container", () => {
	it.each([
		[web.id, true],
		[`docker-${web.id}.scope`, true],
		[`libpod-${web.id}.scope`, true],
		[`cri-containerd-${web.id}.scope`, true],
		[`system.slice:cri-containerd:${web.id}`, true],
		[`libpod-conmon-${web.id}.scope`, false],
		[`my-${web.id}`, false],
		["docker", false],
		[web.id.slice(1), false],
	])("%s: %s", (name, is) => {
		expect(isCgroupOf(name, web.id)).toBe(is);
	});

	it("is found by its pid, and by its name where the pid leads elsewhere", async () => {
		const root = makeRoot({
			"proc/self/mountinfo": freezerMounts,
			"proc/50/cgroup": `4:freezer:/kube/${web.id}\n0::/kube/${web.id}/init.scope\n`,
			"proc/51/cgroup": "4:freezer:/\n0::/../../elsewhere\n",
			[`sys/fs/cgroup/unified/deep/er/docker-${web.id}.scope/cgroup.events`]: "frozen 1\n",
			[`sys/fs/cgroup/freezer/deep/libpod-conmon-${web.id}.scope/freezer.state`]: "THAWED\n",
		});
		expect(await freezersOf(root, web.id, 50)).toEqual([
			{ version: 2, directory: `/sys/fs/cgroup/unified/kube/${web.id}` },
			{ version: 1, directory: `/sys/fs/cgroup/freezer/kube/${web.id}` },
		]);
		for (const pid of [0, 51]) {
			expect(await freezersOf(root, web.id, pid)).toEqual([
				{ version: 2, directory: `/sys/fs/cgroup/unified/deep/er/docker-${web.id}.scope` },
			]);
		}
		expect(await freezersOf(root, "../..", 0)).toEqual([]);
	});

	it("that is gone is thawed, and cannot be frozen", async () => {
		const host = { root: makeRoot(), self: 1 };
		const freezer = { version: 2, directory: "/sys/fs/cgroup/gone" } as const;
		expect(await setFrozen(host, freezer, false)).toBe(true);
		await expect(setFrozen(host, freezer, true)).rejects.toMatchObject({ code: "PICKET_RUNTIME_FAILED" });
	});
});

describe("a time to live", () => {
	it("is not renewed while most of it is left, is when it is not, and never given to another's pause", async () => {
		let now = Date.now();
		const docker = fakeRuntime(web);
		const { responder } = makeResponder({ runtimes: () => [docker.runtime], clock: () => now });
		const first = await responder.order(pause("web-1"), byHand);
		now += 3000;
		const second = await responder.order(pause("web-1"), byHand);
		expect(second).toMatchObject({ outcome: "OUTCOME_UNCHANGED", expires: first.expires });
		now += 30_000;
		const third = await responder.order(pause("web-1"), byHand);
		expect(third.outcome, steps(third)).toBe("OUTCOME_VERIFIED");
		expect(Date.parse(third.expires ?? "")).toBe(now + 60_000);
		expect(docker.calls).toHaveLength(1);
		await responder.order({ kind: "resume", container: "web-1" }, byHand);
		await docker.runtime.pause(web.id);
		const foreign = await responder.order(pause("web-1"), byHand);
		expect(foreign.outcome).toBe("OUTCOME_UNCHANGED");
		expect(foreign.expires).toBeUndefined();
		expect(responder.active()).toEqual([]);
	});
});

describe("disconnect", () => {
	const front: Attachment = { network: "front", networkId: "a".repeat(64), address: "", configured: {} };
	const back: Attachment = {
		network: "back",
		networkId: "b".repeat(64),
		address: "",
		configured: { Aliases: ["db"] },
	};

	it("half done is a failure that reconnect can still mend", async () => {
		const docker = fakeRuntime({ ...web, networks: [front, back] });
		const real = docker.runtime.disconnect;
		docker.runtime.disconnect = (id, networkId) =>
			networkId === back.networkId ? Promise.reject(failure("DOCKER_FAILED", "busy")) : real(id, networkId);
		const { responder } = makeResponder({ runtimes: () => [docker.runtime] });
		const action = await responder.order({ kind: "disconnect", container: "web-1" }, byHand);
		expect(action.outcome, steps(action)).toBe("OUTCOME_FAILED");
		const mended = await responder.order({ kind: "reconnect", container: "web-1" }, byHand);
		expect(mended.outcome, steps(mended)).toBe("OUTCOME_VERIFIED");
		expect(docker.containers.get(web.id)?.networks).toEqual([back, front]);
		expect(responder.active()).toEqual([]);
	});

	it("from a network that is gone afterwards says so and is done with", async () => {
		const docker = fakeRuntime({ ...web, networks: [front, back] });
		const { responder } = makeResponder({ runtimes: () => [docker.runtime] });
		await responder.order({ kind: "disconnect", container: "web-1" }, byHand);
		const real = docker.runtime.connect;
		docker.runtime.connect = (id, one) =>
			one.network === "front" ? Promise.reject(failure("DOCKER_NOT_FOUND", "no network")) : real(id, one);
		const action = await responder.order({ kind: "reconnect", container: "web-1" }, byHand);
		expect(action.outcome).toBe("OUTCOME_NO_EFFECT");
		expect(steps(action)).toContain("it is in 1 of 2 networks again");
		expect(responder.active()).toEqual([]);
	});

	it.each(["pause", "disconnect"] as const)(
		"and what a removed container had in force (%s) ends with it",
		async (kind) => {
			const docker = fakeRuntime({ ...web, networks: [front] });
			const { responder } = makeResponder({ runtimes: () => [docker.runtime] });
			await responder.order({ kind, container: "web-1" }, byHand);
			expect(responder.active()).toHaveLength(1);
			docker.containers.clear();
			const back = await responder.order(
				{ kind: kind === "pause" ? "resume" : "reconnect", container: web.id },
				byHand,
			);
			expect(back.outcome, steps(back)).toBe("OUTCOME_UNCHANGED");
			expect(responder.active()).toEqual([]);
		},
	);
});
