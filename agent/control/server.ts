// The control socket of a running sensor. Answers requests and streams records to subscribers; what a method
// does is the business of the handlers that are passed in. Who may connect, the socket's mode sees to: root, and the
// members of a group where there is one. These may look; to change something takes root.
import { createServer, type Socket } from "node:net";
import type { Logger } from "pino";
import type * as wire from "../model/picket.v1.ts";
import {
	ControlError,
	type ErrorBody,
	isObject,
	maxRequestBytes,
	parseRequest,
	type RecordKind,
	type RequestId,
	readLines,
	requestId,
	type ServerLine,
} from "./protocol.ts";
import { groupNumber, listenAt } from "./socket.ts";
import { createSubscriber, parseSubscribe, type Subscriber, streamLine } from "./subscriber.ts";

const maxConnections = 16;
/** Of them those that people who may only look can have: root is not to be locked out. */
const maxLooking = 8;
/** ms without a request after which a connection that subscribes to nothing is closed. */
const idleMs = 5 * 60_000;

/**
 * Answers a method; the result goes out as JSON. `params` is a JSON object with nothing in it checked.
 * What it throws becomes the error answer: `code` (REFUSED without one), `message` and `remedy` of any error that has
 * a remedy, BAD_PARAMS for an error with zod's `issues`, INTERNAL for the rest.
 */
export type Handler = (params: Readonly<Record<string, unknown>>) => unknown;

export interface ControlOptions {
	readonly path: string;
	/** By method name; `ping` and `subscribe` are there already. */
	readonly handlers: Readonly<Record<string, Handler>>;
	readonly logger: Logger;
	/** Names of the handlers that only look; every other one is for root alone. None by default. */
	readonly looking?: readonly string[];
	/** Whose members may connect and look; "picket" by default. Without such a group root alone connects. */
	readonly group?: string;
	/** Who is behind a connection, as the kernel knows it. */
	readonly peer: (descriptor: number) => { readonly uid: number };
	/** Unix ms. */
	readonly clock?: () => number;
}

export interface Control {
	/**
	 * Offers a record to the subscribers. `make` is called at once and at most once, and only when somebody
	 * will get it: with nobody there the cost is one look at an empty set.
	 */
	publish(kind: RecordKind, make: () => wire.OutputRecord): void;
	subscribers(): number;
	/** Takes the socket file away and ends all connections. */
	close(): Promise<void>;
}

/** Throws a ControlError ALREADY_RUNNING, NOT_PERMITTED or SOCKET_PATH. */
export async function startControl(options: ControlOptions): Promise<Control> {
	const { handlers, logger, clock = Date.now, looking = [], group = "picket" } = options;
	const sockets = new Set<Socket>();
	const subscribers = new Set<Subscriber>();

	const answer = async (line: string, socket: Socket): Promise<ServerLine> => {
		let id: RequestId = null;
		let method = "";
		try {
			const request = parseRequest(line);
			({ id, method } = request);
			if (method === "ping") return { id, result: { pid: process.pid } };
			if (method === "subscribe") {
				subscribe(request.params, socket);
				return { id, result: { subscribed: true } };
			}
			// Own names only: "constructor" and the like are no methods.
			const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined;
			if (handler === undefined) {
				throw new ControlError(
					"UNKNOWN_METHOD",
					`there is no method ${JSON.stringify(method.slice(0, 64))}`,
					`Known methods: ${["ping", "subscribe", ...Object.keys(handlers)].join(", ")}.`,
				);
			}
			if (!looking.includes(method) && !roots.has(socket)) {
				logger.warn({ method, uid: uids.get(socket) }, "control request of somebody who may only look");
				throw new ControlError(
					"NOT_PERMITTED",
					`${method} is for root; members of the group ${group} may look, and change nothing`,
					"Run it as root, with `sudo` for instance.",
				);
			}
			const result: unknown = await handler(request.params);
			return { id, result: result ?? null };
		} catch (error) {
			if (id === null) id = idOf(line);
			const body = errorBody(error);
			if (body.code === "INTERNAL") logger.error({ err: error, method }, "control request failed");
			return { id, error: body };
		}
	};
	const subscribe = (params: Readonly<Record<string, unknown>>, socket: Socket): void => {
		if (feeds.has(socket)) {
			throw new ControlError(
				"BAD_REQUEST",
				"this connection subscribes already",
				"Open another connection for another subscription.",
			);
		}
		const subscriber = createSubscriber(parseSubscribe(params), socket, clock);
		feeds.set(socket, subscriber);
		subscribers.add(subscriber);
		socket.setTimeout(0);
	};
	const feeds = new WeakMap<Socket, Subscriber>();
	const roots = new WeakSet<Socket>();
	const uids = new WeakMap<Socket, number>();
	/** Asked once, at the start: the answer is of the moment of connecting anyway. */
	const identify = (socket: Socket): void => {
		const uid = uidOf(socket, options.peer);
		if (uid === undefined) return;
		uids.set(socket, uid);
		// Whoever runs the sensor: root, but for tests without it.
		if (uid === 0 || uid === process.getuid?.()) roots.add(socket);
	};
	const serve = async (socket: Socket): Promise<void> => {
		for await (const line of readLines(socket, maxRequestBytes)) {
			const reply = await answer(line, socket);
			if (socket.destroyed) return;
			if (!socket.write(encode(reply))) await drained(socket);
		}
		socket.end();
	};
	const server = createServer({ allowHalfOpen: true }, (socket) => {
		// Errors of the connection end the reading loop below; without a listener they would end the process.
		socket.on("error", () => {});
		identify(socket);
		const onlookers = [...sockets].filter((other) => !roots.has(other)).length;
		if (sockets.size >= maxConnections || (!roots.has(socket) && onlookers >= maxLooking)) {
			const error: ErrorBody = {
				code: "TOO_MANY_CONNECTIONS",
				message: `${sockets.size} programs are connected to the sensor already`,
				remedy: "End one of them (`picket watch`, for instance) and try again.",
			};
			socket.end(encode({ id: null, error }), () => socket.destroy());
			return;
		}
		sockets.add(socket);
		socket.setTimeout(idleMs, () => socket.destroy());
		socket.on("close", () => {
			sockets.delete(socket);
			const subscriber = feeds.get(socket);
			if (subscriber === undefined) return;
			subscriber.close();
			subscribers.delete(subscriber);
		});
		serve(socket).catch((error: unknown) => {
			if (socket.destroyed) return;
			if (!(error instanceof ControlError)) return void socket.destroy();
			logger.warn({ code: error.code, reason: error.message }, "control connection closed");
			socket.setTimeout(5000);
			socket.end(encode({ id: null, error: errorBody(error) }), () => socket.destroy());
		});
	});
	const release = await listenAt(server, options.path, await groupNumber(group));
	server.on("error", (error) => logger.error({ err: error }, "control socket fails"));
	return {
		publish(kind, make) {
			if (subscribers.size === 0) return;
			let line: string | undefined;
			for (const subscriber of subscribers) {
				if (!subscriber.wants(kind)) continue;
				line ??= streamLine(make());
				subscriber.offer(line);
			}
		},
		subscribers: () => subscribers.size,
		async close() {
			await release();
			const closed = new Promise<void>((resolve) => server.close(() => resolve()));
			for (const socket of sockets) socket.destroy();
			await closed;
		},
	};
}

/** Undefined when it cannot be told: then the connection may only look. */
function uidOf(socket: Socket, peer: ControlOptions["peer"]): number | undefined {
	const handle: unknown = Reflect.get(socket, "_handle");
	if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
	if (typeof handle.fd !== "number" || handle.fd < 0) return undefined;
	try {
		return peer(handle.fd).uid;
	} catch {
		return undefined;
	}
}

function encode(line: ServerLine): string {
	return `${JSON.stringify(line)}\n`;
}

function idOf(line: string): RequestId {
	try {
		return requestId(JSON.parse(line));
	} catch {
		return null;
	}
}

function errorBody(error: unknown): ErrorBody {
	if (isObject(error) && Array.isArray(error.issues)) {
		const issue: unknown = error.issues[0];
		const place = isObject(issue) && Array.isArray(issue.path) ? issue.path.join(".") : "";
		const message = isObject(issue) && typeof issue.message === "string" ? issue.message : "wrong";
		return { code: "BAD_PARAMS", message: `params${place && `.${place}`}: ${message}`, remedy: "" };
	}
	if (error instanceof Error && "remedy" in error) {
		const code = "code" in error && typeof error.code === "string" ? error.code : "REFUSED";
		return { code, message: error.message, remedy: String(error.remedy) };
	}
	return {
		code: "INTERNAL",
		message: "the sensor could not answer",
		remedy: "See its log: `journalctl -u picket`.",
	};
}

/** Resolves when the socket takes more, or is gone. */
function drained(socket: Socket): Promise<void> {
	return new Promise((resolve) => {
		const done = (): void => {
			socket.off("drain", done);
			socket.off("close", done);
			resolve();
		};
		socket.on("drain", done);
		socket.on("close", done);
	});
}
