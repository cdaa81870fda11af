// One plain line a record, for people. Whatever a process, a container or a console has named itself, the line
// stays one line and cannot command the terminal.
import type * as wire from "../model/picket.v1.ts";
import { actText, clean } from "./act-text.ts";

export { neutralise } from "./shown.ts";

export interface TextOptions {
	/** Colour by severity (ANSI). Off by default. */
	readonly colour?: boolean;
}

type Level = "info" | "low" | "medium" | "high" | "critical";

const levels: Readonly<Record<string, Level>> = {
	SEVERITY_INFORMATIONAL: "info",
	SEVERITY_LOW: "low",
	SEVERITY_MEDIUM: "medium",
	SEVERITY_HIGH: "high",
	SEVERITY_CRITICAL: "critical",
};
const colours: Readonly<Record<Level, string>> = {
	info: "2",
	low: "36",
	medium: "33",
	high: "31",
	critical: "1;31",
};

const shownAncestors = 5;

/** Without a line end. The only control characters in it are the colours, if asked for. */
export function recordText(record: wire.OutputRecord, options: TextOptions = {}): string {
	const [level, content] = describe(record);
	const mark = level.toUpperCase().padEnd(8);
	const painted = options.colour === true ? `\x1b[${colours[level]}m${mark}\x1b[0m` : mark;
	const head = [clean(record.time ?? "-"), painted];
	if (record.host) head.splice(1, 0, clean(record.host));
	return `${head.join("  ")} ${content}`;
}

function describe(record: wire.OutputRecord): [Level, string] {
	if (record.alert) return [levels[record.alert.severity ?? ""] ?? "info", alertText(record.alert)];
	if (record.incident) {
		const { id, summary, severity } = record.incident;
		return [levels[severity ?? ""] ?? "info", `incident ${clean(id)}: ${clean(summary)}`];
	}
	if (record.action) return actionText(record.action);
	if (record.gap) return ["high", gapText(record.gap)];
	if (record.status) return statusText(record.status);
	if (record.event) return ["info", eventText(record.event)];
	return ["info", "record of a kind this version does not know"];
}

function alertText(alert: wire.Alert): string {
	const parts = [`${clean(alert.rule)}: ${clean(alert.summary)}`];
	const tree = processTree(alert.event?.process, alert.ancestors ?? []);
	if (tree !== "") parts.push(`[${tree}]`);
	parts.push(...scope(alert.event));
	if (alert.techniques?.length) parts.push(clean(alert.techniques.join(",")));
	// The licence of public rules asks for it.
	if (alert.origin === "ORIGIN_SIGMA" && alert.author) parts.push(`rule by ${clean(alert.author)}`);
	if (alert.responses?.length) parts.push(`response=${clean(alert.responses.join(","))}`);
	if ((alert.count ?? 1) > 1) parts.push(`×${alert.count}`);
	if (alert.id) parts.push(`(${clean(alert.id)})`);
	return parts.join("  ");
}

/** "nginx(812) → sh(1203) → curl(1204)", the acting process last. */
export function processTree(process: wire.Process | undefined, ancestors: readonly wire.Process[]): string {
	if (process === undefined) return "";
	const chain = [...ancestors.slice(0, shownAncestors).toReversed(), process].map(processLabel);
	if (ancestors.length > shownAncestors) chain.unshift("…");
	return chain.join(" → ");
}

function processLabel(process: wire.Process): string {
	return `${clean(process.name || baseName(process.executable ?? "") || "?")}(${process.pid ?? "?"})`;
}

function baseName(path: string): string {
	return path.slice(path.lastIndexOf("/") + 1);
}

function scope(event: wire.Event | undefined): string[] {
	const parts: string[] = [];
	const container = event?.container;
	if (container !== undefined) {
		const name = clean(container.name || (container.id ?? "").slice(0, 12));
		parts.push(`container=${name}${container.image ? ` (${clean(container.image)})` : ""}`);
	}
	const process = event?.process;
	if (process?.uid !== undefined || process?.user) {
		const user = process.user ? clean(process.user) : String(process.uid);
		const login = process.loginUser && process.loginUser !== process.user ? clean(process.loginUser) : "";
		parts.push(`user=${user}${login === "" ? "" : ` (logged in as ${login})`}`);
	}
	return parts;
}

const failedOutcomes = new Set(["OUTCOME_FAILED", "OUTCOME_NO_EFFECT"]);

function actionText(action: wire.Action): [Level, string] {
	const word = (name: string | undefined, prefix: string): string =>
		clean(name ?? "?")
			.replace(prefix, "")
			.toLowerCase()
			.replaceAll("_", " ");
	const target = action.targetName ? `${clean(action.targetName)}` : clean(action.target);
	const parts = [`action ${word(action.kind, "KIND_")} ${target}: ${word(action.outcome, "OUTCOME_")}`];
	if (action.secondsToEffect) parts.push(`after ${action.secondsToEffect.toFixed(3)} s`);
	if (action.requester) parts.push(`by ${clean(action.requester)}`);
	if (action.reason) parts.push(`because ${clean(action.reason)}`);
	if (action.expires) parts.push(`until ${clean(action.expires)}`);
	if (action.undo) parts.push(`undo: ${clean(action.undo)}`);
	return [failedOutcomes.has(action.outcome ?? "") ? "high" : "medium", parts.join("  ")];
}

function gapText(gap: wire.Gap): string {
	const lost = (gap.lost ?? []).map((loss) => `${clean(loss.count ?? "0")} ${clean(loss.class)}`);
	return `gap at ${clean(gap.where)}: lost ${lost.join(", ") || "an unknown number"} from ${clean(gap.from)} to ${clean(gap.to)}`;
}

function statusText(status: wire.Status): [Level, string] {
	const problems = status.problems ?? [];
	const lost = (status.counters ?? []).reduce((sum, counter) => sum + Number(counter.lost ?? 0), 0);
	const parts = [
		`status picket ${clean(status.version)} ${clean(status.mode)}`,
		`${(status.eventRate ?? 0).toFixed(0)} events/s`,
		`${clean(status.alerts ?? "0")} alerts`,
		`${lost} lost`,
	];
	if (problems.length > 0) parts.push(`problems: ${problems.map(clean).join("; ")}`);
	return [problems.length > 0 ? "medium" : "info", parts.join("  ")];
}

function eventText(event: wire.Event): string {
	if (event.process === undefined && event.container !== undefined) return containerText(event.container);
	return [`${actText(event)}`, processLabel(event.process ?? {}), ...scope(event)].join("  ");
}

/** What was not known yet when the container was first told of, by its id. */
function containerText(container: wire.Container): string {
	const { id, name, image, podNamespace, podName } = container;
	const parts = [`container ${clean(name || "without a name")}${image ? ` (${clean(image)})` : ""}`];
	parts.push(`is ${clean((id ?? "?").slice(0, 12))}`);
	if (podName) parts.push(`of pod ${clean(`${podNamespace ?? ""}/${podName}`)}`);
	return parts.join(" ");
}
