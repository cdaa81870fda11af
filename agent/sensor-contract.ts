// What a sensor is started with, and what it offers to those who run it.
import type { Logger } from "pino";
import type { LiveCapture } from "./capture/live.ts";
import type { Config } from "./config/load.ts";
import type { LoadedPolicy } from "./content.ts";
import type { OpenedContent } from "./delivered/start.ts";
import type { Takeover } from "./delivered/takeover.ts";
import type { Delivery } from "./delivery.ts";
import type { RuleFile, RuleSet } from "./detect/load.ts";
import type { Enrichment } from "./enrichment.ts";
import type { EventName } from "./model/event.ts";
import type * as wire from "./model/picket.v1.ts";
import type { Problem } from "./model/verdict.ts";
import type { Reloader, Sources } from "./reload.ts";
import type { ModeSwitch } from "./remote/mode.ts";
import type { Output } from "./report/sinks.ts";
import type { WireContext } from "./report/wire.ts";
import type { HostResponder } from "./respond/responder.ts";
import type { StatusBoard } from "./status.ts";

export interface SensorOptions {
	readonly config: Config;
	readonly rules: RuleSet;
	readonly policy: LoadedPolicy;
	/** How rules and policy are read again; without it they stay as they are. */
	readonly reload?: {
		readonly sources: Sources;
		readonly files: readonly RuleFile[];
		/** Of files that are not among them. */
		readonly problems: readonly Problem[];
	};
	/** What consoles have delivered, and may deliver; without it they cannot. */
	readonly delivered?: OpenedContent;
	readonly eventKinds: ReadonlySet<EventName>;
	/** Captured on top of what rules, policy and outputs ask for. */
	readonly alsoCapture?: ReadonlySet<EventName>;
	readonly simulateLoss: number;
	readonly off: readonly string[];
	readonly logger: Logger;
	/** Wants to see events as they come, of these kinds; called for each, so it must be quick. */
	readonly activity?: { readonly kinds: ReadonlySet<EventName>; show(make: () => wire.OutputRecord): void };
	/** Keeps raw records and facts, for `record`. */
	readonly recorder?: {
		record(memory: Buffer, offset: number, bytes: number): void;
		fact(name: string, value: unknown): void;
	};
}

export interface Sensor {
	readonly output: Output;
	readonly responder: HostResponder;
	readonly modeSwitch: ModeSwitch;
	readonly board: StatusBoard;
	readonly enrichment: Enrichment;
	readonly wire: WireContext;
	readonly capture: LiveCapture;
	hello(): wire.Hello;
	/** Of whoever takes the commands of consoles: what is wrong there, for the status. */
	attend(problems: () => readonly string[]): void;
	/** Records go to consoles and receivers off this host from now on. */
	deliver(through: Delivery): void;
	readonly reloader: Reloader | undefined;
	readonly takeover: Takeover | undefined;
	/** Puts another policy in force; throws CommandError and keeps the old one when it has an error. */
	applyPolicy(text: string, file: string): void;
	policy(): LoadedPolicy;
	/** The id of a process named as pid and start time outside. */
	startOf(pid: number, time: string): number | undefined;
	/** Resolves when the first canary is back; "" or, after this time at most, what is missing. */
	seesItself(timeoutMs: number): Promise<string>;
	/** What stands against telling a watchdog that all is well; "" for nothing. */
	unwell(): string;
	/** Detaches, undoes what is in force when asked to, hands over what is queued. */
	close(release: boolean): Promise<wire.Action[]>;
}
