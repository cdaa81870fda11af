// The Docker engine as the agent uses it, and the ONLY file that imports dockerode. Owns the calls, their time
// and size limits and their errors; docker-answers.ts reads the JSON, docker-watch.ts follows the events.
import { stat } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type { Logger } from "pino";
import {
	actions,
	type ContainerState,
	execAction,
	type InspectedState,
	readExecPid,
	readInspected,
	readListed,
	readState,
	type StateChange,
} from "./docker-answers.ts";
import { createDockerErrors, DockerError, type DockerErrorCode } from "./docker-errors.ts";
import { type Attachment, connectRequest, isNetworkId } from "./docker-networks.ts";
import { type Backoff, type Watch, watchDocker } from "./docker-watch.ts";
import type { ContainerExec, ContainerFacts } from "./model/process.ts";

export type { ContainerState, DockerErrorCode, InspectedState, StateChange, Watch };
export { DockerError };

export interface DockerStatus {
	/** The last call was answered. */
	readonly available: boolean;
	/** One sentence, empty when available. */
	readonly problem: string;
	readonly remedy: string;
}

/** Every call rejects with a DockerError only, at the latest after `timeout`. */
export interface DockerRuntime {
	/** What its containers are called by. */
	readonly name: "docker" | "podman";
	/** Running containers (paused ones too), each inspected. */
	list(): Promise<ContainerFacts[]>;
	/** Undefined when the engine does not know it. */
	inspect(idOrName: string): Promise<ContainerFacts | undefined>;
	state(idOrName: string): Promise<InspectedState | undefined>;
	/** Rejects with DOCKER_CONFLICT when it does not run or is paused already. */
	pause(idOrName: string): Promise<void>;
	unpause(idOrName: string): Promise<void>;
	/** Its restart policy stays as it is and does not start it again. Fine when it does not run. */
	stop(idOrName: string, graceSeconds: number): Promise<void>;
	/** Fine when it runs. */
	start(idOrName: string): Promise<void>;
	restart(idOrName: string, graceSeconds: number): Promise<void>;
	/** By force, without its volumes. */
	remove(idOrName: string): Promise<void>;
	disconnect(idOrName: string, networkId: string): Promise<void>;
	/** Rejects with DOCKER_NOT_FOUND when there is no such network any more. */
	connect(idOrName: string, attachment: Attachment): Promise<void>;
	/**
	 * Tells facts and state changes until closed, through restarts of the engine; starts with what runs now.
	 * Facts of a new container come at once from its event, then again in full from an inspection. An exec comes as it
	 * is announced, and again when its pid is known.
	 */
	watch(
		onFacts: (facts: ContainerFacts) => void,
		onState: (change: StateChange) => void,
		onExec?: (exec: ContainerExec) => void,
	): Watch;
	/** How the last call went; of nothing called yet: not available. */
	status(): DockerStatus;
}

export interface DockerOptions {
	readonly socketPath: string;
	/** What its containers are called by; Podman's service speaks the same. */
	readonly runtime?: "docker" | "podman";
	readonly logger: Logger;
	/** Unix ms. */
	readonly clock: () => number;
	/** ms for a whole call, and for the event stream to open. */
	readonly timeout?: number;
	readonly backoff?: Backoff;
}

type Method = "GET" | "POST" | "DELETE";

/** What we use of docker-modem, whose type declarations leave the calls untyped. */
interface Modem {
	dial(options: DialOptions, done: (error: unknown, response: IncomingMessage) => void): void;
}
interface DialOptions {
	path: string;
	method: Method;
	isStream: true;
	statusCodes: Readonly<Record<number, true>>;
	abortSignal: AbortSignal;
	options?: Readonly<Record<string, unknown>>;
}

const mebibyte = 1 << 20;
const inspectLimit = 4 * mebibyte;
const listLimit = 32 * mebibyte;
const maxListed = 10_000;
const parallelInspections = 4;
/** ms between two lines of the log that say the same. */
const logInterval = 60_000;
// dockerode puts ids into the request path as they are: "../images" must not get that far.
const idOrNamePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;
// dockerode reads the body of a status it was not told of without any limit; told of all, it leaves it to us.
const anyStatus = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [index + 100, true as const]));

/** Connects to nothing yet; an engine that is not there shows in the first call and in `status`. */
export function createDocker(options: DockerOptions): DockerRuntime {
	const { socketPath, logger, clock } = options;
	const timeout = options.timeout ?? 5000;
	const runtime = options.runtime ?? "docker";
	const errors = createDockerErrors(socketPath, timeout);
	const complained = new Set<string>();
	const logged = new Map<string, number>();
	let connection: Modem | undefined;
	let status: DockerStatus = {
		available: false,
		problem: `the Docker engine at ${socketPath} has not been asked yet`,
		remedy: "ask again in a few seconds",
	};

	return {
		list: async () => inspectAll((await listed()).map((entry) => entry.facts)),
		inspect: (idOrName) => describe(idOrName, inspected),
		state: (idOrName) => describe(idOrName, readState),
		name: runtime,
		pause: (idOrName) => act(idOrName, "/pause"),
		unpause: (idOrName) => act(idOrName, "/unpause"),
		stop: (idOrName, graceSeconds) => act(idOrName, "/stop?", { t: graceSeconds }),
		start: (idOrName) => act(idOrName, "/start"),
		restart: (idOrName, graceSeconds) => act(idOrName, "/restart?", { t: graceSeconds }),
		remove: (idOrName) => act(idOrName, "?", { force: true, v: false }, "DELETE"),
		disconnect: (idOrName, networkId) =>
			actOnNetwork(idOrName, networkId, "disconnect", { Container: idOrName }),
		connect: (idOrName, attachment) =>
			actOnNetwork(idOrName, attachment.networkId, "connect", connectRequest(idOrName, attachment)),
		watch: (onFacts, onState, onExec = () => undefined) => {
			const source = {
				openEvents,
				listed,
				inspect: (id: string) => describe(id, inspected),
				execPid: async (id: string) => readExecPid(await answerOf(`/exec/${id}/json`)),
				clock,
				complain,
				failed: (error: unknown) => void note(errors.translate(error, false)),
				ended: () => void note(errors.down("closed its event stream")),
				listenerFailed: (error: unknown) =>
					logger.error({ err: error }, "a listener of Docker events failed"),
			};
			return watchDocker(source, options.backoff ?? { first: 1000, last: 30_000 }, onFacts, onState, onExec);
		},
		status: () => status,
	};

	async function listed(): Promise<{ facts: ContainerFacts; state: ContainerState }[]> {
		const answer = await ask("GET", "/containers/json", listLimit, (value) => {
			if (!Array.isArray(value)) throw errors.malformed("did not answer a list with a list");
			return value;
		});
		if (answer.length > maxListed) complain(`more than ${maxListed} containers in a list`);
		return answer.slice(0, maxListed).flatMap((entry: unknown) => readListed(entry, complain) ?? []);
	}

	async function inspectAll(known: ContainerFacts[]): Promise<ContainerFacts[]> {
		const found: ContainerFacts[] = [];
		const queue = known.values();
		const work = async () => {
			for (const facts of queue) {
				const all = await describe(facts.id, inspected);
				// Gone since the list: not running any more.
				if (all !== undefined) found.push({ ...facts, ...all });
			}
		};
		await Promise.all(Array.from({ length: parallelInspections }, work));
		return found;
	}

	async function describe<T>(
		idOrName: string,
		read: (answer: unknown, complain: (field: string) => void) => T | undefined,
	): Promise<T | undefined> {
		if (!idOrNamePattern.test(idOrName)) return undefined;
		const answer = await answerOf(`/containers/${idOrName}/json`);
		if (answer === undefined) return undefined;
		const result = read(answer, complain);
		if (result === undefined)
			throw note(errors.malformed("described a container in a way that makes no sense"));
		return result;
	}

	function inspected(answer: unknown, complain: (field: string) => void): ContainerFacts | undefined {
		return readInspected(answer, complain, runtime);
	}

	/** Undefined when the engine does not know it. */
	async function answerOf(path: string): Promise<unknown> {
		try {
			return await ask("GET", path, inspectLimit, (value) => value);
		} catch (error) {
			if (error instanceof DockerError && error.code === "DOCKER_NOT_FOUND") return undefined;
			throw error;
		}
	}

	async function act(
		idOrName: string,
		verb: string,
		query?: Readonly<Record<string, unknown>>,
		method: Method = "POST",
	): Promise<void> {
		if (!idOrNamePattern.test(idOrName)) throw errors.badName();
		const options = query && { _query: query, _body: {} };
		await ask(method, `/containers/${idOrName}${verb}`, mebibyte, () => undefined, options);
	}

	async function actOnNetwork(
		idOrName: string,
		networkId: string,
		verb: "connect" | "disconnect",
		body: Readonly<Record<string, unknown>>,
	): Promise<void> {
		if (!idOrNamePattern.test(idOrName) || !isNetworkId(networkId)) throw errors.badName();
		await ask("POST", `/networks/${networkId}/${verb}`, mebibyte, () => undefined, body);
	}

	async function openEvents(closing: AbortSignal): Promise<IncomingMessage> {
		const filters = { type: ["container"], event: [...actions, execAction] };
		const call = new AbortController();
		const limit = setTimeout(() => call.abort(), timeout);
		const close = () => call.abort();
		closing.addEventListener("abort", close, { once: true });
		try {
			const response = await dial("GET", "/events?", call.signal, { filters });
			if (response.statusCode !== 200) {
				response.destroy();
				throw errors.failed(`answered the request for events with status ${response.statusCode}`);
			}
			note(undefined);
			return response;
		} catch (error) {
			throw note(errors.translate(error, call.signal.aborted));
		} finally {
			clearTimeout(limit);
			closing.removeEventListener("abort", close);
		}
	}

	/** One call and its JSON, which `check` refuses by throwing. The limit of time covers connecting, headers and body together. */
	async function ask<T>(
		method: Method,
		path: string,
		limit: number,
		check: (answer: unknown) => T,
		options?: Readonly<Record<string, unknown>>,
	): Promise<T> {
		const call = new AbortController();
		const timer = setTimeout(() => call.abort(), timeout);
		try {
			const response = await dial(method, path, call.signal, options);
			const body = await readBody(response, limit, call.signal);
			const code = response.statusCode ?? 0;
			if (code >= 400) throw errors.refusal(code, body);
			// To an act, "it is so already" is an answer as well.
			const fine = (code >= 200 && code <= 299) || (code === 304 && method !== "GET");
			if (!fine) throw errors.malformed(`answered with status ${code}`);
			const silent = code === 204 || (method !== "GET" && body.length === 0);
			const answer = check(silent ? undefined : parse(body));
			note(undefined);
			return answer;
		} catch (error) {
			throw note(errors.translate(error, call.signal.aborted));
		} finally {
			clearTimeout(timer);
		}
	}

	async function dial(
		method: Method,
		path: string,
		signal: AbortSignal,
		options?: Readonly<Record<string, unknown>>,
	): Promise<IncomingMessage> {
		const engine = await modem();
		return new Promise((resolve, reject) => {
			const request: DialOptions = {
				path,
				method,
				isStream: true,
				statusCodes: anyStatus,
				abortSignal: signal,
				...(options === undefined ? {} : { options }),
			};
			engine.dial(request, (error, response) => {
				if (error) reject(error);
				else resolve(response);
			});
		});
	}

	// Made at the first call: dockerode reads DOCKER_HOST and its like as it is made, and throws on a bad one.
	// Everything they could set is set here, or the socket asked for would not be the one used.
	// Loaded when there is a socket to speak to: on a host without Docker it would take 20 MB for nothing.
	async function modem(): Promise<Modem> {
		if (connection) return connection;
		await stat(socketPath);
		const { default: Docker } = await import("dockerode");
		const own = { host: undefined, port: undefined, key: undefined, cert: undefined, ca: undefined };
		connection ??= new Docker({ ...own, socketPath, protocol: "http", timeout: undefined } as object)
			.modem as Modem;
		return connection;
	}

	/** Remembers how a call went and says so once per change. Returns what it was given. */
	function note<E extends DockerError | undefined>(error: E): E {
		// The engine answered: that the answer is a no is not the engine's trouble.
		const ok = error === undefined || error.code === "DOCKER_NOT_FOUND" || error.code === "DOCKER_CONFLICT";
		const before = status;
		status = ok
			? { available: true, problem: "", remedy: "" }
			: { available: false, problem: error.message, remedy: error.remedy };
		if (ok && !before.available && mayLog("")) logger.info({ socketPath }, "the Docker engine answers");
		if (!ok && before.problem !== status.problem && mayLog(status.problem)) {
			const absent = error.code === "DOCKER_ABSENT";
			logger[absent ? "info" : "warn"]({ code: error.code, remedy: error.remedy }, error.message);
		}
		return error;
	}

	/** An engine that flaps, or answers one call well and the next badly, must not fill the log. */
	function mayLog(problem: string): boolean {
		const now = clock();
		if (Math.abs(now - (logged.get(problem) ?? Number.NEGATIVE_INFINITY)) < logInterval) return false;
		if (logged.size > 100) logged.clear();
		logged.set(problem, now);
		return true;
	}

	function complain(what: string): void {
		if (complained.has(what) || complained.size > 100) return;
		complained.add(what);
		logger.warn({ socketPath, what }, "the Docker engine's answer holds something malformed; left out");
	}

	function parse(body: Buffer): unknown {
		try {
			return JSON.parse(body.toString("utf8"));
		} catch {
			throw errors.malformed("answered with something that is not JSON");
		}
	}

	async function readBody(response: IncomingMessage, limit: number, signal: AbortSignal): Promise<Buffer> {
		const stop = () => response.destroy(new Error("aborted"));
		signal.addEventListener("abort", stop, { once: true });
		try {
			const chunks: Buffer[] = [];
			let size = 0;
			for await (const chunk of response) {
				size += chunk.length;
				if (size > limit) throw errors.malformed(`answered with more than ${limit / mebibyte} MiB`);
				chunks.push(chunk);
			}
			return Buffer.concat(chunks);
		} finally {
			signal.removeEventListener("abort", stop);
			response.destroy();
		}
	}
}
