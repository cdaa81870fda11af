// A rule in plain words: what it looks for, on which events, what the kernel sends for it.
import type { LoadedRule } from "./load.ts";

export function explainRule(rule: LoadedRule): string {
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
	const { interest } = rule;
	if (interest?.kinds.has("open")) {
		lines.push(
			`opens       ${[interest.writeOpens && "for writing", interest.failedOpens && "failed ones"].filter(Boolean).join(", ") || "for reading only"}`,
		);
		const reads = interest.readOpens;
		if (reads === "all")
			lines.push("reads       every file opened for reading has to be looked at, which costs CPU");
		else if (reads !== "none") {
			const paths = [
				...reads.exact,
				...reads.prefixes.map((each) => `${each}*`),
				...reads.names.map((each) => `*/${each}`),
				...reads.suffixes.map((each) => `*${each}`),
			];
			// As captured they are bytes; people read UTF-8.
			lines.push(`reads       ${Buffer.from(paths.join(" "), "latin1").toString("utf8")}`);
		}
	}
	if (rule.falsePositives.length > 0)
		lines.push("known false positives", ...rule.falsePositives.map((each) => `  ${each}`));
	return lines.join("\n");
}
