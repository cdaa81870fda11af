// A `docker exec` put together from what three sides tell; and silence when they do not agree.
import { beforeEach, describe, expect, it } from "vitest";
import { type ContainerExecs, createContainerExecs } from "../../../agent/enrich/container-execs.ts";
import { createContainers } from "../../../agent/enrich/containers.ts";
import type { Process, StartedBy } from "../../../agent/model/process.ts";
import { fakeProcess } from "../report/samples.ts";

const id = "a1".repeat(32);
const execId = "e1".repeat(32);
const container = createContainers({ clock: () => 0 }).get(id, "docker");
const inside = { id: 5, path: `/docker/${id}`, container };
const shim = fakeProcess({ pid: 50, comm: "containerd-shim" });

let now: number;
let execs: ContainerExecs;
let running: Map<number, Process>;
let started: Map<Process, StartedBy | undefined>;

beforeEach(() => {
	now = 1_000_000;
	running = new Map();
	started = new Map();
	execs = createContainerExecs({
		clock: () => now,
		find: (pid) => running.get(pid),
		assign: (process, by) => started.set(process, by),
	});
});

const client = (pid: number, ...args: string[]) => fakeProcess({ pid, comm: "docker", args });
const told = (command: string, pid = 0, exec = execId) =>
	execs.told({ containerId: id, execId: exec, command, pid });
/** A process that runc has just put into the container. */
function entered(pid: number, ...args: string[]): Process {
	const process = fakeProcess({ pid, args, cgroup: inside, parent: shim });
	running.set(pid, process);
	execs.executed(process);
	return process;
}

describe("a process that the engine starts in a container", () => {
	it("is joined to its client at its first instruction", () => {
		const docker = client(10, "docker", "exec", "-it", "web", "sh", "-c", "id");
		execs.connected(docker);
		execs.connected(client(11, "docker", "ps"));
		told("sh -c id");
		const process = entered(20, "sh", "-c", "id");
		expect(started.get(process)).toEqual({ kind: "docker exec", execId, client: docker });
		// The pid that follows confirms it.
		told("sh -c id", 20);
		expect(started.size).toBe(1);
	});

	it("is joined by its pid when its arguments are not the command (a script)", () => {
		const docker = client(10, "docker", "exec", "web", "/start.sh");
		execs.connected(docker);
		told("/start.sh");
		const process = entered(20, "/bin/sh", "/start.sh");
		expect(started.size).toBe(0);
		told("/start.sh", 20);
		expect(started.get(process)).toMatchObject({ client: docker });
	});

	it("has no client when none was given this command: a health check while somebody lists containers", () => {
		execs.connected(client(11, "docker", "ps"));
		told("curl -f http://localhost/");
		const process = entered(20, "curl", "-f", "http://localhost/");
		expect(started.get(process)).toEqual({ kind: "docker exec", execId, client: undefined });
	});

	it("has no client when two were given the same command, or the only one long ago", () => {
		execs.connected(client(10, "docker", "exec", "web", "sh"));
		execs.connected(client(11, "docker", "exec", "web", "sh"));
		told("sh");
		expect(started.get(entered(20, "sh"))).toMatchObject({ client: undefined });
		now += 6000;
		told("sh", 0, "e2".repeat(32));
		expect(started.get(entered(21, "sh"))).toMatchObject({ client: undefined });
	});

	it("waits for its pid when two of the same command are under way", () => {
		told("sh");
		told("sh", 0, "e2".repeat(32));
		const process = entered(20, "sh");
		expect(started.size).toBe(0);
		told("sh", 20);
		expect(started.get(process)).toMatchObject({ execId });
	});

	it("is joined by its pid also when it has ended by then", () => {
		told("sh");
		told("sh", 0, "e2".repeat(32));
		const process = entered(20, "sh");
		running.delete(20);
		told("sh", 20);
		expect(started.get(process)).toMatchObject({ execId });
	});

	it("is corrected when the pid says that it was another", () => {
		told("sh");
		const first = entered(20, "sh");
		running.set(21, fakeProcess({ pid: 21, args: ["sh"], cgroup: inside, parent: shim }));
		told("sh", 21);
		expect(started.get(first)).toBeUndefined();
		expect(started.get(running.get(21) as Process)).toMatchObject({ execId });
	});

	it("keeps what its own pid has told, when another exec had been taken for it before", () => {
		told("sh");
		const second = entered(21, "sh");
		expect(started.get(second)).toMatchObject({ execId });
		const secondId = "e2".repeat(32);
		told("sh", 0, secondId);
		told("sh", 21, secondId);
		const first = entered(20, "sh");
		told("sh", 20);
		expect(started.get(second)).toMatchObject({ execId: secondId });
		expect(started.get(first)).toMatchObject({ execId });
	});
});

describe("nothing is said of", () => {
	it("what a process of the container starts itself", () => {
		told("sh");
		const init = fakeProcess({ pid: 30, cgroup: inside, parent: shim });
		execs.executed(fakeProcess({ pid: 31, args: ["sh"], cgroup: inside, parent: init }));
		expect(started.size).toBe(0);
	});

	it("another container, the host, or a pid that lies elsewhere", () => {
		const other = createContainers({ clock: () => 0 }).get("b2".repeat(32), "docker");
		told("sh");
		execs.executed(fakeProcess({ pid: 31, args: ["sh"], cgroup: { ...inside, container: other } }));
		execs.executed(fakeProcess({ pid: 32, args: ["sh"], cgroup: undefined }));
		running.set(32, fakeProcess({ pid: 32, args: ["sh"] }));
		told("sh", 32);
		expect(started.size).toBe(0);
	});

	it("an exec that never started, once its time is over; and a flood of them is bounded", () => {
		told("sh");
		now += 11_000;
		entered(20, "sh");
		expect(started.size).toBe(0);
		for (let i = 0; i < 1000; i++) told(`c${i}`, 0, i.toString(16).padStart(64, "0"));
		entered(21, "c0");
		expect(started.size).toBe(0);
		entered(22, "c999");
		expect(started.size).toBe(1);
	});
});
