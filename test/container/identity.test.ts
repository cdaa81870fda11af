// Who a process in a container is: its container from the first event on, and who asked for it by `docker exec`.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { addon } from "../../agent/capture/addon.ts";
import { LiveCapture, noLimits } from "../../agent/capture/live.ts";
import { createDocker } from "../../agent/docker.ts";
import { createEnrichment, type Enrichment } from "../../agent/enrichment.ts";
import { EventKind } from "../../agent/model/event.ts";
import { everything, noInterest, ownNeeds, sumOfInterests } from "../../agent/model/interest.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import type { Process } from "../../agent/model/process.ts";
import { Pipeline } from "../../agent/pipeline.ts";
import { SensorProcess } from "../sensor/process.ts";
import { type Engine, startEngine } from "./engine.ts";

let engine: Engine;
let enrichment: Enrichment;
let close: (() => void)[] = [];
/** What executed, and what was known of it at that moment. */
let executed: { process: Process; startedBy: Process["startedBy"]; container: string | undefined }[];
const soon = { timeout: 10_000, interval: 10 };

/** Capture, enrichment and engine put together as a sensor has them, seen from inside. */
async function watch(): Promise<void> {
	executed = [];
	const logger = pino({ level: "silent" });
	const capture = new LiveCapture({
		ringBytes: 4 << 20,
		drainMs: 10,
		scope: { pids: [], cgroups: [], paths: [] },
		simulateLoss: 0,
		off: [],
		limits: noLimits,
		mayAsk: everything.kinds,
		cgroupRoot: undefined,
		logger,
	});
	enrichment = createEnrichment({
		processes: 65_536,
		containers: 1024,
		clock: Date.now,
		onFact: () => undefined,
		engineSocket: engine.socketPath,
		live: true,
	});
	const { realMs, bootMs } = addon().clocks();
	const pipeline = new Pipeline({
		tree: enrichment.tree,
		cgroups: enrichment.cgroups,
		peerNames: { heard: () => undefined },
		detectors: [
			{
				evaluate({ event, process }) {
					if (event.kind !== EventKind.exec || !process) return;
					const container = process.cgroup?.container?.name;
					executed.push({ process, startedBy: process.startedBy, container });
				},
			},
		],
		responses: () => [],
		responder: undefined,
		emit: () => undefined,
		folder: { push: () => undefined, repeat: () => false },
		wire: { bootTimeMs: () => realMs - bootMs, userName: () => undefined, bootId: "00000000-test" },
		eventKinds: new Set(),
		activity: () => undefined,
		eventsLost: () => 0,
		tap: undefined,
		logger,
	});
	pipeline.memory(capture.memory);
	const unixConnects = {
		...noInterest,
		kinds: new Set(["connect"] as const),
		connects: { ip: "none", unix: true } as const,
	};
	capture.start(sumOfInterests([ownNeeds, unixConnects]), (offset, bytes) => pipeline.record(offset, bytes));
	enrichment.seed();
	const docker = createDocker({ socketPath: engine.socketPath, logger, clock: Date.now });
	const watch = docker.watch(enrichment.containerFacts, () => undefined, enrichment.containerExec);
	close = [
		() => watch.close(),
		() => {
			capture.stop();
			capture.close();
		},
	];
	await vi.waitUntil(() => watch.connected(), soon);
}

beforeAll(async () => {
	engine = await startEngine();
	await watch();
});
afterAll(async () => {
	for (const each of close) each();
	await engine?.stop();
});

/** A docker client of its own, to know its pid. */
function docker(...args: string[]): { pid: number; ended: Promise<number | null> } {
	const child = spawn("docker", args, {
		env: { PATH: process.env.PATH, DOCKER_HOST: `unix://${engine.socketPath}` },
		stdio: "ignore",
	});
	return { pid: child.pid ?? 0, ended: new Promise((resolve) => child.on("close", resolve)) };
}

describe("docker exec", () => {
	it("is joined to the client that asked for it, at the first event of the process", async () => {
		const name = `joined-${randomBytes(3).toString("hex")}`;
		await engine.run("-d", "--name", name, engine.image);
		const { pid, ended } = docker("exec", name, "sh", "-c", "/bin/busybox id -u; true");
		expect(await ended).toBe(0);
		const isShell = ({ process }: (typeof executed)[number]) =>
			process.args.join(" ") === "sh -c /bin/busybox id -u; true";
		await expect.poll(() => executed.some(isShell), soon).toBe(true);
		const shell = executed.find(isShell);
		expect(shell?.container).toBe(name);
		expect(shell?.startedBy).toMatchObject({ kind: "docker exec", client: { pid, comm: "docker" } });
		expect(shell?.startedBy?.execId).toMatch(/^[0-9a-f]{64}$/);
		expect(shell?.process.origin?.pid).toBe(pid);
		// The client's own ancestry goes on from there: this test started it.
		expect(shell?.process.origin?.origin?.pid).toBe(process.pid);
		const isId = ({ process }: (typeof executed)[number]) => process.args.join(" ") === "/bin/busybox id -u";
		await expect.poll(() => executed.some(isId), soon).toBe(true);
		const id = executed.find(isId);
		expect(id?.startedBy).toBeUndefined();
		expect(id?.process.origin?.origin?.pid).toBe(pid);
		await engine.docker("rm", "--force", name);
	});

	it("names the right client or none when two ask for the same at the same time", async () => {
		const name = `twice-${randomBytes(3).toString("hex")}`;
		const id = await engine.run("-d", "--name", name, engine.image);
		const before = executed.length;
		const clients = [0, 1].map((number) => docker("exec", "-e", `NUMBER=${number}`, name, "sleep", "3"));
		const both = () =>
			executed
				.slice(before)
				.map(({ process }) => process)
				.filter(({ args, cgroup }) => args.join(" ") === "sleep 3" && cgroup?.container?.id === id);
		await expect.poll(() => both().length, soon).toBe(2);
		const numbers = both().map(({ pid }) => {
			return Number(/NUMBER=(\d)/.exec(readFileSync(`/proc/${pid}/environ`, "latin1"))?.[1]);
		});
		for (const { ended } of clients) expect(await ended).toBe(0);
		await expect.poll(() => both().every(({ startedBy }) => startedBy), soon).toBe(true);
		expect(new Set(both().map(({ startedBy }) => startedBy?.execId)).size).toBe(2);
		for (const [index, { startedBy }] of both().entries()) {
			const own = clients[numbers[index] as number]?.pid;
			expect([undefined, own]).toContain(startedBy?.client?.pid);
		}
		await engine.docker("rm", "--force", name);
	});
});

describe("a container of 50 ms", () => {
	it("has its name and image in its first event, or within a second of it", async () => {
		const sensor = new SensorProcess({
			config: `docker: {socket: ${engine.socketPath}}\n`,
			args: ["--events", "exec"],
		});
		try {
			await sensor.ready();
			for (let round = 0; round < 5; round++) {
				const name = `short-${randomBytes(4).toString("hex")}`;
				await engine.docker("run", "--rm", "--network=none", "--name", name, engine.image, "sleep", "0.05");
				await sensor.record(`the name of ${name}`, ({ event }) => event?.container?.name === name);
				const named = sensor.records.find(({ event }) => event?.container?.name === name);
				const id = named?.event?.container?.id;
				const first = sensor.records.find(({ event }) => event?.container?.id === id);
				expect(named?.event?.container?.image).toBe(engine.image);
				const delay = Date.parse(named?.time ?? "") - Date.parse(first?.time ?? "");
				expect(delay).toBeLessThan(1000);
			}
		} finally {
			await sensor.dispose();
		}
	});
});

describe("a container known by its id alone", () => {
	it("is told in an event of its own as soon as the engine can be asked", async () => {
		const folder = mkdtempSync(join(tmpdir(), "picket-late-"));
		const socket = join(folder, "docker.sock");
		const sensor = new SensorProcess({ config: `docker: {socket: ${socket}}\n`, args: ["--events", "exec"] });
		const name = `late-${randomBytes(4).toString("hex")}`;
		try {
			await sensor.ready();
			const loop = "while :; do /bin/busybox true; sleep 0.1; done";
			const id = await engine.run("-d", "--name", name, engine.image, "sh", "-c", loop);
			const { event } = await sensor.record(
				"an event by its id",
				(record) => record.event?.container?.id === id,
			);
			expect(event?.container).toEqual({ id, runtime: "docker" });
			symlinkSync(engine.socketPath, socket);
			const isPatch = (record: wire.OutputRecord) =>
				record.event?.container?.id === id && record.event.process === undefined;
			const patch = await sensor.record("its name", isPatch);
			expect(patch.event).toEqual({
				container: expect.objectContaining({ id, name, image: engine.image, runtime: "docker" }),
			});
			const later = sensor.records.length;
			await sensor.until("more events", () => sensor.records.length > later + 5);
			expect(sensor.records.filter(isPatch).length).toBe(1);
			expect(sensor.records.at(-1)?.event?.container?.name).toBe(name);
		} finally {
			await engine.docker("rm", "--force", name).catch(() => undefined);
			await sensor.dispose();
			rmSync(folder, { recursive: true });
		}
	});
});
