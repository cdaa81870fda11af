// The example console, in Python from generated stubs, against the stream engine.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder, until } from "../console/rig.ts";
import { rig } from "./stream-rig.ts";

const root = new URL("../../..", import.meta.url).pathname;
/** Debian's own, which has the gRPC packages; another may stand before it on the PATH. */
const python = "/usr/bin/python3";

async function pythonConsole(
	folder: string,
	listen: string,
): Promise<{ address: string; lines: string[]; kill(): void }> {
	const child = spawn(
		python,
		[join(root, "test/console-example/console.py"), listen, join(folder, "store.jsonl")],
		{
			env: { PATH: "/usr/bin:/bin", PYTHONPATH: join(folder, "stubs") },
			stdio: ["ignore", "pipe", "inherit"],
		},
	);
	const kill = (): void => void child.kill("SIGKILL");
	onTestFinished(kill);
	const lines: string[] = [];
	createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
	await until(() => lines.some((line) => line.startsWith("listening: ")));
	return { address: `127.0.0.1:${lines[0]?.split(" ")[1]}`, lines, kill };
}

test("a console of a hundred lines in another language stores, acknowledges, asks, and survives its own death", async () => {
	const folder = temporaryFolder();
	const stubs = join(folder, "stubs");
	mkdirSync(stubs);
	const protos = ["sensor", "record", "event"].map((name) => `picket/v1/${name}.proto`);
	const out = [`--python_out=${stubs}`, `--grpc_python_out=${stubs}`];
	execFileSync("protoc", [
		"--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
		"-I",
		join(root, "proto"),
		...out,
		...protos,
	]);
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
