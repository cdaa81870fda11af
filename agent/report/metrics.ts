// The sensor's account of itself in the text form that Prometheus reads (version 0.0.4), and whether it is well.
import type * as wire from "../model/picket.v1.ts";

type Sample = readonly [
	labels: Readonly<Record<string, string | undefined>>,
	value: string | number | undefined,
];

/** A counter's name ends with _total, others with their unit. */
function metric(name: string, type: "counter" | "gauge", help: string, samples: readonly Sample[]): string {
	if (samples.length === 0) return "";
	const lines = samples.map(([labels, value]) => `${name}${labelsText(labels)} ${Number(value ?? 0)}\n`);
	return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelsText(labels: Sample[0]): string {
	const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value ?? "")}"`);
	return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function escaped(value: string): string {
	return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
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
	return [
		metric("picket_info", "gauge", "What runs here; always 1.", [[info, 1]]),
		metric("picket_start_time_seconds", "gauge", "Start of the sensor since the epoch.", [
			[{}, Date.parse(status.started ?? "") / 1000 || 0],
		]),
		...eventMetrics(status.counters ?? []),
		metric("picket_alerts_total", "counter", "Alerts, repeats included.", [[{}, status.alerts]]),
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
		metric(
			"picket_capability_available",
			"gauge",
			"1 where this host has it.",
			capabilities.map(({ name, tier, available }) => [{ capability: name, tier }, available ? 1 : 0]),
		),
		metric("picket_problems", "gauge", "Things that keep the sensor from doing its whole work.", [
			[{}, problems.length],
		]),
		metric("process_cpu_seconds_total", "counter", "User and system CPU time.", [[{}, resources.cpuSeconds]]),
		metric("process_resident_memory_bytes", "gauge", "Resident memory.", [[{}, resources.residentBytes]]),
	].join("");
}

const states = ["generated", "delivered", "lost", "suppressed", "pending"] as const;

function eventMetrics(counters: readonly wire.ClassCounters[]): string[] {
	return [
		metric(
			"picket_events_total",
			"counter",
			"Events by what became of them: generated = delivered + lost + suppressed + pending.",
			counters.flatMap((each) => states.map((state): Sample => [{ kind: each.class, state }, each[state]])),
		),
		metric(
			"picket_events_limited_total",
			"counter",
			"Of the lost ones those over the share of their cgroup.",
			counters.map((each) => [{ kind: each.class }, each.limited]),
		),
	];
}

function tableMetrics(tables: readonly wire.Table[]): string[] {
	const of = (key: "size" | "capacity" | "evicted") =>
		tables.map((each): Sample => [{ table: each.name }, each[key]]);
	return [
		metric("picket_table_entries", "gauge", "Entries of a bounded table.", of("size")),
		metric("picket_table_capacity", "gauge", "The most a table holds.", of("capacity")),
		metric("picket_table_evicted_total", "counter", "Entries given up for lack of room.", of("evicted")),
	];
}

function sinkMetrics(sinks: readonly wire.SinkStatus[]): string[] {
	const of = (key: "sent" | "queued" | "lost") =>
		sinks.map((each): Sample => [{ sink: each.name }, each[key]]);
	return [
		metric(
			"picket_sink_connected",
			"gauge",
			"1 while a sink delivers.",
			sinks.map(({ name, connected }) => [{ sink: name }, connected ? 1 : 0]),
		),
		metric("picket_sink_sent_total", "counter", "Records sent.", of("sent")),
		metric("picket_sink_queued", "gauge", "Records that wait.", of("queued")),
		metric(
			"picket_sink_lost_total",
			"counter",
			"Records given up; each is told in a gap record.",
			of("lost"),
		),
	];
}

/**
 * Why the sensor does not do its work, compared with an earlier look; empty when it does. Lesser problems are in the
 * status.
 */
export function illnesses(status: wire.Status, before: wire.Status | undefined): string[] {
	const found: string[] = [];
	const { rules = {}, counters = [] } = status;
	if ((rules.evaluable ?? 0) + (rules.degraded ?? 0) === 0) found.push("no rule is in force");
	for (const { class: kind, pending, delivered } of counters) {
		const earlier = before?.counters?.find((each) => each.class === kind);
		const waited = Number(pending ?? 0) > 0 && Number(earlier?.pending ?? 0) > 0;
		if (waited && delivered === earlier?.delivered) found.push(`events of kind ${kind} are not read`);
	}
	return found;
}
