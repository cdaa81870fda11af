// A spool's files damaged in thousands of ways: it opens, in time; every record that lies on bytes that were not touched
// is there, nothing is there that was not written, and no position is given again.
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { classes } from "../../agent/spool/classes.ts";
import { openSpool } from "../../agent/spool/open.ts";
import { createReading } from "../../agent/spool/read.ts";
import { Random } from "../unit/detect/rig.ts";
import { seed, soak, tell, timeout } from "./counts.ts";
import { type Base, makeBase, pageAt, pageBytes, spoolBytes, suffixes, uncommitted } from "./spool-base.ts";

const wanted = soak ? 10_000 : 60;

type Files = Record<string, Buffer | undefined>;
type Damage = (files: Files, random: Random) => void;

function some(files: Files, random: Random): [string, Buffer] {
	const there = suffixes.flatMap((suffix): [string, Buffer][] => {
		const bytes = files[suffix];
		return bytes === undefined || bytes.length === 0 ? [] : [[suffix, bytes]];
	});
	return random.pick(there);
}
function page(bytes: Buffer, suffix: string, random: Random): Buffer {
	const stride = suffix === "" ? pageBytes : pageBytes + 24;
	const start = suffix === "" ? 0 : 32;
	const count = Math.max(1, Math.floor((bytes.length - start) / stride));
	const at = start + random.below(count) * stride;
	return bytes.subarray(at, Math.min(bytes.length, at + stride));
}
function noise(bytes: Buffer, random: Random): void {
	for (let at = 0; at < bytes.length; at++) bytes[at] = random.below(256);
}

const damages: Readonly<Record<string, Damage>> = {
	bit(files, random) {
		const [, bytes] = some(files, random);
		const at = random.below(bytes.length);
		bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
	},
	bytes(files, random) {
		const [, bytes] = some(files, random);
		for (let count = 1 + random.below(20); count > 0; count--)
			bytes[random.below(bytes.length)] = random.below(256);
	},
	/** Where trees, counts and pointers stand. */
	heads(files, random) {
		const [suffix, bytes] = some(files, random);
		const head = page(bytes, suffix, random);
		const at = random.below(Math.min(head.length, 40));
		head[at] = (head[at] ?? 0) ^ (1 << random.below(8));
	},
	header(files, random) {
		const [, bytes] = some(files, random);
		bytes[random.below(Math.min(100, bytes.length))] = random.below(256);
	},
	noise(files, random) {
		const [suffix, bytes] = some(files, random);
		noise(page(bytes, suffix, random), random);
	},
	zeros(files, random) {
		const [suffix, bytes] = some(files, random);
		for (let count = 1 + random.below(3); count > 0; count--) page(bytes, suffix, random).fill(0);
	},
	exchange(files, random) {
		const [suffix, bytes] = some(files, random);
		page(bytes, suffix, random).set(Buffer.from(page(bytes, suffix, random)));
	},
	cut(files, random) {
		const [suffix, bytes] = some(files, random);
		files[suffix] = Buffer.from(bytes.subarray(0, random.below(bytes.length)));
	},
	cutPages(files, random) {
		const [suffix, bytes] = some(files, random);
		const stride = suffix === "" ? pageBytes : pageBytes + 24;
		files[suffix] = Buffer.from(bytes.subarray(0, stride * random.below(bytes.length / stride)));
	},
	missing(files, random) {
		files[some(files, random)[0]] = undefined;
	},
	longer(files, random) {
		const [suffix, bytes] = some(files, random);
		const more = Buffer.alloc(1 + random.below(20_000));
		noise(more, random);
		files[suffix] = Buffer.concat([bytes, more]);
	},
};

/** Pages on which any byte differs from before. */
function touched(base: Base, files: Files): Set<string> {
	const pages = new Set<string>();
	for (const suffix of suffixes) {
		const before = base.files[suffix];
		const after = files[suffix];
		if (before === undefined || (after !== undefined && before.equals(after))) continue;
		for (let block = 0; block < before.length; block += pageBytes) {
			const end = Math.min(before.length, block + pageBytes);
			if (after?.subarray(block, end).equals(before.subarray(block, end))) continue;
			for (let at = block; at < end; at++) {
				if (after === undefined || before[at] !== after[at]) pages.add(pageAt(suffix, at));
			}
		}
	}
	return pages;
}

describe("a damaged spool", () => {
	const folder = mkdtempSync(join(tmpdir(), "picket-spool-"));
	afterAll(() => rmSync(folder, { recursive: true, force: true }));
	let bases: Base[] = [];
	beforeAll(() => {
		bases = [
			makeBase(folder, "plain", { records: 700, long: false, log: false, acknowledged: 0 }),
			makeBase(folder, "long", { records: 500, long: true, log: false, acknowledged: 120 }),
			makeBase(folder, "log", { records: 700, long: false, log: true, acknowledged: 100 }),
			makeBase(folder, "both", { records: 1500, long: true, log: true, acknowledged: 400 }),
		];
		for (const { pages } of bases) for (const lies of pages.values()) expect(lies.size).toBeGreaterThan(0);
	});

	it(
		`gives back what was not touched, ${wanted} times`,
		() => {
			const random = new Random(seed);
			const names = Object.keys(damages);
			const sums = { salvaged: 0, lost: 0, delivered: 0, slowest: 0 };
			for (let round = 0; round < wanted; round++) {
				const base = bases[round % bases.length] as Base;
				const name = names[Math.floor(round / bases.length) % names.length] as string;
				const files: Files = {};
				for (const [suffix, bytes] of Object.entries(base.files)) files[suffix] = Buffer.from(bytes);
				damages[name]?.(files, random);
				const at = `round ${round}: ${name} in ${base.path}`;
				const path = join(folder, "spool.db");
				for (const suffix of suffixes) {
					const bytes = files[suffix];
					if (bytes !== undefined) writeFileSync(`${path}${suffix}`, bytes);
				}
				copyFileSync(`${base.path}.mark`, `${path}.mark`);
				const pages = touched(base, files);
				const open = uncommitted(base.files["-wal"], files["-wal"]);
				judge(base, path, { pages, open }, at, sums);
				for (const file of readdirSync(folder)) if (file.startsWith("spool.db")) rmSync(join(folder, file));
			}
			expect(sums.salvaged).toBeGreaterThan(wanted / 4);
			tell(
				`${wanted} damaged spools, ${sums.salvaged} salvaged, ${sums.delivered} records read, ${sums.lost} on damaged pages lost, slowest start ${Math.round(sums.slowest)} ms of a processor`,
			);
		},
		timeout,
	);
});

function judge(
	base: Base,
	path: string,
	{ pages, open }: { pages: ReadonlySet<string>; open: ReadonlySet<string> },
	at: string,
	sums: { salvaged: number; lost: number; delivered: number; slowest: number },
): void {
	const began = process.threadCpuUsage();
	let opened = openSpool({ path, maxBytes: spoolBytes, now: 1000, given: 0, damage: "" });
	let reading = createReading(opened.db);
	const all = 2 ** classes.length - 1;
	let page: ReturnType<typeof reading.read>;
	const { places } = opened;
	try {
		page = reading.read(0, all, 100_000, 1e9);
	} catch (error) {
		// As the spool does when it meets damage while it runs.
		opened.db.close();
		opened = openSpool({ path, maxBytes: spoolBytes, now: 1000, given: 0, damage: String(error) });
		reading = createReading(opened.db);
		page = reading.read(0, all, 100_000, 1e9);
	}
	// What the start itself takes, whatever else the machine does.
	const { user, system } = process.threadCpuUsage(began);
	const took = (user + system) / 1000;
	sums.slowest = Math.max(sums.slowest, took);
	try {
		if (opened.damaged) sums.salvaged++;
		let last = 0;
		for (const entry of page.entries) {
			const written = base.entries.get(entry.position);
			const same =
				written !== undefined &&
				Buffer.compare(written.payload, entry.payload) === 0 &&
				written.class === entry.class &&
				written.sequence === entry.sequence &&
				written.bootId === entry.bootId;
			// Not by expect(): there are millions.
			if (!same || entry.position <= last) {
				const what = written === undefined ? "invented" : same ? "out of order:" : "changed";
				throw new Error(`${at}: ${what} ${entry.position}`);
			}
			last = entry.position;
		}
		const got = new Set(page.entries.map(({ position }) => position));
		for (const [position, lies] of base.pages) {
			if (got.has(position)) continue;
			sums.lost++;
			// A salvage reads all frames, committed or not; a log that is cut off looks whole, and none is made.
			const harmed = [...lies].some((each) => pages.has(each) || (!opened.damaged && open.has(each)));
			if (!harmed) throw new Error(`${at}: lost ${position}, unharmed on ${[...lies]}; ${opened.problems}`);
		}
		sums.delivered += got.size;
		for (const { name, acknowledged } of places) {
			expect(name, at).toBe("a");
			expect(acknowledged, at).toBeLessThanOrEqual(base.acknowledged);
		}
		expect(opened.first, at).toBeGreaterThan(Math.max(...base.entries.keys()));
		expect(took, at).toBeLessThan(2000);
	} finally {
		opened.db.close();
	}
}
