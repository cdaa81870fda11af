import { expect, test } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { findingToAlert } from "../../../agent/report/alert.ts";
import { recordText } from "../../../agent/report/text.ts";
import { eventToWire } from "../../../agent/report/wire.ts";
import { context, fakeEvent, fakeFinding, fakeProcess } from "./samples.ts";

const head = { time: "2026-01-02T03:04:05Z", host: "web-1", sequence: "1" };

test("an alert tells when, how bad, what, by whom and where, in one line", () => {
	const alert: wire.Alert = {
		id: "a-1",
		rule: "Read sensitive file",
		severity: "SEVERITY_HIGH",
		summary: "curl read /etc/shadow",
		techniques: ["T1003.008"],
		responses: ["kill"],
		count: 10,
		event: {
			process: { pid: 1204, name: "curl", uid: 0, user: "root", loginUser: "ana" },
			container: { id: "c".repeat(64), name: "web", image: "nginx:1.27" },
		},
		ancestors: [
			{ pid: 1203, name: "sh" },
			{ pid: 812, executable: "/usr/sbin/nginx" },
		],
	};
	expect(recordText({ ...head, alert })).toBe(
		"2026-01-02T03:04:05Z  web-1  HIGH     Read sensitive file: curl read /etc/shadow  " +
			"[nginx(812) → sh(1203) → curl(1204)]  container=web (nginx:1.27)  user=root (logged in as ana)  " +
			"T1003.008  response=kill  ×10  (a-1)",
	);
});

test("actions, gaps, status and incidents read as sentences", () => {
	const action: wire.Action = {
		kind: "KIND_BLOCK",
		outcome: "OUTCOME_WOULD_ACT",
		target: "192.0.2.1",
		requester: "policy",
		secondsToEffect: 0.0421,
		undo: "picket unblock 192.0.2.1",
	};
	expect(recordText({ ...head, action })).toContain(
		"MEDIUM   action block 192.0.2.1: would act  after 0.042 s  by policy  undo: picket unblock 192.0.2.1",
	);
	expect(recordText({ ...head, action: { ...action, outcome: "OUTCOME_NO_EFFECT" } })).toContain("HIGH");
	const gap = { where: "ring", from: "A", to: "B", lost: [{ class: "open", count: "12" }] };
	expect(recordText({ ...head, gap })).toContain("gap at ring: lost 12 open from A to B");
	const status: wire.Status = { version: "0.1.0", mode: "observe", problems: ["no Docker"], eventRate: 12.4 };
	expect(recordText({ ...head, status })).toContain(
		"status picket 0.1.0 observe  12 events/s  0 alerts  0 lost  problems: no Docker",
	);
	expect(recordText({ ...head, incident: { id: "i", summary: "s" } })).toContain("incident i: s");
	expect(recordText({ ...head })).toContain("does not know");
});

test("a container that was known by its id alone is told again by name", () => {
	const container: wire.Container = { id: "3f2a".repeat(16), name: "web-1", image: "nginx:1.27" };
	const text = (given: wire.Container) => recordText({ ...head, event: { container: given } });
	expect(text(container)).toBe(
		"2026-01-02T03:04:05Z  web-1  INFO     container web-1 (nginx:1.27) is 3f2a3f2a3f2a",
	);
	expect(text({ ...container, podName: "web-0", podNamespace: "shop" })).toMatch(/ of pod shop\/web-0$/);
});

test.each([
	[fakeEvent("exec", { texts: { path: "/bin/ls" } }), "exec /bin/ls http://x  curl(1204)  user=root"],
	[fakeEvent("exit", { result: 9 }), "exit by signal 9"],
	[fakeEvent("exit", { result: 0x200 }), "exit 2"],
	[fakeEvent("fork", { childPid: 9 }), "fork 9"],
	[fakeEvent("open", { texts: { path: "/x" }, result: -13 }), "open /x O_RDONLY EACCES"],
	[fakeEvent("cgroup", { cgroupOperation: 1, texts: { path: "/d" } }), "cgroup + /d"],
	[fakeEvent("connect", { family: 1, texts: { path: "/s" } }), "connect unix /s"],
	[
		fakeEvent("connect", { family: 10, protocol: 6, remotePort: 80, remote: [...new Array(15).fill(0), 1] }),
		"connect tcp [::1]:80",
	],
])("an event of each kind is told: %#", (event, text) => {
	const shown = eventToWire({ event, process: fakeProcess() }, context);
	expect(recordText({ ...head, event: shown })).toContain(text);
});

const attacks = [
	"\x1b[2J\x1b[H",
	"\x1b]0;owned\x07",
	"\x1b]52;c;cm0gLXJm\x07",
	"\xc2\x9b31m",
	"x\nweb-1  CRITICAL  forged alert",
	"x\rforged",
	"\xe2\x80\xaegnp.exe",
	"\x08\x08\x7f",
	"\x9b31m",
];

test.each(attacks)("captured text cannot command the terminal or forge a line: %j", (attack) => {
	const container = {
		id: "c",
		runtime: "docker",
		name: attack,
		image: attack,
		imageId: attack,
		labels: { a: attack },
		podName: "",
		podNamespace: "",
		podUid: "",
		privileged: true,
		mounts: [],
		created: 0,
		known: true,
	};
	const process = fakeProcess({
		comm: attack,
		exe: attack,
		args: [attack, attack],
		cwd: attack,
		ttyName: attack,
		cgroup: { id: 1, path: attack, container },
		parent: fakeProcess({ pid: 2, comm: attack }),
	});
	const hostile = { ...context, userName: () => attack };
	const texts = { path: attack, raw: attack, interpreter: attack, comm: attack };
	for (const kind of ["exec", "fork", "exit", "open", "connect", "cgroup"] as const) {
		const event = fakeEvent(kind, { texts, family: 1 });
		const finding = fakeFinding({
			rule: attack,
			summary: attack,
			fields: { x: attack },
			techniques: [attack],
		});
		const extra = { context: hostile, responses: [attack], eventsLost: 0 };
		const records: wire.OutputRecord[] = [
			{ ...head, alert: findingToAlert(finding, { event, process }, extra) },
			{ ...head, event: eventToWire({ event, process }, hostile) },
			{
				time: attack,
				host: attack,
				action: { target: attack, reason: attack, undo: attack, requester: attack },
			},
			{ ...head, gap: { where: attack, from: attack, lost: [{ class: attack, count: attack }] } },
			{ ...head, status: { version: attack, mode: attack, problems: [attack], alerts: attack } },
			{ ...head, incident: { id: attack, summary: attack } },
			{ ...head, event: { container: { id: attack, name: attack, image: attack, podName: attack } } },
		];
		for (const record of records) expect(recordText(record)).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
	}
});

test("colour is the only control there is, and only when asked for", () => {
	const record = {
		...head,
		alert: { rule: "r", severity: "SEVERITY_CRITICAL" as const, summary: "\x1b[0m" },
	};
	expect(recordText(record, { colour: true }).split("\x1b")).toEqual([
		"2026-01-02T03:04:05Z  web-1  ",
		"[1;31mCRITICAL",
		"[0m r: \\x1b[0m",
	]);
});

test("overlong parts are cut", () => {
	const line = recordText({ ...head, alert: { rule: "r", summary: "x".repeat(100_000) } });
	expect(line.length).toBeLessThan(1000);
	expect(line).toContain("x…");
});
