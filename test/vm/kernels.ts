// Which kernels are tried, and where Debian keeps them.
import { alike, oldest, ownTables } from "./about.ts";
import type { DebianArchive, Package, Suite } from "./archive.ts";

/** Packages that hold an image. Where both are there (from 7.0 on), `binary` has it and `image` asks for it. */
export const kernelNames = /^linux-(image|binary)-\d+\.\d+\.\d.*-cloud-(amd64|arm64)$/;

export interface KernelChoice {
	/** Of Debian's release, as we call it in the table. */
	readonly name: string;
	/** Start of the version. */
	readonly series: string;
	/** Settings of PICKET_OFF with which its tests are run. */
	readonly variants: readonly string[];
	/** Test files and settings that are left out, but with `--whole`. */
	readonly leaves: readonly string[];
}

/** As the kernel is, and without the tiers that are preferred. */
const both = ["", "fentry"];

export const kernels: readonly KernelChoice[] = [
	// It has none of those.
	{ name: "bullseye", series: "5.10.", variants: [""], leaves: ownTables },
	// Without them they have the programs that the oldest and the newest are tried with.
	{ name: "bookworm", series: "6.1.", variants: [""], leaves: [...ownTables, ...alike] },
	{ name: "bookworm", series: "6.12.", variants: [""], leaves: [...ownTables, ...alike] },
	{ name: "sid", series: "7.", variants: both, leaves: ["fentry", ...ownTables, ...oldest] },
];

/** The newest of a series wins, in whichever of these it is. */
export const suites: readonly Suite[] = [
	{ archive: "security", suite: "bullseye-security", architectures: ["amd64"] },
	// Of arm64 that one names only kernels which its archive no longer has.
	{ archive: "main", suite: "bullseye", architectures: ["arm64"] },
	{ archive: "security", suite: "bookworm-security", architectures: ["amd64", "arm64"] },
	{ archive: "main", suite: "sid", architectures: ["amd64", "arm64"] },
];

/** Compares versions such as 6.1.192-2 and 6.12.117-1~deb12u1 by their numbers. */
function byVersion(a: Package, b: Package): number {
	const order = a.version.localeCompare(b.version, "en", { numeric: true });
	return order || Number(a.name.startsWith("linux-binary-")) - Number(b.name.startsWith("linux-binary-"));
}

/** Version and vmlinuz of the newest kernel of a series that can be had: an archive may name what it no longer has. */
export async function newestImage(
	archive: DebianArchive,
	architecture: "amd64" | "arm64",
	series: string,
): Promise<{ version: string; path: string }> {
	const candidates = archive
		.find(architecture, kernelNames)
		.filter((each) => each.version.startsWith(series))
		.sort(byVersion)
		.reverse();
	const problems = [`no ${architecture} kernel ${series}* in ${suites.map((each) => each.suite).join(", ")}`];
	for (const each of candidates.slice(0, 3)) {
		try {
			return { version: each.version, path: await archive.extract(each, /\/vmlinuz[^/]*$/) };
		} catch (error) {
			problems.push((error as Error).message);
		}
	}
	throw new Error(problems.slice(candidates.length > 0 ? 1 : 0).join("\n"));
}
