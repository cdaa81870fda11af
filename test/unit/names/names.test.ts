// Names of peers: what an answer teaches, whom, and what a connection of no interest costs.
import { describe, expect, it } from "vitest";
import type { Observation } from "../../../agent/model/event.ts";
import { EventFlag } from "../../../agent/model/event.ts";
import { everything, type Interest, noInterest } from "../../../agent/model/interest.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { createPeerNames, withPeerNames } from "../../../agent/peer-names.ts";
import { Pipeline } from "../../../agent/pipeline.ts";
import { memoryOf, recordOf, type Value } from "../decode/bytes.ts";
import { silent } from "../report/samples.ts";
import { rig, second } from "../tree/rig.ts";

const server = Buffer.from([192, 0, 2, 9]);
const first = 41;

/** "web.example is 192.0.2.9", for a minute. */
function answer(code = 0, address = server): string {
	const header = Buffer.from([0x12, 0x34, 0x81, 0x80 | code, 0, 1, 0, 1, 0, 0, 0, 0]);
	const question = Buffer.from("\x03web\x07example\0\0\x01\0\x01", "latin1");
	const record = Buffer.concat([Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]), address]);
	return Buffer.concat([header, question, record]).toString("latin1");
}

type Values = Record<string, Value>;

/** A pipeline with the real tree and names; what it shows of events, and what a detector is told. */
function stages() {
	const { tree } = rig();
	const peerNames = createPeerNames();
	const events: wire.Event[] = [];
	const asked: (string | undefined)[] = [];
	let looks = 0;
	const name = (observation: Observation) => {
		looks++;
		return peerNames.name(observation);
	};
	const make = (shown: boolean, judged: boolean) =>
		new Pipeline({
			tree,
			cgroups: { created: () => {}, removed: () => {} },
			peerNames,
			detectors: judged ? [{ evaluate: (observation) => void asked.push(name(observation)) }] : [],
			responses: () => [],
			responder: undefined,
			emit: ({ event }) => event && events.push(event),
			folder: { push: () => {}, repeat: () => false },
			wire: {
				bootTimeMs: () => 0,
				userName: () => undefined,
				bootId: "00000000-test",
				dnsMessage: peerNames.message,
				peerName: name,
			},
			eventKinds: new Set(shown ? ["connect", "send", "accept", "dns"] : []),
			activity: () => {},
			eventsLost: () => 0,
			tap: undefined,
			logger: silent,
		});
	return { events, asked, looks: () => looks, make };
}

const noUser = 0xffff_ffff;
const header = (time: number, pid: number): Values => ({
	time: BigInt(time * second),
	pid,
	tid: pid,
	start: BigInt(second),
	cgroupId: pid,
	user: noUser,
	effectiveUser: noUser,
});
const exec = (pid: number, networkNamespace: number) =>
	recordOf("exec", { ...header(1, pid), path: "/bin/p", comm: "p", args: "p\0", networkNamespace });
const heard = (time: number, pid: number, values: Values = {}) =>
	recordOf("dns", { ...header(time, pid), flags: EventFlag.dnsResponse, payload: answer(), ...values });
const ends = { family: 2, remoteAddress: server, remotePort: 443 };
const connected = (time: number, pid: number, values: Values = {}) =>
	recordOf("connect", { ...header(time, pid), ...ends, ...values });

function play(pipeline: Pipeline, records: readonly Buffer[]): void {
	const { memory, places } = memoryOf(records);
	pipeline.memory(memory);
	for (const place of places) pipeline.record(...place);
}

/** The names that connections carry, of those records. */
function namesIn(...records: Buffer[]): (string | undefined)[] {
	const { events, make } = stages();
	play(make(true, false), records);
	return events.flatMap(({ connect }) => (connect ? [connect.destinationName] : []));
}

describe("a connection carries the name", () => {
	it("that was looked up for its peer, by whoever shares the network", () => {
		const [a, b, c] = [exec(first, 7), exec(42, 7), exec(43, 8)];
		const connects = [connected(3, first), connected(3, 42), connected(3, 43)];
		expect(namesIn(a, b, c, heard(2, first), ...connects)).toEqual(["web.example", "web.example", undefined]);
	});

	it("that its cgroup looked up, where nobody knows its network", () => {
		expect(namesIn(heard(2, first), connected(3, first), connected(3, 42))).toEqual([
			"web.example",
			undefined,
		]);
	});

	it("as long as the answer holds, by the time of the events", () => {
		expect(namesIn(heard(2, first), connected(61, first), connected(62, first))).toEqual([
			"web.example",
			undefined,
		]);
	});

	it.each([
		["a question", { flags: 0 }],
		["an answer nobody is known to have asked for", { flags: EventFlag.dnsResponse | EventFlag.kernelActor }],
		["an answer that there is no such name", { payload: answer(3) }],
		["an answer about another address", { payload: answer(0, Buffer.from([192, 0, 2, 8])) }],
		["what is no message", { payload: "web" }],
	] as const)("of none after %s", (_, values) => {
		expect(namesIn(heard(2, first, values), connected(3, first))).toEqual([undefined]);
	});

	it("not when it is one of a Unix socket", () => {
		expect(namesIn(heard(2, first), connected(3, first, { family: 1, path: "/run/x" }))).toEqual([undefined]);
	});
});

describe("the names of peers", () => {
	it("are on datagrams, on those who connect to us, and in the answer itself", () => {
		const { events, make } = stages();
		const socket = (kind: "send" | "accept") => recordOf(kind, { ...header(3, first), ...ends });
		play(make(true, false), [heard(2, first), socket("send"), socket("accept")]);
		expect(events.map(({ send, accept }) => (send ?? accept)?.remoteName)).toEqual([
			undefined,
			"web.example",
			"web.example",
		]);
		expect(events[0]?.dns).toMatchObject({
			id: 0x1234,
			questions: [{ name: "web.example", type: "A" }],
			answers: [{ name: "web.example", type: "A", data: "192.0.2.9", ttlSeconds: 60 }],
		});
	});

	it("are there for those who judge", () => {
		const { asked, make } = stages();
		play(make(false, true), [heard(2, first), connected(3, first)]);
		expect(asked).toEqual([undefined, "web.example"]);
	});

	it("are looked for only when somebody asks", () => {
		const { looks, make } = stages();
		play(make(false, false), [heard(2, first), connected(3, first)]);
		expect(looks()).toBe(0);
	});
});

describe("answers of name servers are captured", () => {
	const connects: Interest = { ...noInterest, kinds: new Set(["connect"]) };
	it.each([
		[true, { ...connects, connects: everything.connects }],
		[true, { ...connects, connects: { ip: [443], unix: false } }],
		[true, { ...noInterest, kinds: new Set(["send"] as const) }],
		[false, { ...connects, connects: { ip: "none", unix: true } as const }],
		[false, { ...noInterest, connects: everything.connects }],
		[false, noInterest],
	])("(%s) when connections by address are", (captured, asked) => {
		const sum = withPeerNames(asked);
		expect(sum.kinds.has("dns")).toBe(captured);
		if (!captured) expect(sum).toBe(asked);
	});
});
