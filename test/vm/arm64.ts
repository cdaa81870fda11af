// arm64 without an arm64 machine: everything compiles for it, and every kernel type, field and constant that the
// programs ask for is where they look in the kernels' own type information.
import { execFile, spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import type { DebianArchive } from "./archive.ts";
import { newestImage } from "./kernels.ts";

const call = promisify(execFile);
const root = new URL("../..", import.meta.url).pathname;
const series = ["5.10.", "6.1.", "7."];

/** Reports one check: its name and what is wrong, nothing when it holds. */
export type Check = (name: string, problems: readonly string[]) => void;

/** What a command complains about, [] when it ends well. */
async function complaints(command: string, ...args: string[]): Promise<string[]> {
	try {
		await call(command, args, { cwd: root, maxBuffer: 1 << 26 });
		return [];
	} catch (error) {
		const failed = error as Error & { stderr?: string };
		return (failed.stderr || failed.message).trim().split("\n").slice(0, 30);
	}
}

const objects = ["picket", "refuse"];

/** As binding.gyp does for this machine's own architecture. */
function compileObject(sources: string, name: string, out: string): Promise<string[]> {
	const flags = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-D__TARGET_ARCH_arm64"];
	const warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"];
	return complaints("clang", ...flags, ...warnings, "-c", join(sources, `${name}.bpf.c`), "-o", out);
}

async function compileNative(): Promise<string[]> {
	const headers = spawnSync("node", ["packaging/node-dir.mjs"], {
		cwd: root,
		encoding: "utf8",
	}).stdout.trim();
	const { include_dir } = createRequire(import.meta.url)("node-addon-api") as { include_dir: string };
	const defines = ["NAPI_VERSION=9", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS"];
	const flags = [
		...["-fsyntax-only", "-std=c++20", "-fno-exceptions", "-Wall", "-Werror"],
		...defines.map((each) => `-D${each}`),
		...[join(headers, "include", "node"), include_dir].map((each) => `-I${each}`),
	];
	const sources = readdirSync(join(root, "native")).filter((name) => name.endsWith(".cc"));
	const results = [];
	for (const name of sources) {
		results.push(...(await complaints("aarch64-linux-gnu-g++", ...flags, join("native", name))));
	}
	return sources.length === 0 ? ["no sources"] : results;
}

/** The type information in an uncompressed kernel image: struct btf_header, then types and strings. */
function typesIn(image: Buffer): Buffer {
	const magic = Buffer.from([0x9f, 0xeb, 1, 0, 24, 0, 0, 0]);
	const at = image.indexOf(magic);
	if (at < 0) throw new Error("the kernel image holds no type information");
	const [typeOffset, typeBytes, stringOffset, stringBytes] = [8, 12, 16, 20].map((each) =>
		image.readUInt32LE(at + each),
	) as [number, number, number, number];
	const end = 24 + Math.max(typeOffset + typeBytes, stringOffset + stringBytes);
	return image.subarray(at, at + end);
}

/** What the programs ask for and the kernel's types do not have; `resolved` counts the others. */
export function missingIn(log: string): { missing: string[]; resolved: number } {
	const wanted = new Map<string, { kind: string; what: string }>();
	const asked = new Set<string>();
	const missing = new Map<string, string>();
	/** Programs that refuse themselves on such a kernel, see REQUIRE_RESULT. */
	const refused = new Set<string>();
	let resolved = 0;
	for (const line of log.split("\n")) {
		const [, key = "", kind = "", what = ""] =
			/prog '(\w+': relo #\d+): <(\w+)> \[\d+\] (.+?)(?: \(|$)/.exec(line) ?? [];
		if (key) {
			wanted.set(key, { kind, what });
			if (kind.endsWith("exists")) asked.add(what.replace(/___\w+/, ""));
			resolved++;
		}
		const [, lost = ""] = /prog '(\w+': relo #\d+): no matching targets found/.exec(line) ?? [];
		const { kind: lostKind = "", what: lostWhat = "" } = wanted.get(lost) ?? {};
		const program = lost.replace(/'.*/, "");
		if (lostKind.endsWith("exists") && lostWhat === "struct io_kiocb.cqe.res") refused.add(program);
		if (!lost || lostKind.endsWith("exists")) continue;
		missing.set(`${program} ${lostWhat || lost}`, lostWhat || lost);
		resolved--;
	}
	// What a program first asks for, it does without; a name with ___ is by libbpf's custom one form of several.
	const amiss = [...missing]
		.filter(
			([where, what]) =>
				!refused.has(where.split(" ", 1)[0] ?? "") && !asked.has(what) && !what.includes("___"),
		)
		.map(([, what]) => what);
	return { missing: [...new Set(amiss)], resolved };
}

export async function checkArm64(archive: DebianArchive, work: string, check: Check): Promise<void> {
	const builtAs = (name: string) => join(work, `arm64-${name}.bpf.o`);
	for (const name of objects) {
		const problems = await compileObject(join(root, "bpf"), name, builtAs(name));
		check(`arm64: the BPF programs of ${name} compile`, problems);
	}
	check("arm64: the addon's sources compile", await compileNative());
	const tool = join(work, "relocations");
	const source = join(root, "test/vm/relocations.c");
	check(
		"arm64: the check of relocations compiles",
		await complaints("cc", "-O1", "-o", tool, source, "-l:libbpf.a", "-lelf", "-lz"),
	);

	// The check itself, on a copy that looks for a field no kernel has.
	const broken = join(work, "broken");
	rmSync(broken, { recursive: true, force: true });
	cpSync(join(root, "bpf"), broken, { recursive: true });
	for (const name of readdirSync(broken).filter((each) => each.endsWith(".h"))) {
		const text = readFileSync(join(broken, name), "utf8");
		writeFileSync(join(broken, name), text.replaceAll("start_boottime", "start_nowhere"));
	}
	const brokenObject = join(work, "broken.bpf.o");
	check("arm64: the broken copy compiles", await compileObject(broken, "picket", brokenObject));

	for (const each of series) {
		try {
			const kernel = await newestImage(archive, "arm64", each);
			const types = join(work, `arm64-${each}btf`);
			writeFileSync(types, typesIn(readFileSync(kernel.path)));
			for (const name of objects) {
				const { missing, resolved } = missingIn(
					(await call(tool, [builtAs(name), types], { maxBuffer: 1 << 26 })).stdout,
				);
				const few = resolved < 100 ? [`only ${resolved} relocations were seen`] : [];
				check(`arm64 ${kernel.version}: ${resolved} relocations of ${name} resolve`, [
					...missing.map((what) => `missing: ${what}`),
					...few,
				]);
			}
			const found = missingIn(
				(await call(tool, [brokenObject, types], { maxBuffer: 1 << 26 })).stdout,
			).missing;
			const seen = found.length === 1 && found[0] === "struct task_struct.start_nowhere";
			check(
				`arm64 ${kernel.version}: a field that is not there is found out`,
				seen ? [] : [`found: ${found.join(", ") || "nothing"}`],
			);
		} catch (error) {
			check(`arm64 ${each}*: relocations`, [(error as Error).message]);
		}
	}
}
