// Acts that the kernel carries out by itself from then on: refuse what a container sends, refuse executions; permit
// both again. Every one has its own rules there, under a name made of what it is and what it is aimed at.
import { createHash } from "node:crypto";
import type { RefusalRule, Refuser } from "../model/refusal.ts";
import { type Act, type ActDeps, entryOf, freshUntil, type Origin } from "./act.ts";
import { type ContainerState, findContainer } from "./containers.ts";
import { RespondError } from "./failure.ts";
import type { Entry } from "./ledger.ts";
import { type Program, programText } from "./orders.ts";

export interface RefusalDeps {
	readonly refuser: Refuser;
	/** Ids of the cgroups of a container (full id), [] while it is not known. */
	readonly cgroupsOf: (container: string) => readonly number[];
}

type Kind = "refuseEgress" | "refuseExec";

/** What is refused, to whom, as text and for the kernel. */
interface Subject {
	readonly kind: Kind;
	/** Canonical, in the ledger and in the action. */
	readonly target: string;
	readonly targetName: string;
	readonly description: string;
	readonly undo: string;
	readonly where: RefusalRule["where"];
	readonly what: RefusalRule["what"];
	readonly protectedBecause: Act["protectedBecause"];
}

export async function prepareRefuseEgress(
	deps: ActDeps,
	container: string,
	ttlSeconds: number,
	origin: Origin,
): Promise<Act> {
	const { refuser, cgroupsOf } = kernelOf(deps);
	if ("lacking" in refuser.egress) throw cannot(refuser.egress);
	const { state } = await findContainer(deps.containers, container);
	return refuse(deps, ttlSeconds, origin, {
		kind: "refuseEgress",
		target: state.id,
		targetName: nameOf(state),
		description: `refuse everything that container ${state.name} sends for ${ttlSeconds} s`,
		undo: `picket permit-egress ${state.name || state.id}`,
		where: cgroupsOfRunning(cgroupsOf, state),
		what: { kind: "isolate" },
		protectedBecause: () => deps.protection.container(state),
	});
}

export async function prepareRefuseExec(
	deps: ActDeps,
	program: Program,
	container: string,
	ttlSeconds: number,
	origin: Origin,
): Promise<Act> {
	const { refuser, cgroupsOf } = kernelOf(deps);
	if ("lacking" in refuser.exec) throw cannot(refuser.exec);
	const text = programText(program);
	const what = { kind: "exec", deny: [program] } as const;
	if (container === "") {
		if (program.by !== "path" && program.by !== "inode")
			throw new RespondError(
				"PICKET_ORDER_INVALID",
				`${program.by} on the whole host would stop it`,
				"name a container or a program",
			);
		return refuse(deps, ttlSeconds, origin, {
			kind: "refuseExec",
			target: `host ${text}`,
			targetName: text,
			description: `refuse executions of ${text} on this host for ${ttlSeconds} s`,
			undo: `picket permit-exec ${text}`,
			where: "host",
			what,
			protectedBecause: async () => deps.protection.program(program),
		});
	}
	const { state } = await findContainer(deps.containers, container);
	return refuse(deps, ttlSeconds, origin, {
		kind: "refuseExec",
		target: `${state.id} ${text}`,
		targetName: `${text} in ${nameOf(state)}`,
		description: `refuse executions of ${text} in container ${state.name} for ${ttlSeconds} s`,
		undo: `picket permit-exec ${text} --container ${state.name || state.id}`,
		where: cgroupsOfRunning(cgroupsOf, state),
		what,
		protectedBecause: () => deps.protection.container(state),
	});
}

function refuse(deps: ActDeps, ttlSeconds: number, origin: Origin, subject: Subject): Act {
	const { ledger, clock } = deps;
	const { refuser } = kernelOf(deps);
	const { kind, target, targetName } = subject;
	const fresh = () => freshUntil(ledger.find(kind, target), ttlSeconds, clock());
	const expiry = () => fresh() ?? clock() + ttlSeconds * 1000;
	const ruleOf = (entry: Entry): RefusalRule => ({
		id: entry.actionId,
		mode: "enforce",
		where: subject.where,
		what: subject.what,
		deadline: entry.expires,
	});
	return {
		target,
		targetName,
		undo: subject.undo,
		lane: `refusal ${target}`,
		takesBack: false,
		expires: expiry,
		description: subject.description,
		protectedBecause: subject.protectedBecause,
		async unchanged(steps) {
			const entry = ledger.find(kind, target);
			const stands = entry !== undefined && fresh() !== undefined && refuser.holds(ruleOf(entry));
			if (stands) steps.push("check: the kernel refuses it already");
			return stands;
		},
		async run(steps) {
			const before = ledger.find(kind, target);
			const entry = entryOf(kind, target, targetName, origin, clock(), expiry());
			ledger.put(entry);
			try {
				refuser.put(ownerOf(kind, target), [ruleOf(entry)]);
			} catch (error) {
				if (before === undefined) ledger.remove(kind, target);
				else ledger.put(before);
				throw failed(error);
			}
			steps.push(`kernel: ${subject.description}, ${means(refuser, kind)}`);
			const holds = refuser.holds(ruleOf(entry));
			steps.push(
				holds
					? "check: the kernel has the rule, and its programs run where they should"
					: "check: the kernel does not have it in force",
			);
			return { outcome: holds ? "OUTCOME_VERIFIED" : "OUTCOME_NO_EFFECT", seenAt: clock() };
		},
	};
}

export async function preparePermitEgress(deps: ActDeps, container: string): Promise<Act> {
	const id = await idOf(deps, "refuseEgress", container, "");
	return permit(deps, "refuseEgress", id, `let container ${container} send again`);
}

export async function preparePermitExec(deps: ActDeps, program: Program, container: string): Promise<Act> {
	const text = programText(program);
	const id = container === "" ? "host" : await idOf(deps, "refuseExec", container, ` ${text}`);
	return permit(deps, "refuseExec", `${id} ${text}`, `let ${text} be executed again`);
}

function permit(deps: ActDeps, kind: Kind, target: string, description: string): Act {
	const { ledger, clock } = deps;
	const { refuser } = kernelOf(deps);
	const entry = ledger.find(kind, target);
	return {
		target,
		targetName: entry?.targetName ?? target,
		undo: "",
		lane: `refusal ${target}`,
		takesBack: true,
		expires: () => 0,
		description,
		protectedBecause: async () => undefined,
		async unchanged(steps) {
			if (ledger.find(kind, target) !== undefined || refuser.owns(ownerOf(kind, target))) return false;
			steps.push("check: the kernel does not refuse it");
			return true;
		},
		async run(steps) {
			try {
				refuser.put(ownerOf(kind, target), []);
			} catch (error) {
				throw failed(error);
			}
			const free = !refuser.owns(ownerOf(kind, target));
			if (free) ledger.remove(kind, target);
			steps.push(
				`kernel: ${description}`,
				`check: the kernel ${free ? "has no such rule" : "still has the rule"}`,
			);
			return { outcome: free ? "OUTCOME_VERIFIED" : "OUTCOME_NO_EFFECT", seenAt: clock() };
		},
	};
}

/** The full id, from the ledger where it is known: the engine may be down, or the container gone. */
async function idOf(deps: ActDeps, kind: Kind, container: string, behind: string): Promise<string> {
	const named = (entry: Entry) =>
		entry.kind === kind &&
		entry.target.endsWith(behind) &&
		(entry.target === `${container}${behind}` ||
			entry.targetName.includes(`container ${container} (`) ||
			(container.length >= 12 && entry.target.startsWith(container)));
	const entry = deps.ledger.entries().find(named);
	if (entry !== undefined) return entry.target.slice(0, entry.target.length - behind.length);
	return (await findContainer(deps.containers, container)).state.id;
}

function kernelOf(deps: ActDeps): RefusalDeps {
	if (deps.refusals !== undefined) return deps.refusals;
	throw cannot({ lacking: "this sensor refuses nothing in the kernel", remedy: "see picket doctor" });
}

function cannot({ lacking, remedy }: { lacking: string; remedy: string }): RespondError {
	return new RespondError("PICKET_KERNEL_UNFIT", lacking, remedy);
}

function failed(error: unknown): RespondError {
	const message = error instanceof Error ? error.message : String(error);
	return new RespondError("PICKET_REFUSAL_FAILED", message, "see picket doctor for what this kernel takes");
}

function means({ exec, egress }: Refuser, kind: Kind): string {
	const found = kind === "refuseExec" ? exec : egress;
	return "by" in found ? `by ${found.by}${found.lost && ` (${found.lost})`}` : found.lacking;
}

function nameOf({ name, image }: ContainerState): string {
	return `container ${name} (${image})`;
}

function cgroupsOfRunning(cgroupsOf: RefusalDeps["cgroupsOf"], state: ContainerState): readonly number[] {
	const cgroups = state.running ? cgroupsOf(state.id) : [];
	if (cgroups.length > 0) return cgroups;
	throw new RespondError(
		"PICKET_TARGET_UNKNOWN",
		state.running ? `the cgroup of ${nameOf(state)} is not known` : `${nameOf(state)} does not run`,
		"see docker ps, and picket doctor about cgroups",
	);
}

/** The kernel keeps 63 bytes; the same for the same, so that a later sensor finds it. */
function ownerOf(kind: Kind, target: string): string {
	return `${kind} ${createHash("sha256").update(target).digest("hex").slice(0, 32)}`;
}
