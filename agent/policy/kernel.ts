// What of the policy the kernel can refuse by itself, before it happens. The rest is judged after the fact, and why is
// said. An allow list goes to the kernel as a whole or not at all: a part of it would refuse what it permits.
import type { Container } from "../model/process.ts";
import type { ProgramMatch, RefusalRule } from "../model/refusal.ts";
import type { Mode } from "../model/verdict.ts";
import type { Executable, Line, List, ListName, Place, Policy, Ruling, Scope } from "./policy.ts";
import { isSelected } from "./select.ts";

/** The deadline is the caller's. */
export type KernelRule = Omit<RefusalRule, "deadline">;

export interface RunningContainer {
	readonly container: Container;
	/** Ids of its cgroups (v2); what is below them goes along. */
	readonly cgroups: readonly number[];
}

/** A line, or all of an allow list, that only the agent judges. */
export interface AfterTheFact {
	readonly id: string;
	readonly text: string;
	readonly place: Place;
	readonly reason: string;
}

export interface Refusals {
	readonly rules: readonly KernelRule[];
	readonly after: readonly AfterTheFact[];
}

/** Of all scopes that are judged. A container whose name, image and labels are not known yet is in scopes of all alone. */
export function refusalRules(policy: Policy, containers: Iterable<RunningContainer>): Refusals {
	const running = [...containers];
	const rules: KernelRule[] = [];
	const after: AfterTheFact[] = [];
	for (const scope of policy.scopes) {
		if (scope.mode === "off") continue;
		const { whats, after: left } = kernelPart(scope);
		after.push(...left);
		// Also when it is nowhere now: loading the programs takes longer than a container needs to begin.
		const where = placeOf(scope, running);
		const mode: Mode = scope.mode;
		for (const { list, what } of whats) rules.push({ id: idOf(scope, list), mode, where, what });
	}
	return { rules, after };
}

/** Why only the agent judges this, undefined when the kernel refuses it. `ruling`: one of this scope's. */
export function whyAfterTheFact(scope: Scope, ruling: Ruling): string | undefined {
	if (ruling.tier === "alert") return "an alert line refuses nothing";
	const { place, list, text } = ruling;
	const part = kernelPart(scope);
	const left = part.after.find((one) => one.place === place && one.text === text);
	if (left !== undefined) return left.reason;
	return part.whats.some((one) => one.list === list)
		? undefined
		: "the kernel refuses programs and peers alone";
}

interface KernelPart {
	readonly whats: readonly { readonly list: ListName; readonly what: RefusalRule["what"] }[];
	readonly after: readonly AfterTheFact[];
}

function kernelPart(scope: Scope): KernelPart {
	const { processes, peers, notFromImage } = scope;
	const whats: { list: ListName; what: RefusalRule["what"] }[] = [];
	const after: AfterTheFact[] = [];
	const tell = ({ list, text, place }: Ruling, reason: string) =>
		after.push({ id: idOf(scope, list), text, place, reason });

	const narrowed = narrowedBy(scope);
	if (narrowed !== undefined) {
		const forbidding = [processes, peers].flatMap(({ deny, leftOut }) => [
			...(deny ?? []),
			...(leftOut ? [leftOut] : []),
		]);
		for (const ruling of [...forbidding, ...(notFromImage?.tier === "deny" ? [notFromImage] : [])])
			tell(ruling, `the kernel does not know ${narrowed} a rule is for`);
		return { whats, after };
	}

	const deny: ProgramMatch[] = [];
	for (const line of processes.deny ?? []) {
		const program = programOf(line.match);
		if (program === undefined) tell(line, globReason);
		else deny.push(program);
	}
	if (deny.length > 0) whats.push({ list: "processes.deny", what: { kind: "exec", deny } });
	if (notFromImage?.tier === "deny")
		whats.push({
			list: "processes.not_from_image",
			what: { kind: "exec", deny: [{ by: "not-from-image" }] },
		});
	if (processes.leftOut !== undefined) {
		const permitted = linesOf(processes.alert, processes.allow);
		const programs = permitted.flatMap(({ match }) => programOf(match) ?? []);
		const unknown = permitted.find(({ match }) => programOf(match) === undefined);
		if (unknown !== undefined) tell(processes.leftOut, `${unknown.text}: ${globReason}`);
		else whats.push({ list: "processes.allow", what: { kind: "exec", allowOnly: programs } });
	}

	const deniedPeers = (peers.deny ?? []).map(({ match }) => match);
	if (deniedPeers.length > 0) whats.push({ list: "peers.deny", what: { kind: "egress", deny: deniedPeers } });
	if (peers.leftOut !== undefined) {
		const allowOnly = linesOf(peers.alert, peers.allow).map(({ match }) => match);
		whats.push({ list: "peers.allow", what: { kind: "egress", allowOnly } });
	}
	return { whats, after };
}

const globReason =
	"the kernel knows whole paths, a folder with all below it (/tmp/**) and names, no other globs";

function narrowedBy({ onlyUsers, onlyPrograms }: Scope): string | undefined {
	if (onlyUsers !== undefined) return "which user";
	return onlyPrograms === undefined ? undefined : "which program";
}

function linesOf<T>(...lists: readonly List<T>[]): Line<T>[] {
	return lists.flatMap((list) => list ?? []);
}

function programOf({ text, glob, byName }: Executable): ProgramMatch | undefined {
	if (byName)
		return glob.exact ? { by: "name", name: glob.literal } : text === "*" ? { by: "any" } : undefined;
	if (glob.exact) return { by: "path", path: glob.literal };
	const rest = text.endsWith("/") ? `${text}**` : text;
	if (rest === "**" || rest === "/**") return { by: "any" };
	const folder = /^(\/[^*?]*\/)\*\*$/.test(rest);
	if (folder) return { by: "directory", path: glob.literal };
	const name = /^(?:\/?\*\*\/)([^*?/]+)$/.exec(rest)?.[1];
	return name === undefined ? undefined : { by: "name", name: Buffer.from(name, "utf8").toString("latin1") };
}

function placeOf(scope: Scope, running: readonly RunningContainer[]): KernelRule["where"] {
	if (scope.where === "host") return "host";
	return running
		.filter(({ container }) => isSelected(scope, container))
		.flatMap(({ cgroups }) => [...cgroups]);
}

function idOf(scope: Scope, list: ListName): string {
	return `policy/${scope.name}/${list}`;
}
