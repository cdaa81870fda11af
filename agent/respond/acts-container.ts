// What the acts on containers have in common. Each sort has a file of its own: acts-pause.ts, acts-lifecycle.ts,
// acts-network.ts.
import type { Act, ActDeps } from "./act.ts";
import { type ContainerRuntime, type Found, findContainer } from "./containers.ts";
import { RespondError } from "./failure.ts";
import type { Entry, Ledger } from "./ledger.ts";

export function commonOf({ state }: Found): Pick<Act, "target" | "targetName" | "lane"> {
	return {
		target: state.id,
		targetName: `container ${state.name || state.id.slice(0, 12)} (${state.image || "image unknown"})`,
		lane: `container ${state.id}`,
	};
}

/** By full id, by a part of it that is long enough to mean no other, or by the name it had. */
export function entryFor(ledger: Ledger, kind: Entry["kind"], container: string): Entry | undefined {
	return ledger.entries().find(({ kind: is, target, targetName }) => {
		return (
			is === kind && (targetName === container || (container.length >= 12 && target.startsWith(container)))
		);
	});
}

/** What `entry` is about; undefined when that is gone. Without an entry as findContainer. Throws RespondError. */
export async function findOrRemembered(
	deps: ActDeps,
	entry: Entry | undefined,
	container: string,
): Promise<Found | undefined> {
	try {
		return await findContainer(deps.containers, entry?.target ?? container);
	} catch (error) {
		const gone = error instanceof RespondError && error.code === "PICKET_TARGET_UNKNOWN";
		if (entry !== undefined && gone && deps.containers.runtimes().length > 0) return undefined;
		throw error;
	}
}

/** Takes back what ended with its container: only the ledger still has it. */
export function goneAct({ ledger, clock }: ActDeps, entry: Entry, verb: string): Act {
	const { kind, target, targetName } = entry;
	return {
		target,
		targetName: `container ${targetName}`,
		undo: "",
		lane: `container ${target}`,
		takesBack: true,
		expires: () => 0,
		description: `${verb} container ${targetName}`,
		protectedBecause: async () => undefined,
		async unchanged(steps) {
			steps.push("check: the container is gone");
			ledger.remove(kind, target);
			return true;
		},
		run: async () => ({ outcome: "OUTCOME_UNCHANGED", seenAt: clock() }),
	};
}

/** Only the engine can do this. Throws RespondError when it gave no answer. */
export function engineOf({ runtime, silent }: Found): ContainerRuntime {
	if (runtime !== undefined) return runtime;
	throw new RespondError(
		"PICKET_RUNTIME_FAILED",
		`the container engine does not answer: ${silent}`,
		"start it; without it a container can still be paused",
	);
}
