// Adding an entry to an allow list changes no other decision: whatever the policy and the act, all that may happen is
// that violations of that very list are none any more. And the kernel's part of a policy refuses what the
// agent finds denied, and nothing else.
import { expect, it } from "vitest";
import { EventKind, type Observation } from "../../../agent/model/event.ts";
import type { ProgramMatch } from "../../../agent/model/refusal.ts";
import { PolicyEngine } from "../../../agent/policy/engine.ts";
import { type KernelRule, refusalRules, whyAfterTheFact } from "../../../agent/policy/kernel.ts";
import { peerMatches } from "../../../agent/policy/peer.ts";
import type { Policy } from "../../../agent/policy/policy.ts";
import { addAllow, Random, randomAct, randomContainer, randomScopes } from "./random.ts";
import { context, policyOf } from "./rig.ts";

const rounds = process.env.PICKET_SOAK === "1" ? 100_000 : 2000;

function decisions(policy: Policy, act: Observation): string[] {
	const found: string[] = [];
	new PolicyEngine(policy, context).violations(act, ({ rule, summary }) => found.push(`${rule}\n${summary}`));
	return found;
}
const ruleOf = (decision: string): string => decision.split("\n")[0] ?? "";
/** Places shift when a file grows; what decided does not. */
const shape = (decision: string): string => decision.replace(/policy\.yaml:\d+/, "");

it("adding an allow only takes violations of that list away", () => {
	const random = new Random(Number(process.env.PICKET_SEED ?? 6));
	let compared = 0;
	let changed = 0;
	while (compared < rounds) {
		const scopes = randomScopes(random);
		const added = addAllow(random, scopes);
		if (added === undefined) continue;
		const [before, after] = [scopes, added.scopes].map((each) => policyOf(JSON.stringify({ scopes: each })));
		if (before === undefined || after === undefined) throw new Error("unreachable");
		for (let act = 0; act < 10; act++) {
			const inside = random.below(4) === 0 ? undefined : randomContainer(random);
			const seen = randomAct(random, inside, added.section);
			const was = decisions(before, seen);
			const is = decisions(after, seen);
			const others = (all: string[]) => all.filter((each) => ruleOf(each) !== added.rule).map(shape);
			expect(others(is), JSON.stringify(added)).toEqual(others(was));
			expect(is.length, JSON.stringify(added)).toBeLessThanOrEqual(was.length);
			compared++;
			if (is.length < was.length) changed++;
		}
	}
	expect(changed).toBeGreaterThan(rounds / 100);
}, 600_000);

it("the kernel refuses only what the agent finds denied, and all that is said to be refused by it", () => {
	const random = new Random(Number(process.env.PICKET_SEED ?? 7));
	let refusals = 0;
	for (let compared = 0; compared < rounds; ) {
		const text = JSON.stringify({ scopes: randomScopes(random) });
		const policy = policyOf(text);
		const box = randomContainer(random);
		const { rules } = refusalRules(policy, [{ container: box, cgroups: [77] }]);
		for (let each = 0; each < 8; each++) {
			const inside = random.below(2) === 0;
			const act = randomAct(random, inside ? box : undefined);
			// A path that could not be read is refused nowhere, and tried in the tests of the lists.
			if (act.process === undefined || act.process.exe === "") continue;
			const denied = new Set<string>();
			const atOnce: string[] = [];
			new PolicyEngine(policy, context).rulings(act, (scope, ruling) => {
				denied.add(`${scope.name}/${ruling.list.split(".")[0]}`);
				if (whyAfterTheFact(scope, ruling) === undefined) atOnce.push(`policy/${scope.name}/${ruling.list}`);
			});
			const refused = rules.filter((rule) => isAt(rule, inside) && refuses(rule, act)).map(({ id }) => id);
			for (const id of refused)
				expect(denied, text).toContain(id.replace(/^policy\//, "").replace(/\.\w+$/, ""));
			for (const id of atOnce) expect(refused, text).toContain(id);
			refusals += atOnce.length;
			compared++;
		}
	}
	expect(refusals).toBeGreaterThan(rounds / 100);
}, 600_000);

function isAt({ where }: KernelRule, inside: boolean): boolean {
	return where === "host" ? !inside : inside && where.includes(77);
}

function refuses(rule: KernelRule, act: Observation): boolean {
	const { event, process: actor } = act;
	if (event.kind === EventKind.exec) return refusesExec(rule, actor?.exe ?? "");
	return event.kind === EventKind.connect && refusesPeer(rule, act);
}

function refusesExec({ what }: KernelRule, exe: string): boolean {
	if (what.kind !== "exec") return false;
	if ("deny" in what) return what.deny.some((each) => isProgram(each, exe));
	return !what.allowOnly.some((each) => isProgram(each, exe));
}

function isProgram(match: ProgramMatch, exe: string): boolean {
	switch (match.by) {
		case "path":
			return exe === match.path;
		case "directory":
			return exe.startsWith(match.path);
		case "name":
			return exe.slice(exe.lastIndexOf("/") + 1) === match.name;
		case "any":
			return true;
		default:
			return false;
	}
}

function refusesPeer({ what }: KernelRule, { event }: Observation): boolean {
	if (what.kind !== "egress") return false;
	const { family, bytes, remoteAddressStart: start, remotePort: port } = event;
	const some = (list: readonly Parameters<typeof peerMatches>[0][]) =>
		list.some((peer) => peerMatches(peer, family, bytes, start, port));
	if ("deny" in what) return some(what.deny);
	return bytes[start] !== 127 && !some(what.allowOnly);
}
