// A relay on loopback that treats each connection as bad networks and bad middleboxes do.
import { connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export const faults = [
	"black hole",
	"reset",
	"one byte at a time",
	"half open",
	"close in the middle",
	"delay",
	"duplicate connection",
] as const;
export type Fault = (typeof faults)[number] | "none";

export interface FaultProxy {
	readonly address: string;
	/** From now on, for connections that stand and for new ones; it begins after `bytes` more towards the console. */
	set(fault: Fault, bytes?: number): void;
	/** Faults that have really hit a connection. */
	readonly hits: number;
}

export async function faultProxy(target: string): Promise<FaultProxy> {
	const port = Number(target.split(":")[1]);
	const sockets = new Set<Socket>();
	const timers = new Set<NodeJS.Timeout>();
	let fault: Fault = "none";
	let grace = 0;
	let hits = 0;
	const later = (ms: number, task: () => void): void => {
		const timer = setTimeout(() => {
			timers.delete(timer);
			task();
		}, ms);
		timers.add(timer);
	};
	const keep = (socket: Socket): void => {
		sockets.add(socket);
		socket.on("error", () => {});
		socket.on("close", () => sockets.delete(socket));
	};
	const server = createServer({ allowHalfOpen: true }, (near) => {
		const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
		keep(near);
		keep(far);
		let hit = false;
		/** As with TCP: behind bytes that did not arrive none arrive, and none overtake others. */
		const swallowed = new Set<Socket>();
		const delayed = new Map<Socket, number>();
		const drip = new Map<Socket, Buffer>();
		const dripOn = (to: Socket): void => {
			const rest = drip.get(to);
			if (rest === undefined || rest.length === 0 || to.destroyed) return;
			to.write(rest.subarray(0, 1));
			drip.set(to, rest.subarray(1));
			later(20, () => dripOn(to));
		};
		const trickle = (chunk: Buffer, to: Socket): void => {
			const rest = drip.get(to);
			drip.set(to, Buffer.concat([rest ?? Buffer.alloc(0), chunk]));
			if (rest === undefined || rest.length === 0) dripOn(to);
		};
		const hold = (chunk: Buffer, to: Socket): void => {
			delayed.set(to, (delayed.get(to) ?? 0) + 1);
			later(60, () => {
				delayed.set(to, (delayed.get(to) ?? 1) - 1);
				if (!to.destroyed) to.write(chunk);
			});
		};
		const act = (chunk: Buffer, to: Socket, fromSensor: boolean): void => {
			if (swallowed.has(to)) return;
			if ((drip.get(to)?.length ?? 0) > 0) trickle(chunk, to);
			else if ((delayed.get(to) ?? 0) > 0) hold(chunk, to);
			else if (fault === "none") to.write(chunk);
			else strike(chunk, to, fromSensor);
		};
		const strike = (chunk: Buffer, to: Socket, fromSensor: boolean): void => {
			if (grace > 0) {
				if (fromSensor) grace -= chunk.length;
				to.write(chunk);
				return;
			}
			if (!hit) hits++;
			hit = true;
			switch (fault) {
				case "black hole":
					swallowed.add(to);
					return;
				case "reset":
					near.resetAndDestroy();
					far.resetAndDestroy();
					return;
				case "one byte at a time":
					trickle(chunk, to);
					return;
				case "half open":
					// The sensor's half works, the console's answers never arrive.
					if (fromSensor) to.write(chunk);
					else swallowed.add(to);
					return;
				case "close in the middle":
					to.end(chunk.subarray(0, chunk.length >> 1));
					near.destroy();
					return;
				case "delay":
					hold(chunk, to);
					return;
				case "duplicate connection": {
					// The same bytes arrive twice at the console, and its first connection stays behind.
					const again = connect({ port, host: "127.0.0.1" });
					keep(again);
					again.write(chunk);
					to.write(chunk);
					near.destroy();
				}
			}
		};
		near.on("data", (chunk) => act(chunk, far, true));
		far.on("data", (chunk) => act(chunk, near, false));
		near.on("close", () => later(30, () => far.destroy()));
		far.on("close", () => {
			if (fault !== "half open" && fault !== "black hole") near.destroy();
		});
		near.on("end", () => far.end());
		far.on("end", () => {
			if (fault !== "half open" && fault !== "black hole") near.end();
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	onTestFinished(() => {
		for (const timer of timers) clearTimeout(timer);
		for (const socket of sockets) socket.destroy();
		server.close();
	});
	const address = server.address();
	return {
		address: `127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
		set(next, bytes = 0) {
			fault = next;
			grace = bytes;
		},
		get hits() {
			return hits;
		},
	};
}
