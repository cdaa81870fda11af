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
	syscall: 0x8101,
	flags: 0x3ff,
};
const texts = Object.keys(Text) as (keyof typeof Text)[];

/** A socket to 192.0.2.9:443 as standard input, a pipe as output, a closed standard error. */
const streams = Buffer.alloc(3 * layout.standardStream.bytes);
streams.writeBigUInt64LE(2n ** 35n, layout.standardStream.inode);
streams.writeUInt16LE(12, layout.standardStream.type);
streams.writeUInt16LE(2, layout.standardStream.family);
streams.writeUInt16LE(443, layout.standardStream.remotePort);
streams.writeUInt16LE(40_001, layout.standardStream.localPort);
streams.set([192, 0, 2, 9], layout.standardStream.remoteAddress);
streams.writeBigUInt64LE(9n, layout.standardStream.bytes + layout.standardStream.inode);
streams.writeUInt16LE(1, layout.standardStream.bytes + layout.standardStream.type);

const members: Partial<Record<EventName, Record<string, Value>>> = {
	exec: {
		parentStart: 1_000_000_007n,
		inode: 2n ** 40n + 3n,
		capabilities: 0xffff_ffff_ffff_fff1n,
		permittedCapabilities: 0xffff_ffff_ffff_fff2n,
		inheritableCapabilities: 3n,
		fileChanged: 1_750_000_000_000_000_000n,
		fileModified: 1_750_000_000_000_000_256n,
		stream: streams,
		processGroup: 101,
		session: 102,
		fileMode: 0o104755,
		fileUid: 103,
		fileGid: 104,
		environmentBytes: 4096,
		environment: "A=1\0B=\xff\0",
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
		type: 1,
		descriptor: 3,
		argument: 128,
		path: "",
	},
	execFailed: { result: -2, argsBytes: 9, path: "/x/y", raw: "y", args: "y\0-a\0", cwd: "/x" },
	rename: {
		inode: 2n ** 41n,
		size: 2n ** 42n,
		device: 7,
		mode: 0o100600,
		result: -1,
		callFlags: 1,
		newMode: 0o4755,
		newUid: 0xffff_ffff,
		newGid: 12,
		path: "/a/old",
		raw: "old",
		target: "/a/new",
		targetRaw: "new",
		name: "security.capability",
	},
	dns: {
		localAddress: Buffer.from([1, 2, 3, 4]),
		remoteAddress: Buffer.from([5, 6, 7, 8]),
		family: 2,
		localPort: 40_000,
		remotePort: 53,
		payloadBytes: 12,
		payload: "\x12\x34\x01\0\0\x01\0\0\0\0\0\0",
	},
	setuid: {
		capabilities: 0xffff_ffff_ffff_fff1n,
		permittedCapabilities: 2n,
		inheritableCapabilities: 3n,
		uid: 1,
		gid: 2,
		euid: 3,
		egid: 4,
		savedUid: 5,
		savedGid: 6,
		fileUid: 7,
		fileGid: 8,
		asked: Buffer.from([1, 0, 0, 0, 255, 255, 255, 255, 2, 0, 0, 0]),
		result: -1,
	},
	unshare: {
		callFlags: 0x2_0000,
		result: -1,
		mountNamespace: 1,
		pidNamespace: 2,
		networkNamespace: 3,
		userNamespace: 4,
		utsNamespace: 5,
		ipcNamespace: 6,
		cgroupNamespace: 7,
	},
	ptrace: {
		targetStart: 2n ** 44n,
		address: 0x7fff_ffff_f000n,
		size: 8n,
		targetPid: 1,
		targetNamespacePid: 2,
		targetTid: 3,
		targetUid: 4,
		targetEuid: 5,
		request: 16,
		result: -1,
	},
	mount: {
		callFlags: 2n ** 32n + 4096n,
		result: -16,
		device: 8,
		path: "/mnt",
		raw: "mnt",
		source: "/dev/sda1",
		filesystem: "ext4",
		options: "ro",
	},
	module: {
		inode: 2n ** 40n,
		device: 1,
		result: -1,
		callFlags: 2,
		operation: 2,
		path: "/m.ko",
		name: "m",
		args: "a=1",
	},
	bpf: { command: 5, type: 2, id: 77, result: -1, name: "prog" },
	userfaultfd: { argument: Buffer.alloc(16, 1), result: -1 },
	protect: {
		address: 2n ** 46n,
		size: 4096n,
		inode: 2n ** 40n,
		device: 1,
		protection: 5,
		callFlags: 0x22,
		previous: 3,
		result: -13,
		path: "/lib/x.so",
	},
	cgroup: { targetCgroupId: 2n ** 34n + 5n, operation: 2, path: "/docker/abc" },
};

// Kinds of one struct are read alike.
for (const kind of eventNames)
	members[kind] ??=
		Object.entries(members).find(([name]) => structs[name as EventName] === structs[kind])?.[1] ?? {};

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

describe.each(eventNames)("a record of %s", (kind) => {
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

	it("gives every member by its offset", () => {
		let read = 0;
		for (const [name, offset, size] of sizesOf(structs[kind])) {
			const value = values[name];
			if (typeof value !== "number" && typeof value !== "bigint") continue;
			read++;
			const label = `${name} at ${offset}`;
			if (size === 2) expect(view.half(offset), label).toBe(value);
			else if (size === 8) {
				expect(view.big(offset), label).toBe(value);
				// The largest ones are cut so that they still fit into 64 bits when they are written again.
				expect(view.long(offset), label).toBe(Math.min(Number(value), 0xffff_ffff_ffff_f800));
			} else {
				expect(view.word(offset), label).toBe(Number(BigInt.asUintN(32, BigInt(value))));
				expect(view.signed(offset), label).toBe(Number(BigInt.asIntN(32, BigInt(value))));
			}
		}
		expect(read).toBeGreaterThan(0);
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
		expect(view.syscall).toBe(header.syscall);
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
		/** Members of other kinds may share a name with what only the kind `of` has. */
		const only = (of: EventName, name: string): number => (kind === of ? number(name) : 0);
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
		expect(view.cgroupOperation).toBe(only("cgroup", "operation"));
		expect(view.targetCgroupId).toBe(number("targetCgroupId"));
		expect(view.parentPid).toBe(number("parentPid"));
		expect(view.parentStart).toBe(number("parentStart"));
		expect(view.namespacePid).toBe(number("namespacePid"));
		expect([view.uid, view.gid, view.euid, view.egid]).toEqual(
			["uid", "gid", "euid", "egid"].map((name) => only("exec", name)),
		);
		expect([view.loginUid, view.sessionId]).toEqual([number("loginUid"), number("sessionId")]);
		expect([view.tty, view.argsBytes]).toEqual([number("tty"), only("exec", "argsBytes")]);
		expect([view.sessionLeader, view.processGroup]).toEqual([
			only("exec", "session"),
			only("exec", "processGroup"),
		]);
		expect([view.fileMode, view.fileUid, view.fileGid, view.environmentBytes]).toEqual(
			["fileMode", "fileUid", "fileGid", "environmentBytes"].map((name) => only("exec", name)),
		);
		expect([view.fileChanged, view.fileModified]).toEqual([
			only("exec", "fileChanged"),
			only("exec", "fileModified"),
		]);
		expect([view.capabilities, view.capabilitiesPermitted, view.capabilitiesInheritable]).toEqual(
			["capabilities", "permittedCapabilities", "inheritableCapabilities"].map((name) =>
				own ? values[name] : 0n,
			),
		);
		const namespaces = ["mount", "pid", "network", "user", "uts", "ipc", "cgroup"];
		expect(view.namespaces()).toEqual(
			Object.fromEntries(namespaces.map((name) => [name, own ? number(`${name}Namespace`) : 0])),
		);
	});
});

describe("a view", () => {
	it.each(["connect", "accept", "dns"] as const)("finds the addresses of %s", (kind) => {
		const { bytes, localAddressStart, remoteAddressStart } = viewOf(kind, {
			...header,
			...members[kind],
		});
		expect([...bytes.subarray(localAddressStart, localAddressStart + 4)]).toEqual([1, 2, 3, 4]);
		expect([...bytes.subarray(remoteAddressStart, remoteAddressStart + 4)]).toEqual([5, 6, 7, 8]);
	});

	it("tells what standard input, output and error are, in memory of its own", () => {
		const view = viewOf("exec", { stream: streams });
		const told = view.streams();
		view.bytes.fill(0);
		const none = { inode: 0, family: 0, remotePort: 0, localPort: 0, remoteAddress: undefined };
		expect(told).toEqual([
			{
				type: 12,
				inode: 2 ** 35,
				family: 2,
				remotePort: 443,
				localPort: 40_001,
				remoteAddress: Buffer.from([192, 0, 2, 9]),
			},
			{ ...none, type: 1, inode: 9 },
			{ ...none, type: 0 },
		]);
		expect(viewOf("open", {}).streams()).toEqual([]);
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
		for (const kind of [0, eventNames.length + 1, 255, 0xffff]) {
			new DataView(memory).setUint16(layout.eventHeader.kind, kind, true);
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
			"environmentBytes sessionLeader processGroup fileMode fileUid fileGid fileChanged fileModified",
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
					bytes.writeUInt16LE(random.below(eventNames.length + 2), offset + layout.eventHeader.kind);
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
			if (typeof view.capabilities !== "bigint" || view.namespaces().pid < 0 || view.streams().length > 3)
				expect.fail("no value");
		}
		expect(taken).toBeGreaterThan(50_000);
		expect(performance.now() - begin).toBeLessThan(8_000);
	}, 30_000);
});
