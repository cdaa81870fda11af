// Stopping, starting, restarting and removing a container through its engine, which keeps its restart policy.
import { type Act, type ActDeps, entryOf, type Origin, outcomes } from "./act.ts";
import { commonOf, engineOf } from "./acts-container.ts";
import {
	actMs,
	type Change,
	type ContainerRuntime,
	type ContainerState,
	change,
	findContainer,
	frozenBy,
	graceMs,
	graceSeconds,
} from "./containers.ts";
import { setFrozen } from "./freezer.ts";
import type { PlainContainerOrder } from "./orders.ts";

type Verb = Exclude<PlainContainerOrder, "resume" | "reconnect">;

export async function prepareLifecycle(
	deps: ActDeps,
	verb: Verb,
	container: string,
	origin: Origin,
): Promise<Act> {
	const { ledger, clock } = deps;
	const found = await findContainer(deps.containers, container);
	const { state } = found;
	const runtime = engineOf(found);
	const name = state.name || state.id;
	/** By hand it lasts until somebody starts it. */
	const end = origin.requester === "cli" ? 0 : clock() + deps.settings.ttlSeconds * 1000;
	const undo = {
		stop: `picket start-container ${name}`,
		start: `picket stop ${name}`,
		restart: "",
		remove: "",
	};
	return {
		...commonOf(found),
		undo: undo[verb],
		takesBack: verb === "start" && ledger.find("stop", state.id) !== undefined,
		expires: () => (verb === "stop" ? end : 0),
		description: `${verb} container ${name}`,
		protectedBecause: async () => (verb === "start" ? undefined : deps.protection.container(state)),
		async unchanged(steps) {
			const already = (verb === "stop" && !state.running) || (verb === "start" && state.running);
			if (already) steps.push(`check: it is ${state.running ? "already running" : "not running"}`);
			return already;
		},
		async run(steps) {
			if (verb === "remove") steps.push("this cannot be undone: what it wrote outside its volumes is lost");
			if (verb === "stop") ledger.put(entryOf("stop", state.id, state.name, origin, clock(), end));
			const done = await change(runtime, state.id, changeOf(deps, runtime, verb, state), steps);
			if (done && verb !== "start") ledger.remove("pause", state.id);
			if (done && verb === "remove") ledger.remove("disconnect", state.id);
			if (verb === "stop" ? !done : done) ledger.remove("stop", state.id);
			return { outcome: outcomes[done ? "done" : "no effect"], seenAt: clock() };
		},
	};
}

function changeOf(deps: ActDeps, runtime: ContainerRuntime, verb: Verb, before: ContainerState): Change {
	const { id } = before;
	switch (verb) {
		case "stop":
			return {
				verb,
				call: () => ending(deps, before, runtime.stop(id, graceSeconds)),
				within: graceMs,
				reached: (after) => after?.running === false,
			};
		case "start":
			return {
				verb,
				call: () => runtime.start(id),
				within: actMs,
				reached: (after) => after?.running === true,
			};
		case "restart":
			return {
				verb,
				call: () => ending(deps, before, runtime.restart(id, graceSeconds)),
				within: graceMs,
				reached: (after) => after?.running === true && after.startedAt !== before.startedAt,
			};
		case "remove":
			return {
				verb,
				call: () => ending(deps, before, runtime.remove(id)),
				within: graceMs,
				reached: (after) => after === undefined,
			};
	}
}

/** What we froze behind the engine's back cannot end: it is thawed as soon as the engine has been asked to end it. */
async function ending(deps: ActDeps, before: ContainerState, work: Promise<void>): Promise<void> {
	// Of the two only one failure can be told.
	const thawed = thaw(deps, before).catch(() => {});
	await work;
	await thawed;
}

async function thaw({ containers }: ActDeps, before: ContainerState): Promise<void> {
	if (before.paused) return;
	for (const freezer of await frozenBy(containers, before)) await setFrozen(containers, freezer, false);
}
