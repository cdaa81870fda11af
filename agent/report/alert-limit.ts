// At most so many alerts a minute leave the sensor, and so many of one rule. What is held back is counted and said in a
// gap record, once a minute: a rule that fires on everything must not drown the others, nor the reader. The rule goes
// on being evaluated and answered all the same: else a flood would be a way to switch it off.
import type * as wire from "../model/picket.v1.ts";
import type { Output } from "./sinks.ts";

export interface AlertLimit {
	emit(alert: wire.Alert, time?: string): void;
	/** Held back since the start for all rules together. */
	suppressed(): number;
	/** Held back since the start for being too many of one rule, by rule. */
	limited(): ReadonlyMap<string, number>;
	close(): void;
}

export interface AlertLimits {
	/** In a minute, of all rules; critical ones always go out, but count. */
	readonly all: number;
	/** In a minute, of one rule; ten times as many of a critical one. */
	readonly rule: number;
}

const minute = 60_000;
const criticalShare = 10;
/** Rules told by name; what others held back is counted under "other rules". */
const mostRules = 10_000;

export function createAlertLimit(limits: AlertLimits, output: Pick<Output, "emit" | "gap">): AlertLimit {
	let left = limits.all;
	let held = 0;
	let total = 0;
	let since = new Date().toISOString();
	/** In this minute, by rule. */
	const sent = new Map<string, number>();
	const heldOf = new Map<string, number>();
	const totals = new Map<string, number>();
	const tell = (): void => {
		left = limits.all;
		sent.clear();
		const now = new Date().toISOString();
		const lost: wire.LossCount[] = [];
		if (held > 0) lost.push({ class: "alert", count: String(held) });
		for (const [rule, count] of heldOf) lost.push({ class: `alert of ${rule}`, count: String(count) });
		held = 0;
		heldOf.clear();
		if (lost.length > 0) output.gap({ from: since, to: now, where: "alert limit", lost });
		since = now;
	};
	const timer = setInterval(tell, minute).unref();
	const count = (counts: Map<string, number>, rule: string): number => {
		const name = counts.size < mostRules || counts.has(rule) ? rule : "other rules";
		const now = (counts.get(name) ?? 0) + 1;
		counts.set(name, now);
		return now;
	};
	return {
		emit(alert, time) {
			const critical = alert.severity === "SEVERITY_CRITICAL";
			const { rule = "" } = alert;
			if (count(sent, rule) > limits.rule * (critical ? criticalShare : 1)) {
				count(heldOf, rule);
				count(totals, rule);
				return;
			}
			// Critical ones go out when the others have used up all: they are what the limit keeps the way clear for.
			if (left > 0 || critical) {
				left--;
				output.emit({ alert }, time);
			} else {
				held++;
				total++;
			}
		},
		suppressed: () => total,
		limited: () => totals,
		close() {
			clearInterval(timer);
			tell();
		},
	};
}
