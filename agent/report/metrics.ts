// The sensor's account of itself in the text form that Prometheus reads (version 0.0.4), and whether it is well.
import type * as wire from "../model/picket.v1.ts";
import { neutralise } from "./shown.ts";

type Sample = readonly [
	labels: Readonly<Record<string, string | undefined>>,
	value: string | number | undefined,
];

/** A counter's name ends with _total, others with their unit, which is one without a prefix: seconds, bytes. */
function metric(name: string, type: "counter" | "gauge", help: string, samples: readonly Sample[]): string {
	if (samples.length === 0) return "";
	// The same labels twice would make Prometheus refuse the whole page.
	const values = new Map<string, number>();
	for (const [labels, value] of samples) {
		const key = labelsText(labels);
		if (!values.has(key)) values.set(key, Number(value ?? 0));
	}
	const lines = [...values].map(([labels, value]) => `${name}${labels} ${value}\n`);
	return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelsText(labels: Sample[0]): string {
	const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value ?? "")}"`);
	return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

const longestLabel = 500;

/** Controls are spelled out first: the page is read in terminals, too. */
function escaped(value: string): string {
	return neutralise(value.slice(0, longestLabel)).replaceAll("\\", "\\\\").replaceAll('"', '\\"');
}

/** Seconds since the epoch of RFC 3339; none when there is no such time. */
function timeSamples(time: string | undefined): Sample[] {
	const ms = Date.parse(time ?? "");
	return Number.isNaN(ms) ? [] : [[{}, ms / 1000]];
}

/** `policyHash`: SHA-256 of the policy in force. */
export function metricsText(status: wire.Status, policyHash: string): string {
	const { rules = {}, resources = {}, capabilities = [], problems = [] } = status;
	const { version, kernel, architecture, mode } = status;
	const info = {
		version,
		kernel,
		architecture,
		mode,
		rules_sha256: rules.contentHash,
		policy_sha256: policyHash,
	};
	const heldBack = Object.entries(rules.limited ?? {}).map(([rule, count]): Sample => [{ rule }, count]);
	return [
		metric("picket_info", "gauge", "What runs here; always 1.", [[info, 1]]),
		metric(
			"picket_start_time_seconds",
			"gauge",
			"Start of the sensor since the epoch.",
			timeSamples(status.started),
		),
		...eventMetrics(status.counters ?? []),
		metric(
			"picket_event_lag_seconds",
			"gauge",
			"Age of the oldest event that is captured and not judged yet.",
			[[{}, (status.lagMs ?? 0) / 1000]],
		),
		metric("picket_alerts_total", "counter", "Alerts, repeats included.", [[{}, status.alerts]]),
		metric("picket_alerts_held_back_total", "counter", "Alerts over the limit of their rule.", heldBack),
		metric("picket_actions_total", "counter", "Responses asked for.", [[{}, status.actions]]),
		metric("picket_rules", "gauge", "Rules by what they can do on this host.", [
			[{ status: "evaluable" }, rules.evaluable],
			[{ status: "degraded" }, rules.degraded],
			[{ status: "not-evaluable" }, rules.notEvaluable],
			[{ status: "error" }, rules.error],
			[{ status: "suspended" }, rules.suspended?.length],
		]),
		...tableMetrics(status.tables ?? []),
		...sinkMetrics(status.sinks ?? []),
		...canaryMetrics(status.canary),
		...spoolMetrics(status.spool),
		...uplinkMetrics(status.uplink),
		metric(
			"picket_capability_available",
			"gauge",
			"1 where this host has it and its hooks are attached.",
			capabilities.map(({ name, tier, available }) => [{ capability: name, tier }, available ? 1 : 0]),
		),
		metric("picket_problems", "gauge", "Things that keep the sensor from doing its whole work.", [
			[{}, problems.length],
		]),
		metric("process_cpu_seconds_total", "counter", "User and system CPU time of the sensor.", [
			[{}, resources.cpuSeconds],
		]),
		metric("process_resident_memory_bytes", "gauge", "Resident memory of the sensor.", [
			[{}, resources.residentBytes],
		]),
	].join("");
}

const outcomes = {
	generated: "Events that the kernel side has made: delivered + lost + suppressed + pending.",
	delivered: "Events judged.",
	lost: "Events lost on the way; each loss is told in a gap record.",
	limited: "Of the lost ones those over the share of their cgroup.",
	suppressed: "Repeats, told by the event they repeat.",
} as const;

function eventMetrics(counters: readonly wire.ClassCounters[]): string[] {
	const of = (key: keyof typeof outcomes | "pending") =>
		counters.map((each): Sample => [{ kind: each.class }, each[key]]);
	const keys = Object.keys(outcomes) as (keyof typeof outcomes)[];
	return [
		...keys.map((key) => metric(`picket_events_${key}_total`, "counter", outcomes[key], of(key))),
		metric("picket_events_pending", "gauge", "Events captured and not read yet.", of("pending")),
	];
}

function tableMetrics(tables: readonly wire.Table[]): string[] {
	const of = (key: "size" | "capacity" | "evicted") =>
		tables.map((each): Sample => [{ table: each.name }, each[key]]);
	return [
		metric("picket_table_entries", "gauge", "Entries of a bounded table.", of("size")),
		metric("picket_table_capacity", "gauge", "The most entries a table holds.", of("capacity")),
		metric("picket_table_evicted_total", "counter", "Entries given up for lack of room.", of("evicted")),
	];
}

function sinkMetrics(sinks: readonly wire.SinkStatus[]): string[] {
	const of = (key: "sent" | "acknowledged" | "queued" | "lost") =>
		sinks.map((each): Sample => [{ sink: each.name }, each[key]]);
	return [
		metric(
			"picket_sink_connected",
			"gauge",
			"1 while a sink delivers.",
			sinks.map(({ name, connected }) => [{ sink: name }, connected ? 1 : 0]),
		),
		metric("picket_sink_sent_total", "counter", "Records sent.", of("sent")),
		metric("picket_sink_acknowledged_total", "counter", "Records that have arrived.", of("acknowledged")),
		metric("picket_sink_queued", "gauge", "Records that wait.", of("queued")),
		metric(
			"picket_sink_lost_total",
			"counter",
			"Records given up; each is told in a gap record.",
			of("lost"),
		),
	];
}

function canaryMetrics(canary: wire.Canary | undefined): string[] {
	if (canary === undefined) return [];
	const { time, seen, seconds, sent, missed } = canary;
	return [
		metric("picket_canary_seen", "gauge", "1 when the last execution of our own came back.", [
			[{}, seen ? 1 : 0],
		]),
		metric("picket_canary_delay_seconds", "gauge", "From that execution to the rule that matched it.", [
			[{}, seconds],
		]),
		metric("picket_canary_time_seconds", "gauge", "When it was, since the epoch.", timeSamples(time)),
		metric("picket_canary_sent_total", "counter", "Executions of our own to test the whole way.", [
			[{}, sent],
		]),
		metric("picket_canary_missed_total", "counter", "Those that did not come back.", [[{}, missed]]),
	];
}

function spoolMetrics(spool: wire.Spool | undefined): string[] {
	if (spool === undefined) return [];
	const { records, bytes, capacityBytes, dropped = {}, quarantined, oldest, problem } = spool;
	const gone = Object.entries(dropped).map(([kind, count]): Sample => [{ kind }, count]);
	return [
		metric("picket_spool_up", "gauge", "1 while records can be kept for those who are away.", [
			[{}, problem ? 0 : 1],
		]),
		metric("picket_spool_records", "gauge", "Records that wait on the disk.", [[{}, records]]),
		metric("picket_spool_bytes", "gauge", "Their size.", [[{}, bytes]]),
		metric("picket_spool_capacity_bytes", "gauge", "The most it may be.", [[{}, capacityBytes]]),
		metric(
			"picket_spool_oldest_time_seconds",
			"gauge",
			"Of the oldest, since the epoch.",
			timeSamples(oldest),
		),
		metric("picket_spool_dropped_total", "counter", "Records that went because it was full.", gone),
		metric("picket_spool_quarantined_total", "counter", "Records that a receiver could not take.", [
			[{}, quarantined],
		]),
	];
}

function uplinkMetrics(uplink: wire.Uplink | undefined): string[] {
	if (uplink === undefined) return [];
	const { restarts, residentBytes, problem } = uplink;
	return [
		metric("picket_uplink_up", "gauge", "1 while the process that speaks with the outside works.", [
			[{}, problem ? 0 : 1],
		]),
		metric("picket_uplink_restarts_total", "counter", "Times it was started again.", [[{}, restarts]]),
		metric("picket_uplink_resident_memory_bytes", "gauge", "Its resident memory.", [[{}, residentBytes]]),
	];
}

/** Events this late are no protection any more, ms. */
const mostLag = 30_000;

/**
 * Why the sensor does not do its work, compared with an earlier look; empty when it does. Lesser problems, such as a
 * receiver that is away, are in the status.
 */
export function illnesses(status: wire.Status, before: wire.Status | undefined): string[] {
	const found: string[] = [];
	const { rules = {}, counters = [], canary, capabilities = [], lagMs = 0, problems = [] } = status;
	if ((rules.evaluable ?? 0) + (rules.degraded ?? 0) === 0) found.push("no rule is in force");
	if (capabilities.some(({ name, available }) => name === "exec" && !available))
		found.push("executions are not captured");
	for (const { class: kind, pending, delivered } of counters) {
		const earlier = before?.counters?.find((each) => each.class === kind);
		const waited = Number(pending ?? 0) > 0 && Number(earlier?.pending ?? 0) > 0;
		if (waited && delivered === earlier?.delivered) found.push(`events of kind ${kind} are not read`);
	}
	if (lagMs > mostLag) found.push(`events are judged ${Math.round(lagMs / 1000)} s late`);
	// Where there can be none, none is sent; the status says why.
	if (Number(canary?.sent ?? 0) > 0 && canary?.seen !== true)
		found.push(`the last canary did not come back${canary?.problem ? `: ${canary.problem}` : ""}`);
	found.push(...problems.filter((problem) => problem.startsWith("tampering:")));
	return found;
}
