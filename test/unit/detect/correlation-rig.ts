// What the tests of correlations share: rules that match on a program's name, and events at exact times.
import { at } from "../../../agent/detect/correlation/sample.ts";
import { Engine } from "../../../agent/detect/engine.ts";
import { loadRules, type RuleSet } from "../../../agent/detect/load.ts";
import { observationOf } from "../../../agent/detect/sample.ts";
import type { Observation } from "../../../agent/model/event.ts";
import type { Finding } from "../../../agent/model/verdict.ts";
import { context, type Random } from "./rig.ts";

/** Rules that match an exec by the name of the program: rule a on a, …; rule ab on a and b. */
export const baseRules = JSON.stringify(
	["a", "b", "c", "ab"].map((name) => ({
		rule: name,
		desc: "d",
		condition: `evt.type = execve and proc.name in (${[...name].join(", ")})`,
		output: "o",
		priority: "Notice",
	})),
);

/** A document about what `correlation` says, given as JSON, which is YAML too. */
export function documentText(
	correlation: Readonly<Record<string, unknown>>,
	more: Readonly<Record<string, unknown>> = {},
): string {
	return `${JSON.stringify({ title: "t", correlation, ...more })}\n`;
}

export function setOf(...documents: string[]): RuleSet {
	return loadRules([
		{ path: "rules.yaml", text: baseRules, origin: "falco" },
		{ path: "documents.yaml", text: documents.join("---\n"), origin: "falco" },
	]);
}

/** `name`: of the program. `time`: seconds. The fields: proc.args, proc.pid, proc.cwd, proc.exe. */
export interface Act {
	readonly name: string;
	readonly time: number;
	readonly args?: string;
	readonly pid?: number;
	readonly cwd?: string;
}

let number = 0;
export function eventOf({ name, time, args = "", pid = 1000, cwd = "/" }: Act): Observation {
	const process = { exe: `/usr/bin/${name}`, args: [name, args], pid: String(pid), cwd };
	return at(observationOf({ exec: {}, process }), Math.round(time * 1e9), ++number);
}

/** Findings with the times, in seconds, of the events they came on. */
export function run(set: RuleSet, acts: readonly Act[]): { time: number; finding: Finding }[] {
	const engine = new Engine(set, context);
	return acts.flatMap((act) => {
		const found: Finding[] = [];
		engine.evaluate(eventOf(act), (finding) => found.push(finding));
		return found.map((finding) => ({ time: act.time, finding }));
	});
}

/** Times at which rule t, or that other, is told. */
export function times(set: RuleSet, acts: readonly Act[], rule = "t"): number[] {
	return run(set, acts)
		.filter(({ finding }) => finding.rule === rule)
		.map(({ time }) => time);
}

/** Whole numbers, so that nothing is lost to rounding; some come late, some twice at a time. */
export function actsOf(random: Random): Act[] {
	let time = 100;
	return random.several(20, 60, () => {
		time += random.pick([0, 0.25, 0.5, 1, 1, 2, 5]);
		const late = random.chance(0.15) ? random.pick([0.25, 0.5, 3, 9]) : 0;
		return {
			name: random.pick(["a", "b", "c", "d"]),
			time: time - late,
			args: random.pick(["x", "y", "z", "u", "v", "w"]),
			pid: 1 + random.below(9),
			cwd: random.pick(["/1", "/2"]),
		};
	});
}
