// Acts on processes.
import { type Act, type ActDeps, outcomes } from "./act.ts";
import { RespondError } from "./failure.ts";
import { identify, killProcess } from "./kill.ts";
import { killTree, surveyTree, type TreeDeps } from "./kill-tree.ts";
import type { ProcessIdentity } from "./procfs.ts";

export function prepareKill(deps: ActDeps, pid: number, start: number, tree: boolean): Act {
	return tree ? prepareKillTree(deps, pid, start) : prepareKillOne(deps, pid, start);
}

function prepareKillOne(deps: ActDeps, pid: number, start: number): Act {
	const identity = identify(deps.kill.root, pid, start);
	return {
		...common(pid, start, identity),
		description: `kill process ${pid}`,
		async protectedBecause() {
			const now = identify(deps.kill.root, pid, start);
			return now === undefined ? undefined : deps.protection.process(now);
		},
		async unchanged(steps) {
			if (identity === undefined) steps.push(`check: there is no process ${pid} any more`);
			return identity === undefined;
		},
		async run(steps) {
			const done = await killProcess(deps.kill, pid, start, steps);
			return { outcome: outcomes[done], seenAt: deps.clock() };
		},
	};
}

/** What it started may live on when it has ended itself, or when its pid is another's. */
function prepareKillTree(deps: ActDeps, pid: number, start: number): Act {
	const treeDeps: TreeDeps = { ...deps.kill, protectedBecause: deps.protection.process };
	const { alive } = surveyTree(treeDeps, pid, start);
	let identity: ProcessIdentity | undefined;
	try {
		identity = identify(deps.kill.root, pid, start);
	} catch (error) {
		if (!alive || !(error instanceof RespondError)) throw error;
	}
	return {
		...common(pid, start, identity),
		description: `kill process ${pid} and all it has started`,
		protectedBecause: async () => surveyTree(treeDeps, pid, start).protectedBecause,
		async unchanged(steps) {
			if (!alive) steps.push(`check: nothing is left of process ${pid} and what it started`);
			return !alive;
		},
		async run(steps) {
			const done = await killTree(treeDeps, pid, start, steps);
			return { outcome: outcomes[done], seenAt: deps.clock() };
		},
	};
}

function common(pid: number, start: number, identity: ProcessIdentity | undefined) {
	return {
		target: `${pid}:${start}`,
		targetName: identity === undefined ? `process ${pid}` : `${identity.comm} (pid ${pid})`,
		undo: "",
		lane: `process ${pid}`,
		takesBack: false,
		expires: () => 0,
	};
}
