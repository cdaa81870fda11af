// Keeps in the kernel what the policy wants refused there, and brings back what was. What is in force has a deadline in
// the kernel that is moved on while the sensor lives: with the sensor dead it ends by itself.
import type { Logger } from "pino";
import type { Refusal, RefusalRule, Refuser } from "./model/refusal.ts";

export type StandingRule = Omit<RefusalRule, "deadline">;

export interface Refusing {
	/** Policy, mode or containers are others: the kernel learns of it in this turn of the event loop. */
	changed(): void;
	/** Rules of the policy that the kernel holds now. */
	readonly standing: number;
	/** Why the policy is not in force in the kernel; "" when it is, or asks for nothing there. */
	readonly problem: string;
	/** Tells the last refusals and ends; what is in force stays until its deadline. */
	close(): void;
}

export interface RefusingDeps {
	readonly refuser: Refuser;
	/** What the policy asks for, of the containers that are there. */
	rules(): readonly StandingRule[];
	mode(): "observe" | "enforce";
	told(refusal: Refusal): void;
	/** ms within which an event has come and been judged: what was refused waits so long, not to be told twice. */
	readonly eventsWithinMs: number;
	/** So many more were refused, and there was no room to tell of them. */
	lost(count: number): void;
	readonly logger: Logger;
	/** Unix ms. */
	readonly clock: () => number;
}

/** How long the kernel goes on by itself, ms: through a restart or an upgrade, not through a forgotten night. */
const leaseMs = 600_000;
const renewMs = 60_000;
/** Between two looks at what was refused, and at the mode. */
const lookMs = 100;

export function createRefusing(deps: RefusingDeps): Refusing {
	const { clock, logger, refuser, told } = deps;
	let standing = 0;
	let problem = "";
	let renewAt = 0;
	let mode = deps.mode();
	let scheduled: NodeJS.Immediate | undefined;
	let waiting: { readonly since: number; readonly refusals: readonly Refusal[] }[] = [];

	function put(): void {
		mode = deps.mode();
		renewAt = clock() + renewMs;
		try {
			const rules = deps.rules();
			const deadline = clock() + leaseMs;
			const held = rules.map((rule) =>
				mode === "observe" ? { ...rule, mode, deadline } : { ...rule, deadline },
			);
			// An earlier sensor may have left some.
			if (held.length > 0 || refuser.owns("policy")) refuser.put("policy", held);
			standing = held.length;
			problem = "";
		} catch (error) {
			const reason = error instanceof Error ? error.message : String(error);
			if (reason !== problem)
				logger.error({ reason }, "the kernel does not refuse what the policy wants refused");
			problem = reason;
		}
	}

	function look(): void {
		if ((standing > 0 || problem !== "") && (clock() >= renewAt || deps.mode() !== mode)) put();
		const { refusals, lost } = refuser.drain();
		if (refusals.length > 0) waiting.push({ since: clock(), refusals });
		tell(clock() - deps.eventsWithinMs);
		if (lost > 0) deps.lost(lost);
	}

	/** What was read by then. */
	function tell(until: number): void {
		const due = waiting.filter(({ since }) => since <= until);
		waiting = waiting.filter(({ since }) => since > until);
		for (const { refusals } of due) for (const refusal of refusals) told(refusal);
	}

	/** Never throws: what the kernel does not say costs its telling, not the sensor. */
	function lookSafely(): void {
		try {
			look();
		} catch (error) {
			logger.error({ err: error }, "refusals of the kernel cannot be read");
		}
	}

	const timer = setInterval(lookSafely, lookMs).unref();

	return {
		changed() {
			scheduled ??= setImmediate(() => {
				scheduled = undefined;
				put();
			});
		},
		get standing() {
			return standing;
		},
		get problem() {
			return problem;
		},
		close() {
			clearInterval(timer);
			clearImmediate(scheduled);
			lookSafely();
			tell(clock());
		},
	};
}
