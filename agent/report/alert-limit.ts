// At most so many alerts a minute leave the sensor. What is held back is counted and said in a gap record, once a
// minute: a rule that fires on everything must not drown the others, nor the reader.
import type * as wire from "../model/picket.v1.ts";
import type { Output } from "./sinks.ts";

export interface AlertLimit {
	emit(alert: wire.Alert, time?: string): void;
	/** Held back since the start. */
	suppressed(): number;
	close(): void;
}

const minute = 60_000;

export function createAlertLimit(perMinute: number, output: Pick<Output, "emit" | "gap">): AlertLimit {
	let left = perMinute;
	let held = 0;
	let total = 0;
	let since = new Date().toISOString();
	const tell = (): void => {
		left = perMinute;
		const now = new Date().toISOString();
		if (held > 0) {
			output.gap({
				from: since,
				to: now,
				where: "alert limit",
				lost: [{ class: "alert", count: String(held) }],
			});
			held = 0;
		}
		since = now;
	};
	const timer = setInterval(tell, minute).unref();
	return {
		emit(alert, time) {
			// Critical ones always go out: they are what the limit keeps the way clear for.
			if (left > 0 || alert.severity === "SEVERITY_CRITICAL") {
				left--;
				output.emit({ alert }, time);
			} else {
				held++;
				total++;
			}
		},
		suppressed: () => total,
		close() {
			clearInterval(timer);
			tell();
		},
	};
}
