// Order, filters, places, quarantine, and what may lie in the spool's place when it starts.
import {
	chmodSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	statSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Stored } from "../../../agent/model/delivery.ts";
import { everything, Rig, readAll, sequences } from "./rig.ts";

let rig: Rig;
beforeEach(() => {
	rig = new Rig();
});
afterEach(() => rig.end());

describe("a spool", () => {
	it("gives every reader what it wants in order, and again until it is acknowledged", async () => {
		const spool = rig.open();
		const all = spool.reader("all", everything);
		const strong = spool.reader("strong", { kinds: ["alert", "action"], severity: "high" });
		await spool.flush();
		rig.push(spool, "event");
		rig.push(spool, "alert", "low");
		const high = rig.push(spool, "alert", "high");
		const action = rig.push(spool, "action");
		rig.push(spool, "incident", "critical");
		await spool.flush();
		expect(sequences(await readAll(all))).toEqual([0, 1, 2, 3, 4]);
		const records = await readAll(strong);
		expect(sequences(records)).toEqual([high, action]);
		expect(records[0]).toMatchObject({ kind: "alert", severity: "high", bootId: "boot" });
		expect(records[0]?.payload.toString()).toBe("2;".repeat(50));
		expect([all.backlog, strong.backlog]).toEqual([5, 2]);
		strong.acknowledge(records[0]?.position ?? 0);
		expect(strong.backlog).toBe(1);
		expect(sequences(await readAll(strong))).toEqual([action]);
		expect(sequences(await readAll(all))).toEqual([0, 1, 2, 3, 4]);
	});

	it("keeps places and records over restarts, and never gives a position again", async () => {
		let spool = rig.open();
		let reader = spool.reader("a", everything);
		await spool.flush();
		for (let count = 0; count < 50; count++) rig.push(spool, "event");
		await spool.flush();
		const first = await readAll(reader);
		reader.acknowledge(first[19]?.position ?? 0);
		await spool.close();
		spool = rig.open();
		reader = spool.reader("a", everything);
		const late = spool.reader("late", everything);
		await spool.flush();
		const next = rig.push(spool, "alert");
		await spool.flush();
		const again = await readAll(reader);
		expect(sequences(again)).toEqual(Array.from({ length: 31 }, (_, index) => index + 20));
		expect(again.at(-1)?.position).toBeGreaterThan(first.at(-1)?.position ?? 0);
		expect(sequences(await readAll(late)), "a new reader begins at the end").toEqual([next]);
		for (const each of [reader, late]) each.acknowledge(again.at(-1)?.position ?? 0);
		await expect.poll(() => spool.status().records, { timeout: 10_000 }).toBe("0");
	});

	it("deletes a record when the last reader that wants it has it, and forgets readers", async () => {
		const spool = rig.open();
		const one = spool.reader("one", everything);
		spool.reader("two", { kinds: ["alert"], severity: "informational" });
		await spool.flush();
		rig.push(spool, "event");
		rig.push(spool, "alert");
		await spool.flush();
		one.acknowledge((await readAll(one)).at(-1)?.position ?? 0);
		await expect.poll(() => spool.status().records, { timeout: 10_000 }).toBe("1");
		spool.retain(["one"]);
		await expect.poll(() => spool.status().records, { timeout: 10_000 }).toBe("0");
	});

	it("commits alerts at once and telemetry within 200 ms, and tells readers of both", async () => {
		const spool = rig.open();
		const reader = spool.reader("a", everything);
		await spool.flush();
		const told: Stored[][] = [];
		reader.onCommitted((records) => told.push([...records]));
		const began = performance.now();
		rig.push(spool, "event");
		await new Promise((resolve) => setTimeout(resolve, 20));
		expect(told.flat()).toEqual([]);
		await expect.poll(() => told.flat().length, { interval: 5 }).toBe(1);
		expect(performance.now() - began).toBeGreaterThan(150);
		rig.push(spool, "event");
		rig.push(spool, "alert");
		rig.push(spool, "alert");
		await expect.poll(() => told.length, { interval: 1 }).toBe(2);
		expect(sequences(told[1] ?? []), "what arrives in one turn is one commit").toEqual([1, 2, 3]);
	});

	it("sets a record aside that a destination cannot take, and says so, also after a restart", async () => {
		let spool = rig.open();
		let reader = spool.reader("a", everything);
		await spool.flush();
		for (let count = 0; count < 3; count++) rig.push(spool, "alert");
		await spool.flush();
		const [, second] = await readAll(reader);
		reader.quarantine(second?.position ?? 0, "too \u001b[31mlarge");
		expect(sequences(await readAll(reader))).toEqual([0, 2]);
		expect(rig.lost("record", "quarantine:a")).toBe(1);
		await spool.close();
		spool = rig.open();
		reader = spool.reader("a", everything);
		expect(sequences(await readAll(reader))).toEqual([0, 2]);
		expect(spool.status().quarantined).toBe("1");
	});

	it("never delivers a record whose bytes have changed, and counts it", async () => {
		let spool = rig.open();
		spool.reader("a", everything);
		await spool.flush();
		for (let count = 0; count < 3; count++) rig.push(spool, "alert");
		await spool.close();
		const db = new DatabaseSync(rig.path);
		db.exec("UPDATE alert_informational SET payload = zeroblob(100) WHERE sequence = 1");
		db.close();
		spool = rig.open();
		const reader = spool.reader("a", everything);
		expect(sequences(await readAll(reader))).toEqual([0, 2]);
		await expect.poll(() => rig.lost("alert"), { timeout: 5000 }).toBe(1);
	});
});

const places: Readonly<Record<string, [(path: string) => void]>> = {
	"a directory": [(path) => mkdirSync(path)],
	"a link": [(path) => symlinkSync("/dev/null", path)],
	"a text": [(path) => writeFileSync(path, "hello ".repeat(5000))],
	"another program's database": [
		(path) => {
			const db = new DatabaseSync(path);
			db.exec("CREATE TABLE event(a); INSERT INTO event VALUES (1)");
			db.close();
		},
	],
	"an empty file": [(path) => writeFileSync(path, "")],
};

describe("what lies in the spool's place", () => {
	it.each(Object.entries(places))("starts beside %s", async (name, [make]) => {
		make(rig.path);
		const spool = rig.open();
		const reader = spool.reader("a", everything);
		rig.push(spool, "alert");
		const began = performance.now();
		await spool.flush();
		expect(performance.now() - began).toBeLessThan(2000);
		expect(spool.status().problem).toBe("");
		expect(sequences(await readAll(reader))).toEqual([0]);
		expect(statSync(rig.path).isFile()).toBe(true);
		expect(lstatSync(`${rig.path}.damaged`, { throwIfNoEntry: false }) !== undefined).toBe(
			name !== "an empty file",
		);
		expect(readFileSync("/dev/null").length).toBe(0);
	});

	it.each([
		["a newer version's", "PRAGMA user_version = 7; CREATE TABLE novelty(a)"],
		["one without a table", "DROP TABLE event"],
		["one with another schema", "ALTER TABLE readers RENAME COLUMN mask TO masque"],
	])("reads what it can out of %s", async (_, sql) => {
		let spool = rig.open();
		spool.reader("a", everything);
		await spool.flush();
		for (let count = 0; count < 20; count++) rig.push(spool, "alert");
		await spool.close();
		const db = new DatabaseSync(rig.path);
		db.exec(sql);
		db.close();
		spool = rig.open();
		const reader = spool.reader("a", everything);
		expect(sequences(await readAll(reader))).toEqual(Array.from({ length: 20 }, (__, index) => index));
		await expect.poll(() => rig.gaps.length, { timeout: 5000 }).toBe(1);
	});

	it("takes back a file that others may read", async () => {
		let spool = rig.open();
		spool.reader("a", everything);
		rig.push(spool, "alert");
		await spool.close();
		chmodSync(rig.path, 0o666);
		spool = rig.open();
		expect(sequences(await readAll(spool.reader("a", everything)))).toEqual([0]);
		expect(statSync(rig.path).mode & 0o777).toBe(0o600);
	});

	it("mends a file that is damaged while it is in use", async () => {
		const spool = rig.open();
		const reader = spool.reader("a", everything);
		await spool.flush();
		for (let count = 0; count < 12_000; count++) {
			rig.push(spool, "alert", "low", 600);
			if (count % 2000 === 0) await spool.flush();
		}
		await spool.flush();
		const { size } = statSync(rig.path);
		truncateSync(rig.path, Math.floor(size / 2));
		const records = await readAll(reader);
		expect(records.length).toBeGreaterThan(3000);
		const sequence = sequences(records);
		expect(sequence).toEqual([...new Set(sequence)].sort((a, b) => a - b));
		await expect.poll(() => rig.gaps.length, { timeout: 5000 }).toBe(1);
		expect(spool.status().problem).toBe("");
	});
});
