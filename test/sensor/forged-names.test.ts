// Names that would forge lines, as a running sensor captures them from real processes: in the program's path, its own
// name, its arguments and the files it opens. Read back from a file, from rsyslog and from standard output.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { makeRsyslog, type Rsyslog } from "../unit/uplink/rsyslog.ts";
import { SensorProcess } from "./process.ts";

const forged = "<34>1 2026-01-01T00:00:00Z bank su 1 alert - root logged in";
/** What a file may be called (no slash, no NUL, 255 bytes); bytes as latin1, also such that are no UTF-8. */
const evil = [
	`a\n${forged}\n`,
	`b\r\n59 ${forged}`,
	'c"] injected ["\\',
	'd","alert":{"rule":"forged"}}\n{"time":"x"}',
	"e\x1b[2J\x1b]0;owned\x07",
	"f\xc2\x9b31m\xc2\x85\xe2\x80\xa8\xe2\x80\xae",
	"g\xff\xfe\x80\n",
];

let folder: string;
let rsyslog: Rsyslog;
let sensor: SensorProcess;
beforeAll(async () => {
	folder = mkdtempSync(join(tmpdir(), "picket-forged-"));
	rsyslog = await makeRsyslog();
	await rsyslog.start();
});
afterAll(async () => {
	await sensor?.dispose();
	await rsyslog?.remove();
	rmSync(folder, { recursive: true, force: true });
});

it("a process can call itself what it likes: each record stays one line and one message", async () => {
	const rules = join(folder, "rules.yaml");
	const file = join(folder, "records.jsonl");
	writeFileSync(
		rules,
		`- rule: Marked
  desc: A program of this test.
  condition: evt.type = execve and proc.args contains "forge-marker"
  output: "%proc.name %proc.exepath %proc.cmdline"
  priority: ERROR
`,
	);
	const sinks = [
		`{file: ${file}, records: [alert]}`,
		...["text", "json"].flatMap((form) =>
			[`tcp:127.0.0.1:${rsyslog.port}`, `unix:${rsyslog.plainSocket}`].map(
				(address) => `{syslog: "${address}", form: ${form}, records: [alert]}`,
			),
		),
	];
	sensor = new SensorProcess({
		args: ["--scope-pid", String(process.pid), "--no-default-rules", "--rules", rules],
		config: `sinks: [${sinks.join(", ")}]\nmetrics: {listen: ""}\n`,
	});
	await sensor.ready();
	for (const name of evil) {
		const program = Buffer.from(`${folder}/${name}`, "latin1");
		copyFileSync("/bin/true", program);
		// A shell takes any bytes from its standard input; Node's own spawn takes text only.
		const quoted = Buffer.concat([Buffer.from("'"), program, Buffer.from("'")]);
		execFileSync("/bin/sh", [], {
			input: Buffer.concat([quoted, Buffer.from(" forge-marker "), quoted, Buffer.from("\n")]),
		});
	}
	const alerts = () => sensor.records.filter(({ alert }) => alert?.rule === "Marked");
	await sensor.until("an alert for each", () => alerts().length >= evil.length);
	await sensor.until("messages", () => rsyslog.lines().length >= 4 * evil.length);
	await sensor.interrupt();

	expect(alerts()).toHaveLength(evil.length);
	expect(new Set(alerts().map(({ alert }) => alert?.event?.process?.executable)).size).toBe(evil.length);
	const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
	expect(lines.map((line) => (JSON.parse(line) as wire.OutputRecord).alert?.id)).toEqual(
		alerts().map(({ alert }) => alert?.id),
	);
	const got = rsyslog.received();
	expect(got).toHaveLength(4 * evil.length);
	for (const message of got) {
		expect(message).toMatchObject({ facility: "authpriv", severity: "err", app: "picket", id: "alert" });
		expect(message.message).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
		expect(message.message).toContain("forge-marker");
	}
	expect(sensor.messages).not.toContain("owned");
});
