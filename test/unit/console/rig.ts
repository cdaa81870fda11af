// A sensor's console sink and a console around one real socket, for the tests of the stream.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect as netConnect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { type ConsoleOptions, type RunningConsole, startConsole } from "../../../agent/console/console.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import type { Sink } from "../../../agent/report/sinks.ts";
import { type ConsoleSinkOptions, createConsoleSink } from "../../../agent/uplink/console-sink.ts";
import { silent } from "../report/samples.ts";

export const waitLong = { timeout: 30_000, interval: 5 };

export function until(check: () => unknown): Promise<unknown> {
	return vi.waitFor(() => {
		if (!check()) throw new Error(`not yet: ${check}`);
	}, waitLong);
}

export const hello: wire.Hello = {
	hostId: "host-1",
	bootId: "boot-1",
	host: "web-1",
	version: "0.1.0",
	mode: "observe",
};

/** Quick enough for tests, slow enough for a busy machine. */
export const quick = { batch: 10, heartbeat: 200, answer: 1500, firstRetry: 20, lastRetry: 100, loss: 20 };

export function sensor(address: string, more: Partial<ConsoleSinkOptions> = {}): Sink & { gaps: wire.Gap[] } {
	const gaps: wire.Gap[] = [];
	const sink = createConsoleSink({
		name: "console:test",
		address,
		hello: () => hello,
		onCommand: async () => ({ accepted: true, message: "done" }),
		report: (gap) => void gaps.push(gap),
		clock: Date.now,
		logger: silent,
		...more,
		times: { ...quick, close: 300, ...more.times },
	});
	onTestFinished(() => sink.close());
	return Object.assign(sink, { gaps });
}

export async function consoleAt(
	listen: string,
	more: Partial<ConsoleOptions> = {},
): Promise<RunningConsole & { records: wire.OutputRecord[] }> {
	const records: wire.OutputRecord[] = [];
	const running = await startConsole({
		listen,
		logger: silent,
		onRecord: (record) => void records.push(record),
		...more,
	});
	let open = true;
	const close = async (): Promise<void> => {
		if (open) await running.close();
		open = false;
	};
	onTestFinished(close);
	return { ...running, records, close };
}

export function temporaryFolder(): string {
	const folder = mkdtempSync(join(tmpdir(), "picket-test-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

/** A relay that can stop forwarding (black hole) and cut connections. */
export async function relayTo(target: string): Promise<{
	address: string;
	swallow(on: boolean): void;
	cut(): void;
	connections(): number;
}> {
	const port = Number(target.split(":")[1]);
	const sockets = new Set<Socket>();
	let swallowing = false;
	let count = 0;
	const server = createServer((near) => {
		count++;
		const far = netConnect(port, "127.0.0.1");
		for (const [from, to] of [
			[near, far],
			[far, near],
		] as const) {
			sockets.add(from);
			from.on("data", (chunk) => {
				if (!swallowing) to.write(chunk);
			});
			from.on("close", () => {
				sockets.delete(from);
				to.destroy();
			});
			from.on("error", () => {});
		}
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const cut = (): void => {
		for (const socket of sockets) socket.destroy();
	};
	onTestFinished(() => {
		cut();
		server.close();
	});
	const address = server.address();
	return {
		address: `127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
		swallow: (on) => {
			swallowing = on;
		},
		cut,
		connections: () => count,
	};
}
