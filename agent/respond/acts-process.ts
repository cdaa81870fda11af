// Acts on processes.
import { type Act, type ActDeps, outcomes } from "./act.ts";
import { identify, killProcess } from "./kill.ts";

export function prepareKill(deps: ActDeps, pid: number, start: number): Act {
	const identity = identify(deps.kill.root, pid, start);
	return {
		target: `${pid}:${start}`,
		targetName: identity === undefined ? `process ${pid}` : `${identity.comm} (pid ${pid})`,
		undo: "",
		lane: `process ${pid}`,
		takesBack: false,
		expires: () => 0,
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
