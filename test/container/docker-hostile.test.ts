// The Docker client against a socket where anything may listen. Needs no engine: the server is the test's own.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSocketServer, type Server as SocketServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDocker, type StateChange } from "../../agent/docker.ts";
import type { ContainerExec, ContainerFacts } from "../../agent/model/process.ts";

const id = "c3".repeat(32);
const other = "d4".repeat(32);
const soon = { timeout: 10_000, interval: 10 };
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let directory: string;
let socketPath: string;
let close: (() => Promise<void>)[];
let log: { level: number; msg: string; what?: string }[];

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "picket-docker-"));
	socketPath = join(directory, "docker.sock");
	close = [];
	log = [];
});
afterEach(async () => {
	for (const end of close.reverse()) await end();
	rmSync(directory, { recursive: true });
});

function client(timeout = 5000) {
	const logger = pino({ level: "info" }, { write: (line: string) => void log.push(JSON.parse(line)) });
	return createDocker({ socketPath, logger, clock: Date.now, timeout, backoff: { first: 20, last: 80 } });
}

async function listen(server: Server | SocketServer): Promise<void> {
	await new Promise<void>((resolve) => server.listen(socketPath, resolve));
	const ended = () => new Promise<void>((resolve) => server.close(() => resolve()));
	close.push(() => {
		if ("closeAllConnections" in server) server.closeAllConnections();
		return ended();
	});
}

function serve(handler: Handler): Promise<void> {
	return listen(createServer(handler));
}

const json = (response: ServerResponse, value: unknown, status = 200) => {
	response.writeHead(status, { "content-type": "application/json" });
	response.end(typeof value === "string" ? value : JSON.stringify(value));
};

const good = {
	Id: id,
	Name: "/web",
	Image: "sha256:1",
	Created: "2026-01-02T03:04:05.678901234Z",
	Config: { Image: "nginx:1.27", Labels: { tier: "front" } },
	HostConfig: { Privileged: false },
	State: { Running: true, Paused: false },
	Mounts: [{ Source: "/srv", Destination: "/data", RW: false }],
};
const facts = {
	id,
	runtime: "docker",
	name: "web",
	image: "nginx:1.27",
	imageId: "sha256:1",
	labels: { tier: "front" },
	privileged: false,
	mounts: [{ source: "/srv", destination: "/data", writable: false }],
	created: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
};

/** An engine with containers, whose event stream the test writes. */
async function engine(containers: readonly unknown[] = []) {
	const state = {
		streams: [] as ServerResponse[],
		containers,
		inspected: [] as string[],
		described: good as unknown,
		/** What GET /exec/<id>/json answers, one after the other. */
		execs: [] as unknown[],
	};
	await serve((request, response) => {
		const url = request.url ?? "";
		if (url.startsWith("/events")) {
			response.writeHead(200).flushHeaders();
			state.streams.push(response);
			return;
		}
		if (url === "/containers/json") return json(response, state.containers);
		if (url.startsWith("/exec/") && state.execs.length > 0) return json(response, state.execs.shift());
		state.inspected.push(url);
		if (url === `/containers/${id}/json`) return json(response, state.described);
		json(response, { message: "No such container" }, 404);
	});
	return state;
}

function follow(docker: ReturnType<typeof client>) {
	const told: ContainerFacts[] = [];
	const changes: StateChange[] = [];
	const execs: ContainerExec[] = [];
	const watch = docker.watch(
		(one) => told.push(one),
		(change) => changes.push(change),
		(exec) => execs.push(exec),
	);
	close.push(async () => watch.close());
	return { told, changes, execs, watch };
}

function event(action: string, attributes: unknown, about = id): string {
	const actor = { ID: about, Attributes: attributes };
	return `${JSON.stringify({ Type: "container", Action: action, Actor: actor, timeNano: 1.7e18 })}\n`;
}

describe("a socket without a Docker engine behind it", () => {
	it.each([
		["nothing", "DOCKER_ABSENT", async () => undefined],
		[
			"a file",
			"DOCKER_DOWN",
			async () => {
				writeFileSync(socketPath, "");
			},
		],
		["HTML", "DOCKER_MALFORMED", () => serve((_, response) => json(response, "<html>"))],
		["an empty answer", "DOCKER_MALFORMED", () => serve((_, response) => json(response, ""))],
		["an object for a list", "DOCKER_MALFORMED", () => serve((_, response) => json(response, {}))],
		["a redirect", "DOCKER_MALFORMED", () => serve((_, response) => json(response, "[]", 302))],
		["an error", "DOCKER_FAILED", () => serve((_, response) => json(response, { message: "bad\nday" }, 500))],
		["a hang-up", "DOCKER_DOWN", () => serve((request) => request.socket.destroy())],
		[
			"a hang-up in the middle of the answer",
			"DOCKER_DOWN",
			() =>
				serve((request, response) => {
					response.writeHead(200, { "content-length": "100" });
					response.write("[", () => request.socket.destroy());
				}),
		],
		[
			"something that is not HTTP",
			"DOCKER_MALFORMED",
			() =>
				listen(
					createSocketServer((socket) =>
						socket
							.on("error", () => undefined)
							.resume()
							.end("SSH-2.0-hello\r\n"),
					),
				),
		],
	])("that gives %s is an error with code %s and a remedy", async (_, code, start) => {
		await start();
		const docker = client();
		await expect(docker.list()).rejects.toMatchObject({ name: "DockerError", code });
		expect(docker.status()).toMatchObject({ available: false });
		expect(docker.status().problem).toMatch(/^\P{Cc}+$/u);
		expect(docker.status().remedy).not.toBe("");
		await expect(docker.list()).rejects.toMatchObject({ code });
		expect(log).toHaveLength(1);
	});

	it("that is silent is given up after the timeout, before and within the answer", async () => {
		let within = false;
		await serve((_, response) => {
			if (within) response.write("[");
		});
		const docker = client(100);
		await expect(docker.list()).rejects.toMatchObject({ code: "DOCKER_SLOW" });
		within = true;
		await expect(docker.pause(id)).rejects.toMatchObject({ code: "DOCKER_SLOW" });
	});

	it("that answers without end is cut off", async () => {
		let sent = 0;
		await serve((_, response) => {
			const chunk = Buffer.alloc(1 << 20, " ");
			const more = () => {
				for (let free = true; free && !response.destroyed && sent < 1 << 30; sent += chunk.length) {
					free = response.write(chunk);
				}
			};
			response.on("drain", more);
			more();
		});
		await expect(client().inspect(id)).rejects.toMatchObject({ code: "DOCKER_MALFORMED" });
		expect(sent).toBeLessThan(64 << 20);
	});

	it("does not end a watch, which connects when an engine appears", async () => {
		const docker = client();
		const { told, watch } = follow(docker);
		await expect.poll(() => docker.status().problem, soon).toContain("no Docker socket");
		expect(watch.connected()).toBe(false);
		await engine([{ Id: id, Names: ["/web"], Image: "nginx:1.27", State: "running" }]);
		await expect.poll(() => told, soon).toContainEqual(facts);
		expect(watch.connected()).toBe(true);
	});
});

describe("a Docker answer", () => {
	it("is taken over field by field, a malformed field left out and named once", async () => {
		const state = await engine();
		const docker = client();
		expect(await docker.inspect(id)).toEqual(facts);
		state.described = {
			...good,
			Name: 7,
			Config: { Image: ["x"], Labels: { fine: "yes", wrong: { a: 1 }, __proto__: null } },
			HostConfig: { Privileged: "no" },
			Mounts: [null, { Source: "/srv" }, "x", { Type: "tmpfs", Destination: "/tmp" }],
			Created: "yesterday",
		};
		const odd = { id, runtime: "docker", imageId: "sha256:1", labels: { fine: "yes" }, mounts: [] };
		expect(await docker.inspect(id)).toEqual(odd);
		expect(await docker.inspect(id)).toEqual(odd);
		const named = log.map((line) => line.what).filter((what) => what !== undefined);
		expect(new Set(named).size).toBe(named.length);
		expect(named).toEqual(
			expect.arrayContaining(["Name", "Config.Image", "Labels", "HostConfig.Privileged"]),
		);
	});

	it.each([null, [], 7, {}, { Id: "../../x" }, { ...good, Id: 1 }])(
		"that describes no container is an error: %j",
		async (answer) => {
			const state = await engine();
			state.described = answer;
			const docker = client();
			await expect(docker.inspect(id)).rejects.toMatchObject({ code: "DOCKER_MALFORMED" });
			await expect(docker.state(id)).rejects.toMatchObject({ code: "DOCKER_MALFORMED" });
		},
	);

	it("with labels and texts beyond all measure is capped", async () => {
		const state = await engine();
		const labels = Object.fromEntries(Array.from({ length: 2000 }, (_, n) => [`l${n}`, "v".repeat(n)]));
		state.described = { ...good, Config: { Image: "x".repeat(100_000), Labels: labels } };
		const found = await client().inspect(id);
		expect(Object.keys(found?.labels ?? {})).toHaveLength(512);
		state.described = { ...good, Config: { Image: "i", Labels: { big: "v".repeat(100_000) } } };
		expect((await client().inspect(id))?.labels?.big).toHaveLength(4096);
		expect(found).not.toHaveProperty("image");
	});

	it("becomes latin1, a character a byte", async () => {
		const state = await engine();
		state.described = { ...good, Config: { Image: "i", Labels: { "gr\u00f6\u00dfe": "\u20ac" } } };
		expect((await client().inspect(id))?.labels).toEqual({
			"gr\u00c3\u00b6\u00c3\u009fe": "\u00e2\u0082\u00ac",
		});
	});

	it("is never asked for with a name that could change the request", async () => {
		const state = await engine();
		const docker = client();
		for (const name of [
			"../images",
			"a/b",
			"",
			"a?x=1",
			"a%2fb",
			"-x",
			"a b",
			"a\r\nb",
			`x${"y".repeat(300)}`,
		]) {
			expect(await docker.inspect(name)).toBeUndefined();
			expect(await docker.state(name)).toBeUndefined();
			await expect(docker.pause(name)).rejects.toMatchObject({ code: "DOCKER_NOT_FOUND" });
		}
		expect(state.inspected).toEqual([]);
	});
});

describe("an act", () => {
	/** Remembers each request and answers it with the next status. */
	async function acting(...statuses: number[]) {
		const requests: string[] = [];
		await serve((request, response) => {
			let body = "";
			request.on("data", (part) => {
				body += part;
			});
			request.on("end", () => {
				requests.push(`${request.method} ${request.url} ${body}`.trim());
				response.writeHead(statuses.shift() ?? 204).end();
			});
		});
		return requests;
	}
	const network = "e5".repeat(32);
	const attachment = { network: "front", networkId: network, address: "", configured: { Aliases: ["db"] } };

	it("asks for what was meant and nothing else", async () => {
		const requests = await acting();
		const docker = client();
		await docker.stop(id, 3);
		await docker.start(id);
		await docker.restart(id, 3);
		await docker.remove(id);
		await docker.disconnect(id, network);
		await docker.connect(id, attachment);
		expect(requests).toEqual([
			`POST /containers/${id}/stop?t=3`,
			`POST /containers/${id}/start`,
			`POST /containers/${id}/restart?t=3`,
			`DELETE /containers/${id}?force=true&v=false`,
			`POST /networks/${network}/disconnect {"Container":"${id}"}`,
			`POST /networks/${network}/connect {"Container":"${id}","EndpointConfig":{"Aliases":["db"]}}`,
		]);
	});

	it("takes for done what was so already, and an empty answer, but no redirect", async () => {
		await acting(304, 200, 302);
		const docker = client();
		await docker.stop(id, 3);
		await docker.connect(id, attachment);
		await expect(docker.start(id)).rejects.toMatchObject({ code: "DOCKER_MALFORMED" });
	});

	it("is never asked for with a network that could change the request", async () => {
		const requests = await acting();
		for (const networkId of ["../containers", "front", "", `${network}/x`]) {
			await expect(client().disconnect(id, networkId)).rejects.toMatchObject({ code: "DOCKER_NOT_FOUND" });
		}
		expect(requests).toEqual([]);
	});

	it("knows of a container's networks what a user can choose, and leaves out what makes no sense", async () => {
		const state = await engine();
		const chosen = {
			IPAMConfig: { IPv4Address: "10.0.0.9" },
			Aliases: [id.slice(0, 12), "db"],
			MacAddress: "02:00:00:00:00:01",
		};
		state.described = {
			...good,
			State: { Running: true, Paused: false, Pid: -4, StartedAt: 7 },
			HostConfig: { NetworkMode: "front" },
			NetworkSettings: {
				Networks: {
					back: { NetworkID: network, IPAMConfig: null, Links: null, DriverOpts: {}, IPAddress: "10.1.0.2" },
					front: { NetworkID: other, ...chosen, EndpointID: "x", IPAddress: 7 },
					huge: { NetworkID: id, Aliases: ["a".repeat(100_000)] },
					odd: { NetworkID: "../../x" },
					"../x": { NetworkID: id },
					never: { NetworkID: "" },
					none: null,
				},
			},
		};
		const found = await client().state(id);
		expect(found).toMatchObject({ pid: 0, networkMode: "front", startedAt: "" });
		expect(found?.networks).toEqual([
			{ network: "front", networkId: other, address: "", configured: { ...chosen, Aliases: ["db"] } },
			{ network: "back", networkId: network, address: "10.1.0.2", configured: { DriverOpts: {} } },
		]);
	});
});

describe("the event stream", () => {
	it("gives facts at once, although the container is gone before it could be inspected", async () => {
		const state = await engine();
		const { told, changes } = follow(client());
		await expect.poll(() => state.streams.length, soon).toBe(1);
		state.streams[0]?.write(event("start", { image: "job:1", name: "job", tier: "batch" }, other));
		await expect.poll(() => changes, soon).toEqual([{ id: other, state: "running", time: 1.7e12 }]);
		expect(told).toEqual([
			{ id: other, runtime: "docker", name: "job", image: "job:1", labels: { tier: "batch" } },
		]);
		await expect.poll(() => state.inspected, soon).toEqual([`/containers/${other}/json`]);
	});

	it("survives lines that are broken, foreign, too long or cut into pieces", async () => {
		const state = await engine();
		const docker = client();
		const { told, changes, watch } = follow(docker);
		await expect.poll(() => state.streams.length, soon).toBe(1);
		const stream = state.streams[0];
		const broken = [
			"{",
			"null",
			"[]",
			"7",
			'{"Type":"container"}',
			'{"Type":"network","Action":"create"}',
			"",
			"\u0000",
		];
		stream?.write(`${broken.join("\n")}\n`);
		stream?.write(event("exec_start: sh", { name: "x" }));
		stream?.write(event("start", null, "short"));
		stream?.write(event("start", "text", other));
		stream?.write(`${"[".repeat(100_000)}\n`);
		stream?.write(`{"Type":"${"x".repeat(3 << 20)}"}\n`);
		const line = event("create", { image: "nginx:1.27", name: "web", exitCode: "3" });
		stream?.write(line.slice(0, 20));
		await expect.poll(() => changes.map((change) => change.id), soon).toEqual([other]);
		stream?.write(line.slice(20));
		await expect.poll(() => told, soon).toContainEqual(facts);
		expect(told[0]).toMatchObject({ name: "web", labels: { exitCode: "3" }, created: 1.7e12 });
		expect(watch.connected()).toBe(true);
		expect(log.filter((entry) => entry.what === "event that is not JSON")).toHaveLength(1);
		expect(log.filter((entry) => entry.what === "event line above 1 MiB")).toHaveLength(1);
	});

	it("tells an exec as it is announced, and its pid once it has one", async () => {
		const state = await engine();
		state.execs = [{ Pid: 0 }, { Pid: -1 }, { Pid: "7" }, { ID: other, Pid: 4711 }];
		const { told, execs } = follow(client());
		await expect.poll(() => state.streams.length, soon).toBe(1);
		state.streams[0]?.write(event("exec_create: sh -c ü", { execID: other, name: "x" }));
		state.streams[0]?.write(event("exec_start: sh -c ü ", { execID: other, name: "x" }));
		const announced = { containerId: id, execId: other, command: "sh -c \xc3\xbc", pid: 0 };
		await expect.poll(() => execs, soon).toEqual([announced, { ...announced, pid: 4711 }]);
		expect(told).toEqual([]);
	});

	it("takes no exec that is none, and asks for few at a time in a flood of them", async () => {
		const state = await engine();
		const { execs, watch } = follow(client());
		await expect.poll(() => state.streams.length, soon).toBe(1);
		const stream = state.streams[0];
		for (const execID of [undefined, 7, "../images", "short"])
			stream?.write(event("exec_start: sh", { execID }));
		stream?.write(event("exec_start: sh", null));
		stream?.write(event("exec_start: sh", { execID: other }, "short"));
		for (let i = 0; i < 200; i++) {
			stream?.write(event(`exec_start: ${"x".repeat(5000)}`, { execID: i.toString(16).padStart(64, "0") }));
		}
		await expect.poll(() => execs.length, soon).toBe(200);
		expect(execs[0]?.command.length).toBe(4096);
		await expect.poll(() => state.inspected.length, soon).toBeGreaterThanOrEqual(16);
		expect(new Set(state.inspected).size).toBe(16);
		expect(watch.connected()).toBe(true);
	});

	it("goes on when a listener throws", async () => {
		const state = await engine();
		let calls = 0;
		const fail = () => {
			calls++;
			throw new Error("listener");
		};
		const watch = client().watch(fail, fail);
		close.push(async () => watch.close());
		await expect.poll(() => state.streams.length, soon).toBe(1);
		state.streams[0]?.write(event("create", { image: "i", name: "n" }, other));
		state.streams[0]?.write(event("destroy", { image: "i", name: "n" }, other));
		await expect.poll(() => calls, soon).toBe(3);
		expect(watch.connected()).toBe(true);
	});

	it("is opened again when it ends, and what vanished meanwhile is told", async () => {
		const state = await engine([
			{ Id: id, Names: ["/web"], State: "paused" },
			{ Id: other, Names: ["/job"], State: "running" },
		]);
		const { changes, watch } = follow(client());
		const states = () => changes.map((change) => `${change.id.slice(0, 2)} ${change.state}`);
		await expect.poll(states, soon).toEqual(["c3 paused", "d4 running"]);
		state.containers = [];
		state.streams[0]?.end();
		// One is still there to inspect, the other answers 404.
		await expect.poll(states, soon).toEqual(["c3 paused", "d4 running", "c3 stopped", "d4 removed"]);
		expect(state.streams).toHaveLength(2);
		expect(watch.connected()).toBe(true);
	});

	it("waits longer after every failure, up to the limit", async () => {
		const times: number[] = [];
		await serve((_, response) => {
			times.push(performance.now());
			json(response, { message: "no" }, 503);
		});
		follow(client());
		await expect.poll(() => times.length, soon).toBeGreaterThan(5);
		const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
		// 20, 40, 80, 80, … ms; a timer may fire late but not early.
		[18, 38, 78, 78].forEach((least, index) => void expect(gaps[index]).toBeGreaterThan(least));
		expect(log).toHaveLength(1);
	});

	it("is closed by close, and nothing is told or asked after", async () => {
		const state = await engine();
		const { told, changes, watch } = follow(client());
		await expect.poll(() => watch.connected() && state.streams.length === 1, soon).toBe(true);
		const ended = new Promise((resolve) => state.streams[0]?.once("close", resolve));
		watch.close();
		await ended;
		await expect.poll(() => watch.connected(), soon).toBe(false);
		expect([told, changes, state.streams.length]).toEqual([[], [], 1]);
	});

	it("uses the socket it was given whatever DOCKER_HOST says", async () => {
		const before = process.env.DOCKER_HOST;
		process.env.DOCKER_HOST = "tcp://127.0.0.1:1";
		try {
			await engine();
			expect(await client().inspect(id)).toEqual(facts);
		} finally {
			if (before === undefined) delete process.env.DOCKER_HOST;
			else process.env.DOCKER_HOST = before;
		}
	});
});

describe("Podman's service, which speaks the same,", () => {
	it("has containers of its own", async () => {
		await engine();
		const logger = pino({ level: "silent" });
		const podman = createDocker({ socketPath, runtime: "podman", logger, clock: Date.now });
		expect(await podman.inspect(id)).toMatchObject({ id, runtime: "podman", name: "web" });
	});
});
