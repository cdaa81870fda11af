// How much the kernels' verifiers had to walk, against what was recorded: a program that grows there by a fifth is
// on its way to be refused by some kernel, and loads slower on all.
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const file = new URL("verifier.json", import.meta.url).pathname;
const growth = 1.2;

/** Instructions by program; null where the kernel refuses it. */
export type Counts = Record<string, number | null>;

/** By kernel, MAJOR.MINOR. */
type Recorded = Record<string, Counts>;

function read(): Recorded {
	return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Recorded) : {};
}

/** "6.1" of "6.1.0-56-cloud-amd64". */
export function seriesOf(release: string): string {
	return /^\d+\.\d+/.exec(release)?.[0] ?? release;
}

function isNewer(a: string, b: string): boolean {
	return a.localeCompare(b, "en", { numeric: true }) > 0;
}

/** What is wrong with these counts, a line each; `against` is the kernel whose record was taken. */
export function compare(release: string, counts: Counts): { against: string; problems: string[] } {
	const recorded = read();
	const series = seriesOf(release);
	// sid moves on by itself: the newest that is not newer stands in for a kernel nobody has recorded yet.
	const known = Object.keys(recorded).filter((each) => !isNewer(each, series));
	const against = known.sort((a, b) => (isNewer(a, b) ? 1 : -1)).at(-1) ?? "";
	const before = recorded[against] ?? {};
	const problems: string[] = [];
	for (const [program, count] of Object.entries(counts)) {
		const then = before[program];
		if (then === undefined)
			problems.push(`${program}: not recorded; \`npm run test:vm -- --record\` does it`);
		else if (then !== null && count === null)
			problems.push(`${program}: refused, it was ${then} instructions`);
		else if (then !== null && count !== null && count > then * growth) {
			const percent = Math.round((count / then - 1) * 100);
			problems.push(`${program}: ${count} instructions, ${percent} % more than the recorded ${then}`);
		}
	}
	if (Object.keys(counts).length === 0) problems.push("no program was counted");
	return { against, problems };
}

/**
 * Replaces what is recorded of these kernels; others stay. Returns the programs that a kernel took before and refuses
 * now: they keep their count, so that the next comparison fails, too.
 */
export function record(byRelease: ReadonlyMap<string, Counts>): string[] {
	const recorded = read();
	const refused: string[] = [];
	for (const [release, counts] of byRelease) {
		const before = recorded[seriesOf(release)] ?? {};
		const lost = Object.keys(counts).filter(
			(program) => counts[program] === null && typeof before[program] === "number",
		);
		refused.push(...lost.map((program) => `${release} refuses ${program}`));
		const kept = Object.fromEntries(lost.map((program) => [program, before[program] ?? null]));
		recorded[seriesOf(release)] = { ...counts, ...kept };
	}
	const sorted = Object.entries(recorded).sort(([a], [b]) => (isNewer(a, b) ? 1 : -1));
	writeFileSync(file, `${JSON.stringify(Object.fromEntries(sorted), undefined, "\t")}\n`);
	return refused;
}
