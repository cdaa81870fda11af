// Where records go. The output makes a record of each body, once, and hands it to every sink; a sink that
// fails or lags harms no other.
import type { Logger } from "pino";
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "./errors.ts";
import type { RecordBody } from "./record.ts";
import { formatUnixMs } from "./time.ts";

/** `push` neither blocks nor throws; what a sink cannot take it counts and reports as a gap. */
export interface Sink {
	readonly name: string;
	push(record: wire.OutputRecord): void;
	status(): wire.SinkStatus;
	/** Of a sink that stands for several destinations: theirs, told instead of its own. */
	statuses?(): wire.SinkStatus[];
	/** Hands over what it still can in a short time. */
	close(): Promise<void>;
}

export interface Output {
	/** `name` must be new. */
	add(sink: Sink): void;
	/** Numbers the body and sends it to all sinks. `time`: RFC 3339, now when left out. */
	emit(body: RecordBody, time?: string): wire.OutputRecord;
	/** For sinks and capture: something was lost. */
	gap(gap: wire.Gap): void;
	statuses(): wire.SinkStatus[];
	close(): Promise<void>;
}

export interface OutputOptions {
	readonly host: string;
	readonly sequencer: () => string;
	/** Unix ms. */
	readonly clock: () => number;
	readonly logger: Logger;
}

export function createOutput(options: OutputOptions): Output {
	const sinks: Sink[] = [];
	const failed = new Set<string>();
	const queue: wire.OutputRecord[] = [];
	let sending = false;

	const send = (record: wire.OutputRecord): void => {
		for (const sink of sinks) {
			try {
				sink.push(record);
			} catch (error) {
				if (failed.has(sink.name)) continue;
				failed.add(sink.name);
				options.logger.error({ sink: sink.name, error: errorText(error) }, "sink failed to take a record");
			}
		}
	};
	const emit = (body: RecordBody, time?: string): wire.OutputRecord => {
		const record: wire.OutputRecord = {
			time: time ?? formatUnixMs(options.clock()),
			host: options.host,
			sequence: options.sequencer(),
			...body,
		};
		queue.push(record);
		// A sink that reports a gap while it takes a record must not overtake that record in the other sinks.
		if (!sending) {
			sending = true;
			for (let next = queue.shift(); next !== undefined; next = queue.shift()) send(next);
			sending = false;
		}
		return record;
	};
	return {
		add(sink) {
			if (sinks.some((other) => other.name === sink.name)) throw new Error(`two sinks named ${sink.name}`);
			sinks.push(sink);
		},
		emit,
		gap: (gap) => {
			emit({ gap });
		},
		statuses: () => sinks.flatMap((sink) => sink.statuses?.() ?? [sink.status()]),
		async close() {
			await Promise.allSettled(sinks.map((sink) => sink.close()));
		},
	};
}
