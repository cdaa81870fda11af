// Interest decided in the kernel, and attempts to slip past what it remembers.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Interest, noInterest, type PathInterest } from "../../agent/model/interest.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { buildTrigger, Harness, run } from "./harness.ts";

const slip = buildTrigger("slip");
const trigger = buildTrigger();
const empty: PathInterest = { exact: [], prefixes: [], names: [], suffixes: [] };
const processes = ["exec", "fork", "exit"] as const;

let folder: string;
let harness: Harness;
beforeAll(() => {
	harness = new Harness({ kinds: ["open", "connect", "exit"], interest: noInterest });
});
afterAll(() => harness.close());
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-interest-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function watch(interest: Partial<Interest>): Harness {
	harness.capture.setInterest({ ...noInterest, kinds: new Set([...processes, "open"]), ...interest });
	return harness;
}

/** Does it all in one process and tells which paths were reported, below the folder. */
async function opened(...words: string[]): Promise<string[]> {
	const { pid, status } = await run(slip, words, folder);
	expect(status).toBe(0);
	const events = await harness.of(pid);
	return events.flatMap(({ open }) => (open?.path ? [open.path.replace(`${folder}/`, "")] : []));
}

const at = (name: string) => join(folder, name);

describe("an open", () => {
	it("of no interest is never sent, one of interest always, however often they are repeated", async () => {
		for (const name of ["plain", "secret"]) writeFileSync(at(name), "");
		watch({ readOpens: { ...empty, exact: [at("secret")] } });
		const words = ["open:plain", "open:plain", "open:secret", "open:plain", "open:secret", "open:secret"];
		expect(await opened(...words)).toEqual(["secret", "secret", "secret"]);
	});

	it("is judged as a reading and as a writing one by what asks for each", async () => {
		for (const name of ["read", "written"]) writeFileSync(at(name), "");
		watch({
			readOpens: { ...empty, exact: [at("read")] },
			writeOpens: { ...empty, exact: [at("written")], prefixes: [at("below/")] },
		});
		mkdirSync(at("below"));
		const words = ["open:read", "write:read", "open:written", "write:written", "open:read", "make:below/new"];
		expect(await opened(...words)).toEqual(["read", "written", "read", "below/new"]);
	});

	it("is found by its path, a beginning, its name and the end of its name", async () => {
		mkdirSync(at("deep/er"), { recursive: true });
		const long = `${"n".repeat(70)}.key`;
		const names = [
			"exact",
			"exact2",
			"deep/file",
			"deep/er/file",
			"name",
			"name2",
			"a.pem",
			"a.pem2",
			".pem",
			long,
		];
		for (const name of names) writeFileSync(at(name), "");
		watch({
			readOpens: {
				exact: [at("exact")],
				prefixes: [at("deep/")],
				names: ["name", long],
				suffixes: [".pem", "/deep/name2"],
			},
		});
		expect(await opened(...names.map((name) => `open:${name}`))).toEqual([
			...["exact", "deep/file", "deep/er/file", "name", "name2", "a.pem", ".pem", long],
		]);
	});

	it("of a longer beginning counts for the shorter one too", async () => {
		mkdirSync(at("a/b"), { recursive: true });
		for (const name of ["a/1", "a/b/2"]) writeFileSync(at(name), "");
		watch({
			readOpens: { ...empty, prefixes: [at("a/")] },
			writeOpens: { ...empty, prefixes: [at("a/b/")] },
		});
		const words = ["open:a/1", "write:a/1", "open:a/b/2", "write:a/b/2"];
		expect(await opened(...words)).toEqual(["a/1", "a/b/2", "a/b/2"]);
	});
});

describe("a file known to be of no interest", () => {
	beforeEach(() => {
		for (const name of ["plain", "jail/inside"]) mkdirSync(at(name), { recursive: true });
		for (const name of ["plain/file", "jail/inside/key"]) writeFileSync(at(name), "");
		watch({ readOpens: { ...empty, exact: [at("secret"), "/inside/key"], prefixes: [at("guarded/")] } });
	});

	it("is sent when it is renamed to a name of interest, and no more when it is renamed back", async () => {
		const words = ["open:plain/file", "rename:plain/file:secret", "open:secret", "rename:secret:plain/file"];
		expect(await opened(...words, "open:plain/file")).toEqual(["secret"]);
	});

	it("is sent when its directory is renamed", async () => {
		expect(await opened("open:plain/file", "rename:plain:guarded", "open:guarded/file")).toEqual([
			"guarded/file",
		]);
	});

	it("is sent under another link, and under the old one only when that is all there is", async () => {
		const words = ["open:plain/file", "link:plain/file:secret", "open:secret", "open:plain/file"];
		expect(await opened(...words, "unlink:plain/file", "open:secret")).toEqual(["secret", "secret"]);
	});

	it("is sent when a mount shows it at a place of interest, and no more when that is gone", async () => {
		mkdirSync(at("guarded"));
		writeFileSync(at("guarded/file"), "");
		const words = [
			"unshare:",
			"open:plain/file",
			`bind:${at("plain")}:${at("guarded")}`,
			"open:guarded/file",
		];
		expect(await opened(...words, "open:plain/file", `umount:${at("guarded")}`, "open:plain/file")).toEqual([
			"guarded/file",
		]);
	});

	it("is sent when the root is another and the path with it", async () => {
		expect(await opened("open:jail/inside/key", `chroot:${at("jail")}`, "open:/inside/key")).toEqual([
			"/inside/key",
		]);
	});

	it("is not mistaken for one that took its place in memory", async () => {
		mkdirSync(at("guarded"));
		const words = Array.from({ length: 100 }, () => [
			...["mkdir:plain/d", "make:plain/d/f", "open:plain/d/f", "unlink:plain/d/f", "rmdir:plain/d"],
			...["mkdir:guarded/d", "make:guarded/d/f", "open:guarded/d/f", "unlink:guarded/d/f", "rmdir:guarded/d"],
		]).flat();
		expect(await opened(...words)).toEqual(new Array(100).fill("guarded/d/f"));
	});

	it("is sent as soon as somebody asks for it", async () => {
		expect(await opened("open:plain/file")).toEqual([]);
		harness.capture.setInterest({
			...noInterest,
			kinds: new Set([...processes, "open"]),
			readOpens: { ...empty, exact: [at("plain/file")] },
		});
		expect(await opened("open:plain/file", "open:plain/file")).toEqual(["plain/file", "plain/file"]);
		harness.capture.setInterest({
			...noInterest,
			kinds: new Set([...processes, "open"]),
			readOpens: { ...empty, names: ["x"] },
		});
		expect(await opened("open:plain/file")).toEqual([]);
	});
});

describe("a connection", () => {
	const servers: Server[] = [];
	const ports: number[] = [];
	beforeAll(async () => {
		for (let i = 0; i < 2; i++) {
			const server = createServer((socket) => socket.on("error", () => {}).end());
			await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
			servers.push(server);
			ports.push((server.address() as { port: number }).port);
		}
	});
	afterAll(() => {
		for (const server of servers) server.close();
	});

	async function connected(...args: string[]): Promise<wire.Connect[]> {
		const { pid } = await run(trigger, args);
		return (await harness.of(pid)).flatMap(({ connect }) => (connect ? [connect] : []));
	}

	it("is sent when somebody asks for its port", async () => {
		const [asked = 0, other = 0] = ports;
		watch({ kinds: new Set([...processes, "connect"]), connects: { ip: [asked], unix: false } });
		expect(await connected("connect", "tcp4", "127.0.0.1", String(other))).toEqual([]);
		expect(await connected("connect", "tcp4", "127.0.0.1", String(asked))).toMatchObject([
			{ destinationPort: asked },
		]);
		expect(await connected("connect", "unix", at("nobody"))).toEqual([]);
	});

	it("to a Unix socket is sent when somebody asks for those", async () => {
		watch({ kinds: new Set([...processes, "connect"]), connects: { ip: "none", unix: true } });
		expect(await connected("connect", "tcp4", "127.0.0.1", String(ports[0]))).toEqual([]);
		expect(await connected("connect", "unix", at("nobody"))).toMatchObject([{ family: "unix" }]);
	});
});

describe("another interest that takes over", () => {
	const paths = (exact: readonly string[]) => ({ exact, prefixes: [], names: [], suffixes: [] });
	const opens = (writeOpens: Interest["writeOpens"]): Interest => ({
		...noInterest,
		kinds: new Set([...processes, "open"]),
		writeOpens,
	});

	it("stays bounded when only the sum of both is too much for the tables", () => {
		const many = (folder: string) => paths(Array.from({ length: 3000 }, (_, i) => `/nowhere/${folder}/${i}`));
		const { capture } = watch({ writeOpens: many("old") });
		expect(capture.unboundedOpens).toBe("");
		let between = "";
		capture.changeInterest(opens(many("new")), () => {
			between = capture.unboundedOpens;
		});
		expect(between).toContain("more files than the kernel's tables take");
		expect(capture.unboundedOpens).toBe("");
	});

	it("leaves the old one in force when what asked for it cannot take over", () => {
		const { capture } = watch({ kinds: new Set([...processes, "open"]), writeOpens: "all" });
		const refuse = () => {
			throw new Error("refused");
		};
		expect(() => capture.changeInterest(noInterest, refuse)).toThrow("refused");
		expect(capture.unboundedOpens).toContain("writing");
	});
});

describe("a hook", () => {
	it("is attached only while somebody needs it", async () => {
		const { capture } = watch({ kinds: new Set(processes) });
		const names = () => [...capture.attached()].map((name) => name.replace("_function", "")).sort();
		const both = ["on_exec", "on_exit", "on_fork"].flatMap((name) => [name, `${name}_again`]);
		expect(names()).toEqual(both);
		capture.setInterest({
			...noInterest,
			kinds: new Set([...processes, "connect"]),
			connects: { ip: "all", unix: true },
		});
		expect(names()).toContain("on_connect");
		expect(names()).not.toContain("on_openat");
		capture.setInterest({ ...noInterest, kinds: new Set([...processes, "open"]), writeOpens: "all" });
		expect(names()).toContain("on_openat");
		expect(names()).not.toContain("on_connect");
	});

	it("of another tier takes over when its own is switched off, and the doctor's list says which", () => {
		const { capture } = new Harness({ off: ["fentry"] });
		expect(capture.capabilities().find(({ name }) => name === "openat")).toMatchObject({
			available: true,
			tier: "syscall-tracepoint",
		});
		capture.close();
	});

	it("that nobody knows cannot be switched off", () => {
		expect(() => new Harness({ off: ["on_teatime"] })).toThrow(/no hook "on_teatime"/);
	});
});
