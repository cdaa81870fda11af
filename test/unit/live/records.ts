// Made-up records and a look without colours, shared by the tests of the live view.
import type * as wire from "../../../agent/model/picket.v1.ts";

export const noon = Date.UTC(2026, 0, 2, 12, 0, 0);

export function at(ms: number, body: Omit<wire.OutputRecord, "time" | "host">): wire.OutputRecord {
	return { time: new Date(noon + ms).toISOString(), host: "web-01", ...body };
}

export const shadow: wire.Alert = {
	id: "a1",
	rule: "Read sensitive file untrusted",
	severity: "SEVERITY_MEDIUM",
	summary: "Sensitive file opened for reading (file=/etc/shadow)",
	dedupKey: "shadow",
	count: 1,
	event: {
		process: { pid: 1290, name: "cat", user: "root" },
		container: { id: "c".repeat(64), name: "web-1", image: "nginx:1.27" },
	},
	ancestors: [
		{ pid: 1203, name: "bash" },
		{ pid: 812, name: "sshd" },
		{ pid: 1, name: "systemd" },
	],
};

/** An alert of a rule of its own. */
export function numbered(n: number, severity: wire.Severity = "SEVERITY_LOW"): wire.Alert {
	return { id: `n${n}`, rule: `rule ${n}`, severity, dedupKey: `key ${n}`, count: 1 };
}

export const state: wire.Status = {
	version: "0.1.0",
	started: new Date(noon - 7_980_000).toISOString(),
	kernel: "6.12.48",
	architecture: "x86_64",
	mode: "observe",
	capabilities: [
		{ name: "exec", available: true, tier: "lsm" },
		{ name: "open", available: true, tier: "tracepoint" },
	],
	counters: [
		{ class: "open", generated: "1000", delivered: "1000", lost: "0" },
		{ class: "exec", generated: "10", delivered: "10", lost: "0" },
	],
	rules: { evaluable: 91, degraded: 2, notEvaluable: 2 },
	sinks: [{ name: "console:ops", connected: true }],
	resources: { cpuShare: 0.018, residentBytes: "82000000" },
	tables: [{ name: "containers", size: "4" }],
	eventRate: 1204,
};

/** Text with everything that could move a cursor, and things that are hard to measure. */
export const hostile =
	"\x1b[2J\x1b]0;t\x07\x9b31m\r\n\t\x00\x7f\u202e\u2066\u200b\u2028\ud800 漢字🎉e\u0301\u0301\u0301\u0301\u0301\u0301 \u3164\ufe0f";

// biome-ignore lint/suspicious/noControlCharactersInRegex: SGR sequences are what is taken away
const sgr = /\x1b\[[0-9;]*m/g;
export const bare = (line: string): string => line.replace(sgr, "");
