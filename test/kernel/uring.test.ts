// What is asked for through io_uring comes as the same events, with the same truth, as that by system calls.
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EventFlag, EventKind, type Observation, Text } from "../../agent/model/event.ts";
import { fileChangeKinds } from "../../agent/model/interest.ts";
import { asking, buildTrigger, Harness, run } from "./harness.ts";

const uring = buildTrigger("uring");
const enter = 426;
const interest = asking("open", "connect", "send", "ioUring", ...fileChangeKinds);

/** What one event says, copied. */
interface Seen {
	kind: number;
	pid: number;
	comm: string | undefined;
	syscall: number;
	flags: number;
	path: string;
	raw: string;
	result: number;
	openFlags: number;
	inode: number;
	device: number;
	mode: number;
	family: number;
	port: number;
	target: string;
	targetRaw: string;
}

const kinds = [
	EventKind.open,
	EventKind.connect,
	EventKind.rename,
	EventKind.unlink,
	EventKind.rmdir,
	EventKind.mkdir,
	EventKind.symlink,
	EventKind.link,
	EventKind.send,
] as const;

const seen: Seen[] = [];
let harness: Harness;
let file: string;
let other: string;
let server: Server;
let port: number;
let able: boolean;

beforeAll(async () => {
	harness = new Harness({ kinds: ["exit"], interest, rings: true, detectors: [{ evaluate: note }] });
	able = harness.capture.capabilities().some(({ name, available }) => name === "io_uring_open" && available);
	file = join(harness.folder, "file");
	other = join(harness.folder, "other");
	writeFileSync(file, "text");
	writeFileSync(other, "text");
	server = createServer((socket) => socket.on("error", () => {}).end());
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	port = (server.address() as { port: number }).port;
});
afterAll(() => {
	server.close();
	harness.close();
});

beforeEach(({ skip }) => {
	if (!able) skip("this kernel does not tell what is asked for through io_uring");
});

function note({ event, process }: Observation): void {
	if (!kinds.some((kind) => kind === event.kind)) return;
	seen.push({
		kind: event.kind,
		pid: event.pid,
		comm: process?.comm,
		syscall: event.syscall,
		flags: event.flags,
		path: event.text(Text.path),
		raw: event.text(Text.raw),
		result: event.result,
		openFlags: event.openFlags,
		inode: event.inode,
		device: event.device,
		mode: event.mode,
		family: event.family,
		port: event.remotePort,
		target: event.text(Text.target),
		targetRaw: event.text(Text.targetRaw),
	});
}

/** Runs the trigger; the events of io_uring that its process has, and what it says itself. */
async function act(
	...args: string[]
): Promise<{ events: Seen[]; all: Seen[]; said: Record<string, number>[] }> {
	const ran = await run(uring, args, harness.folder);
	expect(ran.status).toBe(0);
	await harness.of(ran.pid);
	const all = seen.filter(({ pid }) => pid === ran.pid);
	const events = all.filter(({ flags }) => (flags & EventFlag.ioUring) !== 0);
	for (const event of events) expect(event).toMatchObject({ syscall: enter, comm: "uring" });
	return { events, all, said: ran.said };
}

/** One event and no more. */
async function one(...args: string[]): Promise<{ event: Seen; said: Record<string, number> }> {
	const { events, said } = await act(...args);
	expect(events).toHaveLength(1);
	return { event: events[0] as Seen, said: said[0] as Record<string, number> };
}

function whereIs(path: string): { inode: number; device: number } {
	const { ino, dev } = statSync(path);
	// The kernel's own form of a device number has 20 bits for the minor.
	const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
	return { inode: ino, device: ((dev >>> 8) & 0xfff) * 2 ** 20 + minor };
}

const ways: [string, string][] = [
	["by the caller itself", "-"],
	["by the kernel's polling thread", "s"],
	["by a worker", "a"],
	["by a worker for the polling thread", "sa"],
];

describe.each(ways)("carried out %s", (_, modes) => {
	it.each(["open", "openat2"])("an %s is reported with path, flags and inode", async (call) => {
		const { event, said } = await one(modes, call, file, "2");
		expect(said.result).toBeGreaterThan(2);
		// A preemptible kernel may have skipped the program that keeps the name; that is said.
		const unread = event.flags & EventFlag.rawUnreadable;
		expect(event).toMatchObject({
			kind: EventKind.open,
			path: file,
			raw: unread ? "" : file,
			openFlags: 2,
			result: said.result,
			...whereIs(file),
			mode: said.mode,
		});
		expect(event.flags).toBe(EventFlag.ioUring | unread);
	});

	it("an open that fails is reported with the reason and the name", async () => {
		const missing = join(harness.folder, "missing");
		const { event } = await one(modes, "open", missing, "0");
		expect(event).toMatchObject({ path: harness.folder, raw: missing, result: -2, inode: 0 });
		expect(event.flags).toBe(EventFlag.ioUring | EventFlag.pathIsBase);
	});

	it("an open that makes the file is reported as such", async () => {
		const made = join(harness.folder, `made${modes}`);
		const { event } = await one(modes, "open", made, String(0o102));
		expect(event).toMatchObject({ path: made, openFlags: 0o102, ...whereIs(made) });
		expect(event.flags).toBe(EventFlag.ioUring | EventFlag.created);
	});

	it("an open into a slot of the ring is reported with its file", async () => {
		const { event, said } = await one(modes, "slot", file, "1");
		expect(said.result).toBe(0);
		expect(event).toMatchObject({ path: file, openFlags: 1, result: 0, ...whereIs(file) });
	});

	it("a connection is reported with its peer", async () => {
		const { event } = await one(modes, "connect", String(port));
		expect(event).toMatchObject({ kind: EventKind.connect, family: 2, port, result: 0 });
		expect(event.flags).toBe(EventFlag.ioUring);
	});

	it("a datagram is reported with its peer", async ({ skip }) => {
		const sends = harness.capture.capabilities().some(({ name, available }) => name === "send" && available);
		if (!sends) skip("this kernel does not tell of datagrams");
		const { all, said } = await act(modes, "send", String(port));
		expect(said).toMatchObject([{ result: 1 }]);
		// Where datagrams are looked at nobody knows any more how they were asked for.
		expect(all).toMatchObject([{ kind: EventKind.send, family: 2, port }]);
	});

	it("a refused connection is reported with what was asked for", async () => {
		const { event } = await one(modes, "connect", "1");
		expect(event).toMatchObject({ kind: EventKind.connect, family: 2, port: 1, result: -111 });
		expect(event.flags).toBe(EventFlag.ioUring | EventFlag.peerFromUser);
	});

	it("a connection to a local socket that is not there is reported by its name", async () => {
		const missing = join(harness.folder, "no-socket");
		const { event } = await one(modes, "unix", missing);
		expect(event).toMatchObject({ kind: EventKind.connect, family: 1, path: missing, result: -2 });
	});
});

describe("who hides behind a ring", () => {
	it.each(["batch", "slots"])("is seen to open two files in one place in one go (%s)", async (way) => {
		const { events } = await act("-", way, file, other);
		expect(events.map(({ path, inode }) => ({ path, inode }))).toEqual([
			{ path: file, inode: whereIs(file).inode },
			{ path: other, inode: whereIs(other).inode },
		]);
	});

	it("is seen when nobody is told of the success", async () => {
		const { event } = await one("k", "open", file, "0");
		expect(event).toMatchObject({ raw: file, openFlags: 0 });
		// The name alone where the kernel does not say what came of it.
		if (event.flags & EventFlag.pathFromUser) expect(event).toMatchObject({ result: 0, inode: 0 });
		else expect(event).toMatchObject({ path: file, ...whereIs(file) });
	});
});

describe("a change of names through a ring", () => {
	const below = (name: string) => (name.startsWith("/") ? name : join(harness.folder, name));
	const fromUser = EventFlag.ioUring | EventFlag.pathFromUser;

	it.each(["mkdir", "unlink", "rmdir"] as const)("by %s is reported, done and failed", async (call) => {
		const path = `to-${call}`;
		if (call === "unlink") writeFileSync(below(path), "");
		if (call === "rmdir") mkdirSync(below(path));
		for (const result of [0, call === "mkdir" ? -17 : -2]) {
			const { event, said } = await one("-", call, path);
			expect(said.result).toBe(result);
			expect(event).toMatchObject({ kind: EventKind[call], raw: path, path: below(path), result });
			expect(event.flags).toBe(fromUser);
		}
	});

	it.each(["rename", "link"] as const)("by %s is reported with both names", async (call) => {
		writeFileSync(below(`from-${call}`), "");
		const to = below(`by-${call}`);
		const { event } = await one("s", call, `from-${call}`, to);
		expect(event).toMatchObject({
			kind: EventKind[call],
			path: below(`from-${call}`),
			target: to,
			result: 0,
		});
		expect(event).toMatchObject({ raw: `from-${call}`, targetRaw: to });
		expect(event.flags).toBe(fromUser | EventFlag.targetFromUser);
		const failed = await one("a", call, "nothing", to);
		expect(failed.event).toMatchObject({ path: below("nothing"), target: to, result: -2 });
	});

	it("by symlink is reported with what the link says", async () => {
		const { event } = await one("a", "symlink", "../what", "link");
		expect(event).toMatchObject({ kind: EventKind.symlink, path: below("link"), raw: "link", result: 0 });
		expect(event).toMatchObject({ target: "", targetRaw: "../what", flags: fromUser });
	});
});
