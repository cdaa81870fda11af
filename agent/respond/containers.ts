// Containers through whatever runs them: which runtime knows the one that is meant, and each act on it with a look
// afterwards. With the engine dead or silent a container is still frozen and thawed by its cgroup. Who may be acted
// on is decided elsewhere.
import { describeError, RespondError } from "./failure.ts";
import { type Freezer, freezersOf, isFrozen } from "./freezer.ts";

/** A container's place in one network, with all that is needed to put it there again. */
export interface Attachment {
	readonly network: string;
	readonly networkId: string;
	/** "" when it has none, as in a container that does not run. */
	readonly address: string;
	/** As the user configured it, in the engine's own words: addresses, aliases, links, driver options. */
	readonly configured: Readonly<Record<string, unknown>>;
}

export interface ContainerState {
	/** Full id. */
	readonly id: string;
	readonly name: string;
	readonly image: string;
	readonly running: boolean;
	readonly paused: boolean;
	/** As the engine has them; some of them protect the container. */
	readonly labels?: Readonly<Record<string, string>>;
	/** Of its first process as the engine sees it, 0 when it does not run. */
	readonly pid?: number;
	/** "bridge", "host", "none", "container:ID" or a network's name. */
	readonly networkMode?: string;
	/** The one its default route goes through first. */
	readonly networks?: readonly Attachment[];
	/** Changes with every start. */
	readonly startedAt?: string;
	/** The container this sensor runs in. */
	readonly self?: boolean;
}

/** The container engine's client, made elsewhere. Every call may reject. */
export interface ContainerRuntime {
	/** "docker", "podman". */
	readonly name: string;
	/** By full id, unambiguous part of it, or name; undefined when there is none. */
	state(idOrName: string): Promise<ContainerState | undefined>;
	pause(id: string): Promise<void>;
	unpause(id: string): Promise<void>;
	/** Asks it to end and ends it when it has not within `graceSeconds`; its restart policy does not start it again. */
	stop(id: string, graceSeconds: number): Promise<void>;
	start(id: string): Promise<void>;
	restart(id: string, graceSeconds: number): Promise<void>;
	/** By force when it runs; its volumes stay. */
	remove(id: string): Promise<void>;
	disconnect(id: string, networkId: string): Promise<void>;
	connect(id: string, attachment: Attachment): Promise<void>;
}

export interface ContainerDeps {
	readonly root: string;
	/** The sensor's pid. */
	readonly self: number;
	readonly runtimes: () => readonly ContainerRuntime[];
	/** What the sensor has learned of a container by id or name, for when nobody can be asked. */
	readonly recall?: (
		idOrName: string,
	) => Pick<ContainerState, "id" | "name" | "image" | "labels"> | undefined;
}

/** A container that was found: by its engine, or by its cgroup alone when the engine gave no answer. */
export interface Found {
	readonly runtime: ContainerRuntime | undefined;
	readonly state: ContainerState;
	/** Its cgroups are frozen, by whomever: the engine's pause does the same. */
	readonly frozen: boolean;
	/** Why no engine tells of it, "" when one does. */
	readonly silent: string;
}

/** ms for a question; for an act, most of which the engine spends waiting for the container. All of an order: 5 s. */
export const lookMs = 1500;
export const actMs = 2000;
export const graceSeconds = 3;
export const graceMs = 5000;

/** The container meant. Throws RespondError when there is no engine or no such container. */
export async function findContainer(deps: ContainerDeps, idOrName: string): Promise<Found> {
	const runtimes = deps.runtimes();
	if (runtimes.length === 0) {
		const remedy = "enable docker in picket.yaml and check its socket";
		throw new RespondError("PICKET_TARGET_UNKNOWN", "no container engine is connected", remedy);
	}
	const answers = await firstToKnow(runtimes, idOrName);
	const known = answers.filter(({ state }) => state !== undefined);
	if (known.length > 1) {
		throw new RespondError(
			"PICKET_TARGET_UNKNOWN",
			`${known.map(({ runtime }) => runtime.name).join(" and ")} both have a container ${idOrName}`,
			"give its full id",
		);
	}
	const [one] = known;
	if (one?.state !== undefined) {
		const frozen = one.state.running && (await frozenBy(deps, one.state)).length > 0;
		return { runtime: one.runtime, state: one.state, frozen, silent: "" };
	}
	const failed = answers.filter(({ error }) => error !== undefined);
	// An engine that is not installed says nothing about what the other one does not know.
	const dead = failed.filter(
		({ error }) => failed.length === answers.length || engineCode(error) !== "DOCKER_ABSENT",
	);
	const silent = dead.map(({ error }) => describeError(error)).join("; ");
	const byCgroup = dead.length > 0 ? await findByCgroup(deps, idOrName, silent) : undefined;
	if (byCgroup !== undefined) return byCgroup;
	if (dead.length > 0) {
		throw new RespondError(
			"PICKET_RUNTIME_FAILED",
			`looking for the container: ${silent}`,
			"start the engine, or give the container's full id: then it can be frozen without the engine",
		);
	}
	throw new RespondError("PICKET_TARGET_UNKNOWN", `there is no container ${idOrName}`, "see docker ps");
}

/** Of every cgroup the container has. */
export async function frozenBy(
	deps: ContainerDeps,
	state: Pick<ContainerState, "id" | "pid">,
): Promise<Freezer[]> {
	const frozen: Freezer[] = [];
	for (const freezer of await freezersOf(deps.root, state.id, state.pid ?? 0)) {
		if (await isFrozen(deps.root, freezer)) frozen.push(freezer);
	}
	return frozen;
}

export interface Change {
	/** "pause", for the steps. */
	readonly verb: string;
	readonly call: () => Promise<void>;
	/** ms for the call. */
	readonly within?: number;
	/** Is the container as it was wanted? */
	readonly reached: (after: ContainerState | undefined) => boolean;
}

/**
 * Asks the engine for a change and looks whether it came about; false when not. A late or lost answer does not tell
 * whether it happened; the look afterwards does. Throws RespondError.
 */
export async function change(
	runtime: ContainerRuntime,
	id: string,
	{ verb, call, within = actMs, reached }: Change,
	steps: string[],
): Promise<boolean> {
	const failure = await attempt(call, verb, id, within, steps);
	const after = await answered(runtime.state(id), "looking again", lookMs);
	steps.push(`verify: the container is ${conditionOf(after)}`);
	if (reached(after)) return true;
	if (failure !== undefined) throw failure;
	return false;
}

/** A step for what was tried; the error, if it was one. */
export async function attempt(
	call: () => Promise<void>,
	verb: string,
	target: string,
	within: number,
	steps: string[],
): Promise<unknown> {
	try {
		await answered(call(), verb, within);
		steps.push(`${verb} ${target}`);
		return undefined;
	} catch (error) {
		steps.push(`${verb} ${target}: ${describeError(error)}`);
		return error;
	}
}

export function conditionOf(state: ContainerState | undefined): string {
	if (state === undefined) return "gone";
	if (!state.running) return "not running";
	return state.paused ? "paused" : "running";
}

/** Bounds a call to the engine and names what it was for. Throws RespondError. */
export async function answered<T>(work: Promise<T>, doing: string, timeoutMs = actMs): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_resolve, reject) => {
		const message = `${doing}: the container engine did not answer within ${timeoutMs / 1000} s`;
		timer = setTimeout(() => {
			reject(new RespondError("PICKET_RUNTIME_FAILED", message, "check that the engine is running"));
		}, timeoutMs);
	});
	try {
		return await Promise.race([work, late]);
	} catch (error) {
		if (error instanceof RespondError) throw error;
		const failed = new RespondError(
			"PICKET_RUNTIME_FAILED",
			`${doing}: ${describeError(error)}`,
			"see the engine's own log",
		);
		failed.cause = error;
		throw failed;
	} finally {
		clearTimeout(timer);
	}
}

interface Answer {
	readonly runtime: ContainerRuntime;
	readonly state?: ContainerState | undefined;
	readonly error?: unknown;
}

/** One answer a runtime; only the first that knows it when that is a full id, which no two can have. */
async function firstToKnow(runtimes: readonly ContainerRuntime[], idOrName: string): Promise<Answer[]> {
	const asked = runtimes.map(async (runtime): Promise<Answer> => {
		try {
			return { runtime, state: await answered(runtime.state(idOrName), "looking for the container", lookMs) };
		} catch (error) {
			return { runtime, error };
		}
	});
	if (!/^[0-9a-f]{64}$/.test(idOrName)) return Promise.all(asked);
	const knowing = asked.map(async (one) => {
		const answer = await one;
		if (answer.state === undefined) throw new Error("does not know it");
		return [answer];
	});
	return Promise.any(knowing).catch(() => Promise.all(asked));
}

/** The engine's own word for what went wrong, such as DOCKER_CONFLICT; "" when it has said none. */
export function engineCode(error: unknown): string {
	const cause = error instanceof Error ? error.cause : undefined;
	return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
}

async function findByCgroup(
	deps: ContainerDeps,
	idOrName: string,
	silent: string,
): Promise<Found | undefined> {
	const recalled = deps.recall?.(idOrName);
	const id = recalled?.id ?? idOrName;
	const freezers = await freezersOf(deps.root, id, 0);
	if (freezers.length === 0) return undefined;
	const state = {
		id,
		name: recalled?.name ?? "",
		image: recalled?.image ?? "",
		running: true,
		paused: false,
	};
	const frozen = (await frozenBy(deps, state)).length > 0;
	const labels = recalled?.labels;
	return { runtime: undefined, state: labels === undefined ? state : { ...state, labels }, frozen, silent };
}
