// A sensor with Falco rules, and the question whether an act fires some of them while one close to it does not.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { SensorProcess, type Started } from "./process.ts";

const repository = new URL("../../", import.meta.url).pathname;
const corpus = process.env.PICKET_RULES_CORPUS ?? join(repository, "../shared/rules-corpus");
const file = join(corpus, "falco/falco_rules.yaml");
/** Falco's own stable rules; undefined where they are not at hand. */
export const publicRules: string | undefined = existsSync(file) ? file : undefined;

export class RuleActs {
	#sensor: SensorProcess | undefined;
	readonly #rules: string;
	readonly #args: readonly string[];

	constructor(rules: string, args: readonly string[] = []) {
		this.#rules = rules;
		this.#args = args;
	}

	get sensor(): SensorProcess {
		if (!this.#sensor) throw new Error("the sensor was not started");
		return this.#sensor;
	}

	async start(options: Started = {}): Promise<void> {
		const rules = ["--rules", this.#rules, ...(publicRules === undefined ? [] : ["--rules", publicRules])];
		this.#sensor = new SensorProcess({
			...options,
			args: ["--no-default-rules", ...rules, "--events", "none", ...this.#args, ...(options.args ?? [])],
		});
		await this.#sensor.ready();
	}

	async stop(): Promise<void> {
		await this.#sensor?.dispose();
	}

	/**
	 * Every one of the rules fires for the second act and none for the first. Each does what it does and resolves with
	 * what tells its alerts from others'. One ring keeps the order: once the second is told, the first would be.
	 */
	async expectAlone(
		rules: readonly string[],
		{ near, act }: { near: () => Promise<Whose>; act: () => Promise<Whose> },
	): Promise<void> {
		const ofNear = await near();
		const ofAct = await act();
		for (const rule of rules)
			await this.sensor.record(rule, ({ alert }) => alert?.rule === rule && ofAct(alert));
		const wrong = this.sensor.records.filter(
			({ alert }) => alert && rules.includes(alert.rule ?? "") && ofNear(alert),
		);
		expect(wrong.map(({ alert }) => alert?.summary)).toEqual([]);
	}
}

type Whose = (alert: wire.Alert) => boolean;

/** Of that process or what is below it. */
export const byProcess =
	(pid: number): Whose =>
	({ event, ancestors }) =>
		[event?.process, ...(ancestors ?? [])].some((process) => process?.pid === pid);

/** Of what is in that container. */
export const inContainer =
	(id: string): Whose =>
	({ event }) =>
		event?.container?.id === id;
