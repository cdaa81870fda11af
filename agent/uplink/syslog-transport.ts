// Syslog messages on the wire: over UDP (RFC 5426), over TCP with counted frames (RFC 6587) and over TLS (RFC 5425). Runs
// in the uplink process. Knows sockets, no records.
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { TlsTexts } from "../model/delivery.ts";
import type { SyslogAddress } from "../model/syslog.ts";

export type NetworkAddress = Exclude<SyslogAddress, { readonly over: "unix" }>;

export interface Connection {
	/**
	 * Resolves with the number of bytes once this host's kernel has taken them all; rejects when it has not, or when
	 * `stallMs` go by meanwhile.
	 */
	send(messages: readonly string[]): Promise<number>;
	/** Bytes that the far kernel has not confirmed yet; 0 where nobody confirms anything. */
	unconfirmed(): number;
	/** Why it is of no use any more; undefined while it lives. */
	readonly gone: Error | undefined;
	/** Ends it in good order where there is one, within a second. */
	close(): Promise<void>;
}

export interface ConnectionOptions {
	readonly address: NetworkAddress;
	readonly tls?: TlsTexts;
	/** ms */
	readonly connectMs: number;
	readonly stallMs: number;
	/** Bytes sent on a TCP socket and not confirmed by the far end (SIOCOUTQ). */
	readonly unconfirmed: (descriptor: number) => number;
	/** Called once, when it is gone without close(). */
	readonly onGone: () => void;
}

/** Rejects when nobody is there or, with TLS, when it is not who it should be. */
export function openConnection(options: ConnectionOptions): Promise<Connection> {
	return options.address.over === "udp" ? openDatagrams(options) : openStream(options);
}

/** Nothing comes back over UDP but, now and then, that nobody listens there. */
async function openDatagrams({ address, onGone }: ConnectionOptions): Promise<Connection> {
	const found = await lookup(address.host);
	const socket = createSocket(found.family === 6 ? "udp6" : "udp4");
	let gone: Error | undefined;
	let closed = false;
	const drop = () => {
		if (!closed) socket.close();
		closed = true;
	};
	await new Promise<void>((resolve, reject) => {
		socket.once("error", reject);
		socket.connect(address.port, found.address, () => {
			socket.off("error", reject);
			resolve();
		});
	}).catch((error: unknown) => {
		drop();
		throw error;
	});
	socket.on("error", (error) => {
		if (gone) return;
		gone = error;
		drop();
		onGone();
	});
	const sendOne = (message: Buffer) =>
		new Promise<void>((resolve, reject) => {
			if (gone) return reject(gone);
			socket.send(message, (error) => (error ? reject(error) : resolve()));
		});
	return {
		async send(messages) {
			let bytes = 0;
			for (const message of messages) {
				const datagram = Buffer.from(message);
				await sendOne(datagram);
				bytes += datagram.length;
			}
			return bytes;
		},
		unconfirmed: () => 0,
		get gone() {
			return gone;
		},
		async close() {
			drop();
		},
	};
}

async function openStream(options: ConnectionOptions): Promise<Connection> {
	const { stallMs, unconfirmed, onGone } = options;
	const { raw, socket } = await connected(options);
	let gone: Error | undefined;
	let closing = false;
	const lose = (error: Error): void => {
		if (gone) return;
		gone = error;
		socket.destroy();
		raw.destroy();
		if (!closing) onGone();
	};
	socket.setKeepAlive(true, 10_000);
	socket.setNoDelay(true);
	socket.on("error", lose);
	socket.on("end", () => lose(new Error("the far end ended the connection")));
	socket.on("close", () => lose(new Error("the far end ended the connection")));
	// The far end has nothing to say; that it goes is noticed only by reading.
	socket.resume();
	return {
		send: (messages) =>
			new Promise((resolve, reject) => {
				if (gone) return reject(gone);
				const frames = Buffer.concat(messages.flatMap(frameOf));
				const stalled = setTimeout(
					() => lose(new Error(`the far end has taken nothing for ${stallMs / 1000} s`)),
					stallMs,
				);
				const broken = () => done(gone ?? new Error("the far end ended the connection"));
				const done = (error?: Error | null): void => {
					clearTimeout(stalled);
					socket.off("close", broken);
					if (error) reject(gone ?? error);
					else resolve(frames.length);
				};
				socket.once("close", broken);
				socket.write(frames, done);
			}),
		unconfirmed() {
			const descriptor = descriptorOf(raw);
			return descriptor === undefined ? 0 : unconfirmed(descriptor);
		},
		get gone() {
			return gone;
		},
		async close() {
			closing = true;
			if (gone || socket.destroyed) return;
			await new Promise<void>((resolve) => {
				const late = setTimeout(() => socket.destroy(), 1000);
				socket.once("close", () => {
					clearTimeout(late);
					resolve();
				});
				socket.end();
			});
			raw.destroy();
		},
	};
}

function connected(options: ConnectionOptions): Promise<{ raw: Socket; socket: Socket | TLSSocket }> {
	const { address, tls = {}, connectMs } = options;
	const { over, host, port } = address;
	return new Promise((resolve, reject) => {
		const raw = connectTcp({ host, port });
		let socket: Socket | TLSSocket = raw;
		const fail = (error: Error): void => {
			clearTimeout(late);
			socket.destroy();
			raw.destroy();
			reject(error);
		};
		const late = setTimeout(() => fail(new Error(`${host}:${port} did not answer in time`)), connectMs);
		const ready = (): void => {
			clearTimeout(late);
			socket.off("error", fail);
			// Between now and the caller's own listener nothing may go unheard.
			socket.on("error", () => {});
			resolve({ raw, socket });
		};
		raw.once("error", fail);
		if (over === "tcp") return void raw.once("connect", ready);
		raw.once("connect", () => {
			raw.off("error", fail);
			raw.on("error", () => {});
			const { ca, cert, key, crl, serverName } = tls;
			socket = connectTls({
				socket: raw,
				host,
				// An address is no name that a certificate is asked for by.
				servername: serverName ?? (isIP(host) === 0 ? host : ""),
				// Receivers that cannot do 1.3 are common; who can is spoken to in 1.3.
				minVersion: "TLSv1.2",
				// Said, so that no variable of the environment takes it back.
				rejectUnauthorized: true,
				...(ca !== undefined && { ca }),
				...(cert !== undefined && { cert }),
				...(key !== undefined && { key }),
				...(crl !== undefined && { crl }),
			});
			socket.once("error", fail);
			socket.once("secureConnect", ready);
		});
	});
}

/** Node does not say it in its types. */
function descriptorOf(socket: Socket): number | undefined {
	const handle: unknown = Reflect.get(socket, "_handle");
	if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
	return typeof handle.fd === "number" && handle.fd >= 0 ? handle.fd : undefined;
}

/** "LENGTH MESSAGE": the length in bytes, so that no character in it ends it. */
function frameOf(line: string): Buffer[] {
	const bytes = Buffer.from(line);
	return [Buffer.from(`${bytes.length} `), bytes];
}
