// The other end of the control socket, as the CLI uses it.
import { connect, type Socket } from "node:net";
import type * as wire from "../model/picket.v1.ts";
import { ControlError, isObject, type MissReason, type RecordKind, readLines } from "./protocol.ts";

/** Bytes. An answer may hold a long list of processes. */
const maxAnswerBytes = 64 * 1024 * 1024;

/**
 * Calls a method of the running sensor and gives its result. Throws a ControlError: the sensor's own error
 * answer, NOT_RUNNING, NOT_PERMITTED, TIMEOUT or DISCONNECTED.
 */
export async function callControl(
	path: string,
	method: string,
	params: Readonly<Record<string, unknown>>,
	timeoutMs: number,
): Promise<unknown> {
	const socket = connect(path);
	let late = false;
	const timer = setTimeout(() => {
		late = true;
		socket.destroy();
	}, timeoutMs);
	try {
		await connected(socket, path);
		socket.write(`${JSON.stringify({ id: 1, method, params })}\n`);
		for await (const line of readLines(socket, maxAnswerBytes)) return resultOf(line);
		throw disconnected();
	} catch (error) {
		if (late) {
			throw new ControlError(
				"TIMEOUT",
				`the sensor did not answer ${method} within ${timeoutMs} ms`,
				"Try again; if it stays so, see its log: `journalctl -u picket`.",
			);
		}
		throw error instanceof ControlError ? error : disconnected(error);
	} finally {
		clearTimeout(timer);
		socket.destroy();
	}
}

export interface SubscribeOptions {
	/** All kinds by default. */
	readonly kinds?: readonly RecordKind[];
	/** Events a second at most, the rest is counted and told; no limit by default. */
	readonly eventsPerSecond?: number;
	readonly onMissed?: (count: number, reason: MissReason) => void;
}

export interface Subscription {
	/** Settles when the stream is over: undefined after close(), else what ended it. Never rejects. */
	readonly ended: Promise<ControlError | undefined>;
	close(): void;
}

/** Streams the sensor's records. Resolves once it has agreed; throws as callControl does. */
export async function subscribeControl(
	path: string,
	onRecord: (record: wire.OutputRecord) => void,
	options: SubscribeOptions = {},
): Promise<Subscription> {
	const { kinds, eventsPerSecond, onMissed } = options;
	const socket = connect(path);
	await connected(socket, path);
	const params = { ...(kinds && { kinds }), ...(eventsPerSecond !== undefined && { eventsPerSecond }) };
	socket.write(`${JSON.stringify({ id: 1, method: "subscribe", params })}\n`);
	const lines = readLines(socket, maxAnswerBytes);
	try {
		const first = await lines.next();
		if (first.done) throw disconnected();
		resultOf(first.value);
	} catch (error) {
		socket.destroy();
		throw error instanceof ControlError ? error : disconnected(error);
	}
	let closed = false;
	const read = async (): Promise<ControlError | undefined> => {
		try {
			for await (const line of lines) {
				const value = parse(line);
				if (isObject(value.record)) onRecord(value.record);
				else if (typeof value.missed === "number") {
					onMissed?.(value.missed, value.reason === "rate" ? "rate" : "slow");
				}
			}
		} catch (error) {
			if (!closed) return error instanceof ControlError ? error : disconnected(error);
		}
		socket.destroy();
		return closed ? undefined : disconnected();
	};
	return {
		ended: read(),
		close() {
			closed = true;
			socket.destroy();
		},
	};
}

function connected(socket: Socket, path: string): Promise<void> {
	return new Promise((resolve, reject) => {
		// Stays: an error that comes later must not end the process, and ends the reading anyway.
		socket.on("error", (error) => reject(notConnected(error, path)));
		socket.once("close", () => reject(disconnected()));
		socket.once("connect", resolve);
	});
}

function notConnected(error: Error, path: string): ControlError {
	const code = "code" in error ? String(error.code) : "";
	if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR") {
		return new ControlError(
			"NOT_RUNNING",
			`no sensor is running on this host (${path}: ${code})`,
			"Start it as root: `systemctl start picket`, or `npm start` from a checkout.",
			error,
		);
	}
	if (code === "EACCES" || code === "EPERM") {
		return new ControlError(
			"NOT_PERMITTED",
			`only root and members of the group picket may talk to the sensor (${path}: ${code})`,
			"Run it as root, with `sudo` for instance; to look, being in the group picket is enough.",
			error,
		);
	}
	return disconnected(error);
}

function disconnected(cause?: unknown): ControlError {
	return new ControlError(
		"DISCONNECTED",
		"the sensor closed the connection",
		"See whether it still runs: `picket status`.",
		cause,
	);
}

function parse(line: string): Record<string, unknown> {
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch {}
	if (isObject(value)) return value;
	throw new ControlError(
		"BAD_REQUEST",
		"what answers at the control socket is not a sensor of this version",
		"Restart the sensor, so that it and this program are of one version.",
	);
}

function resultOf(line: string): unknown {
	const answer = parse(line);
	if (!isObject(answer.error)) return answer.result;
	const { code, message, remedy } = answer.error;
	throw new ControlError(String(code), String(message), String(remedy ?? ""));
}
