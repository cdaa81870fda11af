// One virtual machine from start to power-off: an emulated processor (no KVM needed), a kernel, our file system in
// memory, two serial ports. The first is the kernel's console, the second carries the results.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";

export interface Boot {
	readonly kernel: string;
	readonly initramfs: string;
	/** A run of the tests for each: settings of PICKET_OFF. */
	readonly variants: readonly string[];
	/** Test files that are left out, without their ending. */
	readonly leaves: readonly string[];
	/** Start of the name of the only test file to run, "" for all. */
	readonly only: string;
	/** Start of the names of the files in which console and results are kept. */
	readonly log: string;
	readonly timeoutMs: number;
}

/** What came over the results port, a JSON object a line; a line that is none is left as text. */
export interface Outcome {
	readonly lines: (Record<string, unknown> | string)[];
	readonly console: string[];
	readonly seconds: number;
	/** Why the machine did not come to its end, "" when it did. */
	readonly problem: string;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
	for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

export async function boot(options: Boot): Promise<Outcome> {
	const { kernel, initramfs, variants, leaves, only, log, timeoutMs } = options;
	const parameters = [
		"console=ttyS0",
		"loglevel=5", // warnings and worse
		"panic=-1",
		"lsm=capability,bpf",
		// This machine may be busy with other things; that is no lockup of the guest.
		"rcupdate.rcu_cpu_stall_timeout=120",
		"sysctl.kernel.watchdog_thresh=60",
		...(leaves.length > 0 ? [`picket.leave=${leaves.join(",")}`] : []),
		...(variants.length > 0 ? [`picket.off=:${variants.join("|")}`] : []),
		...(only === "" ? [] : [`picket.only=${only}`]),
	];
	const machine = [
		...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536"],
		...["-nodefaults", "-display", "none", "-no-reboot"],
		...["-kernel", kernel, "-initrd", initramfs, "-append", parameters.join(" ")],
		...["-serial", `file:${log}.console`, "-serial", `file:${log}.results`],
	];
	const begun = performance.now();
	const child = spawn("qemu-system-x86_64", machine, { stdio: ["ignore", "ignore", "pipe"] });
	running.add(child);
	let said = "";
	child.stderr?.setEncoding("utf8").on("data", (part: string) => {
		said += part;
	});
	let timedOut = false;
	const watchdog = setTimeout(() => {
		timedOut = true;
		child.kill("SIGKILL");
	}, timeoutMs);
	const status = await new Promise<number | null>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code) => resolve(code));
	}).finally(() => {
		clearTimeout(watchdog);
		running.delete(child);
	});
	const seconds = (performance.now() - begun) / 1000;
	const console = readLines(`${log}.console`);
	let problem = "";
	if (timedOut) problem = `it was not done after ${timeoutMs / 1000} s`;
	else if (status !== 0) problem = `QEMU ended with ${status}: ${said.trim()}`;
	else if (!console.some((line) => line.includes("picket-vm: end")))
		problem = "it ended before its tests did";
	return { lines: readLines(`${log}.results`).map(parsed), console, seconds, problem };
}

function readLines(file: string): string[] {
	try {
		return readFileSync(file, "utf8")
			.split(/\r?\n/)
			.filter((line) => line !== "");
	} catch {
		return [];
	}
}

function parsed(line: string): Record<string, unknown> | string {
	try {
		return JSON.parse(line) as Record<string, unknown>;
	} catch {
		return line;
	}
}
