// A sink that gets only part of the records.
import { type Severity, severities } from "../model/verdict.ts";
import { type RecordKind, recordKind } from "./record.ts";
import type { Sink } from "./sinks.ts";

export interface SinkFilter {
	readonly kinds: ReadonlySet<RecordKind>;
	/** Of alerts and incidents those of at least this severity. */
	readonly severity: Severity;
}

export function filtered<S extends Pick<Sink, "push">>(sink: S, { kinds, severity }: SinkFilter): S {
	const least = severities.indexOf(severity);
	return {
		...sink,
		push(record) {
			const kind = recordKind(record);
			if (kind === undefined || !kinds.has(kind)) return;
			const word = record.alert?.severity ?? record.incident?.severity;
			if (word !== undefined && rank(word) < least) return;
			sink.push(record);
		},
	};
}

/** Of "SEVERITY_HIGH" its place among the severities; what is not known is not held back. */
function rank(word: string): number {
	const at = severities.findIndex((each) => word === `SEVERITY_${each.toUpperCase()}`);
	return at === -1 ? severities.length : at;
}
