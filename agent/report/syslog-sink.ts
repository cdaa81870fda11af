// Syslog messages on their way: over UDP (RFC 5426), over TCP with counted frames (RFC 6587), over TLS (RFC 5425), and
// to the local socket of a syslog daemon.
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Facility, SyslogAddress } from "../model/syslog.ts";
import { createLineSink, type LineSinkOptions, PartlyWritten, type Target } from "./lines.ts";
import type { Sink } from "./sinks.ts";
import { largestDatagram, syslogMessage } from "./syslog.ts";

export interface SyslogOptions extends Omit<LineSinkOptions, "format"> {
	readonly name: string;
	readonly address: SyslogAddress;
	readonly facility: Facility;
	readonly form: "text" | "json";
	/** The most a message has. */
	readonly maxMessageBytes: number;
	/** Asked for each connection, so that a renewed certificate is taken: PEM. */
	readonly tls?: () => { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
	/** Sends a datagram to a Unix socket; false when nobody takes it. Node has none of its own. */
	readonly unixDatagram: (path: string, text: string) => boolean;
	/** ms between tries; 5000 by default. */
	readonly retryMs?: number;
}

export function createSyslogSink(options: SyslogOptions): Sink {
	const form = {
		facility: options.facility,
		form: options.form,
		pid: process.pid,
		maxBytes:
			options.address.over === "unix" || options.address.over === "udp"
				? Math.min(options.maxMessageBytes, largestDatagram)
				: options.maxMessageBytes,
	};
	return createLineSink(options.name, targetOf(options), {
		...options,
		format: (record) => syslogMessage(record, form),
	});
}

const defaultRetryMs = 5000;
const connectMs = 10_000;
/** A local daemon that is busy gets 50 × 5 ms before it counts as gone. */
const fullTries = 50;
const fullMs = 5;

function targetOf(options: SyslogOptions): Target {
	const { address, retryMs = defaultRetryMs } = options;
	if (address.over === "unix") return unixTarget(address.path, options.unixDatagram, retryMs);
	const { over, host, port } = address;
	if (over === "udp") return udpTarget(host, port, retryMs);
	return streamTarget(() => connect(over, host, port, options), retryMs);
}

function unixTarget(path: string, send: SyslogOptions["unixDatagram"], retryMs: number): Target {
	return {
		retryMs,
		async write(lines) {
			for (const [index, line] of lines.entries()) {
				// The queue of such a socket holds ten messages or some more, and its reader is another process.
				for (let tries = 0; !send(path, line); tries++) {
					if (tries === fullTries) throw new PartlyWritten(index, `nobody takes messages at ${path}`);
					await new Promise((resolve) => setTimeout(resolve, fullMs));
				}
			}
		},
		async close() {},
	};
}

/** Nothing comes back over UDP but, now and then, that nobody listens there. */
function udpTarget(host: string, port: number, retryMs: number): Target {
	let socket: UdpSocket | undefined;
	let problem: Error | undefined;

	async function open(): Promise<UdpSocket> {
		const { address, family } = await lookup(host);
		const made = createSocket(family === 6 ? "udp6" : "udp4").unref();
		problem = undefined;
		await new Promise<void>((resolve, reject) => {
			made.once("error", reject);
			made.connect(port, address, () => {
				made.off("error", reject);
				resolve();
			});
		});
		made.on("error", (error) => {
			problem = error;
		});
		return made;
	}

	const drop = () => {
		socket?.close();
		socket = undefined;
	};
	return {
		retryMs,
		async write(lines) {
			socket ??= await open();
			for (const line of lines) {
				const failed = await new Promise<Error | null>((resolve) => socket?.send(line, resolve));
				const wrong = failed ?? problem;
				if (!wrong) continue;
				drop();
				throw wrong;
			}
		},
		async close() {
			drop();
		},
	};
}

function connect(over: "tcp" | "tls", host: string, port: number, options: SyslogOptions): Promise<Socket> {
	// An address is no name that a certificate is asked for by.
	const servername = /^[\d.]+$|:/.test(host) ? "" : host;
	const made =
		over === "tls"
			? connectTls({ host, port, servername, minVersion: "TLSv1.2", ...options.tls?.() })
			: connectTcp({ host, port });
	return new Promise((resolve, reject) => {
		const fail = (error: Error) => {
			made.destroy();
			reject(error);
		};
		made.setTimeout(connectMs, () => fail(new Error(`${host}:${port} did not answer in time`)));
		made.once("error", fail);
		made.once(over === "tls" ? "secureConnect" : "connect", () => {
			made.setTimeout(0);
			made.off("error", fail);
			resolve(made);
		});
	});
}

function streamTarget(open: () => Promise<Socket>, retryMs: number): Target {
	let socket: Socket | undefined;

	async function opened(): Promise<Socket> {
		const made = await open();
		made.setKeepAlive(true, 30_000);
		// The far end never speaks; that it goes is noticed.
		made.resume();
		made.on("error", () => {});
		made.on("close", () => {
			if (socket === made) socket = undefined;
		});
		return made;
	}

	return {
		retryMs,
		async write(lines) {
			socket ??= await opened();
			const to = socket;
			const frames = Buffer.concat(lines.flatMap(frameOf));
			await new Promise<void>((resolve, reject) => {
				const gone = () => reject(new Error("the far end ended the connection"));
				to.once("close", gone);
				to.write(frames, (error) => {
					to.off("close", gone);
					if (error) reject(error);
					else resolve();
				});
			}).catch((error: unknown) => {
				to.destroy();
				throw error;
			});
		},
		async close() {
			const last = socket;
			socket = undefined;
			if (last === undefined || last.destroyed) return;
			await new Promise<void>((resolve) => {
				last.once("close", () => resolve());
				last.setTimeout(1000, () => last.destroy());
				last.end();
			});
		},
	};
}

/** "LENGTH MESSAGE": the length in bytes, so that no character in it ends it. */
function frameOf(line: string): Buffer[] {
	const bytes = Buffer.from(line);
	return [Buffer.from(`${bytes.length} `), bytes];
}
