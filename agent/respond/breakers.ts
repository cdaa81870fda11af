// How much may be done, and how fast. A rule that wants too many targets, all rules together, or too many of the
// host's containers: then the breaker opens, and for a while there are only alerts. Taking back never asks here.
import type { Order } from "../model/verdict.ts";
import type { Entry } from "./ledger-file.ts";
import type { Settings } from "./orders.ts";

export interface Breaker {
	/** "" for all rules. */
	readonly rule: string;
	readonly reason: string;
	/** Unix ms; alert-only until then. */
	readonly until: number;
}

export interface Request {
	/** Canonical; the same one counts once a minute. */
	readonly target: string;
	/** The rule that asks; its share is counted. */
	readonly rule: string | undefined;
	/** The local admin: held to the overall rate, not to what rules have brought about. */
	readonly byHand: boolean;
	/** What the act takes out of service: a container, for as long as it lasts or for good; undefined for others. */
	readonly container: "while in force" | "for good" | undefined;
}

export interface Slot {
	/** The order changed nothing: it counts for nothing. */
	giveBack(): void;
	/** The act is over; what is still in force is in the ledger now. */
	end(): void;
}

export type Answer = { readonly slot: Slot } | { readonly refused: string; readonly breaker: boolean };

export interface Breakers {
	take(request: Request): Answer;
	/** Those that are open now. */
	open(): readonly Breaker[];
	alertOnly(rule: string): boolean;
}

export interface BreakersDeps {
	readonly settings: Settings;
	/** Unix ms. */
	readonly clock: () => number;
	/** Ids of the containers that are out of service because of us. */
	readonly outOfService: () => readonly string[];
	/** Paused ones too. */
	readonly runningContainers: () => number;
	/** Called once for each time one opens. */
	readonly onOpen: (breaker: Breaker) => void;
}

const windowMs = 60_000;
/** For so long a stopped or removed container counts as taken out of service. */
const rememberedMs = 3600_000;

export function createBreakers(deps: BreakersDeps): Breakers {
	const { settings, clock } = deps;
	const all = createWindow(windowMs, clock);
	const rules = new Map<string, Window>();
	const opened = new Map<string, Breaker>();
	const ended = createWindow(rememberedMs, clock);
	const underWay = new Map<string, number>();

	function open(): Breaker[] {
		for (const [rule, { until }] of opened) if (until <= clock()) opened.delete(rule);
		return [...opened.values()];
	}

	const standingFor = (wanted: string | undefined) =>
		open().find(({ rule }) => rule === "" || rule === wanted);

	function trip(rule: string, reason: string): Answer {
		const breaker = { rule, reason, until: clock() + settings.alertOnlySeconds * 1000 };
		opened.set(rule, breaker);
		deps.onOpen(breaker);
		return standing(breaker);
	}

	function windowOf(rule: string): Window {
		for (const [name, window] of rules) if (window.size() === 0 && name !== rule) rules.delete(name);
		const found = rules.get(rule) ?? createWindow(windowMs, clock);
		rules.set(rule, found);
		return found;
	}

	/** Would one more be above the share? At least one container is always allowed. */
	function tooMany(target: string): string | undefined {
		const out = new Set([...deps.outOfService(), ...ended.keys(), ...underWay.keys()]);
		if (out.has(target)) return undefined;
		const running = deps.runningContainers();
		const allowed = Math.max(1, Math.floor((running * settings.containerPercent) / 100));
		if (out.size < allowed) return undefined;
		return `${out.size} of ${running} containers are out of service already, the most that rules may bring about (${settings.containerPercent} %)`;
	}

	function take(request: Request): Answer {
		const { target, rule, byHand, container } = request;
		const perMinute = settings.actionsPerMinute;
		if (!byHand) {
			const stopped = standingFor(rule);
			if (stopped !== undefined) return standing(stopped);
		}
		const own = rule === undefined ? undefined : windowOf(rule);
		if (own?.wouldExceed(target, settings.ruleTargetsPerMinute) === true)
			return trip(rule ?? "", `it asked for more than ${settings.ruleTargetsPerMinute} targets in a minute`);
		if (all.wouldExceed(target, perMinute)) {
			const message = `more than ${perMinute} targets in a minute`;
			return byHand ? { refused: message, breaker: false } : trip("", message);
		}
		if (container !== undefined && !byHand) {
			const reason = tooMany(target);
			if (reason !== undefined) return trip(rule ?? "", reason);
		}
		const counted = [all, ...(own ? [own] : []), ...(container === "for good" ? [ended] : [])];
		const added = counted.filter((window) => window.add(target));
		if (container !== undefined) underWay.set(target, (underWay.get(target) ?? 0) + 1);
		let over = false;
		const slot: Slot = {
			giveBack() {
				for (const window of added) window.remove(target);
			},
			end() {
				if (over || container === undefined) return;
				over = true;
				const left = (underWay.get(target) ?? 1) - 1;
				if (left === 0) underWay.delete(target);
				else underWay.set(target, left);
			},
		};
		return { slot };
	}

	return { take, open, alertOnly: (rule) => standingFor(rule) !== undefined };
}

/** Is a container out of service for as long as this is in force? */
export function isOutOfService({ kind }: Pick<Entry, "kind">): boolean {
	return kind === "pause" || kind === "disconnect" || kind === "stop" || kind === "refuseEgress";
}

export function takesOut({ kind }: Pick<Order, "kind">): Request["container"] {
	if (kind === "stop" || kind === "remove") return "for good";
	return kind === "pause" || kind === "disconnect" || kind === "refuseEgress" ? "while in force" : undefined;
}

export function breakerText({ rule, reason, until }: Breaker): string {
	const who = rule === "" ? "all rules" : `the rule "${rule}"`;
	return `only alerts from ${who} until ${new Date(until).toISOString()}: ${reason}`;
}

function standing(breaker: Breaker): Answer {
	return { refused: breakerText(breaker), breaker: true };
}

type Window = ReturnType<typeof createWindow>;

/** Distinct names of the last `ms`. A sliding window: no burst at the edge of two. */
function createWindow(ms: number, clock: () => number) {
	/** The oldest first. Behind one whose time runs, others may stay a little longer after the clock was set back. */
	const seen = new Map<string, number>();
	const prune = () => {
		const now = clock();
		for (const [name, at] of seen) {
			if (now - at < ms && at <= now) return;
			seen.delete(name);
		}
	};
	return {
		wouldExceed(name: string, most: number): boolean {
			prune();
			return !seen.has(name) && seen.size >= most;
		},
		/** False when it was there already: its time runs from the first. */
		add(name: string): boolean {
			prune();
			if (seen.has(name)) return false;
			seen.set(name, clock());
			return true;
		},
		remove: (name: string) => void seen.delete(name),
		keys(): string[] {
			prune();
			return [...seen.keys()];
		},
		size(): number {
			prune();
			return seen.size;
		},
	};
}
