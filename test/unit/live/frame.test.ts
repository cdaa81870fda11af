import { describe, expect, test } from "vitest";
import { renderFrame } from "../../../agent/report/live-frame.ts";
import { sparkline } from "../../../agent/report/live-header.ts";
import { applyRecord, applyStatus, createModel, type LiveModel } from "../../../agent/report/live-model.ts";
import { textWidth } from "../../../agent/report/terminal-text.ts";
import { createTheme } from "../../../agent/report/terminal-theme.ts";
import { timeOfDay } from "../../../agent/report/terminal-units.ts";
import { at, bare, hostile, noon, numbered, shadow, state } from "./records.ts";

function told(): LiveModel {
	const model = createModel(createTheme(0));
	applyStatus(model, state);
	for (let n = 0; n < 3; n++) applyRecord(model, at(n, { alert: { ...shadow, count: n + 1 } }), noon);
	const action = { id: "1", alertId: "a1", kind: "KIND_BLOCK", outcome: "OUTCOME_WOULD_ACT" } as const;
	const expires = new Date(noon + 1_800_003).toISOString();
	applyRecord(model, at(3, { action: { ...action, target: "10.0.0.5", expires } }), noon);
	const process = { user: "root", args: ["curl", "http://x"] };
	const exec = { path: "/usr/bin/curl", previousExecutable: "/bin/bash" };
	applyRecord(model, at(4, { event: { process, exec } }), noon);
	return model;
}

/** A view full of hostile text in every place that can hold text. */
function attacked(depth: 0 | 4 | 8): LiveModel {
	const model = createModel(createTheme(depth));
	const process = { pid: 1, name: hostile, user: hostile, loginUser: "x", args: [hostile, hostile] };
	const container = { id: hostile, name: hostile, image: hostile };
	applyStatus(model, {
		...state,
		version: hostile,
		kernel: hostile,
		architecture: hostile,
		mode: hostile,
		problems: [hostile, hostile],
		capabilities: [{ name: "exec", available: true, tier: hostile }],
		sinks: [{ name: `console${hostile}`, problem: hostile }],
	});
	applyRecord(
		model,
		{
			...at(0, {
				alert: { ...shadow, rule: hostile, summary: hostile.repeat(9), event: { process, container } },
			}),
			host: hostile,
		},
		noon,
	);
	const action = { id: "1", kind: "KIND_KILL", outcome: "OUTCOME_FAILED", target: hostile } as const;
	applyRecord(model, at(1, { action: { ...action, alertId: "a1", steps: [hostile] } }), noon);
	applyRecord(model, at(2, { action: { ...action, requester: hostile } }), noon);
	applyRecord(model, at(3, { gap: { where: hostile, lost: [{ class: hostile, count: "4" }] } }), noon);
	applyRecord(model, at(4, { incident: { id: hostile, summary: hostile } }), noon);
	applyRecord(
		model,
		at(5, { event: { process, exec: { path: hostile, previousExecutable: hostile } } }),
		noon,
	);
	const connect = { family: hostile, destinationAddress: hostile, protocol: hostile, result: hostile };
	applyRecord(model, at(6, { event: { process, container, connect } }), noon);
	return model;
}

describe("the frame", () => {
	test("shows who, how it does, what happened, who did it and what follows", () => {
		const time = timeOfDay(noon);
		const frame = renderFrame(told(), 120, 24, noon).map((line) => bare(line).trimEnd());
		expect(frame[0]).toBe(
			`${" Picket 0.1.0   web-01   Linux 6.12.48 x86_64   lsm + tracepoint".padEnd(100)}up 2h 13m   OBSERVE`,
		);
		expect(frame[1]).toMatch(
			/^ 1,204 events\/s {3}█ +lost 0 {3}cpu 1\.8 % {2}mem 82 MB {3}containers 4 {3}rules 93\/95 +console ● linked$/,
		);
		expect(frame[2]).toMatch(/^── Alerts ─+ 3 medium ──$/);
		expect(frame[3]).toBe(
			`${`▌ ${time}  MEDIUM    Read sensitive file untrusted   web-1 (nginx:1.27)   root`.padEnd(117)}×3`,
		);
		expect(frame.slice(4, 8)).toEqual([
			"▌                     systemd(1) → sshd(812) → bash(1203) → cat(1290)",
			"▌                     Sensitive file opened for reading (file=/etc/shadow)",
			"▌                     ↳ would block 10.0.0.5 for 30m — observe mode",
			"",
		]);
		expect(frame).toContain(` ${time}  exec  root          bash → curl http://x`);
		expect(frame.at(-1)).toBe(" q quit   p pause   ↑↓ scroll   e hide activity   m severity: all   ? help");
	});

	test("with nothing to tell it says what to try", () => {
		const model = createModel(createTheme(0));
		applyStatus(model, state);
		const text = renderFrame(model, 80, 24, noon).join("\n");
		expect(text).toContain("All quiet.");
		expect(text).toContain("sudo cat /etc/shadow");
		expect(text).toContain("cp /bin/true /tmp/x && /tmp/x");
	});

	test("before the sensor's first word it says that it waits", () => {
		expect(renderFrame(createModel(createTheme(0)), 80, 24, noon)[0]).toContain("waiting for the sensor…");
	});

	test("a loss, a problem and a console out of reach are plain to see", () => {
		const model = told();
		applyStatus(model, {
			...state,
			mode: "enforce",
			counters: [{ class: "open", lost: "18342" }],
			problems: ["no BTF on this host: install it", "another"],
			sinks: [{ name: "console:ops", connected: false, queued: "512" }],
		});
		const [first, second, third] = renderFrame(model, 120, 24, noon).map(bare);
		expect(first).toContain(" ENFORCE ");
		expect(second).toContain("lost 18,342");
		expect(second).toContain("console ○ not reached, 512 kept");
		expect(third).toBe(" ! no BTF on this host: install it  +1 more: picket status");
	});

	test("colours carry severity", () => {
		const model = createModel(createTheme(8));
		applyRecord(model, at(0, { alert: numbered(1, "SEVERITY_CRITICAL") }), noon);
		applyRecord(model, at(1, { alert: numbered(2, "SEVERITY_LOW") }), noon);
		const frame = renderFrame(model, 100, 24, noon);
		expect(frame.find((line) => line.includes("rule 1"))).toContain("\x1b[1;38;5;231;48;5;160m CRITICAL ");
		expect(frame.find((line) => line.includes("rule 2"))).toContain("\x1b[38;5;110m LOW");
	});

	test("a long line of descent keeps its eldest and its youngest", () => {
		const model = createModel(createTheme(0));
		const ancestors = Array.from({ length: 20 }, (_, n) => ({ pid: 100 - n, name: `process-${100 - n}` }));
		ancestors.push({ pid: 1, name: "systemd" });
		applyRecord(model, at(0, { alert: { ...shadow, ancestors } }), noon);
		const line = renderFrame(model, 80, 24, noon).find((one) => one.includes("systemd(1)"));
		expect(bare(line ?? "")).toMatch(/systemd\(1\) → … → .*process-100\(100\) → cat\(1290\)$/);
	});

	test("fills exactly the terminal, whatever its size and whatever text it holds", () => {
		for (const model of [attacked(0), attacked(8), told(), createModel(createTheme(0))]) {
			for (const help of [false, true]) {
				model.help = help;
				for (const columns of [1, 2, 5, 10, 20, 33, 40, 59, 60, 61, 80, 99, 100, 120, 200, 300]) {
					for (const rows of [0, 1, 2, 3, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 36, 50, 70]) {
						const frame = renderFrame(model, columns, rows, noon);
						expect(frame).toHaveLength(rows);
						for (const line of frame) {
							const cells = textWidth(bare(line));
							if (cells > columns) expect.fail(`${columns}x${rows}: ${cells} cells in ${line}`);
						}
					}
				}
			}
		}
	});

	test("no control character or escape sequence of captured text gets through", () => {
		for (const depth of [0, 4, 8] as const) {
			for (const columns of [20, 59, 80, 120, 200]) {
				const text = renderFrame(attacked(depth), columns, 40, noon).map(bare).join("");
				// biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for
				expect(text).not.toMatch(/[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800]|\ufe0f/u);
			}
		}
	});

	test("a terminal without Unicode gets plain characters", () => {
		const model = told();
		const plain = { ...model, theme: createTheme(0, false) };
		const text = renderFrame(plain, 100, 24, noon).map(bare).join("");
		expect(text).toContain("systemd(1) -> sshd(812)");
		expect(text).toContain("would block 10.0.0.5 for 30m - observe mode");
		expect(text.match(/[^\x20-\x7e]/g)).toBeNull();
	});

	test("with thousands of alerts behind it a frame takes little time", () => {
		const model = told();
		for (let n = 0; n < 5000; n++) applyRecord(model, at(n, { alert: numbered(n) }), noon);
		const begun = performance.now();
		for (let n = 0; n < 50; n++) renderFrame(model, 200, 60, noon);
		expect((performance.now() - begun) / 50).toBeLessThan(20);
	});

	test("bars are drawn against the highest value", () => {
		const { glyphs } = createTheme(0);
		expect(sparkline([0, 50, 100], 16, glyphs)).toBe("▁▅█");
		expect(sparkline([0, 0], 16, glyphs)).toBe("▁▁");
		expect(sparkline([Number.NaN, -5, 1], 16, glyphs)).toHaveLength(3);
		expect(sparkline(Array(100).fill(7), 16, glyphs)).toHaveLength(16);
	});
});
