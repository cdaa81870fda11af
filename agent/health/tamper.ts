// What somebody does to the sensor itself: looked for in turns, told as an alert once and again each hour for as long as
// it stands, and as a problem in the status. What to look at is passed in; a look takes a few ms at most.
import type * as wire from "../model/picket.v1.ts";
import type { Severity } from "../model/verdict.ts";

/** Something that is not as the sensor left it. */
export interface Sign {
	/** The same for the same thing. */
	readonly key: string;
	readonly severity: Severity;
	/** What was seen, then what to do. */
	readonly seen: string;
	readonly remedy: string;
}

export interface TamperCheck {
	readonly name: string;
	/** What stands now. */
	look(): readonly Sign[] | Promise<readonly Sign[]>;
}

export interface TamperOptions {
	readonly checks: readonly TamperCheck[];
	/** ms between two rounds; 0: only what is noted. */
	readonly everyMs: number;
	alert(sign: Sign): void;
	/** A check does not work; told once for each message. */
	complain(check: string, message: string): void;
	/** ms that only go forward. */
	monotonic(): number;
}

export interface Tamper {
	/** One round of all checks, each in a turn of the event loop of its own. */
	look(): Promise<void>;
	/** Something that was seen and is over: a problem for an hour. */
	note(sign: Sign): void;
	problems(): string[];
	close(): void;
}

export const tamperRule = "picket/tamper";

/** ms from one alert about the same to the next. */
const againMs = 3_600_000;
/** Signs kept; more than that is one story. */
const mostSigns = 200;
const mostProblems = 20;

interface Known {
	readonly sign: Sign;
	/** When it was told. */
	readonly told: number;
	/** Of what is over: until when it is a problem. */
	readonly until: number | undefined;
	readonly check: string;
}

export function createTamper(options: TamperOptions): Tamper {
	const { checks, everyMs, monotonic } = options;
	const known = new Map<string, Known>();
	const complaints = new Set<string>();
	let broken: string[] = [];
	let closed = false;
	let looking: Promise<void> | undefined;

	const tell = (sign: Sign, check: string, until: number | undefined): void => {
		const now = monotonic();
		const before = known.get(sign.key);
		const isNew = before === undefined || before.sign.seen !== sign.seen || now - before.told >= againMs;
		if (before === undefined && known.size >= mostSigns) return;
		known.set(sign.key, { sign, told: isNew ? now : before.told, until, check });
		if (isNew) options.alert(sign);
	};
	const round = async (): Promise<void> => {
		const failed: string[] = [];
		for (const { name, look } of checks) {
			if (closed) return;
			try {
				const signs = await look();
				const stand = new Set(signs.map(({ key }) => key));
				for (const [key, { check, until }] of known) {
					if (check === name && until === undefined && !stand.has(key)) known.delete(key);
				}
				for (const sign of signs) tell(sign, name, undefined);
			} catch (error) {
				const message = error instanceof Error ? error.message : String(error);
				failed.push(`the sensor cannot look after its ${name}: ${message}`);
				if (!complaints.has(`${name} ${message}`)) options.complain(name, message);
				if (complaints.size < mostSigns) complaints.add(`${name} ${message}`);
			}
			await new Promise((resolve) => setImmediate(resolve));
		}
		broken = failed;
	};
	const look = (): Promise<void> => {
		looking ??= round().finally(() => {
			looking = undefined;
		});
		return looking;
	};
	const timer = everyMs > 0 ? setInterval(() => void look(), everyMs).unref() : undefined;

	return {
		look,
		note: (sign) => tell(sign, "", monotonic() + againMs),
		problems() {
			const now = monotonic();
			for (const [key, { until }] of known) if (until !== undefined && until <= now) known.delete(key);
			const told = [...known.values()].map(({ sign }) => `tampering: ${sign.seen}: ${sign.remedy}`);
			const more = told.length - mostProblems;
			return [
				...told.slice(0, mostProblems),
				...(more > 0 ? [`tampering: ${more} more signs; the alerts of ${tamperRule} name them`] : []),
				...broken,
			];
		},
		close() {
			closed = true;
			clearInterval(timer);
		},
	};
}

/** Of a sign that comes up in passing: it has to stand for two rounds to be told. */
export function twice(look: () => readonly Sign[] | Promise<readonly Sign[]>): TamperCheck["look"] {
	let before = new Set<string>();
	return async () => {
		const signs = await look();
		const stand = signs.filter(({ key }) => before.has(key));
		before = new Set(signs.map(({ key }) => key));
		return stand;
	};
}

/** The words of an alert for a sign. */
export function tamperWords(
	sign: Sign,
): Pick<wire.Alert, "summary" | "description"> & { summary: string; description: string } {
	return {
		summary: sign.seen,
		description: `The sensor is not as it left itself. What to do: ${sign.remedy}.`,
	};
}
