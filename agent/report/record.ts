// Records: numbering, the one JSON line form, and what kind a record is.
import { type RecordKind, recordKinds } from "../model/delivery.ts";
import type * as wire from "../model/picket.v1.ts";

export { type RecordKind, recordKinds };

/** Alert.count holds no more. */
export const largestCount = 0xffff_ffff;

/** The content of a record: exactly one of the kinds. */
export type RecordBody = Pick<wire.OutputRecord, RecordKind>;

export function recordKind(record: RecordBody): RecordKind | undefined {
	for (const kind of recordKinds) if (record[kind] !== undefined) return kind;
	return undefined;
}

/**
 * Numbers records, each above the one before. A run starts at the host's uptime, so a sensor that is started
 * again in the same boot stays above what it gave out before.
 */
export function createSequencer(startUptimeMicroseconds: number): () => string {
	let next = Math.max(1, Math.floor(startUptimeMicroseconds));
	return () => String(next++);
}

// JSON leaves these as they are, and a terminal may obey them: C1 controls (U+009B starts an escape sequence),
// DEL, line separators, what turns the direction of writing.
const terminalControls = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const asciiOnly = /^[\x20-\x7e]*$/;

/** One line of JSON without its end; keys in the order time, host, sequence, kind. */
export function recordLine(record: wire.OutputRecord): string {
	const kind = recordKind(record);
	const { time, host, sequence } = record;
	const line = JSON.stringify(
		kind === undefined ? { time, host, sequence } : { time, host, sequence, [kind]: record[kind] },
	);
	if (asciiOnly.test(line)) return line;
	return line.replace(terminalControls, spelled);
}

/** There are few, and a long record may hold thousands of them. */
const spellings = new Map<string, string>();
function spelled(character: string): string {
	const known = spellings.get(character);
	if (known !== undefined) return known;
	const spelling = `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
	spellings.set(character, spelling);
	return spelling;
}
