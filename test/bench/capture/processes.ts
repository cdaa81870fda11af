// The processes and files of a benchmark run: whatever it starts or makes is registered here and is gone afterwards,
// however the run ends.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, homedir, tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("../../..", import.meta.url).pathname;
const source = (name: string): string => join(root, "test/bench", name);

const closers = new Set<() => void>();

/** Returns what to call when it was closed already. */
export function atEnd(close: () => void): () => void {
	closers.add(close);
	return () => closers.delete(close);
}

export function closeAll(): void {
	for (const close of [...closers].reverse()) close();
	closers.clear();
}

/** A folder of our own; in memory where that is possible, so that no disk is measured. */
export function temporaryFolder(base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()): string {
	mkdirSync(base, { recursive: true });
	const folder = mkdtempSync(join(base, "picket-bench-"));
	atEnd(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

/** A child that is killed at the end if it still runs. Never more than that one process. */
export function start(
	command: readonly string[],
	options: { readonly cwd?: string; readonly stdio: ("pipe" | "ignore" | "inherit" | number)[] },
): ChildProcess & { readonly ended: Promise<number | null> } {
	const [file = "", ...args] = command;
	const child = spawn(file, args, options);
	const forget = atEnd(() => child.kill("SIGKILL"));
	const ended = new Promise<number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", resolve);
	}).finally(forget);
	return Object.assign(child, { ended });
}

/** Its standard output; throws when it fails. */
export async function output(command: readonly string[], cwd?: string): Promise<string> {
	const child = start(command, {
		stdio: ["ignore", "pipe", "inherit"],
		...(cwd === undefined ? {} : { cwd }),
	});
	let text = "";
	child.stdout?.setEncoding("utf8").on("data", (part: string) => {
		text += part;
	});
	const status = await child.ended;
	if (status !== 0) throw new Error(`${command.join(" ")} ended with ${status}`);
	return text;
}

export interface Programs {
	readonly load: string;
	/** What `load exec` executes. */
	readonly nothing: string;
	readonly floor: string;
	readonly floorObject: string;
}

/** Compiles what the benchmark runs. */
export function buildPrograms(): Programs {
	const out = join(root, "build/test");
	mkdirSync(out, { recursive: true });
	const warnings = ["-O2", "-Wall", "-Wextra", "-Werror"];
	const architecture = process.arch === "arm64" ? "arm64" : "x86";
	const build = (command: string, ...args: string[]): void => {
		const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
		if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
	};
	const [load, floor, floorObject] = [join(out, "load"), join(out, "floor"), join(out, "floor.bpf.o")];
	build("cc", ...warnings, "-static", "-o", load, source("load.c"));
	const tracepoint = join(root, "native/tracepoint.cc");
	const libraries = ["-l:libbpf.a", "-lelf", "-lz"];
	build("c++", "-std=c++20", ...warnings, "-o", floor, source("floor.cc"), tracepoint, ...libraries);
	const target = ["-target", "bpf", "-mcpu=v3", "-g", `-D__TARGET_ARCH_${architecture}`];
	const unused = "-Wno-unused-parameter";
	build("clang", ...target, ...warnings, unused, "-c", source("floor.bpf.c"), "-o", floorObject);
	// What runs out of /tmp or /dev/shm, where this checkout may lie, is an alert each time.
	const nothing = join(temporaryFolder(join(homedir(), ".cache")), "nothing");
	build("cc", ...warnings, "-static", "-nostdlib", "-o", nothing, source("nothing.c"));
	return { load, nothing, floor, floorObject };
}

/** The last core and the one before it; the same one where there is only one. */
export const cores = [
	Math.max(0, availableParallelism() - 1),
	Math.max(0, availableParallelism() - 2),
] as const;

export interface Loaded {
	readonly operations: number;
	readonly ns: number;
	/** ns of CPU time, its own and that of what it started. */
	readonly cpu: number;
}

/** Runs the load to its end. `prefix` is a command that runs it. */
export async function runLoad(
	load: string,
	args: readonly string[],
	prefix: readonly string[] = [],
): Promise<Loaded> {
	return JSON.parse(await output([...prefix, load, ...args])) as Loaded;
}
