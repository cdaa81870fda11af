import { describe, expect, test } from "vitest";
import { createActivity } from "../../../agent/report/live-activity.ts";
import { visibleEntries } from "../../../agent/report/live-frame.ts";
import { applyKey } from "../../../agent/report/live-keys.ts";
import {
	applyRecord,
	applyStatus,
	createModel,
	type LiveModel,
	maxEntries,
	shownEntries,
} from "../../../agent/report/live-model.ts";
import { renderSummary } from "../../../agent/report/live-tally.ts";
import { actionWords, activityWords, treeOf, userOf } from "../../../agent/report/live-words.ts";
import { createTheme } from "../../../agent/report/terminal-theme.ts";
import { at, hostile, noon, numbered, shadow, state } from "./records.ts";

const fresh = (): LiveModel => createModel(createTheme(0));
const minute = 60_000;

describe("alerts", () => {
	test("a repeat is folded into the alert it repeats and counted", () => {
		const model = fresh();
		for (let n = 0; n < 3; n++) {
			applyRecord(model, at(n * 1000, { alert: { ...shadow, id: `a${n}`, count: n + 1 } }), noon);
		}
		expect(model.entries).toHaveLength(1);
		expect(model.entries[0]).toMatchObject({ count: 3, time: noon + 2000, firstTime: noon });
		expect(model.tally.byLevel.medium).toBe(3);
	});

	test("counts that jump, and windows that begin anew, are added up rightly", () => {
		const model = fresh();
		for (const [n, count] of [1, 10, 25, 1, 4].entries()) {
			applyRecord(model, at(n * 1000, { alert: { ...shadow, count } }), noon);
		}
		expect(model.entries[0]?.count).toBe(29);
		expect(model.tally.byLevel.medium).toBe(29);
	});

	test("after five minutes of silence a repeat is an alert of its own", () => {
		const model = fresh();
		applyRecord(model, at(0, { alert: shadow }), noon);
		applyRecord(model, at(6 * minute, { alert: shadow }), noon);
		expect(model.entries).toHaveLength(2);
	});

	test("a repeat of one far up comes down to the newest, of one nearby stays in its place", () => {
		const model = fresh();
		applyRecord(model, at(0, { alert: shadow }), noon);
		for (let n = 0; n < 5; n++) applyRecord(model, at(n, { alert: numbered(n) }), noon);
		applyRecord(model, at(10, { alert: shadow }), noon);
		expect(model.entries[0]?.title).toBe(shadow.rule);
		for (let n = 5; n < 12; n++) applyRecord(model, at(n, { alert: numbered(n) }), noon);
		applyRecord(model, at(20, { alert: shadow }), noon);
		expect(model.entries.at(-1)).toMatchObject({ title: shadow.rule, count: 3 });
		expect(model.entries).toHaveLength(13);
	});

	test("500 are kept, whatever comes, with texts of bounded length", () => {
		const model = fresh();
		const long = "x".repeat(100_000);
		for (let n = 0; n < 2000; n++) {
			const alert = { ...numbered(n), summary: long, ancestors: Array(500).fill({ pid: 1, name: long }) };
			applyRecord(model, at(n, { alert }), noon);
		}
		expect(model.entries).toHaveLength(maxEntries);
		expect(model.entries.at(-1)?.title).toBe("rule 1999");
		expect(JSON.stringify(model.entries[0]).length).toBeLessThan(10_000);
	});

	test("an alert with nothing in it is shown", () => {
		const model = fresh();
		applyRecord(model, { alert: {} }, noon);
		expect(model.entries[0]).toMatchObject({ title: "?", level: "informational", time: noon, count: 1 });
	});
});

describe("actions", () => {
	test("an action stands under its alert, also under a repeat of it", () => {
		const model = fresh();
		applyRecord(model, at(0, { alert: shadow }), noon);
		applyRecord(model, at(1, { alert: { ...shadow, id: "a2", count: 2 } }), noon);
		applyRecord(model, at(2, { alert: numbered(1) }), noon);
		for (const alertId of ["a1", "a2"]) {
			const action = { id: `x${alertId}`, alertId, kind: "KIND_KILL", outcome: "OUTCOME_VERIFIED" } as const;
			applyRecord(model, at(3, { action: { ...action, target: `pid of ${alertId}` } }), noon);
		}
		expect(model.entries[0]?.actions.map((one) => one.text)).toEqual([
			"killed pid of a1, verified",
			"killed pid of a2, verified",
		]);
	});

	test("a later record of an action replaces it, the same words of another are counted", () => {
		const model = fresh();
		applyRecord(model, at(0, { alert: shadow }), noon);
		const action = { alertId: "a1", kind: "KIND_PAUSE", target: "web-1" } as const;
		applyRecord(model, at(1, { action: { ...action, id: "1", outcome: "OUTCOME_NO_EFFECT" } }), noon);
		applyRecord(model, at(2, { action: { ...action, id: "1", outcome: "OUTCOME_VERIFIED" } }), noon);
		applyRecord(model, at(3, { action: { ...action, id: "2", outcome: "OUTCOME_VERIFIED" } }), noon);
		expect(model.entries[0]?.actions).toEqual([
			{ id: "2", tone: "done", text: "paused web-1, verified", count: 2 },
		]);
	});

	test("an action without its alert is an entry of its own, once", () => {
		const model = fresh();
		const action = { id: "1", kind: "KIND_BLOCK", target: "10.0.0.5", requester: "cli" } as const;
		applyRecord(model, at(0, { action: { ...action, outcome: "OUTCOME_VERIFIED" } }), noon);
		applyRecord(model, at(1, { action: { ...action, outcome: "OUTCOME_VERIFIED" } }), noon);
		expect(model.entries).toHaveLength(1);
		expect(model.entries[0]).toMatchObject({ what: "action", user: "by cli", count: 1 });
	});

	test.each([
		[
			{
				kind: "KIND_BLOCK",
				outcome: "OUTCOME_WOULD_ACT",
				target: "10.0.0.5",
				expires: new Date(noon + 30 * minute).toISOString(),
			},
			"would block 10.0.0.5 for 30m — observe mode",
			"said",
		],
		[
			{
				kind: "KIND_PAUSE",
				outcome: "OUTCOME_VERIFIED",
				targetName: "container web-1",
				secondsToEffect: 0.08,
			},
			"paused container web-1, verified in 0.08 s",
			"done",
		],
		[
			{
				kind: "KIND_PAUSE",
				outcome: "OUTCOME_NO_EFFECT",
				target: "web-1",
				steps: ["asked", "still running"],
			},
			"tried to pause web-1, no effect seen: still running",
			"amiss",
		],
		[
			{ kind: "KIND_BLOCK", outcome: "OUTCOME_FAILED", target: "10.0.0.5", reason: "rule X" },
			"could not block 10.0.0.5: rule X",
			"amiss",
		],
		[
			{ kind: "KIND_BLOCK", outcome: "OUTCOME_REFUSED", target: "10.0.0.1", steps: ["protected"] },
			"refused to block 10.0.0.1: protected",
			"amiss",
		],
		[
			{ kind: "KIND_BLOCK", outcome: "OUTCOME_UNCHANGED", target: "10.0.0.1" },
			"nothing to do: 10.0.0.1 is blocked already",
			"said",
		],
		[{}, "act on ?", "said"],
	] as const)("%j reads: %s", (action, text, tone) => {
		const { steps, ...rest } = { steps: undefined, ...action };
		expect(actionWords({ ...rest, ...(steps && { steps: [...steps] }) }, noon)).toMatchObject({ text, tone });
	});
});

describe("gaps", () => {
	test("losses in a row are one entry with their sum", () => {
		const model = fresh();
		applyRecord(model, at(0, { gap: { where: "ring", lost: [{ class: "open", count: "1000" }] } }), noon);
		const lost = [
			{ class: "open", count: "204" },
			{ class: "exec", count: "3" },
		];
		applyRecord(model, at(1, { gap: { where: "ring", lost } }), noon);
		expect(model.entries).toHaveLength(1);
		expect(model.entries[0]?.title).toBe("1,204 open, 3 exec records lost between kernel and sensor");
		applyRecord(model, at(2, { gap: { where: "sink:file", lost } }), noon);
		expect(model.entries[1]?.title).toBe("204 open, 3 exec records lost on the way to file");
	});
});

describe("words", () => {
	test("the line of descent runs from the eldest to the process itself", () => {
		expect(treeOf(shadow.ancestors ?? [], shadow.event?.process)).toEqual([
			"systemd(1)",
			"sshd(812)",
			"bash(1203)",
			"cat(1290)",
		]);
		expect(treeOf([], undefined)).toEqual([]);
	});

	test("a user who became another is named with who logged in", () => {
		expect(userOf({ user: "root", loginUser: "deploy" })).toBe("root (login deploy)");
		expect(userOf({ user: "root", loginUser: "root" })).toBe("root");
		expect(userOf({ uid: 1000 })).toBe("uid 1000");
		expect(userOf({})).toBe("root");
	});

	test("executions and connections are told in a line, other events are not", () => {
		const process = { name: "curl", user: "root", args: ["curl", "-s", "http://x"] };
		expect(
			activityWords({ process, exec: { path: "/usr/bin/curl", previousExecutable: "/bin/bash" } }),
		).toEqual({
			kind: "exec",
			who: "root",
			text: "bash → curl -s http://x",
		});
		const connect = { family: "ipv6", protocol: "tcp", destinationAddress: "::1", destinationPort: 80 };
		expect(activityWords({ process, connect: { ...connect, result: "ECONNREFUSED" } })?.text).toBe(
			"curl → [::1]:80 tcp ECONNREFUSED",
		);
		expect(activityWords({ process, connect: { family: "unix", path: "@bus" } })?.text).toBe("curl → @bus");
		expect(activityWords({ process, open: { path: "/etc/shadow" } })).toBeUndefined();
	});

	test("arguments without end give a short line", () => {
		const args = Array(10_000).fill("y".repeat(100));
		expect(activityWords({ process: { args }, exec: { path: "/x" } })?.text.length).toBeLessThan(1000);
	});
});

describe("activity", () => {
	const words = (text: string) => ({ kind: "exec", who: "root", text }) as const;

	test("a flood becomes a few lines a second and a count of the rest", () => {
		const activity = createActivity();
		for (let n = 0; n < 5000; n++) activity.add(words(`run ${n}`), noon, noon + n);
		const shown = activity.items.filter((item) => item.kind !== "more").length;
		const total = activity.items.reduce((sum, item) => sum + item.count, 0);
		expect(shown).toBeLessThanOrEqual(35);
		expect(shown).toBeGreaterThan(25);
		expect(total).toBe(5000);
	});

	test("the same line again is counted, not repeated", () => {
		const activity = createActivity();
		for (let n = 0; n < 500; n++) activity.add(words("cron"), noon, noon);
		expect(activity.items).toEqual([{ kind: "exec", who: "root", text: "cron", time: noon, count: 500 }]);
	});

	test("100 lines are kept", () => {
		const activity = createActivity();
		for (let n = 0; n < 1000; n++) activity.add(words(`run ${n}`), noon, noon + n * 1000);
		expect(activity.items).toHaveLength(100);
	});
});

describe("moving about", () => {
	const columns = 120;
	const rows = 30;
	const press = (model: LiveModel, key: string) => applyKey(model, key, visibleEntries(model, columns, rows));
	const filled = (count: number): LiveModel => {
		const model = fresh();
		for (let n = 0; n < count; n++) applyRecord(model, at(n, { alert: numbered(n) }), noon);
		return model;
	};

	test("the newest is followed until the user goes up, and again from the end", () => {
		const model = filled(100);
		expect(visibleEntries(model, columns, rows).last).toBe(99);
		press(model, "up");
		expect(visibleEntries(model, columns, rows).last).toBe(98);
		applyRecord(model, at(1000, { alert: numbered(1000) }), noon);
		expect(visibleEntries(model, columns, rows)).toMatchObject({ last: 98, total: 101 });
		press(model, "end");
		expect(model.anchor).toBeUndefined();
		expect(visibleEntries(model, columns, rows).last).toBe(100);
	});

	test("pages neither skip nor repeat an alert, and stop at both ends", () => {
		const model = filled(100);
		let before = visibleEntries(model, columns, rows);
		for (let n = 0; n < 30 && before.first > 0; n++) {
			press(model, "pageup");
			const after = visibleEntries(model, columns, rows);
			if (after.first > 0) expect(after.last).toBe(before.first - 1);
			before = after;
		}
		expect(before.first).toBe(0);
		expect(press(model, "up")).toBe("none");
		expect(press(model, "pageup")).toBe("none");
		for (let n = 0; n < 30; n++) press(model, "pagedown");
		expect(visibleEntries(model, columns, rows).last).toBe(99);
		expect(model.anchor).toBeUndefined();
		press(model, "home");
		expect(visibleEntries(model, columns, rows).first).toBe(0);
	});

	test("a place that has scrolled out of memory becomes the oldest one", () => {
		const model = filled(10);
		press(model, "home");
		for (let n = 10; n < 2000; n++) applyRecord(model, at(n, { alert: numbered(n) }), noon);
		expect(visibleEntries(model, columns, rows).first).toBe(0);
	});

	test("while paused the panes stand still and what comes is counted", () => {
		const model = filled(3);
		press(model, "p");
		for (let n = 3; n < 8; n++) applyRecord(model, at(n, { alert: numbered(n) }), noon);
		applyRecord(model, at(9, { alert: { ...numbered(0), count: 2 } }), noon);
		expect(shownEntries(model).map((entry) => entry.count)).toEqual([1, 1, 1]);
		expect(model.frozen?.arrived).toBe(6);
		press(model, "p");
		expect(shownEntries(model)).toHaveLength(8);
	});

	test("the least severity goes round, and hides alerts but neither gaps nor actions", () => {
		const model = filled(3);
		applyRecord(model, at(5, { alert: numbered(5, "SEVERITY_CRITICAL") }), noon);
		applyRecord(model, at(6, { gap: { where: "ring" } }), noon);
		for (const expected of [5, 2, 2, 2, 5]) {
			press(model, "m");
			expect(shownEntries(model)).toHaveLength(expected);
		}
		expect(model.minimum).toBe("informational");
	});

	test("q and Ctrl-C leave, Ctrl-Z stops, other keys do nothing", () => {
		const model = filled(1);
		expect(["q", "interrupt", "suspend", "redraw", "x", "ä", "down"].map((key) => press(model, key))).toEqual(
			["quit", "quit", "suspend", "redraw", "none", "none", "none"],
		);
	});
});

describe("the summary", () => {
	test("tells how long, how much, which alerts and what was done", () => {
		const model = fresh();
		applyStatus(model, state);
		for (let n = 0; n < 5; n++) applyRecord(model, at(n, { alert: { ...shadow, count: n + 1 } }), noon);
		applyRecord(model, at(6, { alert: numbered(1, "SEVERITY_CRITICAL") }), noon);
		applyRecord(model, at(7, { action: { kind: "KIND_BLOCK", outcome: "OUTCOME_WOULD_ACT" } }), noon);
		const facts = { host: "web-01", duration: 7_980_000, watching: false, status: model.status, missed: 0 };
		expect(renderSummary(model.tally, facts).split("\n")).toEqual([
			"Picket ran for 2h 13m on web-01.",
			"  events   1,010 seen, none lost",
			"  alerts   6: 1 critical, 5 medium",
			"           1 × rule 1 (critical)",
			"           5 × Read sensitive file untrusted (medium)",
			"  actions  1 action: 1 would have been done (observe mode)",
		]);
	});

	test("a loss is not hidden, and a quiet run is told as one", () => {
		const { tally } = fresh();
		const counters = [{ class: "open", delivered: "5", lost: "7" }];
		const facts = { host: "", duration: 1000, watching: true, status: { counters }, missed: 3 };
		expect(renderSummary(tally, facts)).toBe(
			"Picket was watched for 1s.\n  events   5 seen, 7 LOST, 3 not shown here\n  alerts   none\n  actions  none",
		);
	});

	test("names with control characters are spelled out", () => {
		const model = fresh();
		applyRecord(model, at(0, { alert: { ...shadow, rule: hostile } }), noon);
		const facts = { host: hostile, duration: 0, watching: false, status: undefined, missed: 0 };
		// biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for
		expect(renderSummary(model.tally, facts).replaceAll("\n", "")).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/);
	});
});
