// Watches a sensor for the first minutes with new content: how late its event loop is, what CPU time an event takes, how
// often the content matches, against the time before. More events alone are no reason: whoever makes them must not be
// able to get rid of content by it.

/** Counts since the sensor started, but for lagMs. */
export interface Load {
	/** Unix ms. */
	readonly time: number;
	readonly cpuSeconds: number;
	readonly events: number;
	/** Of what was delivered. */
	readonly matches: number;
	/** The latest that a timer was since the last look, ms. */
	readonly lagMs: number;
}

interface Rate {
	/** Of one core. */
	readonly cpuShare: number;
	/** CPU time, µs. */
	readonly perEvent: number;
	readonly matchesPerMinute: number;
	readonly lagMs: number;
}

export const probationMs = 5 * 60_000;
export const lookMs = 10_000;
/** Looks of the time before that are remembered: five minutes. */
const remembered = 30;
/** Looks judged together: a minute; the first judgement after half of one. */
const judged = 6;
const first = 3;

/** Of a sensor that has just started. */
const assumed: Rate = { cpuShare: 0.3, perEvent: 0, matchesPerMinute: 0, lagMs: 50 };

export interface Probation {
	/** To be called every `lookMs`; why the content has to go, "" while nothing speaks against it. */
	look(load: Load): string;
	/** From now on against the time before. */
	begin(): void;
	end(): void;
}

export function createProbation(): Probation {
	let usual: Rate[] = [];
	/** Undefined while nothing is on probation. */
	let since: Rate[] | undefined;
	let last: Load | undefined;
	return {
		look(load) {
			const rate = last && rateOf(last, load);
			last = load;
			if (!rate) return "";
			if (!since) {
				usual = [...usual, rate].slice(-remembered);
				return "";
			}
			since = [...since, rate].slice(-judged);
			return since.length < first ? "" : judge(usual.length > 0 ? mean(usual) : assumed, mean(since));
		},
		begin() {
			since = [];
			// The counts of a new engine begin anew.
			last = undefined;
		},
		end() {
			if (since) usual = since;
			since = undefined;
		},
	};
}

function rateOf(before: Load, now: Load): Rate | undefined {
	const seconds = (now.time - before.time) / 1000;
	if (seconds <= 0) return undefined;
	const cpu = Math.max(0, now.cpuSeconds - before.cpuSeconds);
	return {
		cpuShare: cpu / seconds,
		perEvent: (cpu * 1e6) / Math.max(1, now.events - before.events),
		// A new engine has begun to count in between.
		matchesPerMinute:
			((now.matches >= before.matches ? now.matches - before.matches : now.matches) * 60) / seconds,
		lagMs: now.lagMs,
	};
}

function mean(rates: readonly Rate[]): Rate {
	const of = (key: keyof Rate) => rates.reduce((sum, rate) => sum + rate[key], 0) / Math.max(1, rates.length);
	return {
		cpuShare: of("cpuShare"),
		perEvent: of("perEvent"),
		matchesPerMinute: of("matchesPerMinute"),
		lagMs: of("lagMs"),
	};
}

function judge(before: Rate, now: Rate): string {
	const was = (value: string) => `, ${value} before`;
	if (now.matchesPerMinute > Math.max(120, 10 * before.matchesPerMinute))
		return `it matches ${now.matchesPerMinute.toFixed(0)} times a minute${was(before.matchesPerMinute.toFixed(0))}`;
	if (now.lagMs > 3 * before.lagMs + 200)
		return `the event loop is ${now.lagMs.toFixed(0)} ms late${was(`${before.lagMs.toFixed(0)} ms`)}`;
	const share = (value: number) => `${(value * 100).toFixed(0)} %`;
	if (now.cpuShare > 2 * before.cpuShare + 0.25 && now.perEvent > 2 * before.perEvent)
		return `the sensor takes ${share(now.cpuShare)} of a core${was(share(before.cpuShare))}`;
	return "";
}
