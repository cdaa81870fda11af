// The spool's bounds: in the file, in memory, and what goes first.
import { copyFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { everything, Rig, readAll, sequences } from "./rig.ts";

const soak = process.env.PICKET_SOAK === "1";
const many = soak ? 1_000_000 : 20_000;
const mib = 1024 * 1024;

let rig: Rig;
beforeEach(() => {
	rig = new Rig();
});
afterEach(() => rig.end());

function fileBytes(): number {
	return ["", "-wal"].reduce(
		(sum, suffix) => sum + (statSync(rig.path + suffix, { throwIfNoEntry: false })?.size ?? 0),
		0,
	);
}

describe("a full spool", () => {
	it("lets the oldest telemetry go first, then weak alerts, keeps its size and tells all of it", async () => {
		const spool = rig.open({ maxBytes: 4 * mib });
		const reader = spool.reader("a", everything);
		await spool.flush();
		const weak = Array.from({ length: 50 }, () => rig.push(spool, "alert", "informational", 1000));
		const acts = Array.from({ length: 50 }, () => rig.push(spool, "action", "informational", 1000));
		let largest = 0;
		for (let group = 0; group < 60; group++) {
			for (let count = 0; count < 100; count++) rig.push(spool, "event", "informational", 1000);
			await spool.flush();
			largest = Math.max(largest, fileBytes());
		}
		const records = await readAll(reader);
		const events = records.filter(({ kind }) => kind === "event");
		expect(sequences(records).slice(0, 100)).toEqual([...weak, ...acts]);
		expect(sequences(events)).toEqual(
			Array.from({ length: events.length }, (_, index) => 6100 - events.length + index),
		);
		expect(Number(spool.status().dropped?.event)).toBe(6000 - events.length);
		// Strong alerts take the place of all telemetry, then of the weak ones; what tells of acts stays.
		for (let group = 0; group < 50; group++) {
			for (let count = 0; count < 100; count++) rig.push(spool, "alert", "high", 1000);
			await spool.flush();
			largest = Math.max(largest, fileBytes());
		}
		rig.push(spool, "event", "informational", 1000);
		await spool.flush();
		const left = await readAll(reader);
		expect(left.filter(({ kind }) => kind === "event")).toEqual([]);
		expect(left.filter(({ severity, kind }) => kind === "alert" && severity === "informational")).toEqual([]);
		expect(sequences(left.filter(({ kind }) => kind === "action"))).toEqual(acts);
		const alerts = sequences(left.filter(({ severity }) => severity === "high"));
		expect(alerts.at(-1)).toBe(11_099);
		expect(alerts.length).toBeGreaterThan(2000);
		expect(largest).toBeLessThanOrEqual(4 * mib);
		const dropped = { ...spool.status().dropped };
		expect(dropped).toEqual({ event: "6001", alert: String(5050 - alerts.length) });
		await spool.close();
		expect([rig.lost("event"), rig.lost("alert")]).toEqual([6001, 5050 - alerts.length]);
		for (const { from = "", to = "" } of rig.gaps) expect(from <= to).toBe(true);
	});

	it("keeps a tenth free of telemetry", async () => {
		const spool = rig.open({ maxBytes: 4 * mib });
		const reader = spool.reader("a", everything);
		await spool.flush();
		for (let group = 0; group < 50; group++) {
			for (let count = 0; count < 100; count++) rig.push(spool, "event", "informational", 1000);
			await spool.flush();
		}
		const before = spool.status().dropped?.event;
		for (let count = 0; count < 200; count++) rig.push(spool, "alert", "low", 1000);
		await spool.flush();
		expect(spool.status().dropped).toEqual({ event: before });
		expect((await readAll(reader)).filter(({ kind }) => kind === "alert")).toHaveLength(200);
	});

	it("tells in the next run what it could not tell in the last", async () => {
		const spool = rig.open({ maxBytes: 4 * mib });
		spool.reader("a", everything);
		await spool.flush();
		for (let group = 0; group < 45; group++) {
			for (let count = 0; count < 100; count++) rig.push(spool, "event", "informational", 1000);
			await spool.flush();
		}
		const went = Number(spool.status().dropped?.event);
		expect(went).toBeGreaterThan(100);
		// As the files lie there now they would lie there after a kill.
		const told = rig.lost("event");
		const path = join(rig.folder, "again.db");
		for (const suffix of ["", "-wal"]) copyFileSync(rig.path + suffix, path + suffix);
		await spool.close();
		rig.gaps.length = 0;
		const again = rig.open({ maxBytes: 4 * mib, path });
		await again.flush();
		await again.close();
		expect(rig.lost("event") + told).toBeGreaterThanOrEqual(went);
		expect(rig.lost("event")).toBeLessThanOrEqual(went);
	});

	it("bounds what waits in memory, and lets telemetry go first there, too", async () => {
		const spool = rig.open({ memoryRecords: 1000, memoryBytes: mib });
		const reader = spool.reader("a", everything);
		// Nothing can be committed within this turn.
		for (let count = 0; count < 500; count++) rig.push(spool, "alert");
		for (let count = 0; count < 5000; count++) rig.push(spool, "event");
		await spool.flush();
		const records = await readAll(reader);
		expect(records).toHaveLength(1000);
		expect(sequences(records).slice(0, 500)).toEqual(Array.from({ length: 500 }, (_, index) => index));
		expect(spool.status().dropped).toEqual({ event: "4500" });
	});
});

describe("many records", () => {
	it(
		`writes ${many} and reads them back in order`,
		async () => {
			const spool = rig.open({ maxBytes: 1024 * mib });
			const reader = spool.reader("a", everything);
			await spool.flush();
			for (let count = 0; count < many; count++) {
				rig.push(spool, count % 100 === 0 ? "alert" : "event", "informational", 200);
				if (count % 5000 === 4999) await spool.flush();
			}
			await spool.flush();
			let next = 0;
			for (let after = 0; ; reader.acknowledge(after)) {
				const records = await reader.read(after, 1000, mib);
				if (records.length === 0) break;
				for (const { sequence } of records)
					if (sequence !== next++) throw new Error(`${sequence} before ${next}`);
				after = records.at(-1)?.position ?? 0;
			}
			expect(next).toBe(many);
			expect(reader.backlog).toBe(0);
			expect(spool.status().dropped).toEqual({});
		},
		soak ? 1_800_000 : 60_000,
	);
});
