// Every field of every kind of record, and bytes that are no record at all.
import { describe, expect, it } from "vitest";
import { RecordView } from "../../../agent/decode/view.ts";
import {
	EventFlag,
	EventKind,
	type EventName,
	eventName,
	eventNames,
	Text,
} from "../../../agent/model/event.ts";
import * as layout from "../../../agent/model/layout.ts";
import { Random } from "../detect/rig.ts";
import { memoryOf, recordOf, sizesOf, structs, type Value } from "./bytes.ts";

function viewOf(kind: EventName, values: Readonly<Record<string, Value>>): RecordView {
	// Not at the memory's beginning, so that a forgotten base would show.
	const { memory, places } = memoryOf([
		Buffer.alloc(64, 0xee),
		recordOf(kind, values),
		Buffer.alloc(64, 0xee),
	]);
	const view = new RecordView();
	view.attach(memory);
	expect(view.move(places[1]?.[0] ?? -1, places[1]?.[1] ?? 0, 77)).toBe(true);
	return view;
}

const header = {
	time: 9_007_199_254_740_000n,
	start: 0x1_2345_6789n,
	cgroupId: 0x1f_0000_0001n,
	pid: 0x8000_0001,
	tid: 4_000_000_000,
	flags: 0x3ff,
};
const texts = ["path", "raw", "interpreter", "args", "cwd", "comm"] as const;

const members: Partial<Record<EventName, Record<string, Value>>> = {
	exec: {
		parentStart: 1_000_000_007n,
		inode: 2n ** 40n + 3n,
		capabilities: 0xffff_ffff_ffff_fff1n,
		parentPid: 11,
		namespacePid: 12,
		device: 13,
		uid: 4_294_967_294,
		gid: 15,
		euid: 16,
		egid: 17,
		loginUid: 1000,
		sessionId: 18,
		tty: 19,
		mountNamespace: 4_026_531_841,
		pidNamespace: 22,
		networkNamespace: 23,
		userNamespace: 24,
		utsNamespace: 25,
		ipcNamespace: 26,
		cgroupNamespace: 27,
		argsBytes: 28,
		comm: "cöm",
		path: "/usr/bin/\xff\xfe",
		raw: "./x",
		interpreter: "/bin/sh",
		args: "x\0-a\0\0",
		cwd: "/home",
	},
	fork: {
		childStart: 2n ** 52n + 1n,
		childCgroupId: 2n ** 33n,
		childPid: 31,
		childNamespacePid: 32,
		childParentPid: 33,
		childPidNamespace: 34,
	},
	exit: { result: 0x8b, reaperPid: 51 },
	open: {
		inode: 2n ** 45n,
		device: 41,
		openFlags: 0x8000_0042,
		mode: 0o100644,
		repeats: 7,
		result: -13,
		path: "/etc/x",
		raw: "x",
	},
	connect: {
		localAddress: Buffer.from([1, 2, 3, 4]),
		remoteAddress: Buffer.from([5, 6, 7, 8]),
		family: 2,
		protocol: 262,
		localPort: 40_000,
		remotePort: 65_535,
		result: -115,
		path: "",
	},
	cgroup: { targetCgroupId: 2n ** 34n + 5n, operation: 2, path: "/docker/abc" },
};

describe("numbers of kinds and flags", () => {
	it("are those of the built object", () => {
		const kinds = Object.fromEntries(
			eventNames.map((name) => [
				`EVENT_${name.replace(/[A-Z]/g, (sign) => `_${sign}`).toUpperCase()}`,
				EventKind[name],
			]),
		);
		expect({ ...kinds, EVENT_KINDS: eventNames.length + 1 }).toEqual(layout.eventKind);
		const flag = (name: string) => `FLAG_${name.replace(/[A-Z]/g, (sign) => `_${sign}`).toUpperCase()}`;
		expect(Object.fromEntries(Object.entries(EventFlag).map(([name, bit]) => [flag(name), bit]))).toEqual(
			layout.eventFlag,
		);
	});

	it("have names for kinds and for nothing else", () => {
		for (const name of eventNames) expect(eventName(EventKind[name])).toBe(name);
		for (const kind of [0, 44, -1, 1.5]) expect(eventName(kind)).toBeUndefined();
	});
});

describe.each(Object.keys(members) as EventName[])("a record of %s", (kind) => {
	const values = members[kind] ?? {};
	const view = viewOf(kind, { ...header, ...values });
	const number = (name: string): number => Number(values[name] ?? 0);

	it("is set up with every member of the struct, so that none is forgotten here", () => {
		const known = sizesOf(structs[kind])
			.map(([name]) => name)
			.filter((name) => name !== "header" && !name.startsWith("reserved"));
		const covered = new Set(Object.keys(values));
		expect(known.filter((name) => !covered.has(name))).toEqual([]);
	});

	it("has its header", () => {
		expect(view.kind).toBe(EventKind[kind]);
		expect(view.number).toBe(77);
		expect(view.time).toBe(Number(header.time));
		expect(view.start).toBe(Number(header.start));
		expect(view.cgroupId).toBe(Number(header.cgroupId));
		expect(view.pid).toBe(header.pid);
		expect(view.tid).toBe(header.tid);
		expect(view.flags).toBe(header.flags);
	});

	it("has its texts, byte for byte, and no others", () => {
		for (const name of texts) {
			const expected = String(values[name] ?? "");
			expect(view.text(Text[name]), name).toBe(expected);
			expect(view.textSize(Text[name]), name).toBe(expected.length);
			const start = view.textStart(Text[name]);
			if (expected !== "")
				expect(view.bytes.toString("latin1", start, start + expected.length), name).toBe(expected);
		}
	});

	it("has its numbers, and 0 for what it has not", () => {
		const own = kind === "exec";
		expect(view.result).toBe(number("result"));
		expect(view.openFlags).toBe(number("openFlags"));
		expect(view.mode).toBe(number("mode"));
		expect(view.repeats).toBe(number("repeats"));
		expect(view.device).toBe(number("device"));
		expect(view.inode).toBe(number("inode"));
		expect(view.family).toBe(number("family"));
		expect(view.protocol).toBe(number("protocol"));
		expect(view.localPort).toBe(number("localPort"));
		expect(view.remotePort).toBe(number("remotePort"));
		expect(view.childPid).toBe(number("childPid"));
		expect(view.childStart).toBe(number("childStart"));
		expect(view.childCgroupId).toBe(number("childCgroupId"));
		expect(view.childNamespacePid).toBe(number("childNamespacePid"));
		expect(view.childParentPid).toBe(number("childParentPid"));
		expect(view.childPidNamespace).toBe(number("childPidNamespace"));
		expect(view.reaperPid).toBe(number("reaperPid"));
		expect(view.cgroupOperation).toBe(number("operation"));
		expect(view.targetCgroupId).toBe(number("targetCgroupId"));
		expect(view.parentPid).toBe(number("parentPid"));
		expect(view.parentStart).toBe(number("parentStart"));
		expect(view.namespacePid).toBe(number("namespacePid"));
		expect([view.uid, view.gid, view.euid, view.egid]).toEqual(["uid", "gid", "euid", "egid"].map(number));
		expect([view.loginUid, view.sessionId]).toEqual([number("loginUid"), number("sessionId")]);
		expect([view.tty, view.argsBytes]).toEqual([number("tty"), number("argsBytes")]);
		expect(view.capabilities).toBe(values.capabilities ?? 0n);
		const namespaces = ["mount", "pid", "network", "user", "uts", "ipc", "cgroup"];
		expect(view.namespaces()).toEqual(
			Object.fromEntries(namespaces.map((name) => [name, own ? number(`${name}Namespace`) : 0])),
		);
	});
});

describe("a view", () => {
	it("finds the addresses of a connection", () => {
		const { bytes, localAddressStart, remoteAddressStart } = viewOf("connect", {
			...header,
			...members.connect,
		});
		expect([...bytes.subarray(localAddressStart, localAddressStart + 4)]).toEqual([1, 2, 3, 4]);
		expect([...bytes.subarray(remoteAddressStart, remoteAddressStart + 4)]).toEqual([5, 6, 7, 8]);
	});

	it("reads nobody's login as -1", () => {
		const view = viewOf("exec", { loginUid: 0xffff_ffff, sessionId: 0xffff_ffff });
		expect([view.loginUid, view.sessionId]).toEqual([-1, -1]);
		expect(viewOf("open", {}).loginUid).toBe(0);
	});

	it("rounds a number that a double cannot hold without leaving 64 bits", () => {
		const view = viewOf("open", { inode: 2n ** 64n - 1n });
		expect(BigInt(view.inode)).toBeLessThan(2n ** 64n);
		expect(BigInt(view.inode)).toBeGreaterThan(2n ** 64n - 2n ** 12n);
		expect(BigInt(String(view.inode))).toBeLessThan(2n ** 64n);
	});

	it("moves from record to record without keeping anything of the last", () => {
		const { memory, places } = memoryOf([recordOf("exec", members.exec ?? {}), recordOf("exit", {})]);
		const view = new RecordView();
		view.attach(memory);
		for (const [offset, size] of places) expect(view.move(offset, size, 1)).toBe(true);
		expect([view.uid, view.device, view.text(Text.path), view.capabilities]).toEqual([0, 0, "", 0n]);
	});

	it("refuses what is no record", () => {
		const record = recordOf("open", members.open ?? {});
		const { memory } = memoryOf([record]);
		const view = new RecordView();
		expect(view.move(0, 0, 1)).toBe(false);
		expect(view.move(0, 40, 1)).toBe(false);
		view.attach(memory);
		expect(view.move(0, record.length, 1)).toBe(true);
		for (const [offset, size] of [
			[4, record.length],
			[-8, record.length],
			[0, layout.openEvent.bytes - 1],
			[0, layout.eventHeader.bytes - 1],
			[0, 0],
			[0, -1],
			[0, memory.byteLength + 1],
			[8, memory.byteLength],
			[memory.byteLength, 72],
			[2 ** 32, 72],
			[0, 2 ** 32],
			[Number.NaN, 72],
		] as const)
			expect(view.move(offset, size, 1), `${offset}, ${size}`).toBe(false);
		for (const kind of [0, 7, 8, 255, 0x8000_0004, 0xffff_ffff]) {
			new DataView(memory).setUint32(layout.eventHeader.kind, kind, true);
			expect(view.move(0, record.length, 1), `kind ${kind}`).toBe(false);
		}
	});

	it("reads a text that reaches out of its record as empty", () => {
		for (const [offset, size] of [
			[layout.openEvent.bytes, 0xffff],
			[0xffff, 1],
			[layout.openEvent.bytes, 9],
			[0xffff, 0xffff],
		] as const) {
			const record = Buffer.concat([recordOf("open", {}), Buffer.alloc(8)]);
			record.writeUInt16LE(offset, layout.openEvent.path);
			record.writeUInt16LE(size, layout.openEvent.path + 2);
			const { memory, places } = memoryOf([record, Buffer.alloc(0x20000, 0x41)]);
			const view = new RecordView();
			view.attach(memory);
			expect(view.move(places[0]?.[0] ?? -1, record.length, 1)).toBe(true);
			expect([view.text(Text.path), view.textSize(Text.path)]).toEqual(["", 0]);
		}
	});

	it("never throws and never reaches outside the record, whatever the bytes are", () => {
		const random = new Random(99);
		const memory = new ArrayBuffer(4096);
		const bytes = Buffer.from(memory);
		const view = new RecordView();
		view.attach(memory);
		const all = Object.values(Text);
		const whole = eventNames.map((kind) => recordOf(kind, { ...header, ...members[kind] }));
		const numbers = [
			"time start cgroupId pid tid flags result openFlags repeats mode device inode family protocol localPort remotePort",
			"childPid childStart childCgroupId childNamespacePid childParentPid childPidNamespace cgroupOperation",
			"targetCgroupId parentPid parentStart namespacePid uid gid euid egid loginUid sessionId tty argsBytes",
		]
			.join(" ")
			.split(" ") as (keyof RecordView)[];
		let taken = 0;
		const begin = performance.now();
		for (let round = 0; round < 200_000; round++) {
			const record = random.pick(whole);
			const offset = random.below(400) * 8;
			let size = record.length;
			if (random.chance(0.3)) {
				for (let i = 0; i < 64; i += 4) bytes.writeUInt32LE(random.word(), (offset + i) % 4092);
				if (random.chance(0.8) && offset + 40 < 4096)
					bytes.writeUInt32LE(random.below(9), offset + layout.eventHeader.kind);
				size = random.below(400);
			} else if (offset + size <= 4096) {
				record.copy(bytes, offset);
				for (let i = random.below(4); i > 0; i--) bytes[offset + random.below(size)] = random.word() & 0xff;
				if (random.chance(0.2)) size -= random.below(size);
			}
			if (!view.move(offset, size, round)) continue;
			taken++;
			expect(offset + size).toBeLessThanOrEqual(4096);
			for (const field of all) {
				const length = view.textSize(field);
				if (length === 0) continue;
				const start = view.textStart(field);
				if (start < offset || start + length > offset + size) expect.fail(`text ${field} reaches outside`);
				if (view.text(field).length !== length) expect.fail(`text ${field} is not as long as it says`);
			}
			for (const name of numbers) if (!Number.isFinite(view[name])) expect.fail(`${name} is no number`);
			if (typeof view.capabilities !== "bigint" || view.namespaces().pid < 0) expect.fail("no value");
		}
		expect(taken).toBeGreaterThan(50_000);
		expect(performance.now() - begin).toBeLessThan(8_000);
	}, 30_000);
});
