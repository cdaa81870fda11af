// The example console as a process: Python, from stubs that are generated out of proto/.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import { until } from "../console/rig.ts";

const root = new URL("../../..", import.meta.url).pathname;
/** Debian's own, which has the gRPC packages; another may stand before it on the PATH. */
const python = "/usr/bin/python3";

/** It keeps records in store.jsonl of this folder; the stubs have to be there. */
export async function pythonConsole(
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

export function makeStubs(folder: string): void {
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
}
