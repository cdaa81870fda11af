// What spool-disk.test.ts runs in a mount namespace of its own, with a tiny tmpfs as its first argument: the disk gets
// full, read-only and descriptors run out, and come back. Prints one JSON object a step.
import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import type { RecordKind, Stored } from "../../agent/model/delivery.ts";
import { createSpool } from "../../agent/spool/spool.ts";

const [folder = "", scene = ""] = process.argv.slice(2);
const say = (value: object): void => void writeSync(1, `${JSON.stringify(value)}\n`);
const lost: Record<string, number> = {};
const all = {
	kinds: ["event", "alert", "incident", "action", "gap", "status"],
	severity: "informational",
} as const;
const open = (memoryBytes: number) =>
	createSpool({
		path: `${folder}/state/spool.db`,
		maxBytes: 64 * 1024 * 1024,
		memoryBytes,
		clock: Date.now,
		logger: pino({ level: "silent" }),
		gap: (gap) => {
			for (const { class: kind = "", count } of gap.lost ?? [])
				lost[kind] = (lost[kind] ?? 0) + Number(count);
		},
	});
let spool = open(1024 * 1024);
let reader = spool.reader("a", all);
let sequence = 0;
const push = (kind: RecordKind, bytes: number): void => {
	const payload = Buffer.alloc(bytes, `${sequence};`);
	spool.push({ bootId: "boot", sequence: sequence++, kind, severity: "informational", payload });
};
async function readAll(): Promise<Stored[]> {
	const records: Stored[] = [];
	for (let after = 0; ; after = records.at(-1)?.position ?? 0) {
		const some = await reader.read(after, 1000, 1e6);
		if (some.length === 0) return records;
		records.push(...some);
	}
}
async function until(what: () => boolean): Promise<void> {
	for (let tries = 0; tries < 1000 && !what(); tries++) await delay(20);
}
const mount = (...options: string[]): void => {
	execFileSync("mount", ["-o", options.join(","), folder]);
};
const sequences = (records: readonly Stored[]): number[] => records.map((record) => record.sequence);

if (scene === "readonly") {
	await spool.close();
	rmSync(`${folder}/state`, { recursive: true, force: true });
	mount("remount", "ro");
	spool = open(1024 * 1024);
	reader = spool.reader("a", all);
}
const held: number[] = [];
let hold = (): void => undefined;
if (scene === "full") hold = () => writeFileSync(`${folder}/filler`, fill());
if (scene === "descriptors") {
	await spool.close();
	for (;;) {
		try {
			held.push(openSync("/dev/null", "r"));
		} catch {
			break;
		}
	}
	spool = open(1024 * 1024);
	reader = spool.reader("a", all);
}
function fill(): Buffer {
	const free = execFileSync("df", ["--output=avail", "-B1", folder], { encoding: "utf8" }).split("\n")[1];
	return Buffer.alloc(Number(free));
}

if (scene === "full") {
	for (let count = 0; count < 50; count++) push("event", 1000);
	await spool.flush();
}
hold();
for (let count = 0; count < 200; count++) push(count % 10 === 0 ? "alert" : "event", 1000);
await until(() => spool.status().problem !== "");
const away = await readAll();
say({ step: "away", problem: spool.status().problem, read: sequences(away) });
// More than memory takes: 2 MB of telemetry go, the alerts stay.
for (let count = 0; count < 2000; count++) push("event", 1000);
push("action", 1000);
const alerts = (records: readonly Stored[]) =>
	records.filter(({ kind }) => kind !== "event").map((r) => r.sequence);
say({ step: "crowded", important: alerts(await readAll()), dropped: spool.status().dropped });
if (scene === "full") rmSync(`${folder}/filler`);
if (scene === "readonly") mount("remount", "rw");
for (const fd of held) closeSync(fd);
await until(() => spool.status().problem === "");
await spool.flush();
const problem = spool.status().problem;
await spool.close();
const again = open(1024 * 1024);
reader = again.reader("a", all);
const kept = await readAll();
const order = kept.every(
	(record, index) => index === 0 || record.sequence > (kept[index - 1]?.sequence ?? 0),
);
say({ step: "back", problem, important: alerts(kept), events: kept.length, order, lost, pushed: sequence });
await again.close();
