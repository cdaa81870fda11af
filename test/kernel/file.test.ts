// Opens: every system call that opens by name, success and failure, and the forms a name can take.
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { buildTrigger, Harness, run } from "./harness.ts";

const trigger = buildTrigger();
let harness: Harness;
let file: string;

beforeAll(() => {
	harness = new Harness({ kinds: ["open", "exit"] });
	file = join(harness.folder, "file");
	writeFileSync(file, "text");
});
afterAll(() => harness.close());

/** The one open of this act, and what the trigger said of it. */
async function opened(
	args: string[],
	cwd?: string,
): Promise<{ open: wire.Open; said: Record<string, number> }> {
	const ran = await run(trigger, ["open", ...args], cwd);
	// With a fourth argument the trigger opens that directory first.
	const opens = (await harness.of(ran.pid)).flatMap((event) => (event.open ? [event.open] : []));
	expect(opens).toHaveLength(args.length > 3 ? 2 : 1);
	const open = opens.at(-1);
	if (!open) throw new Error("no open");
	return { open, said: ran.said[0] ?? {} };
}

const calls = process.arch === "x64" ? ["open", "openat", "openat2"] : ["openat", "openat2"];

describe.each(calls)("a file opened by %s", (call) => {
	it("is reported once with its path, flags, mode and inode", async () => {
		const { open, said } = await opened([call, file, "2"]);
		expect(open).toEqual({
			path: file,
			rawPath: file,
			flags: ["O_RDWR"],
			mode: said.mode,
			file: { device: said.device, inode: String(said.inode) },
			result: "SUCCESS",
			returnValue: said.result,
		});
	});

	it("that does not exist is reported once with the reason", async () => {
		const missing = join(harness.folder, "missing");
		const { open, said } = await opened([call, missing, "0"]);
		expect(said.result).toBe(-2);
		expect(open).toMatchObject({ path: missing, rawPath: missing, result: "ENOENT", returnValue: -2 });
		expect(open.file).toBeUndefined();
	});

	it("that is made is reported with what was asked for", async () => {
		const made = join(harness.folder, `made-by-${call}`);
		const { open } = await opened([call, made, String(0o1 | 0o100 | 0o1000)]);
		expect(open.path).toBe(made);
		expect([...(open.flags ?? [])].sort()).toEqual(["O_CREAT", "O_TRUNC", "O_WRONLY"]);
	});
});

describe.runIf(process.arch === "x64")("creat", () => {
	it("is reported as a write that makes and empties", async () => {
		const made = join(harness.folder, "made-by-creat");
		const { open } = await opened(["creat", made, "0"]);
		expect(open).toMatchObject({ path: made, rawPath: made, result: "SUCCESS" });
		expect([...(open.flags ?? [])].sort()).toEqual(["O_CREAT", "O_TRUNC", "O_WRONLY"]);
	});
});

describe("the name of an opened file", () => {
	it("is the file's, whatever way led there", async () => {
		mkdirSync(join(harness.folder, "a/b"), { recursive: true });
		symlinkSync(file, join(harness.folder, "a/link"));
		const raw = "a/b/../link";
		const { open } = await opened(["openat", raw, "0"], harness.folder);
		expect(open).toMatchObject({ path: file, rawPath: raw });
	});

	it("is found from a directory's descriptor", async () => {
		const { open } = await opened(["openat", "file", "0", harness.folder]);
		expect(open).toMatchObject({ path: file, rawPath: "file" });
	});

	it("that failed is joined to the directory it starts from", async () => {
		const relative = await opened(["openat", "nothing/here", "0"], harness.folder);
		expect(relative.open).toMatchObject({ path: join(harness.folder, "nothing/here"), result: "ENOENT" });
		const fromDirectory = await opened(["openat", "../nothing", "0", join(harness.folder, "a/b")]);
		expect(fromDirectory.open).toMatchObject({
			path: join(harness.folder, "a/nothing"),
			rawPath: "../nothing",
		});
	});

	it("of a hard link is the link's own", async () => {
		const link = join(harness.folder, "hard");
		linkSync(file, link);
		const { open } = await opened(["openat", link, "0"]);
		expect(open.path).toBe(link);
	});

	it("survives bytes that are no UTF-8, line ends and control characters", async () => {
		const { open } = await opened(["openat", join(harness.folder, "tab\tline\n\u001b[31m"), String(0o101)]);
		expect(open.path).toBe(join(harness.folder, "tab\tline\n\u001b[31m"));
		const shell = `printf x > "$(printf '${harness.folder}/stray\\377byte')"`;
		const { pid } = await run("/bin/sh", ["-c", shell]);
		const opens = (await harness.of(pid)).filter((event) => event.open?.path?.includes("stray"));
		expect(opens.map((event) => event.open?.path)).toEqual([`${harness.folder}/stray\\xffbyte`]);
	});

	it("is whole when it is nearly as long as the kernel allows", async () => {
		const deep = join(harness.folder, ...Array.from({ length: 18 }, (_, i) => `${i}`.padEnd(200, "d")));
		mkdirSync(deep, { recursive: true });
		const { open } = await opened(["openat", join(deep, "end"), String(0o101)]);
		expect(open.path).toBe(join(deep, "end"));
		expect(open.path?.length).toBeGreaterThan(3600);
	});
});
