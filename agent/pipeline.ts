// The one page on which the stages are put together. Records come in from capture (live or replayed), pass decode,
// enrich, detect, policy, and leave towards respond and report. No stage knows another; this page knows all.
// Runs on the main thread, in the slices capture gives it. For an event that nobody wants nothing is allocated.
import type { Logger } from "pino";
import { RecordView } from "./decode/view.ts";
import type { Cgroups } from "./enrich/cgroups.ts";
import type { ProcessTree } from "./enrich/tree.ts";
import { canaryRule } from "./model/canary.ts";
import {
	EventKind,
	type EventName,
	type EventView,
	eventName,
	type Observation,
	Text,
} from "./model/event.ts";
import type * as wire from "./model/picket.v1.ts";
import type { Process } from "./model/process.ts";
import { type Finding, type Responder, type Response, responseText } from "./model/verdict.ts";
import { ordersFor } from "./orders.ts";
import type { PeerNames } from "./peer-names.ts";
import { findingToAlert, type Shown, show, storyOf } from "./report/alert.ts";
import type { Folder } from "./report/dedup.ts";
import type { RecordBody } from "./report/record.ts";
import { eventTime, eventToWire, type WireContext } from "./report/wire.ts";

/** What detect and policy have in common for the pipeline: findings for an observation. */
export interface Detector {
	evaluate(observation: Observation, onFinding: (finding: Finding) => void): void;
}

export interface Stages {
	readonly tree: ProcessTree;
	readonly cgroups: Pick<Cgroups, "created" | "removed">;
	readonly peerNames: Pick<PeerNames, "heard">;
	readonly detectors: readonly Detector[];
	responses(finding: Finding, observation: Observation): readonly Response[];
	readonly responder: Pick<Responder, "order" | "alertOnly"> | undefined;
	/** Sees each event before it is judged; allocates nothing for one that it does not care for. */
	saw?(event: EventView): void;
	/** Without one, there is no rule for it either. */
	readonly canary?: {
		/** Is this event the sensor's own canary, which nobody wants to hear of? Asked of executions and exits. */
		own(event: EventView): boolean;
		/** Its rule has matched. */
		found(event: EventView): void;
		/** Its events are reported all the same: whoever wants everything gets everything. */
		readonly shown: boolean;
	};
	/** Told of each finding; `alertId` is "" when it is counted with an alert that was told before. */
	judged?(finding: Finding, alertId: string, event: EventView): void;
	emit(body: RecordBody, time?: string): void;
	readonly folder: Pick<Folder, "push" | "repeat">;
	readonly wire: WireContext;
	/** Kinds whose events leave as records of their own. */
	readonly eventKinds: ReadonlySet<EventName>;
	/** Shows an event to whoever is looking; `make` is called only when somebody is. */
	activity(kind: EventName, make: () => wire.OutputRecord): void;
	eventsLost(): number;
	/** Every record as it came, for `record`. */
	tap: ((memory: Buffer, offset: number, bytes: number) => void) | undefined;
	readonly logger: Logger;
}

/** The observation handed to the stages; one object, reused. */
class Current implements Observation {
	readonly event: EventView;
	process: Process | undefined;
	constructor(event: EventView) {
		this.event = event;
	}
}

export class Pipeline {
	readonly #stages: Stages;
	readonly #view = new RecordView();
	readonly #current = new Current(this.#view);
	/** The event at hand is the canary's. */
	#own = false;
	readonly #wanted: boolean[];
	readonly #onFinding = (finding: Finding): void => this.#found(finding);
	readonly #failed = new Set<string>();
	/** Delivered events by kind. */
	readonly delivered: number[] = new Array<number>(Object.keys(EventKind).length + 1).fill(0);
	/** Records that were none: a defect of ours or a damaged recording. */
	malformed = 0;
	alerts = 0;
	actions = 0;
	#number = 0;
	/** The event at hand as it leaves, for all records that tell of it; made when the first of them needs it. */
	#event: wire.Event | undefined;
	#shown: Shown | undefined;

	constructor(stages: Stages) {
		this.#stages = stages;
		this.#wanted = this.delivered.map((_, kind) => {
			const name = eventName(kind);
			return name !== undefined && stages.eventKinds.has(name);
		});
	}

	memory(memory: ArrayBuffer): void {
		this.#view.attach(memory);
	}

	/** One record. Never throws: what a stage throws is logged once and costs this event only. */
	record(offset: number, bytes: number): void {
		const view = this.#view;
		if (!view.move(offset, bytes, this.#number + 1)) {
			this.malformed++;
			return;
		}
		this.#number++;
		this.delivered[view.kind] = (this.delivered[view.kind] as number) + 1;
		try {
			this.#handle(view);
		} catch (error) {
			this.#report(error);
		}
		// Last: what was looked up on the way has been noted by now, and a replay needs it first.
		this.#stages.tap?.(view.bytes, offset, bytes);
	}

	#handle(view: RecordView): void {
		const { tree, cgroups, peerNames, detectors } = this.#stages;
		this.#event = undefined;
		this.#shown = undefined;
		if (view.kind === EventKind.cgroup) {
			if (view.cgroupOperation === 1) cgroups.created(view.targetCgroupId, view.text(Text.path));
			else cgroups.removed(view.targetCgroupId);
		}
		this.#current.process = tree.apply(view);
		if (view.kind === EventKind.dns) peerNames.heard(this.#current);
		this.#stages.saw?.(view);
		this.#own = this.#stages.canary?.own(view) === true;
		for (const detector of detectors) detector.evaluate(this.#current, this.#onFinding);
		if (this.#wanted[view.kind] && (!this.#own || this.#stages.canary?.shown)) {
			this.#stages.emit({ event: this.#wireEvent() }, this.#time());
		}
		if (view.kind === EventKind.exec && !this.#own) this.#stages.activity("exec", this.#makeActivity);
		if (view.kind === EventKind.connect) this.#stages.activity("connect", this.#makeActivity);
		if (view.kind === EventKind.exit) tree.forget(view);
	}

	readonly #makeActivity = (): wire.OutputRecord => ({
		time: this.#time(),
		event: this.#wireEvent(),
	});

	#wireEvent(): wire.Event {
		this.#event ??= eventToWire(this.#current, this.#stages.wire);
		return this.#event;
	}

	#time(): string {
		return eventTime(this.#view, this.#stages.wire);
	}

	#found(finding: Finding): void {
		if (finding.rule === canaryRule && finding.origin === "picket") {
			this.#stages.canary?.found(this.#view);
			return;
		}
		if (this.#own) return;
		const { responses, folder, wire: context, eventsLost, responder, emit } = this.#stages;
		const wanted = responses(finding, this.#current);
		const story = storyOf(finding, this.#current);
		if (wanted.length === 0 && folder.repeat(story, 1 + this.#view.repeats)) {
			this.alerts++;
			this.#stages.judged?.(finding, "", this.#view);
			return;
		}
		const time = this.#time();
		this.#shown ??= show(this.#current, context, this.#wireEvent());
		const alert = findingToAlert(finding, this.#current, {
			context,
			shown: this.#shown,
			responses: wanted.map(responseText),
			eventsLost: eventsLost(),
		});
		this.alerts++;
		folder.push(alert, time, story);
		this.#stages.judged?.(finding, alert.id ?? "", this.#view);
		// Its breaker is open: a refusal for each would help nobody.
		if (!responder || responder.alertOnly(finding.rule)) return;
		for (const { order, context: why } of ordersFor(
			wanted,
			finding,
			this.#current,
			alert,
			context.bootTimeMs(),
		)) {
			this.actions++;
			responder.order(order, why).then(
				(action) => emit({ action }),
				(error: unknown) => this.#report(error),
			);
		}
	}

	#report(error: unknown): void {
		const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
		if (this.#failed.has(text)) return;
		if (this.#failed.size > 100) this.#failed.clear();
		this.#failed.add(text);
		this.#stages.logger.error({ error: text }, "a stage failed on an event; the event was not judged");
	}
}
