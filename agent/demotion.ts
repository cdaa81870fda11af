// A rule that costs the host too much CPU time is not evaluated for a while: told as an alert, in the status and in the
// log, and tried again later or when rules are reloaded. Never for how often it matches: its alerts are limited then,
// and counted (report/alert-limit.ts), and it is evaluated as before. Never our own signatures of high severity: what
// they cost is our defect, and they are what an attacker would want to be rid of; that they cost too much is told.
import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import { Budget, looksPerMinute, type OverBudget } from "./detect/budget.ts";
import type { Content, Detection } from "./detection.ts";
import type * as wire from "./model/picket.v1.ts";

export interface DemotionOptions {
	readonly detection: Pick<Detection, "current" | "change">;
	adopt(content: Content): void;
	alert(alert: wire.Alert): void;
	/** Of one core, over a minute. */
	readonly percent: number;
	readonly logger: Logger;
	/** Unix ms. */
	clock(): number;
}

export interface Demotion {
	/** Judges what rules have cost since the last look; every ten seconds by itself. */
	look(): Promise<void>;
	/** For the status: which rules are suspended or cost too much, and what to do. */
	problems(): string[];
	close(): void;
}

const firstRetryMs = 10 * 60_000;
const lastRetryMs = 60 * 60_000;

interface Suspension {
	readonly cost: OverBudget;
	readonly until: number;
	readonly retryMs: number;
}

export function createDemotion(options: DemotionOptions): Demotion {
	const { detection, adopt, alert, percent, logger, clock } = options;
	const budget = new Budget(percent);
	/** Those that are over are kept: a rule that is suspended again waits longer. */
	const suspensions = new Map<string, Suspension>();
	let spared: readonly OverBudget[] = [];
	let rules = detection.current().rules;
	let looking = false;

	const maySuspend = ({ rule }: OverBudget): boolean => {
		const { origin, severity } = rules.rules.find(({ name }) => name === rule) ?? {};
		return origin !== "picket" || (severity !== "high" && severity !== "critical");
	};
	const put = async (wanted: ReadonlySet<string>): Promise<void> => {
		// Those of another rule set are not ours to judge: it was adopted while this was made.
		const now = detection.current();
		if (now.rules !== rules) return;
		await detection.change((base) => ({ suspended: base.rules === rules ? wanted : base.suspended }), adopt);
	};
	const suspend = async (cost: OverBudget): Promise<void> => {
		const before = suspensions.get(cost.rule);
		const retryMs = before ? Math.min(before.retryMs * 2, lastRetryMs) : firstRetryMs;
		await put(new Set([...detection.current().suspended, cost.rule]));
		if (!detection.current().suspended.has(cost.rule)) return;
		suspensions.set(cost.rule, { cost, until: clock() + retryMs, retryMs });
		const told = `${words(cost)} and is not evaluated for ${retryMs / 60_000} minutes`;
		logger.error(told);
		alert(alertOf(cost.rule, told));
	};
	const judge = async (): Promise<void> => {
		const now = detection.current();
		if (now.rules !== rules) {
			({ rules } = now);
			suspensions.clear();
			budget.forget();
		}
		const over = budget.look(now.engine.costs.take());
		spared = over.filter((each) => !maySuspend(each));
		const due = [...now.suspended].filter((name) => (suspensions.get(name)?.until ?? 0) <= clock());
		if (due.length > 0) {
			await put(new Set([...now.suspended].filter((name) => !due.includes(name))));
			for (const name of due) logger.info(`rule ${name} is evaluated again`);
		}
		// One at a time: without it the others may cost less, or more.
		const worst = over.find(maySuspend);
		if (!worst) return;
		await suspend(worst);
		budget.forget();
	};
	const look = async (): Promise<void> => {
		if (looking) return;
		looking = true;
		try {
			await judge();
		} catch (error) {
			logger.error({ err: error }, "the costs of rules could not be judged");
		} finally {
			looking = false;
		}
	};
	const timer = setInterval(() => void look(), 60_000 / looksPerMinute).unref();
	return {
		look,
		problems: () => [
			...[...detection.current().suspended].map((name) => {
				const { cost, until = 0 } = suspensions.get(name) ?? {};
				const cause = cost ? words(cost) : `rule ${name} costs too much`;
				return `${cause} and is suspended until ${new Date(until).toISOString()}: ${remedy}`;
			}),
			...spared.map((cost) => `${words(cost)}: it is ours, please report this`),
		],
		close: () => clearInterval(timer),
	};
}

const remedy =
	"let its condition begin with what is cheap and seldom true, such as evt.type, proc.name or fd.name; " +
	"`picket rules reload` tries it again";

function words({ rule, percent, ms }: OverBudget): string {
	return `rule ${rule} has used ${percent.toFixed(0)} % of a core, ${ms.toFixed(2)} ms an event,`;
}

function alertOf(rule: string, told: string): wire.Alert {
	return {
		id: randomUUID(),
		rule: "Rule suspended",
		origin: "ORIGIN_PICKET",
		severity: "SEVERITY_MEDIUM",
		summary: told,
		description:
			"A rule costs the host more CPU time than it may. What it looks for is not seen meanwhile; look at what made " +
			`it so dear, for an attacker may have wanted that, and ${remedy}.`,
		tactics: ["defense-impairment"],
		techniques: ["T1685"],
		fields: { rule },
		dedupKey: `suspended ${rule}`,
		count: 1,
	};
}
