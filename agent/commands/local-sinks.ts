// The sinks of the sensor in the foreground: its standard output, the live view, and who looks on through the socket.
import type { Logger } from "pino";
import type { startControl } from "../control/server.ts";
import type * as wire from "../model/picket.v1.ts";
import { createStreamSink } from "../report/lines.ts";
import type { LiveView } from "../report/live.ts";
import type { Recent } from "../report/recent.ts";
import { recordLine } from "../report/record.ts";
import type { Sink } from "../report/sinks.ts";
import { recordText } from "../report/text.ts";
import type { Sensor } from "../sensor-contract.ts";

export function localSink(
	sensor: Sensor,
	live: LiveView | undefined,
	json: boolean,
	logger: Logger,
	onGone: () => void,
): Sink {
	if (live) return liveSink(live);
	const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined;
	return createStreamSink(
		{ name: "stdout", stream: process.stdout, onGone },
		{
			clock: Date.now,
			logger,
			report: sensor.output.gap,
			format: withoutStatus(json ? recordLine : (record) => recordText(record, { colour })),
		},
	);
}

/** Of the status records only those that tell of a reload: the others come every minute and are for sinks that ask. */
function withoutStatus(
	format: (record: wire.OutputRecord) => string,
): (record: wire.OutputRecord) => string | undefined {
	let told: string | undefined;
	return (record) => {
		if (record.status === undefined) return format(record);
		const { time } = record.status.reload ?? {};
		if (time === undefined || time === told) return undefined;
		told = time;
		return format(record);
	};
}

function liveSink(live: LiveView): Sink {
	let sent = 0;
	return {
		name: "live",
		push(record) {
			sent++;
			live.push(record);
		},
		status: () => ({ name: "live", connected: true, sent: String(sent), acknowledged: String(sent) }),
		close: async () => {},
	};
}

/** For `picket watch`, `alerts` and `events`. */
export function publishSink(
	publish: Awaited<ReturnType<typeof startControl>>["publish"],
	recent: Recent,
): Sink {
	let sent = 0;
	return {
		name: "control",
		push(record) {
			sent++;
			recent.push(record);
			for (const kind of ["event", "alert", "incident", "action", "gap", "status"] as const) {
				if (record[kind] !== undefined) publish(kind, () => record);
			}
		},
		status: () => ({ name: "control", connected: true, sent: String(sent), acknowledged: String(sent) }),
		close: async () => {},
	};
}

/** At most so many calls a second; the rest is not made. */
export function limitRate<T>(perSecond: number, call: (value: T) => void): (value: T) => void {
	let second = 0;
	let used = 0;
	return (value) => {
		const now = Math.floor(performance.now() / 1000);
		if (now !== second) {
			second = now;
			used = 0;
		}
		if (used++ < perSecond) call(value);
	};
}
