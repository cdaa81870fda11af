// Decides what every process does against the policy: each scope for itself, each of its lists for itself. Does nothing
// itself: it tells.
import type { Observation } from "../model/event.ts";
import type { Interest } from "../model/interest.ts";
import type { Container, Namespaces, Process } from "../model/process.ts";
import type { Finding, Response } from "../model/verdict.ts";
import { findingOf } from "./finding.ts";
import { interestOf } from "./interest.ts";
import { judge, judgeImage, judgeMaking, type Names, type OnRuling } from "./judge.ts";
import type { Policy, Ruling, Scope } from "./policy.ts";
import { createResponses, type Responses } from "./responses.ts";
import { isSelected, type ScopeSet, scopeSet } from "./select.ts";

export interface PolicyContext extends Names {
	/** Namespaces of the host's first process; undefined where not known. */
	hostNamespaces?(): Readonly<Namespaces> | undefined;
}

/** The scopes a container is in, and what of it has been judged. */
interface Membership {
	/** Decided again once name, image and labels are known. */
	readonly known: boolean;
	readonly set: ScopeSet;
	image: boolean;
	making: boolean;
	namespaces: boolean;
}

export class PolicyEngine {
	readonly interest: Interest;
	/** Violations told so far. */
	found = 0;
	readonly #context: PolicyContext;
	readonly #host: ScopeSet;
	readonly #containerScopes: readonly Scope[];
	readonly #ofContainer = new WeakMap<Container, Membership>();
	readonly #responses: Responses;
	/** What `violations` is at, so that telling needs no closure. */
	#observation: Observation | undefined;
	#onFinding: ((finding: Finding) => void) | undefined;
	readonly #tell: OnRuling = (scope, ruling) => this.#found(scope, ruling);

	constructor(policy: Policy, context: PolicyContext) {
		this.#context = context;
		const scopes = policy.scopes.filter(({ mode }) => mode !== "off");
		this.interest = interestOf(scopes);
		this.#host = scopeSet(scopes.filter((scope) => scope.where === "host"));
		this.#containerScopes = scopes.filter((scope) => scope.where === "containers");
		this.#responses = createResponses(policy);
	}

	/** Calls `onFinding` once for each list of each scope that the act violates. Allocates nothing when it violates none. */
	violations(observation: Observation, onFinding: (finding: Finding) => void): void {
		this.#observation = observation;
		this.#onFinding = onFinding;
		try {
			this.rulings(observation, this.#tell);
		} finally {
			this.#observation = undefined;
			this.#onFinding = undefined;
		}
	}

	/** The lines that decide about the act, where it is not simply permitted. */
	rulings({ event, process }: Observation, onRuling: OnRuling): void {
		if (process === undefined) return;
		const set = this.#setOf(process, onRuling);
		const scopes = set.byKind[event.kind];
		if (scopes === undefined) return;
		for (let index = 0; index < scopes.length; index++)
			judge(scopes[index] as Scope, event, process, this.#context, onRuling);
	}

	/** What the policy asks to be done about a finding. Always holds an alert. */
	responses(finding: Finding, observation: Observation): readonly Response[] {
		return this.#responses.of(finding, observation);
	}

	/** The scopes a process is in, whatever they say. */
	scopesOf(process: Process): readonly Scope[] {
		return this.#setOf(process, () => {}).scopes;
	}

	#setOf(process: Process, onRuling: OnRuling): ScopeSet {
		const container = process.cgroup?.container;
		if (container === undefined) return this.#host;
		let membership = this.#ofContainer.get(container);
		if (membership === undefined || membership.known !== container.known) membership = this.#enter(container);
		if (membership.known && membership.set.judgesContainers)
			this.#judgeContainer(membership, container, process, onRuling);
		return membership.set;
	}

	/** On its own: a closure would cost every event memory for what it holds. */
	#enter(container: Container): Membership {
		const set = scopeSet(this.#containerScopes.filter((scope) => isSelected(scope, container)));
		const membership = { known: container.known, set, image: false, making: false, namespaces: false };
		this.#ofContainer.set(container, membership);
		return membership;
	}

	/** Each fact once, with the first event after it became known. */
	#judgeContainer(membership: Membership, container: Container, process: Process, on: OnRuling): void {
		const { set } = membership;
		if (!membership.image && container.image !== "") {
			membership.image = true;
			for (const scope of set.scopes) judgeImage(scope, container, on);
		}
		if (!membership.making && container.privileged !== undefined) {
			membership.making = true;
			for (const scope of set.scopes) judgeMaking(scope, container, on);
		}
		if (!membership.namespaces) {
			const host = this.#context.hostNamespaces?.();
			if (host === undefined || process.namespaces === undefined) return;
			membership.namespaces = true;
			if (!shares(process.namespaces, host)) return;
			for (const scope of set.scopes) if (scope.hostNamespaces !== undefined) on(scope, scope.hostNamespaces);
		}
	}

	#found(scope: Scope, ruling: Ruling): void {
		const observation = this.#observation;
		const process = observation?.process;
		if (observation === undefined || process === undefined) return;
		this.found++;
		this.#onFinding?.(findingOf(scope, ruling, observation, process, this.#context));
	}
}

function shares(own: Readonly<Namespaces>, host: Readonly<Namespaces>): boolean {
	const same = (key: "pid" | "network" | "ipc") => own[key] !== 0 && own[key] === host[key];
	return same("pid") || same("network") || same("ipc");
}
