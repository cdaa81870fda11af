// The sensor's account of itself, gathered from every stage: for the live view, `picket status` and the console.
import { existsSync } from "node:fs";
import { release } from "node:os";
import { hostCapabilities } from "./capabilities.ts";
import type { LiveCapture } from "./capture/live.ts";
import type { Config } from "./config/load.ts";
import type { Takeover } from "./delivered/takeover.ts";
import type { Delivery } from "./delivery.ts";
import type { CorrelationTotals } from "./detect/correlation/runtime.ts";
import type { Content } from "./detection.ts";
import type { DockerRuntime } from "./docker.ts";
import type { Enrichment } from "./enrichment.ts";
import { createResourceMeter } from "./health/resources.ts";
import { EventKind } from "./model/event.ts";
import type * as wire from "./model/picket.v1.ts";
import type { Refuser } from "./model/refusal.ts";
import type { Pipeline } from "./pipeline.ts";
import type { AlertLimit } from "./report/alert-limit.ts";
import type { Folder } from "./report/dedup.ts";
import type { Output } from "./report/sinks.ts";
import { version } from "./version.ts";

export interface BoardParts {
	readonly config: Config;
	content(): Content;
	/** What consoles delivered; undefined where nothing can be. */
	readonly delivered: Pick<Takeover, "states" | "captureOnly"> | undefined;
	/** The newest change of rules and policy. */
	reload(): wire.Reload | undefined;
	/** What holds responses back: open breakers, the kill switch. */
	responseProblems(): readonly string[];
	/** What is wrong on disk and therefore not in force, and which rules are not evaluated for now. */
	contentProblems(): readonly string[];
	/** What the sensor's watch over itself has found. */
	selfProblems(): readonly string[];
	/** Of the newest execution of its own; undefined before the first, or without any. */
	canary(): wire.Canary | undefined;
	readonly capture: LiveCapture;
	readonly pipeline: Pipeline;
	readonly output: Output;
	readonly enrichment: Enrichment;
	readonly folder: Pick<Folder, "table">;
	/** What the correlations hold, and what they had to forget. */
	correlations(): CorrelationTotals;
	readonly docker: DockerRuntime | undefined;
	readonly refuser: Pick<Refuser, "exec" | "egress" | "outlives">;
	mode(): "observe" | "enforce";
	/** What goes to consoles and receivers off this host. */
	delivery(): Pick<Delivery, "status" | "problems"> | undefined;
	readonly bootId: string;
	/** Every open was asked for, as with `--output json`: that each is looked at is then no problem. */
	readonly everyOpen: boolean;
	/** Alerts held back. */
	readonly limited: Pick<AlertLimit, "suppressed" | "limited">;
}

export interface StatusBoard {
	status(): wire.Status;
	capabilities(): wire.Capability[];
	close(): void;
}

const rateWindow = 5;
/** Rules told in the problems for flooding, and in the totals. */
const mostFloods = 5;
const mostLimited = 100;

export function createStatusBoard(parts: BoardParts): StatusBoard {
	const { capture, pipeline, enrichment } = parts;
	const started = new Date().toISOString();
	const resources = createResourceMeter(Date.now);
	const points: { time: number; events: number }[] = [];
	const delivered = () => pipeline.delivered.reduce((sum, count) => sum + count, 0);
	const look = () => {
		points.push({ time: performance.now(), events: delivered() });
		if (points.length > rateWindow + 1) points.shift();
	};
	look();
	const timer = setInterval(look, 1000);

	const rate = (): number => {
		const first = points[0];
		if (!first) return 0;
		const seconds = (performance.now() - first.time) / 1000;
		return seconds < 0.2 ? 0 : (delivered() - first.events) / seconds;
	};
	const counters = (): wire.ClassCounters[] =>
		[...capture.counters()].map(([name, count]) => {
			const read = pipeline.delivered[EventKind[name]] ?? 0;
			return {
				class: name,
				generated: String(count.generated),
				delivered: String(read),
				lost: String(count.lost + count.limited),
				limited: String(count.limited),
				suppressed: String(count.repeated),
				pending: String(Math.max(0, count.submitted - read)),
			};
		});
	const rules = (): wire.RuleTotals => {
		const { rules: set, suspended } = parts.content();
		const totals = (status: string) => set.rules.filter((rule) => rule.status === status).length;
		return {
			evaluable: totals("evaluable"),
			degraded: totals("degraded"),
			notEvaluable: totals("not-evaluable"),
			error: totals("error"),
			contentHash: set.contentHash,
			suspended: [...suspended],
			limited: Object.fromEntries(
				[...parts.limited.limited()].slice(0, mostLimited).map(([rule, count]) => [rule, String(count)]),
			),
		};
	};
	const capabilities = () => [...capture.capabilities(), ...hostCapabilities(parts.docker, parts.refuser)];

	const problems = (): string[] => {
		const found: string[] = [
			...parts.selfProblems(),
			...parts.contentProblems(),
			...parts.responseProblems(),
			...(parts.delivery()?.problems() ?? []),
		];
		for (const capability of capture.capabilities()) {
			if (!capability.available) found.push(`not captured: ${capability.lost}; needed: ${capability.remedy}`);
		}
		const docker = parts.docker?.status();
		// A host without Docker is not a host with a problem.
		if (docker && !docker.available && existsSync(parts.config.docker.socket))
			found.push(`containers: ${docker.problem}; ${docker.remedy}`);
		const skipped = capture.skipped();
		if (skipped > 0)
			found.push(`the kernel skipped ${skipped} runs of our programs; those events are not counted`);
		if (pipeline.malformed > 0)
			found.push(`${pipeline.malformed} records could not be read; report it as a defect`);
		if (capture.damages() > 0)
			found.push(
				`the ring was damaged ${capture.damages()} times and what was in it is lost; look for another program that reads our ring (bpftool map), and for faults of the memory`,
			);
		const held = parts.limited.suppressed();
		if (held > 0) found.push(`${held} alerts were held back by limits.alerts_per_minute`);
		const floods = [...parts.limited.limited()].sort(([, a], [, b]) => b - a);
		for (const [rule, count] of floods.slice(0, mostFloods)) {
			found.push(
				`${count} alerts of rule ${rule} were held back by limits.rule_alerts_per_minute: make its condition ` +
					"narrower or add an exception",
			);
		}
		if (capture.unboundedOpens !== "" && !parts.everyOpen)
			found.push(`more files are looked at than need be: ${capture.unboundedOpens}`);
		for (const sink of parts.output.statuses()) {
			if (sink.problem) found.push(`${sink.name}: ${sink.problem}`);
		}
		return found;
	};

	const reloaded = (): Pick<wire.Status, "reload"> => {
		const reload = parts.reload();
		return reload ? { reload } : {};
	};

	const canary = (): Pick<wire.Status, "canary"> => {
		const found = parts.canary();
		return found ? { canary: found } : {};
	};

	return {
		capabilities,
		close: () => clearInterval(timer),
		status: () => ({
			version,
			started,
			bootId: parts.bootId,
			kernel: release(),
			architecture: process.arch,
			mode: parts.mode(),
			pid: process.pid,
			capabilities: capabilities(),
			counters: counters(),
			rules: rules(),
			sinks: parts.output.statuses(),
			resources: resources(),
			tables: [
				{
					name: "processes",
					size: String(enrichment.tree.size),
					capacity: String(parts.config.limits.processes),
					evicted: String(enrichment.tree.evicted),
				},
				{
					name: "containers",
					size: String(enrichment.containers.size),
					capacity: String(parts.config.limits.containers),
					evicted: String(enrichment.containers.evicted),
				},
				parts.folder.table(),
				...correlationTables(parts.correlations()),
			],
			alerts: String(pipeline.alerts),
			actions: String(pipeline.actions),
			problems: problems(),
			eventRate: rate(),
			lagMs: capture.lagMs(),
			contentHashes: { rules: parts.content().rules.contentHash, policy: parts.content().policy.hash },
			...canary(),
			...reloaded(),
			delivered: parts.delivered?.states() ?? [],
			captureOnly: parts.delivered?.captureOnly() ?? "",
			...parts.delivery()?.status(),
		}),
	};
}

function correlationTables(totals: CorrelationTotals): wire.Table[] {
	return [
		{
			name: "correlation-groups",
			size: String(totals.groups),
			capacity: String(totals.groupCapacity),
			evicted: String(totals.evicted),
		},
		{
			name: "correlation-matches",
			size: String(totals.entries),
			capacity: String(totals.entryCapacity),
			evicted: String(totals.dropped),
		},
	];
}
