// The spool on a disk that is full or read-only, and in a process without descriptors: a tmpfs in a mount namespace of
// its own. It goes on in memory, tells what did not fit, and all that did is on the disk once that is back.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const program = new URL("spool-disk.ts", import.meta.url).pathname;

interface Step {
	readonly problem: string;
	readonly read: readonly number[];
	readonly important: readonly number[];
	readonly events: number;
	readonly order: boolean;
	readonly dropped: Readonly<Record<string, string>>;
	readonly lost: Readonly<Record<string, number>>;
	readonly pushed: number;
}

describe("a spool whose disk takes nothing", () => {
	const folder = mkdtempSync(join(tmpdir(), "picket-spool-"));
	afterAll(() => rmSync(folder, { recursive: true, force: true }));

	function play(scene: string): [Step, Step, Step] {
		const script = `mount -t tmpfs -o size=12m none "$0" && ulimit -n ${scene === "descriptors" ? 40 : 1024} && exec "$1" "$2" "$0" "$3"`;
		const args = ["-m", "sh", "-c", script, folder, process.execPath, program, scene];
		const out = execFileSync("unshare", args, { encoding: "utf8", timeout: 60_000 });
		const steps = out
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as Step);
		expect(steps).toHaveLength(3);
		return steps as [Step, Step, Step];
	}
	function judge([away, crowded, back]: [Step, Step, Step], before: number, problem: RegExp): void {
		expect(away.problem).toMatch(problem);
		expect(away.read).toEqual(Array.from({ length: before + 200 }, (_, index) => index));
		const important = [...Array.from({ length: 20 }, (_, index) => before + index * 10), before + 2200];
		expect(crowded.important).toEqual(important);
		expect(Number(crowded.dropped.event)).toBeGreaterThan(1000);
		expect(Object.keys(crowded.dropped)).toEqual(["event"]);
		expect(back.problem).toBe("");
		expect(back.important).toEqual(important);
		expect(back.order).toBe(true);
		expect(back.lost).toEqual({ event: Number(crowded.dropped.event) });
		expect(back.events + Number(crowded.dropped.event)).toBe(back.pushed);
	}

	it("holds them in memory while it is full", () => {
		judge(play("full"), 50, /full/);
	});
	it("starts on a read-only disk", () => {
		judge(play("readonly"), 0, /EROFS|read-only|readonly/);
	});
	it("starts without descriptors", () => {
		judge(play("descriptors"), 0, /EMFILE|unable to open|too many|thread/i);
	});
});
