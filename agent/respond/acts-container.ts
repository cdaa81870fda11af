// Acts on containers, through whatever runs them.
import { type Act, type ActDeps, entryOf, type Origin, outcomes } from "./act.ts";
import { findContainer, setPaused } from "./containers.ts";
import { RespondError } from "./failure.ts";
import type { Entry } from "./ledger.ts";

export async function preparePause(deps: ActDeps, container: string, origin: Origin): Promise<Act> {
	const { ledger, clock } = deps;
	const { runtime, state } = await findContainer(deps.docker(), container);
	return {
		target: state.id,
		targetName: `container ${state.name} (${state.image})`,
		undo: `picket resume ${state.name || state.id}`,
		lane: `container ${state.id}`,
		takesBack: false,
		expires: () => 0,
		description: `pause container ${state.name}`,
		protectedBecause: () => deps.protection.container(state),
		async unchanged(steps) {
			if (state.paused) steps.push("check: it is already paused");
			return state.paused;
		},
		async run(steps) {
			const own = ledger.find("pause", state.id) === undefined;
			ledger.put(entryOf("pause", state.id, state.name, origin, clock(), 0));
			try {
				const done = await setPaused(runtime, state.id, true, steps);
				// Somebody else paused it in between: then it is not ours to resume.
				if (done !== "done" && own) ledger.remove("pause", state.id);
				return { outcome: outcomes[done], seenAt: clock() };
			} catch (error) {
				// After a lost answer it may be paused all the same; then the entry has to stay.
				if (own && error instanceof RespondError && error.refused) ledger.remove("pause", state.id);
				throw error;
			}
		},
	};
}

export async function prepareResume(deps: ActDeps, container: string): Promise<Act> {
	const { ledger, clock } = deps;
	const entry = ledger.entries().find((one) => one.kind === "pause" && isNamed(one, container));
	const { runtime, state } = await findContainer(deps.docker(), entry?.target ?? container);
	return {
		target: state.id,
		targetName: `container ${state.name} (${state.image})`,
		undo: `picket pause ${state.name || state.id}`,
		lane: `container ${state.id}`,
		takesBack: ledger.find("pause", state.id) !== undefined,
		expires: () => 0,
		description: `resume container ${state.name}`,
		protectedBecause: async () => undefined,
		async unchanged(steps) {
			if (state.paused) return false;
			steps.push("check: it is not paused");
			ledger.remove("pause", state.id);
			return true;
		},
		async run(steps) {
			const done = await setPaused(runtime, state.id, false, steps);
			if (done !== "no effect") ledger.remove("pause", state.id);
			return { outcome: outcomes[done], seenAt: clock() };
		},
	};
}

function isNamed(entry: Entry, container: string): boolean {
	return entry.targetName === container || (container.length >= 12 && entry.target.startsWith(container));
}
