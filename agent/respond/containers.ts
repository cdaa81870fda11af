// Pauses and resumes containers through whatever runs them. Looks before and after; who may be paused is
// decided elsewhere, except that the sensor never pauses the container it lives in.
import { describeError, RespondError } from "./failure.ts";

export interface ContainerState {
	/** Full id. */
	readonly id: string;
	readonly name: string;
	readonly image: string;
	readonly running: boolean;
	readonly paused: boolean;
	/** As the engine has them; some of them protect the container. */
	readonly labels?: Readonly<Record<string, string>>;
	/** The container this sensor runs in. */
	readonly self?: boolean;
}

/** The container engine's client, made elsewhere. Every call may reject. */
export interface ContainerRuntime {
	/** By full id, unambiguous part of it, or name; undefined when there is none. */
	state(idOrName: string): Promise<ContainerState | undefined>;
	pause(id: string): Promise<void>;
	unpause(id: string): Promise<void>;
}

const timeoutMs = 5000;

/** The container meant; throws RespondError when there is no engine or no such container. */
export async function findContainer(
	runtime: ContainerRuntime | undefined,
	idOrName: string,
): Promise<{ runtime: ContainerRuntime; state: ContainerState }> {
	if (runtime === undefined) {
		const remedy = "enable docker in picket.yaml and check its socket";
		throw new RespondError("PICKET_TARGET_UNKNOWN", "no container engine is connected", remedy);
	}
	const state = await answered(runtime.state(idOrName), "looking for the container");
	if (state === undefined) {
		throw new RespondError("PICKET_TARGET_UNKNOWN", `there is no container ${idOrName}`, "see docker ps");
	}
	return { runtime, state };
}

export type Freeze = "done" | "unchanged" | "no effect";

/** Brings container `id` into the wanted state and looks whether it is. Throws RespondError. */
export async function setPaused(
	runtime: ContainerRuntime,
	id: string,
	paused: boolean,
	steps: string[],
): Promise<Freeze> {
	const verb = paused ? "pause" : "resume";
	const before = await answered(runtime.state(id), "looking at the container");
	if (before === undefined || (paused && !before.running)) {
		throw new RespondError(
			"PICKET_TARGET_UNKNOWN",
			`container ${id} does not run any more`,
			"see docker ps -a",
		);
	}
	if (before.self === true && paused) {
		throw new RespondError(
			"PICKET_TARGET_PROTECTED",
			"it is the sensor's own container",
			"none: it stays running",
		);
	}
	if (before.paused === paused) {
		steps.push(`check: it is ${paused ? "already paused" : "not paused"}`);
		return "unchanged";
	}
	let failure: unknown;
	try {
		await answered(paused ? runtime.pause(id) : runtime.unpause(id), verb);
		steps.push(`${verb} ${id}`);
	} catch (error) {
		// A late or lost answer does not tell whether it happened; the look afterwards does.
		failure = error;
		steps.push(`${verb} ${id}: ${describeError(error)}`);
	}
	const after = await answered(runtime.state(id), "looking again");
	const state = after === undefined ? "gone" : after.paused ? "paused" : "not paused";
	steps.push(`verify: the container is ${state}`);
	if (after?.paused === paused) return "done";
	if (failure !== undefined) throw failure;
	return "no effect";
}

async function answered<T>(work: Promise<T>, doing: string): Promise<T> {
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
		throw new RespondError(
			"PICKET_RUNTIME_FAILED",
			`${doing}: ${describeError(error)}`,
			"see the engine's own log",
		);
	} finally {
		clearTimeout(timer);
	}
}
