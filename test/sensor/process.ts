// A real sensor process, started as a user would start it, reporting JSON lines that a test can wait for.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type * as wire from "../../agent/model/picket.v1.ts";

/** Longer than anything takes on a machine that is busy with something else. */
const patience = 60_000;

export const cli = new URL("../../agent/main.mjs", import.meta.url).pathname;

export interface Started {
	readonly args?: readonly string[];
	/** Text of picket.yaml besides paths. */
	readonly config?: string;
	readonly policy?: string;
	/** Command to run it with, such as ["nsenter", "--net=…"]. */
	readonly prefix?: readonly string[];
	/** Of another copy of the program. */
	readonly cli?: string;
	/** "run" unless said otherwise. */
	readonly command?: string;
}

export class SensorProcess {
	readonly records: wire.OutputRecord[] = [];
	readonly folder = mkdtempSync(join(tmpdir(), "picket-sensor-"));
	readonly child: ChildProcess;
	readonly ended: Promise<number | null>;
	messages = "";

	constructor(options: Started = {}) {
		const config = join(this.folder, "picket.yaml");
		const policy = join(this.folder, "policy.yaml");
		// Its own "bpf" is in no BPF file system: nothing is pinned, so what the kernel refuses ends with the sensor.
		const places = ["run", "state", "bpf"].map((name) => `${name}: ${this.folder}/${name}`);
		const paths = `paths: {${places.join(", ")}}\n`;
		writeFileSync(config, `${paths}policy: ${policy}\n${options.config ?? ""}`);
		writeFileSync(policy, options.policy ?? "scopes: []\n");
		const command = [
			...(options.prefix ?? []),
			process.execPath,
			options.cli ?? cli,
			options.command ?? "run",
			...["--config", config, "--output", "json", ...(options.args ?? [])],
		];
		const [file = "", ...args] = command;
		this.child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"] });
		this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
			this.messages += text;
		});
		if (this.child.stdout) {
			createInterface({ input: this.child.stdout }).on("line", (line) => {
				this.records.push(JSON.parse(line) as wire.OutputRecord);
			});
		}
		this.ended = new Promise((resolve) => this.child.on("close", (code) => resolve(code)));
	}

	get socket(): string {
		return join(this.folder, "run", "picket.sock");
	}

	/** Until it says that it watches; fails with its messages when it ends before. */
	async ready(): Promise<void> {
		await this.until("start", () => this.messages.includes("watching;"));
	}

	async until(what: string, condition: () => boolean, ms = patience): Promise<void> {
		const end = Date.now() + ms;
		while (!condition()) {
			if (Date.now() > end || this.child.exitCode !== null) {
				const last = this.records.slice(-8).map((record) => JSON.stringify(record).slice(0, 600));
				throw new Error(`waited in vain for ${what}\n${this.messages}\n${last.join("\n")}`);
			}
			await new Promise((resolve) => setTimeout(resolve, 5));
		}
	}

	/** The first record that satisfies `wanted`. */
	async record(
		what: string,
		wanted: (record: wire.OutputRecord) => boolean,
		ms?: number,
	): Promise<wire.OutputRecord> {
		await this.until(what, () => this.records.some(wanted), ms);
		return this.records.find(wanted) as wire.OutputRecord;
	}

	/** Ctrl-C, and its exit status. */
	async interrupt(): Promise<number | null> {
		this.child.kill("SIGINT");
		return this.ended;
	}

	/** Ends it whatever state it is in, with what it has in force, and removes its folder. */
	async dispose(): Promise<void> {
		if (this.child.exitCode === null && this.child.signalCode === null) {
			this.child.kill("SIGINT");
			const late = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
			await this.ended;
			clearTimeout(late);
		}
		rmSync(this.folder, { recursive: true, force: true });
	}
}

/** Runs a CLI command to its end. */
export function picket(...args: string[]): Promise<{ status: number | null; out: string; err: string }> {
	return picketWith([], ...args);
}
export function picketWith(
	prefix: readonly string[],
	...args: string[]
): Promise<{ status: number | null; out: string; err: string }> {
	const [file = "", ...rest] = [...prefix, process.execPath, cli, ...args];
	const child = spawn(file, rest, { stdio: ["pipe", "pipe", "pipe"] });
	child.stdin?.end();
	let out = "";
	let err = "";
	child.stdout?.setEncoding("utf8").on("data", (text: string) => {
		out += text;
	});
	child.stderr?.setEncoding("utf8").on("data", (text: string) => {
		err += text;
	});
	return new Promise((resolve) => child.on("close", (status) => resolve({ status, out, err })));
}
