// The classes of records: each has a table of its own in the spool, so that what goes first when there is no room is
// the head of a table, and what a reader does not want is never touched.
import { type RecordFilter, type RecordKind, recordKinds } from "../model/delivery.ts";
import { type Severity, severities } from "../model/verdict.ts";

export interface RecordClass {
	readonly kind: RecordKind;
	readonly severity: Severity;
	readonly table: string;
	/** What goes first when there is no room: 0 telemetry, 1 to 5 alerts by severity, 6 what tells of acts and losses. */
	readonly lane: number;
}

export const lanes = 7;

const lanesByKind = { event: 0, status: 0, action: 6, gap: 6 } as const;

function classesOf(kind: RecordKind): RecordClass[] {
	if (kind !== "alert" && kind !== "incident") {
		return [{ kind, severity: "informational", table: kind, lane: lanesByKind[kind] }];
	}
	return severities.map((severity, index) => ({
		kind,
		severity,
		table: `${kind}_${severity}`,
		lane: index + 1,
	}));
}

/** Their places in this list are on the disk: new ones come to the end. */
export const classes: readonly RecordClass[] = recordKinds.flatMap(classesOf);

const numbers: Readonly<Record<string, number>> = Object.fromEntries(
	classes.map(({ table }, index) => [table, index]),
);

export function classOf(kind: RecordKind, severity: Severity): number {
	const table = kind === "alert" || kind === "incident" ? `${kind}_${severity}` : kind;
	return numbers[table] ?? 0;
}

/** Throws RangeError: callers have checked what came from outside. */
export function classAt(index: number): RecordClass {
	const found = classes[index];
	if (found === undefined) throw new RangeError(`there is no class ${index}`);
	return found;
}

/** Committed at once; everything else waits for company. */
export function isUrgent(index: number): boolean {
	return classAt(index).lane > 0;
}

/** One bit a class. */
export function maskOf(filter: RecordFilter): number {
	const least = severities.indexOf(filter.severity);
	let mask = 0;
	classes.forEach(({ kind, severity }, index) => {
		if (!filter.kinds.includes(kind)) return;
		const graded = kind === "alert" || kind === "incident";
		if (!graded || severities.indexOf(severity) >= least) mask |= 1 << index;
	});
	return mask;
}

export function has(mask: number, index: number): boolean {
	return (mask & (1 << index)) !== 0;
}
