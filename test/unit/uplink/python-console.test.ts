// The example console, in Python from generated stubs, against the stream engine.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder, until } from "../console/rig.ts";
import { makeStubs, pythonConsole } from "./python-console.ts";
import { rig } from "./stream-rig.ts";

test("a console of a hundred lines in another language stores, acknowledges, asks, and survives its own death", async () => {
	const folder = temporaryFolder();
	makeStubs(folder);
	const first = await pythonConsole(folder, "127.0.0.1:0");
	const one = rig([first.address], { times: { answer: 5000, heartbeat: 1000 } });
	for (let sequence = 50; sequence < 60; sequence++) one.push(sequence, "boot-0");
	for (let sequence = 1; sequence <= 2000; sequence++) one.push(sequence);
	await until(() => one.commands.length === 1);
	expect(one.commands[0]).toMatchObject({ requester: "example", queryProcesses: { limit: 10 } });
	one.stream.result({ commandId: one.commands[0]?.id ?? "", accepted: true, processes: [{ pid: 1 }] });
	await until(() => first.lines.includes(`result: ${one.commands[0]?.id} True`));
	first.kill();
	for (let sequence = 2001; sequence <= 3000; sequence++) one.push(sequence);
	const second = await pythonConsole(folder, first.address);
	await until(() => one.source.held === 0);
	await one.stream.farewell("REASON_STOPPED");
	await until(() => second.lines.includes("farewell: REASON_STOPPED"));
	const stored = readFileSync(join(folder, "store.jsonl"), "utf8")
		.trimEnd()
		.split("\n")
		.map((line) => JSON.parse(line) as { bootId: string; record: { sequence: string } });
	const of = (boot: string): number[] =>
		stored.filter(({ bootId }) => bootId === boot).map(({ record }) => Number(record.sequence));
	expect(of("boot-0")).toEqual(Array.from({ length: 10 }, (_, index) => 50 + index));
	expect(of("boot-1")).toEqual(Array.from({ length: 3000 }, (_, index) => index + 1));
	expect(one.quarantined).toEqual([]);
});
