// The name of an opened file is the file's own, as the process itself would say it, whatever form it was asked by.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EventFlag, EventKind, Text } from "../../agent/model/event.ts";
import { buildTrigger, Harness, run } from "./harness.ts";

const trigger = buildTrigger("form");
/** What the trigger ends with where the kernel has no such file system. */
const cannot = 77;

interface Seen {
	readonly pid: number;
	readonly path: string;
	readonly raw: string;
	readonly inode: number;
	readonly device: number;
	readonly flags: number;
	readonly openFlags: number;
	readonly syscall: number;
}

const seen: Seen[] = [];
let harness: Harness;

beforeAll(() => {
	harness = new Harness({
		kinds: ["exit"],
		detectors: [
			{
				evaluate({ event }) {
					if (event.kind !== EventKind.open) return;
					const { pid, inode, device, flags, openFlags, syscall } = event;
					seen.push({
						...{ pid, inode, device, flags, openFlags, syscall },
						path: event.text(Text.path),
						raw: event.text(Text.raw),
					});
				},
			},
		],
	});
});
afterAll(() => harness.close());

/** The last open of the trigger, and the folder it had to itself; undefined where it cannot be tried. */
async function opened(form: string): Promise<{ event: Seen; folder: string } | undefined> {
	const folder = join(harness.folder, form);
	mkdirSync(folder);
	const { pid, status, said } = await run(trigger, [form, folder]);
	if (status === cannot) return undefined;
	expect(status).toBe(0);
	await harness.of(pid);
	const event = seen.filter((each) => each.pid === pid).at(-1) as Seen;
	expect(event).toMatchObject(said[0] ?? {});
	return { event, folder };
}

/** Form, what the path ends with below the folder, what the process named. */
const forms: [string, string, RegExp][] = [
	["moved", "/new/file", /^\.\.\/file$/],
	["descriptor", "/file", /^\/proc\/self\/fd\/\d+$/],
	["root", "/file", /^\/proc\/self\/root\//],
	["bind", "/there/file", /\/there\/file$/],
	["namespace", "/mounted/file", /\/mounted\/file$/],
	["lower", "/merged/low", /\/merged\/low$/],
	["upper", "/merged/up", /\/merged\/up$/],
];

describe("the name of a file", () => {
	it.each(forms)("is exact in the form %s", async (form, path, raw) => {
		const found = await opened(form);
		// Only overlayfs may be missing.
		if (!found) return expect(form).toMatch(/lower|upper/);
		expect(found.event.path).toBe(found.folder + path);
		expect(found.event.raw).toMatch(raw);
		expect(found.event.flags & ~EventFlag.upperLayer).toBe(0);
	});

	it("within a chroot begins at its root", async () => {
		const { event } = (await opened("chroot")) ?? expect.fail();
		expect(event).toMatchObject({ path: "/file", raw: "/file", flags: 0 });
	});

	it("outside of one's root is told from there, and that it is", async () => {
		const { event, folder } = (await opened("outside")) ?? expect.fail();
		expect(folder.endsWith(event.path.slice(0, -"/file".length))).toBe(true);
		expect(event.path.endsWith("/outside/file")).toBe(true);
		expect(event).toMatchObject({ raw: "file", flags: EventFlag.pathIncomplete });
	});

	it("that is longer than any path is its end, and says so", async () => {
		const { event, folder } = (await opened("deep")) ?? expect.fail();
		const whole = `${folder}${`/${"d".repeat(250)}`.repeat(20)}/end`;
		expect(whole.endsWith(event.path)).toBe(true);
		expect(event.path.length).toBeGreaterThan(3800);
		expect(event).toMatchObject({ raw: "end", flags: EventFlag.pathTruncated | EventFlag.created });
	});

	it("is found when it is opened by handle, without one", async () => {
		const found = await opened("handle");
		if (!found) return; // not every file system gives out handles
		expect(found.event).toMatchObject({ path: `${found.folder}/file`, raw: "", flags: 0, openFlags: 2 });
		expect([265, 304]).toContain(found.event.syscall);
	});
});
