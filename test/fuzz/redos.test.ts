// Texts and patterns that make a backtracking engine run for ever, through everything that reads them between a rule
// file, a configuration and a sink. 64 KiB take milliseconds where time is linear, hours where it is
// exponential and minutes where it is quadratic; the guard is far from both. That rules' patterns take a bounded number
// of steps is counted in test/unit/detect/patterns.test.ts.
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../agent/config/load.ts";
import { loadRules } from "../../agent/detect/load.ts";
import { parseSyslogAddress } from "../../agent/model/syslog.ts";
import { metricsText } from "../../agent/report/metrics.ts";
import { recordLine } from "../../agent/report/record.ts";
import { neutralise, showText } from "../../agent/report/shown.ts";
import { type MessageForm, syslogMessage } from "../../agent/report/syslog.ts";
import { printable, wrap } from "../../agent/report/terminal-text.ts";
import { recordText } from "../../agent/report/text.ts";
import { recordsWith, statusWith } from "./injection.ts";

const size = 64 * 1024;
const fill = (piece: string, end = "!"): string =>
	piece.repeat(Math.ceil(size / piece.length)).slice(0, size) + end;

const texts: [string, string][] = [
	["one letter", fill("a")],
	["spaces before something else", fill(" ")],
	["tabs and spaces", fill("\t ")],
	["line ends", fill("\r\n")],
	["backslashes", fill("\\")],
	["escapes that are none", fill("\\x")],
	["marks on marks", fill("\u0301")],
	["marks in turn with letters", fill("e\u0301\u0301\u0301\u0301\u0301")],
	["pictures with selectors", fill("\u2764\ufe0f")],
	["joined pictures", fill("\u{1f469}\u200d")],
	["stray bytes", fill("\xff\xc3")],
	["brackets", fill("[(")],
	["quotes", fill('"\\"')],
	["dots and colons", fill("1.:")],
	["digits", fill("9")],
	["escape sequences", fill("\x1b[")],
	["line separators", fill("\u2028")],
];

/** The guard is generous: this machine may be busy with something else. */
function quick(what: string, call: () => unknown): void {
	const begun = process.cpuUsage();
	call();
	const { user, system } = process.cpuUsage(begun);
	expect((user + system) / 1e6, what).toBeLessThan(5);
}

const forms: MessageForm[] = [
	{ facility: "auth", form: "text", pid: 1, maxBytes: 8192 },
	{ facility: "auth", form: "json", pid: 1, maxBytes: 8192 },
];

describe.each(texts)("%s", (_, text) => {
	it("passes through every sink in its time", () => {
		quick("neutralise", () => neutralise(text));
		quick("showText", () => showText(text));
		quick("printable", () => wrap(printable(text), 80, 30));
		for (const record of recordsWith(text, 1)) {
			quick("a line of JSON", () => recordLine(record));
			quick("a line of text", () => recordText(record));
			for (const form of forms) quick(`syslog as ${form.form}`, () => syslogMessage(record, form));
		}
		quick("metrics", () => metricsText(statusWith(text), text));
	});

	it("is an address, a configuration or a rule file in its time", () => {
		for (const start of ["", "udp:", "tcp:[", "tls:a"]) {
			quick("address", () => parseSyslogAddress(start + text));
		}
		const quoted = JSON.stringify(text);
		for (const line of [
			`sinks: [{syslog: ${quoted}}]`,
			`sinks: [{file: ${quoted}}]`,
			`metrics: {listen: ${quoted}}`,
		])
			quick(line.slice(0, 30), () => loadConfig(line, "picket.yaml"));
		const rule = `- rule: r\n  desc: d\n  condition: proc.name = ${quoted} or proc.cmdline regex ${quoted}\n  output: ${quoted}\n  priority: NOTICE\n`;
		quick("rule", () => loadRules([{ path: "r.yaml", text: rule, origin: "falco" }]));
	});
});
