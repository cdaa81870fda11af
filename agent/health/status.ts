// A sensor's state as text for `picket status`, the verdict first.
import type * as wire from "../model/picket.v1.ts";
import { printable, wrap } from "../report/terminal-text.ts";
import { counted, counter, grouped, percent, rate, size, span } from "../report/terminal-units.ts";
import { alignTable } from "./table.ts";

/** A bounded table this full is worth a word: soon it forgets. */
const nearlyFull = 0.9;

/** A loss up to this share of all events is told in the first line, but is no problem in itself. */
const tolerableLoss = 0.0001;

export interface StatusOptions {
	/** Unix ms. */
	readonly now: number;
	/** Cells of the terminal; 100 by default. */
	readonly columns?: number;
	/** In force; undefined when they are not known. */
	readonly responses?: readonly wire.Action[] | undefined;
}

/** Responses in force told by name. */
const mostResponses = 10;

/** Whether the sensor does its whole work, and what stands against it, each with what to do. */
export function judge(status: wire.Status): {
	readonly healthy: boolean;
	readonly problems: readonly string[];
} {
	const problems = [...(status.problems ?? [])];
	for (const { name = "?", connected, lost, problem } of status.sinks ?? []) {
		if (!connected && problem && !problems.some((one) => one.includes(problem))) {
			problems.push(`sink ${name}: ${problem}`);
		}
		const count = counter(lost);
		if (count > 0n) {
			problems.push(
				`sink ${name} has lost ${counted(count, "record")}: it takes fewer than come in; see that what reads it keeps up`,
			);
		}
	}
	for (const one of status.counters ?? []) {
		const difference = imbalance(one);
		if (difference !== 0n) {
			problems.push(
				`the counters of ${one.class ?? "?"} do not add up by ${grouped(difference)}: please report this, with this text`,
			);
		}
	}
	const { lost, generated } = lossOf(status.counters);
	if (lost > 0n && Number(lost) > Number(generated) * tolerableLoss) {
		const classes = lostBy(status.counters);
		problems.push(
			`events were lost between kernel and sensor (${classes.join(", ")}): load fewer rules that watch opens and ` +
				"connections, or give the sensor more CPU",
		);
	}
	for (const { name = "?", size: used, capacity, evicted } of status.tables ?? []) {
		const full = counter(capacity) > 0n ? Number(counter(used)) / Number(counter(capacity)) : 0;
		if (full >= nearlyFull && counter(evicted) > 0n) {
			problems.push(
				`table ${name} is full and has dropped ${grouped(counter(evicted))} of its oldest entries: what they ` +
					"held is missing from later alerts",
			);
		}
	}
	const { evaluable = 0, degraded = 0, error = 0 } = status.rules ?? {};
	if (error > 0) {
		problems.push(`${counted(error, "rule")} could not be loaded: \`picket rules check\` says why`);
	} else if (status.rules !== undefined && evaluable + degraded === 0) {
		problems.push("no rule is loaded that can fire here: `picket rules list` says why");
	}
	return { healthy: problems.length === 0, problems };
}

/** generated - (delivered + lost + suppressed + pending); 0 when everything is accounted for. */
export function imbalance(one: wire.ClassCounters): bigint {
	return (
		counter(one.generated) -
		counter(one.delivered) -
		counter(one.lost) -
		counter(one.suppressed) -
		counter(one.pending)
	);
}

function lossOf(counters: readonly wire.ClassCounters[] = []): { lost: bigint; generated: bigint } {
	return {
		lost: counters.reduce((sum, one) => sum + counter(one.lost), 0n),
		generated: counters.reduce((sum, one) => sum + counter(one.generated), 0n),
	};
}

function lostBy(counters: readonly wire.ClassCounters[] = []): string[] {
	return counters
		.filter((one) => counter(one.lost) > 0n)
		.map((one) => `${grouped(counter(one.lost))} ${one.class ?? "?"}`);
}

/** Several lines of plain text without an end of line at its end. */
export function renderStatus(status: wire.Status, options: StatusOptions): string {
	const { now, columns = 100 } = options;
	const { healthy, problems } = judge(status);
	const { lost } = lossOf(status.counters);
	const started = Date.parse(status.started ?? "");
	const age = Number.isNaN(started) ? "" : `, up ${span(now - started)}`;
	const version = status.version ? ` ${status.version}` : "";
	const lines = [
		`Picket${version} is ${healthy ? "healthy" : "NOT healthy"}: ${modeWords(status)}${age}, ` +
			`${lost > 0n ? `${counted(lost, "event")} lost` : "nothing lost"}` +
			`${healthy ? "" : `, ${counted(problems.length, "problem")}`}.`,
	];
	for (const problem of problems) {
		const text = wrap(printable(problem), columns - 4, 8);
		lines.push(...text.map((line, index) => `${index === 0 ? "  ! " : "    "}${line}`));
	}
	const section = (title: string, body: readonly string[]): void => {
		if (body.length > 0) lines.push("", title, ...body);
	};
	section("Capture", captureLines(status, columns));
	section("Rules", ruleLines(status));
	section("Delivered content", deliveredLines(status, columns));
	section("Responses in force", responseLines(options.responses ?? [], columns));
	section("Sinks", sinkLines(status, columns));
	section("Tables", tableLines(status, columns));
	section("Sensor", sensorLines(status, columns));
	return lines.join("\n");
}

function modeWords(status: wire.Status): string {
	if (status.captureOnly) return "CAPTURE ONLY after crashes (nothing acts)";
	if (status.mode === "enforce") return "enforcing";
	return status.mode === "observe"
		? "observing (responses are only told)"
		: printable(status.mode ?? "running");
}

function captureLines(status: wire.Status, columns: number): string[] {
	const { counters = [] } = status;
	if (counters.length === 0) return [];
	const keys = ["generated", "delivered", "lost", "suppressed", "pending"] as const;
	const sum: wire.ClassCounters = { class: "all" };
	for (const key of keys) sum[key] = String(counters.reduce((total, one) => total + counter(one[key]), 0n));
	const idle = (one: wire.ClassCounters) =>
		imbalance(one) === 0n && keys.every((key) => counter(one[key]) === 0n);
	const seen = counters.filter((one) => !idle(one));
	const shown = counters.length > 1 ? [...seen, sum] : counters;
	const rows = shown.map((one) => [
		one.class ?? "?",
		...keys.map((key) => grouped(counter(one[key]))),
		imbalance(one) === 0n ? "adds up" : `OFF BY ${grouped(imbalance(one))}`,
	]);
	const head = [{ title: "class" }, ...keys.map((title) => ({ title, right: true })), { title: "" }];
	return [
		...alignTable(head, rows, columns),
		`  ${rate(status.eventRate ?? 0)} events a second now, judged ${delayWords(status.lagMs)}`,
		...canaryLines(status),
	];
}

function delayWords(lagMs = 0): string {
	return lagMs < 1000 ? `within ${Math.ceil(lagMs)} ms` : `${(lagMs / 1000).toFixed(1)} s late`;
}

/** "canary: seen after 4 ms" */
export function canaryLines({ canary }: wire.Status): string[] {
	if (canary === undefined) return [];
	const { seen, seconds = 0, problem = "", sent, missed } = canary;
	const counts = `${grouped(counter(sent))} sent, ${grouped(counter(missed))} missed`;
	if (seen) return [`  canary: seen after ${Math.ceil(seconds * 1000)} ms (${counts})`];
	return [`  canary: not seen (${counts}): ${printable(problem)}`];
}

function responseLines(responses: readonly wire.Action[], columns: number): string[] {
	const rows = responses.slice(0, mostResponses).map(({ kind = "", target = "", targetName, expires }) => [
		kind
			.replace(/^KIND_/, "")
			.toLowerCase()
			.replaceAll("_", " "),
		targetName || target,
		expires ? `until ${expires}` : "without end",
	]);
	if (rows.length === 0) return [];
	const more = responses.length - rows.length;
	const titles = [{ title: "" }, { title: "", wraps: true }, { title: "" }];
	return [
		...alignTable(titles, rows, columns).filter((line) => line !== ""),
		...(more > 0 ? [`  and ${grouped(more)} more: \`picket actions\` lists them`] : []),
	];
}

function ruleLines(status: wire.Status): string[] {
	const { rules } = status;
	if (rules === undefined) return [];
	const { evaluable = 0, degraded = 0, notEvaluable = 0, error = 0 } = rules;
	const parts = [`${grouped(evaluable)} evaluable`];
	if (degraded > 0) parts.push(`${grouped(degraded)} degraded`);
	if (notEvaluable > 0)
		parts.push(`${grouped(notEvaluable)} cannot fire here (\`picket rules list\` says why)`);
	if (error > 0) parts.push(`${grouped(error)} with errors`);
	const { suspended = [] } = rules;
	if (suspended.length > 0)
		parts.push(
			`${grouped(suspended.length)} suspended for their cost (${suspended.map(printable).join(", ")})`,
		);
	const made = `${counted(counter(status.alerts), "alert")}, ${counted(counter(status.actions), "action")} so far`;
	return [`  ${parts.join(", ")}`, `  ${made}`];
}

function deliveredLines(status: wire.Status, columns: number): string[] {
	const rows = (status.delivered ?? []).map(({ kind = "?", version, author, probationUntil }) => [
		kind,
		counter(version) === 0n ? "none in force" : `version ${grouped(counter(version))}`,
		author ? `by ${printable(author)}` : "",
		probationUntil ? `on probation until ${printable(probationUntil)}` : "",
	]);
	if (rows.length === 0) return [];
	return alignTable(
		[{ title: "" }, { title: "" }, { title: "" }, { title: "", wraps: true }],
		rows,
		columns,
	).filter((line) => line !== "");
}

function sinkLines(status: wire.Status, columns: number): string[] {
	const { sinks = [] } = status;
	if (sinks.length === 0) return [];
	const rows = sinks.map((sink) => [
		sink.name ?? "?",
		sink.connected ? "works" : "DOWN",
		...[sink.sent, sink.acknowledged, sink.queued, sink.lost].map((value) => grouped(counter(value))),
		sink.problem ?? "",
	]);
	const numbers = ["sent", "acknowledged", "queued", "lost"].map((title) => ({ title, right: true }));
	return alignTable(
		[{ title: "sink" }, { title: "" }, ...numbers, { title: "", wraps: true }],
		rows,
		columns,
	);
}

function tableLines(status: wire.Status, columns: number): string[] {
	const rows = (status.tables ?? []).map(({ name = "?", size: used, capacity, evicted }) => {
		const most = counter(capacity);
		const full = most > 0n ? `${Math.round((Number(counter(used)) / Number(most)) * 100)} %` : "";
		return [name, grouped(counter(used)), grouped(most), full, grouped(counter(evicted))];
	});
	if (rows.length === 0) return [];
	const numbers = ["entries", "capacity", "full", "evicted"].map((title) => ({ title, right: true }));
	return alignTable([{ title: "table" }, ...numbers], rows, columns);
}

function sensorLines(status: wire.Status, columns: number): string[] {
	const { resources, capabilities = [] } = status;
	const rows: string[][] = [];
	if (status.pid !== undefined) rows.push(["pid", String(status.pid)]);
	if (status.kernel) rows.push(["kernel", `${status.kernel} ${status.architecture ?? ""}`.trim()]);
	if (resources !== undefined) {
		const { cpuShare = 0, cpuSeconds = 0 } = resources;
		rows.push(["cpu", `${percent(cpuShare)} of a core now, ${grouped(cpuSeconds)} s in all`]);
		rows.push(["memory", size(Number(counter(resources.residentBytes)))]);
	}
	const missing = capabilities.filter((one) => !one.available).length;
	if (capabilities.length > 0) {
		const told = missing > 0 ? `; ${missing} missing, \`picket doctor\` says which` : "";
		rows.push(["capabilities", `${capabilities.length - missing} of ${capabilities.length}${told}`]);
	}
	return alignTable([{ title: "" }, { title: "", wraps: true }], rows, columns).filter((line) => line !== "");
}
