// A file of records on a disk that is full, and one that is read-only: a small file system in a mount namespace of its
// own, so that the host's mounts stay as they are.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-full-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lines = new URL("../../agent/report/lines.ts", import.meta.url).href;
const script = `
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
const { createFileSink } = await import(${JSON.stringify(lines)});
const folder = process.argv[1];
const path = folder + "/records";
const logger = { info() {}, warn() {}, error() {} };
const gaps = [];
const make = () => createFileSink({ name: "file", path, retryMs: 20 }, { clock: Date.now, logger, report: (gap) => gaps.push(gap) });
let sink = make();
const until = async (what, condition) => {
	for (const end = Date.now() + 20000; !condition(); ) {
		if (Date.now() > end) throw new Error("waited in vain for " + what + JSON.stringify(sink.status()));
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
};
let number = 0;
const push = (count) => { for (let i = 0; i < count; i++) sink.push({ sequence: String(++number), alert: { summary: "x".repeat(500) } }); };
writeFileSync(folder + "/ballast", Buffer.alloc(40960));
push(200);
await until("ENOSPC", () => sink.status().problem.includes("ENOSPC"));
// What is there are whole lines.
const half = readFileSync(path, "utf8");
for (const line of half.split("\\n").slice(0, -1)) JSON.parse(line);
const whole = half === "" || half.endsWith("\\n");
rmSync(folder + "/ballast");
execFileSync("mount", ["-o", "remount,size=4m", folder]);
await until("room", () => sink.status().queued === "0" && sink.status().problem === "");
await sink.close();
// Nobody may have it open for that.
execFileSync("mount", ["-o", "remount,ro", folder]);
sink = make();
push(20);
await until("EROFS", () => sink.status().problem.includes("EROFS"));
execFileSync("mount", ["-o", "remount,rw", folder]);
await until("writing", () => sink.status().queued === "0");
await sink.close();
const got = readFileSync(path, "utf8").trim().split("\\n").map((line) => Number(JSON.parse(line).sequence));
process.stdout.write(JSON.stringify({ whole, got, number, gaps }));
`;

it("writes whole lines only, waits until it can write again, and loses nothing that there was room for", async () => {
	const mount = `mount -t tmpfs -o size=64k none "$1" && exec "$2" --input-type=module -e "$3" "$1"`;
	const args = ["--mount", "--propagation", "private", "sh", "-ec", mount, "sh"];
	const child = spawn("unshare", [...args, folder, process.execPath, script], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	let out = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		out += text;
	});
	expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);
	const { whole, got, number, gaps } = JSON.parse(out);
	expect(whole).toBe(true);
	expect(got).toEqual(Array.from({ length: number }, (_, index) => index + 1));
	expect(gaps).toEqual([]);
});
