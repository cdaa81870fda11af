// Which scopes a process is in, and which of them speak of a kind of event.
import { type EventKind, EventKind as Kind } from "../model/event.ts";
import type { Container } from "../model/process.ts";
import { matchesName } from "./glob.ts";
import { restricts, type Scope } from "./policy.ts";

/** Scopes that apply together. */
export interface ScopeSet {
	readonly scopes: readonly Scope[];
	/** By number of the kind: those that say something about it. */
	readonly byKind: readonly (readonly Scope[])[];
	/** Does one of them judge containers themselves? */
	readonly judgesContainers: boolean;
}

export function scopeSet(scopes: readonly Scope[]): ScopeSet {
	const byKind = Array.from({ length: Object.keys(Kind).length + 1 }, (_, kind) =>
		scopes.filter((scope) => speaksOf(scope, kind as EventKind)),
	);
	return { scopes, byKind, judgesContainers: scopes.some(judgesContainer) };
}

function speaksOf(scope: Scope, kind: EventKind): boolean {
	switch (kind) {
		case Kind.exec: {
			const { processes, users, capabilities, notFromImage } = scope;
			return (
				restricts(processes) || restricts(users) || restricts(capabilities) || notFromImage !== undefined
			);
		}
		case Kind.open:
			return restricts(scope.reads) || restricts(scope.writes);
		case Kind.connect:
			return restricts(scope.peers);
		case Kind.accept:
			return restricts(scope.incoming);
		case Kind.bind:
		case Kind.listen:
			return restricts(scope.listening);
		default:
			return false;
	}
}

export function judgesContainer({ images, mounts, privileged, hostNamespaces }: Scope): boolean {
	return restricts(images) || restricts(mounts) || privileged !== undefined || hostNamespaces !== undefined;
}

/** Is the container in the scope, as far as is known of it? All that is given has to fit. */
export function isSelected({ where, selector }: Scope, container: Container): boolean {
	if (where !== "containers") return false;
	const { image, name, labels } = selector;
	if (image !== undefined && !matchesName(image, container.image)) return false;
	if (name !== undefined && !matchesName(name, container.name)) return false;
	return labels.every(({ key, value }) => {
		const own = Object.hasOwn(container.labels, key) ? container.labels[key] : undefined;
		return own !== undefined && matchesName(value, own);
	});
}
