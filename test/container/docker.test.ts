import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDocker, type DockerRuntime, type StateChange, type Watch } from "../../agent/docker.ts";
import { findMounts } from "../../agent/enrich/cgroup-path.ts";
import { createCgroups } from "../../agent/enrich/cgroups.ts";
import { createContainers } from "../../agent/enrich/containers.ts";
import type { ContainerFacts } from "../../agent/model/process.ts";
import { type Engine, startEngine } from "./engine.ts";

let engine: Engine;
let docker: DockerRuntime;

beforeAll(async () => {
	engine = await startEngine();
	docker = connect(engine.socketPath);
});
afterAll(async () => {
	await engine?.stop();
});

function connect(socketPath: string): DockerRuntime {
	return createDocker({
		socketPath,
		logger: pino({ level: "silent" }),
		clock: Date.now,
		backoff: { first: 50, last: 400 },
	});
}

/** A watch and all it has told. */
function follow(runtime: DockerRuntime) {
	const facts: ContainerFacts[] = [];
	const changes: StateChange[] = [];
	const watch: Watch = runtime.watch(
		(told) => facts.push(told),
		(change) => changes.push(change),
	);
	const states = (id: string) => changes.filter((change) => change.id === id).map((change) => change.state);
	return { facts, changes, states, watch };
}

const soon = { timeout: 15_000, interval: 25 };

describe("a real Docker engine", () => {
	it("tells name, image and labels of a container that lives for under a second", async () => {
		const followed = follow(docker);
		await expect.poll(() => followed.watch.connected(), soon).toBe(true);
		await engine.run("--rm", "--name", "brief", "--label", "tier=front", engine.image, "true");
		await expect.poll(() => followed.changes.map((change) => change.state), soon).toContain("removed");
		followed.watch.close();

		const first = followed.facts.find((told) => told.name === "brief");
		expect(first).toMatchObject({ runtime: "docker", image: engine.image });
		expect(first?.labels).toEqual({ ...engine.labels, tier: "front" });
		expect(Math.abs((first?.created ?? 0) - Date.now())).toBeLessThan(60_000);
		expect(followed.states(first?.id ?? "")).toEqual(["created", "running", "stopped", "removed"]);
	});

	it("lists what runs already, in full, and tells it to a watch that starts later", async () => {
		const source = join(tmpdir(), `picket-mount-${process.pid}`);
		mkdirSync(source);
		const id = await engine.run("-d", "--name", "early", "-v", `${source}:/data:ro`, engine.image);
		try {
			const expected = {
				id,
				name: "early",
				image: engine.image,
				labels: engine.labels,
				privileged: false,
				mounts: [{ source, destination: "/data", writable: false }],
			};
			const [listed, ...others] = await docker.list();
			expect(others).toEqual([]);
			expect(listed).toMatchObject(expected);
			expect(listed?.imageId).toMatch(/^sha256:[0-9a-f]{64}$/);
			expect(await docker.inspect("early")).toEqual(listed);

			const followed = follow(docker);
			await expect.poll(() => followed.facts, soon).toContainEqual(listed);
			expect(followed.states(id)).toEqual(["running"]);
			followed.watch.close();
		} finally {
			await engine.docker("rm", "--force", "early");
			rmSync(source, { recursive: true });
		}
	});

	it("tells that a container is privileged", async () => {
		const id = await engine.docker("create", "--privileged", engine.image);
		expect(await docker.inspect(id)).toMatchObject({ id, privileged: true, mounts: [] });
		await engine.docker("rm", id);
	});

	it("pauses and resumes a container and says how it stands", async () => {
		const id = await engine.run("-d", "--name", "pausable", engine.image);
		const followed = follow(docker);
		await expect.poll(() => followed.states(id), soon).toEqual(["running"]);
		const known = { id, name: "pausable", image: engine.image, running: true };

		await docker.pause("pausable");
		expect(await docker.state(id)).toMatchObject({ ...known, paused: true, labels: engine.labels });
		expect((await docker.list()).map((facts) => facts.id)).toContain(id);
		await expect(docker.pause(id)).rejects.toMatchObject({ code: "DOCKER_CONFLICT" });
		await docker.unpause(id);
		expect(await docker.state("pausable")).toMatchObject({ ...known, paused: false });
		await expect.poll(() => followed.states(id), soon).toEqual(["running", "paused", "running"]);

		await engine.docker("rm", "--force", id);
		expect(await docker.state(id)).toBeUndefined();
		expect(await docker.inspect(id)).toBeUndefined();
		await expect(docker.pause(id)).rejects.toMatchObject({ code: "DOCKER_NOT_FOUND" });
		expect(docker.status().available).toBe(true);
		followed.watch.close();
	});

	it("tells the new name after a rename and takes no attribute of the event for a label", async () => {
		const containers = createContainers({ clock: Date.now });
		const watch = docker.watch(
			(told) => containers.facts(told),
			() => undefined,
		);
		await expect.poll(() => watch.connected(), soon).toBe(true);
		const id = await engine.run("-d", "--name", "before", engine.image);
		await expect.poll(() => containers.find(id)?.privileged, soon).toBe(false);
		await engine.docker("rename", "before", "after");
		await expect.poll(() => containers.find(id)?.name, soon).toBe("after");
		expect(containers.findByName("after")?.id).toBe(id);
		expect(containers.find(id)?.labels).toEqual(engine.labels);
		watch.close();
		await engine.docker("rm", "--force", id);
	});

	it("runs containers in a cgroup whose id leads to the container", async () => {
		const containers = createContainers({ clock: Date.now });
		const late = createCgroups({ containers, clock: Date.now });
		const id = await engine.run("-d", engine.image);
		const pid = await engine.pidOf(id);
		const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
		expect(path).toBe(`/docker/${id}`);
		const cgroupId = statSync(`${findMounts(readFileSync("/proc/self/mountinfo", "utf8")).mount}${path}`).ino;

		// Asked through /proc, since it was made after the walk; then known at the start of the next.
		expect(late.lookup(cgroupId, pid)).toMatchObject({ path, container: { id, runtime: "docker" } });
		const seeded = createCgroups({ containers, clock: Date.now });
		expect(seeded.lookup(cgroupId, 0)?.container).toBe(containers.find(id));
		expect(seeded.ofProcess(pid)).toBe(seeded.lookup(cgroupId, pid));
		await engine.docker("rm", "--force", id);
	});

	it("finds a container under a cgroup parent of the user's choice once Docker has told of it", async () => {
		const containers = createContainers({ clock: Date.now });
		const parent = `${engine.namespace}-parent`;
		const id = await engine.run("-d", "--cgroup-parent", parent, engine.image);
		try {
			const pid = await engine.pidOf(id);
			const cgroup = createCgroups({ containers, clock: Date.now }).ofProcess(pid);
			expect(cgroup).toMatchObject({ path: `/${parent}/${id}`, container: undefined });
			for (const facts of await docker.list()) containers.facts(facts);
			expect(cgroup?.container).toBe(containers.find(id));
		} finally {
			await engine.docker("rm", "--force", id);
			engine.removeCgroup(parent);
		}
	});

	it("says so while the engine is down, and reconnects and lists when it is back", async () => {
		const kept = await engine.run("-d", "--name", "kept", "--restart", "always", engine.image);
		const gone = await engine.run("-d", "--name", "gone", engine.image);
		const followed = follow(docker);
		await expect.poll(() => followed.states(gone), soon).toEqual(["running"]);

		await engine.stopDaemon();
		await expect.poll(() => followed.watch.connected(), soon).toBe(false);
		await expect.poll(() => docker.status().available, soon).toBe(false);
		expect(docker.status().problem).toContain(engine.socketPath);
		expect(docker.status().remedy).not.toBe("");
		await expect(docker.list()).rejects.toMatchObject({ name: "DockerError" });

		const before = followed.facts.length;
		await engine.startDaemon();
		await expect.poll(() => followed.watch.connected(), soon).toBe(true);
		await expect.poll(() => followed.facts.slice(before).map((told) => told.id), soon).toContain(kept);
		await expect.poll(() => followed.states(kept).at(-1), soon).toBe("running");
		await expect.poll(() => followed.states(gone).at(-1), soon).toBe("stopped");
		expect(docker.status()).toEqual({ available: true, problem: "", remedy: "" });
		followed.watch.close();
		await engine.docker("rm", "--force", kept, gone);
	});
});
