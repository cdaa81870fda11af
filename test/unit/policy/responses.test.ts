// What is done about findings: conditions as lists, counts in a window, modes, and the orders that come of it.
import { describe, expect, it } from "vitest";
import { EventKind, type Observation } from "../../../agent/model/event.ts";
import { remoteAddressOf } from "../../../agent/model/remote.ts";
import { type Finding, responseText } from "../../../agent/model/verdict.ts";
import { ordersFor } from "../../../agent/orders.ts";
import { createResponses } from "../../../agent/policy/responses.ts";
import { connect, container, exec, load, policyOf, process, socket } from "./rig.ts";

const finding = {
	rule: "Read sensitive file",
	severity: "high",
	techniques: ["T1003.008"],
	tactics: ["credential-access"],
	tags: ["a"],
} as unknown as Finding;
const responsesOf = (text: string) => createResponses(policyOf(text));
const at = (seconds: number, seen: Observation): Observation => ({
	...seen,
	event: { ...seen.event, time: seconds * 1e9 },
});
const from = (address: number[]) => connect(address, 443);
const here = exec(process());

describe("a condition", () => {
	it.each([
		["{rule: ['Write*', 'Read*']}", true],
		["{rule: ['Write*', 'Exec*']}", false],
		["{severity: [high, low]}", true],
		["{severity: [critical, low]}", false],
		["{tactic: [impact, credential-access], tag: [a, b]}", true],
		["{tactic: [impact, credential-access], tag: [c, b]}", false],
		["{technique: [T1059, T1003]}", true],
		["{scope: [container, host]}", true],
	])("%s fits: %s", (when, fitting) => {
		const acts = responsesOf(`responses: [{when: ${when}, do: [kill]}]`).of(finding, here);
		expect(acts.length === 2).toBe(fitting);
	});
});

describe("a count", () => {
	const text = (by: string) =>
		`responses: [{when: {severity: high, tactic: credential-access, count: 3, within: 10m${by}}, do: [{block: {ttl: 30m}}]}]`;
	const run = (by: string, ...seen: readonly Observation[]) => {
		const responses = responsesOf(text(by));
		return seen.map((each) => responses.of(finding, each).length === 2);
	};
	const evil = from([203, 0, 113, 7]);

	it("is reached by the third within the time, of one source, and begins anew", () => {
		const other = from([198, 51, 100, 1]);
		expect(run("", at(0, evil), at(1, other), at(60, evil), at(599, evil))).toEqual([
			false,
			false,
			false,
			true,
		]);
		expect(run("", ...[0, 1, 2, 3, 4, 5].map((time) => at(time, evil)))).toEqual([
			...[false, false, true],
			...[false, false, true],
		]);
	});

	it("lets go of what is older than the window", () => {
		expect(run("", at(0, evil), at(1, evil), at(602, evil), at(603, evil), at(604, evil))).toEqual([
			...[false, false, false, false],
			true,
		]);
		expect(run("", at(0, evil), at(300, evil), at(600, evil))).toEqual([false, false, true]);
		expect(run("", at(0, evil), at(300, evil), at(600.1, evil))).toEqual([false, false, false]);
	});

	it("by source does not count what comes from nowhere", () => {
		expect(run("", at(0, here), at(1, here), at(2, here))).toEqual([false, false, false]);
	});

	it("by host, container or rule counts these apart", () => {
		const inside = (id: string) => exec(process({}, container({ id })));
		expect(run(", by: host", at(0, evil), at(1, here), at(2, inside("a")))).toEqual([false, false, true]);
		const boxes = [inside("a"), inside("b"), inside("a"), inside("b"), inside("a")];
		expect(run(", by: container", ...boxes)).toEqual([false, false, false, false, true]);
		const responses = responsesOf(text(", by: rule"));
		const ask = (rule: string) => responses.of({ ...finding, rule }, here).length;
		expect([ask("a"), ask("b"), ask("a"), ask("b"), ask("a")]).toEqual([1, 1, 1, 1, 2]);
	});

	it.each([
		["block", "source"],
		["pause", "container"],
		["kill", "host"],
	])("for %s is by %s when nothing is said", (act, by) => {
		expect(policyOf(`responses: [{when: {count: 2}, do: [${act}]}]`).responses[0]?.counted).toEqual({
			...{ count: 2, withinSeconds: 600, by },
		});
	});

	it("goes on with the next entry until it is reached, and counts what others decided", () => {
		const responses = responsesOf(`
responses:
  - when: {tag: b}
    do: [kill]
  - when: {count: 2, by: host}
    do: [pause]
  - do: [stop]
`);
		const ask = (tags: string[]) => responses.of({ ...finding, tags }, here)[1]?.act;
		expect([ask(["b"]), ask(["a"]), ask(["a"]), ask(["a"])]).toEqual(["kill", "pause", "stop", "pause"]);
	});

	it("keeps a bounded number of groups: those last heard of", () => {
		const responses = responsesOf("responses: [{when: {count: 2, within: 1d, by: rule}, do: [kill]}]");
		const ask = (rule: string) => responses.of({ ...finding, rule }, here).length;
		ask("kept");
		for (let index = 0; index < 4095; index++) ask(`rule ${index}`);
		expect(responses.groups()).toBe(4096);
		expect(ask("kept")).toBe(2);
		for (let index = 0; index < 20_000; index++) ask(`other ${index}`);
		expect(responses.groups()).toBe(4096);
		expect(ask("rule 4094")).toBe(1);
	});
});

describe("acts", () => {
	it("are all there are, with their times", () => {
		const { policy } = load(`
responses:
  - do: [alert, {block: {ttl: 5m, direction: in}}, {pause: {ttl: 1h}}, disconnect, {refuse_egress: {ttl: 10s}},
         refuse_exec, stop, restart, remove, kill, kill_tree]
`);
		expect(policy?.responses[0]?.responses).toEqual([
			{ act: "alert" },
			{ act: "block", ttlSeconds: 300, direction: "in" },
			{ act: "pause", ttlSeconds: 3600 },
			{ act: "disconnect", ttlSeconds: 0 },
			{ act: "refuseEgress", ttlSeconds: 10 },
			{ act: "refuseExec", ttlSeconds: 0 },
			...["stop", "restart", "remove", "kill", "killTree"].map((act) => ({ act })),
		]);
		expect(policy?.responses[0]?.responses.map(responseText).slice(1, 5)).toEqual([
			"block in for 300 s",
			"pause for 3600 s",
			"disconnect",
			"refuse egress for 10 s",
		]);
	});

	it("of an entry that only observes say so in the order, and one that is off is passed over", () => {
		const orders = (text: string) => {
			const responses = responsesOf(text).of(finding, here);
			return ordersFor(responses, finding, here, {}, 0).map(({ order, context }) => [
				order.kind,
				context.mode,
			]);
		};
		expect(orders("responses: [{mode: observe, do: [kill]}]")).toEqual([["kill", "observe"]]);
		expect(orders("responses: [{mode: enforce, do: [kill]}]")).toEqual([["kill", undefined]]);
		expect(orders("mode: observe\nresponses: [{mode: enforce, do: [kill]}]")).toEqual([["kill", "observe"]]);
		expect(orders("responses: [{mode: off, do: [kill]}, {do: [pause]}]")).toEqual([["pause", undefined]]);
		expect(orders("mode: off\nresponses: [{do: [kill]}]")).toEqual([]);
	});
});

describe("the peer of a block", () => {
	const order = (seen: Observation) =>
		ordersFor([{ act: "block", ttlSeconds: 0, direction: "both" }], finding, seen, {}, 0)[0]?.order;

	it("is whom a connection was made to, or who made it", () => {
		expect(order(from([203, 0, 113, 7]))).toMatchObject({ address: "203.0.113.7" });
		const came = socket("accept", { remote: "203.0.113.8", localPort: 22 });
		expect(order(came)).toMatchObject({ address: "203.0.113.8" });
		const six = socket("accept", { local: "2001:db8::1", remote: "2001:db8::9", localPort: 22 });
		expect(order(six)).toMatchObject({ address: "2001:db8::9" });
	});

	it("is who is behind the standard streams of a process, where the event has none", () => {
		const stream = { type: 12, inode: 1, family: 2, remotePort: 4444, localPort: 9 };
		const remoteAddress = Buffer.from([203, 0, 113, 9]);
		const shell = process({ streams: [{ ...stream, remoteAddress }] });
		expect(order(exec(shell))).toMatchObject({ address: "203.0.113.9" });
	});

	it("is nobody of a socket that waits, of a question to a resolver, and of any other event", () => {
		expect(remoteAddressOf(socket("listen", { localPort: 22 }))).toBe("");
		const asked = from([192, 0, 2, 53]);
		expect(remoteAddressOf({ ...asked, event: { ...asked.event, kind: EventKind.dns } })).toBe("");
		expect(remoteAddressOf(here)).toBe("");
	});
});
