// `npm test`: the static checks, then every suite after the other, so that none disturbs another's timing. The last
// line is the sum.
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { bin, failures, root, run, say, suite, sum, tellFailures } from "./suites.ts";

function version(command: string, ...args: string[]): string {
	const { stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
	return error ? "not there" : ((stdout || stderr).split("\n")[0] ?? "").trim();
}

function sources(...folders: string[]): string[] {
	const listed = spawnSync("git", ["ls-files", ...folders], { cwd: root, encoding: "utf8" });
	return listed.stdout.split("\n").filter((name) => /\.(c|h|cc)$/.test(name));
}

async function check(name: string, command: string, args: readonly string[]): Promise<void> {
	const begun = Date.now();
	const status = await run(command, args);
	if (status === 0) sum.passed++;
	else {
		sum.failed++;
		failures.push(name);
	}
	say(`${status === 0 ? "✓" : "✗"} ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
}

/** The kernel tests in virtual machines, which count by themselves; their last line is their sum. */
async function virtualMachines(): Promise<void> {
	const child = spawn(process.execPath, ["test/vm/run.ts"], {
		cwd: root,
		stdio: ["ignore", "pipe", "inherit"],
	});
	let text = "";
	child.stdout.setEncoding("utf8").on("data", (part: string) => {
		process.stdout.write(part);
		text += part;
	});
	const status = await new Promise<number>((resolve) => {
		child.on("error", () => resolve(127));
		child.on("close", (code) => resolve(code ?? 1));
	});
	const [, passed, failed, skipped] =
		/(\d+) passed, (\d+) failed, (\d+) skipped\n$/.exec(text)?.map(Number) ?? [];
	failures.push(...(text.match(/^✗ .*$/gm) ?? []).map((line) => line.slice(2)));
	sum.passed += passed ?? 0;
	sum.failed += failed ?? 0;
	sum.skipped += skipped ?? 0;
	if (status !== 0 && !failed) {
		failures.push(`the virtual machines gave no results, and ended with ${status}`);
		sum.failed++;
	}
}

if (process.getuid?.() !== 0) {
	say("the tests load programs into the kernel and make network namespaces: run `npm test` as root");
	say("0 passed, 1 failed, 0 skipped");
	process.exit(1);
}
say(`kernel    ${version("uname", "-srm")}`);
say(`node      ${process.version}`);
say(`clang     ${version("clang", "--version")}`);
say(`g++       ${version("g++", "--version")}`);
say(`iptables  ${version("iptables", "--version")}, ${version("ipset", "--version")}`);
say(`docker    ${version("dockerd", "--version")}`);
say(`qemu      ${version("qemu-system-x86_64", "--version")}`);

await check("Biome: format, lint, import borders", join(bin, "biome"), ["check", "--error-on-warnings", "."]);
await check("TypeScript", join(bin, "tsc"), ["--noEmit"]);
await check("buf lint", join(bin, "buf"), ["lint", "proto"]);
await check("clang-format", "clang-format", [
	"--dry-run",
	"--Werror",
	...sources("bpf", "native", "test/trigger", "test/vm", "test/bench", "test/fuzz"),
]);
for (const name of ["unit", "kernel", "network", "sensor", "container", "fuzz"]) await suite(name);
await virtualMachines();

tellFailures();
say(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
// Not process.exit: what is still on its way into a pipe would be lost.
process.exitCode = sum.failed === 0 ? 0 : 1;
