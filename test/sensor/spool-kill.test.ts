// A writer of the spool is killed at random moments, over and over, on the same file: all it said to be committed is
// there, in order and whole, and the next one opens it in time.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { openSpool } from "../../agent/spool/open.ts";
import { createReading } from "../../agent/spool/read.ts";

const soak = process.env.PICKET_SOAK === "1";
const kills = soak ? 500 : 10;
const program = new URL("spool-writer.ts", import.meta.url).pathname;

describe("a spool whose process is killed", () => {
	const folder = mkdtempSync(join(tmpdir(), "picket-spool-"));
	let child: ChildProcess | undefined;
	afterAll(() => {
		child?.kill("SIGKILL");
		rmSync(folder, { recursive: true, force: true });
	});

	it(
		`holds all that was committed, ${kills} times`,
		async () => {
			const path = join(folder, "spool.db");
			let next = 0;
			let after = 0;
			let slowest = 0;
			let read = 0;
			for (let round = 0; round < kills; round++) {
				const writer = spawn(process.execPath, [program, path, String(next)], {
					stdio: ["ignore", "pipe", "inherit"],
				});
				child = writer;
				let text = "";
				writer.stdout.setEncoding("utf8").on("data", (chunk: string) => {
					text += chunk;
				});
				const gone = new Promise((resolve) => writer.once("close", resolve));
				while (!text.includes("\n") && writer.exitCode === null) await delay(2);
				await delay(Math.random() * 60);
				writer.kill("SIGKILL");
				await gone;
				const lines = text.slice(0, text.lastIndexOf("\n")).split("\n");
				expect(lines[0], text).toMatch(/^open \d/);
				slowest = Math.max(slowest, Number(lines[0]?.slice(5)));
				const gaps = lines.filter((line) => line.startsWith("gap"));
				expect(gaps, "a kill is no damage").toEqual([]);
				const committed = lines.slice(1).map(Number).at(-1) ?? next - 1;

				const opened = openSpool({ path, maxBytes: 1e9, now: Date.now(), given: 0, damage: "" });
				try {
					const { entries, broken } = createReading(opened.db).read(after, 0x3fff, 1e6, 1e9);
					expect(broken).toEqual([]);
					for (const entry of entries) {
						// Each sequence once: what was not committed was not written by the next one under the same number.
						expect(entry.sequence).toBe(next++);
						const whole = Buffer.alloc(50 + ((entry.sequence * 31) % 3000), `${entry.sequence};`);
						expect(Buffer.compare(whole, entry.payload)).toBe(0);
						expect(entry.position).toBeGreaterThan(after);
						after = entry.position;
					}
					read += entries.length;
					expect(next, `round ${round}`).toBeGreaterThan(committed);
					expect(opened.first).toBeGreaterThan(after);
				} finally {
					opened.db.close();
				}
			}
			expect(read).toBeGreaterThan(0);
			expect(slowest).toBeLessThan(5000);
			process.stdout.write(`${kills} kills, ${read} records, slowest start ${Math.round(slowest)} ms\n`);
		},
		soak ? 1_800_000 : 120_000,
	);
});
