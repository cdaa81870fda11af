// What is done about a finding: the first entry of `responses` that fits. Counts what came in a window, by event time, in
// bounded memory: of each group the newest times alone, of the groups those last heard of.
import type { Observation } from "../model/event.ts";
import { remoteAddressOf } from "../model/remote.ts";
import { type Finding, type Response, severities } from "../model/verdict.ts";
import { held } from "./compile.ts";
import { matchesName } from "./glob.ts";
import type { CountCondition, Policy, ResponseRule } from "./policy.ts";

export interface Responses {
	/** To be asked once for each finding. Always holds an alert. */
	of(finding: Finding, observation: Observation): readonly Response[];
	/** The entries that could decide about such a finding: in their order, up to the first that does not count. */
	fitting(finding: Finding, observation: Observation): readonly ResponseRule[];
	/** Groups that are counted now, for tests of the bound. */
	groups(): number;
}

const onlyAlert: readonly Response[] = Object.freeze([{ act: "alert" }] as const);
/** Times kept by one entry, over all its groups. */
const maxTimes = 65_536;
const maxGroups = 4096;

export function createResponses({ responses }: Pick<Policy, "responses">): Responses {
	const entries = responses
		.filter(({ mode }) => mode !== "off")
		.map((rule) => ({
			rule,
			counter: rule.counted && createCounter(rule.counted),
			held: rule.responses.map(held),
		}));
	return {
		of(finding, observation) {
			let chosen: (typeof entries)[number] | undefined;
			// Each entry counts all that fits it, whichever decides.
			for (const entry of entries) {
				if (!fits(entry.rule, finding, observation)) continue;
				const reached = entry.counter?.add(finding, observation) ?? true;
				if (reached) chosen ??= entry;
			}
			if (chosen === undefined || finding.atMost === "alert") return onlyAlert;
			chosen.counter?.startAgain(finding, observation);
			return finding.atMost === "observe" ? chosen.held : chosen.rule.responses;
		},
		fitting(finding, observation) {
			const all = entries.map(({ rule }) => rule).filter((rule) => fits(rule, finding, observation));
			const decides = all.findIndex(({ counted }) => counted === undefined);
			return decides < 0 ? all : all.slice(0, decides + 1);
		},
		groups: () => entries.reduce((sum, { counter }) => sum + (counter?.groups() ?? 0), 0),
	};
}

interface Counter {
	/** Has the count been reached in its window? */
	add(finding: Finding, observation: Observation): boolean;
	/** What was reached is done with. */
	startAgain(finding: Finding, observation: Observation): void;
	groups(): number;
}

function createCounter({ count, withinSeconds, by }: CountCondition): Counter {
	/** Newest times of each group, ns since boot, oldest first; groups in the order they were last heard of. */
	const groups = new Map<string, number[]>();
	const most = Math.max(16, Math.min(maxGroups, Math.floor(maxTimes / count)));
	return {
		add(finding, observation) {
			const key = groupOf(by, finding, observation);
			if (key === undefined) return false;
			const now = observation.event.time;
			const times = groups.get(key) ?? [];
			groups.delete(key);
			groups.set(key, times);
			times.push(now);
			while (times.length > count || now - (times[0] ?? now) > withinSeconds * 1e9) times.shift();
			if (groups.size > most) groups.delete(groups.keys().next().value ?? "");
			return times.length >= count;
		},
		startAgain(finding, observation) {
			groups.delete(groupOf(by, finding, observation) ?? "");
		},
		groups: () => groups.size,
	};
}

/** Undefined: it belongs to none, such as what no address is to be seen of, counted by source. */
function groupOf(by: CountCondition["by"], finding: Finding, observation: Observation): string | undefined {
	switch (by) {
		case "host":
			return "host";
		case "rule":
			return finding.rule;
		case "container":
			return observation.process?.cgroup?.container?.id;
		case "source":
			return remoteAddressOf(observation) || undefined;
	}
}

function fits(rule: ResponseRule, finding: Finding, { process }: Observation): boolean {
	const { rules, techniques, tactics, tags, scopes } = rule;
	if (rules !== undefined && !rules.some((glob) => matchesName(glob, finding.rule))) return false;
	if (!isSevere(rule, finding)) return false;
	if (
		techniques !== undefined &&
		!finding.techniques.some((id) => techniques.some((each) => id === each || id.startsWith(`${each}.`)))
	)
		return false;
	if (tactics !== undefined && !finding.tactics.some((each) => tactics.includes(each))) return false;
	if (tags !== undefined && !finding.tags.some((each) => tags.includes(each))) return false;
	const where = process?.cgroup?.container === undefined ? "host" : "container";
	return scopes === undefined || scopes.includes(where);
}

/** One severity means at least that; several mean these. */
function isSevere({ severities: wanted }: ResponseRule, { severity }: Finding): boolean {
	if (wanted === undefined) return true;
	const [least] = wanted;
	if (wanted.length > 1 || least === undefined) return wanted.includes(severity);
	return severities.indexOf(severity) >= severities.indexOf(least);
}
