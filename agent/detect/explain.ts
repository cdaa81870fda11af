// A rule in plain words: what it looks for, on which events, what the kernel sends for it.
import type { OpenInterest } from "../model/interest.ts";
import { correlationLines } from "./correlation/explain.ts";
import type { LoadedRule } from "./load.ts";

/** `rules`: all that are loaded. */
export function explainRule(rule: LoadedRule, rules: readonly LoadedRule[]): string {
	const lines = [
		`${rule.name}  (${rule.file}:${rule.line})`,
		`  ${rule.description || "no description"}`,
		"",
		`severity    ${rule.severity} (${rule.priority})`,
		`ATT&CK      ${[...rule.tactics, ...rule.techniques].join(", ") || "none given"}`,
		`on this host ${rule.status}${rule.enabled ? "" : ", switched off"}`,
		...rule.reasons.map((reason) => `            ${reason}`),
		`events      ${rule.events.join(", ") || "none"}`,
		`condition   ${rule.condition}`,
		`output      ${rule.output}`,
	];
	lines.push(...correlationLines(rule, rules));
	const { interest } = rule;
	if (interest?.kinds.has("open")) {
		lines.push(
			...filesText("reads", interest.readOpens, "every file opened for reading"),
			...filesText("writes", interest.writeOpens, "every file opened for writing"),
			...(interest.failedOpens ? ["failures    every open that fails"] : []),
		);
	}
	if (interest)
		lines.push(...filesText("changes", interest.fileChanges, "every change of a file's name or attributes"));
	if (interest?.kinds.has("connect")) {
		const { ip, unix } = interest.connects;
		const ports = ip === "all" ? ["every peer"] : ip === "none" ? [] : [`peers on port ${ip.join(", ")}`];
		lines.push(`connections ${[...ports, ...(unix ? ["Unix sockets"] : [])].join("; ")}`);
	}
	if (rule.falsePositives.length > 0)
		lines.push("known false positives", ...rule.falsePositives.map((each) => `  ${each}`));
	return lines.join("\n");
}

function filesText(title: string, opens: OpenInterest, every: string): string[] {
	if (opens === "none") return [];
	if (opens === "all") return [`${title.padEnd(11)} ${every} has to be looked at, which costs CPU`];
	const paths = [
		...opens.exact,
		...opens.prefixes.map((each) => `${each}*`),
		...opens.names.map((each) => `*/${each}`),
		...opens.suffixes.map((each) => `*${each}`),
	];
	// As captured they are bytes; people read UTF-8.
	return [`${title.padEnd(11)} ${Buffer.from(paths.join(" "), "latin1").toString("utf8")}`];
}
