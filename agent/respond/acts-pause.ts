// Pausing a container and letting it run again: through its engine, and with that dead or silent by its cgroup. What
// the kernel's freezer says is what counts, whoever asked it.
import { type Act, type ActDeps, entryOf, freshUntil, type Origin, outcomes } from "./act.ts";
import { commonOf, entryFor, findOrRemembered, goneAct } from "./acts-container.ts";
import {
	actMs,
	answered,
	attempt,
	type ContainerState,
	conditionOf,
	engineCode,
	type Found,
	findContainer,
	frozenBy,
	lookMs,
} from "./containers.ts";
import { RespondError } from "./failure.ts";
import { type Freezer, freezersOf, setFrozen } from "./freezer.ts";
import type { Entry } from "./ledger.ts";

type Done = keyof typeof outcomes;

export async function preparePause(
	deps: ActDeps,
	container: string,
	ttlSeconds: number,
	origin: Origin,
): Promise<Act> {
	const { ledger, clock } = deps;
	const found = await findContainer(deps.containers, container);
	const { state } = found;
	const ours = () => ledger.find("pause", state.id);
	const fresh = () => freshUntil(ours(), ttlSeconds, clock());
	const stands = state.paused || found.frozen;
	// Of somebody else's pause it is not for us to say when it ends.
	const expiry = () => (stands && ours() === undefined ? 0 : (fresh() ?? clock() + ttlSeconds * 1000));
	return {
		...commonOf(found),
		undo: `picket resume ${state.name || state.id}`,
		takesBack: false,
		expires: expiry,
		description: `pause container ${state.name || state.id} for ${ttlSeconds} s`,
		protectedBecause: () => deps.protection.container(state),
		async unchanged(steps) {
			if (!stands || (ours() !== undefined && fresh() === undefined)) return false;
			steps.push(`check: it is already ${state.paused ? "paused" : "frozen"}`);
			return true;
		},
		async run(steps) {
			const before = ours();
			const remember = (freezer?: Freezer) => {
				const entry = entryOf("pause", state.id, state.name, origin, clock(), expiry());
				const detail = freezer === undefined ? before?.detail : JSON.stringify(freezer);
				ledger.put(detail === undefined ? entry : { ...entry, detail });
			};
			remember();
			if (stands) {
				steps.push("check: it is already paused, now for longer");
				return { outcome: outcomes.done, seenAt: clock() };
			}
			try {
				const done = await pause(deps, found, remember, steps);
				// Somebody else paused it in between: then it is not ours to resume.
				if (done !== "done" && before === undefined) ledger.remove("pause", state.id);
				return { outcome: outcomes[done], seenAt: clock() };
			} catch (error) {
				// After a lost answer it may be paused all the same; then the entry has to stay.
				if (before === undefined && error instanceof RespondError && error.refused) {
					ledger.remove("pause", state.id);
				}
				throw error;
			}
		},
	};
}

async function pause(
	deps: ActDeps,
	{ runtime, state, silent }: Found,
	remember: (freezer: Freezer) => void,
	steps: string[],
): Promise<Done> {
	if (runtime === undefined) {
		steps.push(`no engine answers: ${silent}`);
		return freeze(deps, state, remember, steps);
	}
	if (!state.running) throw notRunning(state);
	const failure = await attempt(() => runtime.pause(state.id), "pause", state.id, actMs, steps);
	const frozen = await kernelSays(deps, state, steps);
	const conflict = engineCode(failure) === "DOCKER_CONFLICT";
	if (frozen === true) return conflict ? "unchanged" : "done";
	const answers = failure === undefined || conflict;
	if (frozen === false && !answers) return freeze(deps, state, remember, steps);
	const after = await answered(runtime.state(state.id), "looking again", lookMs);
	steps.push(`verify: the container is ${conditionOf(after)}`);
	if (after === undefined || !after.running) throw notRunning(state);
	if (after.paused && frozen === false) {
		throw new RespondError(
			"PICKET_RUNTIME_FAILED",
			"the engine says it is paused, but its cgroup is not frozen",
			"look whether its processes still run; resume it to be rid of the state",
		);
	}
	if (after.paused) return conflict ? "unchanged" : "done";
	if (failure !== undefined) throw failure;
	return "no effect";
}

export async function prepareResume(deps: ActDeps, container: string): Promise<Act> {
	const { ledger, clock } = deps;
	const entry = entryFor(ledger, "pause", container);
	const found = await findOrRemembered(deps, entry, container);
	if (found === undefined) return goneAct(deps, entry as Entry, "resume");
	const { state } = found;
	return {
		...commonOf(found),
		undo: `picket pause ${state.name || state.id}`,
		takesBack: ledger.find("pause", state.id) !== undefined,
		expires: () => 0,
		description: `resume container ${state.name || state.id}`,
		protectedBecause: async () => undefined,
		async unchanged(steps) {
			if (state.paused || found.frozen) return false;
			steps.push("check: it is not paused");
			ledger.remove("pause", state.id);
			return true;
		},
		async run(steps) {
			const done = await resume(deps, found, steps);
			if (done !== "no effect") ledger.remove("pause", state.id);
			return { outcome: outcomes[done], seenAt: clock() };
		},
	};
}

async function resume(deps: ActDeps, { runtime, state, silent }: Found, steps: string[]): Promise<Done> {
	const byUs = deps.ledger.find("pause", state.id)?.detail !== undefined;
	if (runtime === undefined && !byUs) {
		throw new RespondError(
			"PICKET_RUNTIME_FAILED",
			`the engine paused it and does not answer: ${silent}`,
			"start the engine: thawed behind its back the container would still be paused for it",
		);
	}
	let failure: unknown;
	if (runtime !== undefined && state.paused) {
		failure = await attempt(() => runtime.unpause(state.id), "resume", state.id, actMs, steps);
	}
	// What the engine did not freeze it does not thaw.
	if (failure === undefined) await thaw(deps, state, steps);
	const frozen = await kernelSays(deps, state, steps);
	if (frozen === false) return "done";
	if (frozen === undefined && runtime !== undefined) {
		const after = await answered(runtime.state(state.id), "looking again", lookMs);
		steps.push(`verify: the container is ${conditionOf(after)}`);
		if (after?.paused !== true) return "done";
	}
	if (failure !== undefined) throw failure;
	return "no effect";
}

/** Thaws what the kernel still holds frozen of a container. */
async function thaw(deps: ActDeps, state: ContainerState, steps: string[]): Promise<void> {
	for (const freezer of await frozenBy(deps.containers, state)) {
		const done = await setFrozen(deps.containers, freezer, false);
		steps.push(`thaw ${freezer.directory}${done ? "" : ": it is still frozen"}`);
	}
}

/** Freezes a container by its cgroup. */
async function freeze(
	deps: ActDeps,
	state: ContainerState,
	remember: (freezer: Freezer) => void,
	steps: string[],
): Promise<Done> {
	const [freezer] = await freezersOf(deps.containers.root, state.id, state.pid ?? 0);
	if (freezer === undefined) throw notRunning(state);
	remember(freezer);
	const done = await setFrozen(deps.containers, freezer, true);
	steps.push(`freeze ${freezer.directory}`);
	steps.push(`verify: the kernel says it is ${done ? "frozen" : "not frozen"}`);
	if (done) return "done";
	// Half of it asleep is neither one thing nor the other.
	await setFrozen(deps.containers, freezer, false);
	return "no effect";
}

/** Is it frozen? Undefined where its cgroup cannot be seen. */
async function kernelSays(
	{ containers }: ActDeps,
	state: ContainerState,
	steps: string[],
): Promise<boolean | undefined> {
	if ((await freezersOf(containers.root, state.id, state.pid ?? 0)).length === 0) return undefined;
	const frozen = (await frozenBy(containers, state)).length > 0;
	steps.push(`verify: the kernel says it is ${frozen ? "frozen" : "not frozen"}`);
	return frozen;
}

function notRunning(state: ContainerState): RespondError {
	const message = `container ${state.name || state.id} does not run`;
	return new RespondError("PICKET_TARGET_UNKNOWN", message, "see docker ps -a");
}
