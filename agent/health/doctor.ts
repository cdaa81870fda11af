// What this host lets the sensor do, as text or JSON for `picket doctor`.
import type * as wire from "../model/picket.v1.ts";
import { printable, wrap } from "../report/terminal-text.ts";
import { size } from "../report/terminal-units.ts";
import type { HostFacts, MachineFacts } from "./host.ts";
import { canaryLines } from "./status.ts";
import { alignTable } from "./table.ts";

export interface DoctorReport {
	readonly version: string;
	readonly host: HostFacts;
	readonly machine?: MachineFacts | undefined;
	readonly capabilities: readonly wire.Capability[];
	/** What the sensor that runs here says is wrong; undefined when none answers. */
	readonly problems?: readonly string[] | undefined;
	readonly running?: wire.Status | undefined;
}

export interface DoctorTotals {
	/** Available, with nothing lost. */
	readonly full: number;
	/** Available on a lesser tier. */
	readonly lesser: number;
	readonly missing: number;
}

export function countCapabilities(capabilities: readonly wire.Capability[]): DoctorTotals {
	const missing = capabilities.filter((one) => !one.available).length;
	const lesser = capabilities.filter((one) => one.available && (one.lost ?? "") !== "").length;
	return { full: capabilities.length - missing - lesser, lesser, missing };
}

/** One JSON object, indented; `capabilities` as in picket.v1. */
export function doctorJson(report: DoctorReport): string {
	const { version, host, machine, capabilities, problems, running } = report;
	const sensor = running && { running: { canary: running.canary, lagMs: running.lagMs } };
	const all = capabilities.map((one) => ({ ...one, available: one.available ?? false }));
	const totals = countCapabilities(capabilities);
	return JSON.stringify(
		{
			version,
			host,
			...(machine && { machine }),
			capabilities: all,
			totals,
			...(problems && { problems }),
			...sensor,
		},
		undefined,
		2,
	);
}

/** Several lines of plain text without an end of line at its end. `columns`: cells of the terminal. */
export function renderDoctor(report: DoctorReport, columns = 100): string {
	const { version, host, machine, capabilities } = report;
	const under =
		machine === undefined
			? ""
			: `, ${machine.virtual ? `virtual (${machine.hypervisor || "?"})` : "bare metal"}`;
	const lines = [
		printable(
			`Picket ${version} on ${host.hostname}: ${host.distribution || "Linux"}, kernel ${host.kernel}, ` +
				`${host.architecture}, ${host.processors} CPUs, ${size(host.memoryBytes)}${under}`,
		),
		"",
	];
	const head = [{ title: "works" }, { title: "tier" }, { title: "capabilities", wraps: true }];
	const rows = alike(capabilities, (one) => `${works(one)} ${one.tier}`).map((group) => {
		const [first = {}] = group;
		return [works(first), first.tier || "-", namesOf(group)];
	});
	lines.push(...alignTable(head, rows, columns, 2));
	const lesser = capabilities.filter((one) => works(one) !== "yes");
	if (lesser.length > 0) lines.push("", "What is lost, and what would bring it back");
	for (const group of alike(lesser, (one) => `${one.lost}\n${one.remedy}`)) {
		const [{ lost = "", remedy = "" } = {}] = group;
		const words = [namesOf(group), lost, remedy && `→ ${remedy}`].filter(Boolean);
		const text = wrap(printable(words.join(": ").replace(": →", " →")), columns - 4, 12);
		lines.push(...text.map((line, index) => `${index === 0 ? "  - " : "    "}${line}`));
	}
	const canary = report.running ? canaryLines(report.running) : [];
	if (canary.length > 0) lines.push("", "The running sensor's test of the whole way", ...canary);
	if (report.problems && report.problems.length > 0) lines.push("", "What the running sensor says is wrong");
	for (const problem of report.problems ?? []) {
		const text = wrap(printable(problem), columns - 4, 8);
		lines.push(...text.map((line, index) => `${index === 0 ? "  ! " : "    "}${line}`));
	}
	lines.push("", summaryLine(countCapabilities(capabilities), capabilities));
	return lines.join("\n");
}

function works(one: wire.Capability): "yes" | "partly" | "NO" {
	if (!one.available) return "NO";
	return (one.lost ?? "") === "" ? "yes" : "partly";
}

/** Those with the same key together, in the order in which the first of each came. */
function alike(
	capabilities: readonly wire.Capability[],
	key: (one: wire.Capability) => string,
): wire.Capability[][] {
	return [...Map.groupBy(capabilities, key).values()];
}

function namesOf(capabilities: readonly wire.Capability[]): string {
	return capabilities.map((one) => one.name ?? "?").join(", ");
}

function summaryLine(totals: DoctorTotals, capabilities: readonly wire.Capability[]): string {
	const { full, lesser, missing } = totals;
	if (capabilities.length === 0) return "Nothing is known of this host's capabilities.";
	if (lesser === 0 && missing === 0) {
		return full === 1
			? "The one capability works here in full."
			: `All ${full} capabilities work here in full.`;
	}
	const names = capabilities.filter((one) => !one.available).map((one) => one.name ?? "?");
	const parts = [`${full} of ${capabilities.length} capabilities work here in full`];
	if (lesser > 0) parts.push(`${lesser} in part`);
	if (missing > 0) parts.push(`${missing} not at all (${names.join(", ")})`);
	return printable(`${parts.join(", ")}.`);
}
