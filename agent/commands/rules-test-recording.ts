// `picket rules test --recording`: which rules match on a recording, how often, and of those that do not, the event
// that came nearest.
import { pino } from "pino";
import { readConfig } from "../content.ts";
import { Engine } from "../detect/engine.ts";
import type { LoadedRule } from "../detect/load.ts";
import { distanceOf, type Trace, traceOf } from "../detect/trace.ts";
import { EventKind, eventName, type Observation } from "../model/event.ts";
import { neutralise, showText } from "../report/shown.ts";
import type { Span } from "../report/terminal-theme.ts";
import type { Page } from "./page.ts";
import { replayInto } from "./recording.ts";
import { counted, type Outcome } from "./rules.ts";
import type { Subject, TestFlags } from "./rules-subject.ts";
import { readable, traceLines } from "./trace-text.ts";

/** Of each rule so many matches are shown. */
const mostShown = 3;
/** Of a rule that never matched so many events of its kinds are looked at. */
const mostNear = 50_000;

interface Seen {
	matches: number;
	/** Outputs of the first ones. */
	readonly outputs: string[];
	/** Events of the kinds it can match on. */
	events: number;
	near: { readonly distance: number; readonly trace: Trace; readonly event: string } | undefined;
}

/** Status 0 unless a rule has an error: a recording says nothing of what ought to match. */
export function recordingOutcome(
	{ set, bounds, rules }: Subject,
	file: string,
	flags: TestFlags,
	page: Page,
): Outcome {
	const seen = new Map(
		rules.map((rule): [LoadedRule, Seen] => [rule, { matches: 0, outputs: [], events: 0, near: undefined }]),
	);
	const byKind = new Map(
		Object.values(EventKind).map((kind) => [
			kind,
			rules.filter((rule) => (rule.plans.get(kind) ?? false) !== false),
		]),
	);
	// To trace every event for every rule would take long: near ones are looked for when rules are named.
	const looksNear = flags.rule !== undefined;
	let events = 0;
	const { config } = readConfig(flags.config);
	replayInto(file, config.limits, pino({ level: "silent" }), ({ context }) => {
		const engine = new Engine(set, context);
		const evaluate = (observation: Observation): void => {
			events++;
			const { kind } = observation.event;
			engine.evaluate(observation, ({ summary }, rule) => {
				const found = seen.get(rule);
				if (!found) return;
				found.matches++;
				found.near = undefined;
				if (found.outputs.length < mostShown) found.outputs.push(showText(summary));
			});
			for (const rule of byKind.get(kind) ?? []) {
				const found = seen.get(rule);
				const bound = bounds.get(rule.name);
				if (!found || !bound) continue;
				found.events++;
				if (!looksNear || found.matches > 0 || found.events > mostNear) continue;
				const trace = traceOf(bound, set.predicates, observation, context);
				const distance = distanceOf(trace);
				if (found.near && found.near.distance <= distance) continue;
				const { process, event } = observation;
				const who = process ? ` by ${showText(process.comm)} (pid ${process.pid})` : "";
				found.near = { distance, trace, event: `${eventName(event.kind)}${who}` };
			}
		};
		return { detectors: [{ evaluate }] };
	});
	const status = rules.some((rule) => rule.status === "error") ? 1 : 0;
	if (flags.json) {
		const all = [...seen].map(([{ name, file: from, line, status: able }, { near, ...found }]) => ({
			...{ name, file: from, line, status: able },
			...found,
			...(near && { near: { event: near.event, trace: readable(near.trace) } }),
		}));
		return { text: JSON.stringify({ recording: file, events, rules: all }), status };
	}
	const matched = [...seen.values()].filter(({ matches }) => matches > 0).length;
	const lines = [...seen]
		.flatMap(([rule, found]) => seenLines(rule, found, flags.trace === true))
		.map(page.line);
	const sum = `${counted(events, "event")} of ${neutralise(file)}: ${matched} of ${counted(rules.length, "rule")} matched`;
	return { text: [...lines, sum].join("\n"), status };
}

function seenLines({ name, status, reasons }: LoadedRule, found: Seen, whole: boolean): Span[][] {
	const { matches, outputs, events, near } = found;
	const able = status === "error" || status === "not-evaluable";
	const about = able
		? reasons.join("; ")
		: `${counted(matches, "match").replace(/hs$/, "hes")} in ${counted(events, "event")} of its kinds`;
	return [
		[
			{ text: String(matches).padStart(6), style: matches > 0 ? "good" : "dim" },
			{ text: `  ${neutralise(name)}`, style: "bold" },
			{ text: `  (${neutralise(about)})`, style: "plain" },
		],
		...outputs.map((output): Span[] => [{ text: `        ${output}`, style: "plain" }]),
		...(matches > outputs.length
			? [[{ text: `        … ${matches - outputs.length} more`, style: "dim" } as const]]
			: []),
		...(near
			? [
					[{ text: `        nearest: ${near.event}`, style: "plain" } as const],
					...traceLines(near.trace, 5, whole),
				]
			: []),
	];
}
