// Debian packages from the archive that this machine itself uses: apt fetches and verifies (signature of the
// release, hash of index and package), with its own proxies and mirrors; we only name other suites of it.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Fails with what the command itself says. */
async function call(command: string, args: readonly string[]): Promise<string> {
	try {
		return (await run(command, args, { maxBuffer: 1 << 26 })).stdout;
	} catch (error) {
		const { stderr, message } = error as Error & { stderr?: string };
		throw new Error(`${basename(command)}: ${stderr?.trim() || message}`);
	}
}

const helper = "/usr/lib/apt/apt-helper";
/** An index younger than this is not asked for again. */
const freshMs = 12 * 3600 * 1000;

export type Component = "main" | "security";

export interface Suite {
	readonly archive: Component;
	readonly suite: string;
	readonly architectures: readonly ("amd64" | "arm64")[];
}

export interface Package {
	readonly name: string;
	readonly version: string;
	readonly architecture: string;
	readonly address: string;
	readonly sha256: string;
}

/** Addresses and options of the Debian archives in apt's own sources, both formats. */
function ownSources(): Map<Component, { address: string; options: string }> {
	const found = new Map<Component, { address: string; options: string }>();
	const add = (address: string, suites: string, signedBy: string | undefined) => {
		if (!/^https?:/.test(address)) return;
		for (const suite of suites.split(/\s+/)) {
			const known =
				/^(?:bullseye|bookworm|trixie|forky|sid|stable|testing|unstable|oldstable)(-security)?$/.exec(suite);
			if (!known) continue;
			const component = known[1] ? "security" : "main";
			const options = signedBy?.startsWith("/") ? `signed-by=${signedBy}` : "";
			if (!found.has(component)) found.set(component, { address, options });
		}
	};
	for (const file of sourceFiles()) {
		const text = readFileSync(file, "utf8").replace(/^\s*#.*\n?/gm, "");
		if (file.endsWith(".list")) {
			for (const line of text.split("\n")) {
				const [, options = "", address, suite] = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line) ?? [];
				if (address && suite) add(address, suite, /signed-by=(\S+)/.exec(options)?.[1]);
			}
			continue;
		}
		for (const stanza of text.split(/\n\s*\n/)) {
			const value = (key: string) => new RegExp(`^${key}:\\s*(.+)$`, "mi").exec(stanza)?.[1]?.trim();
			if (/^enabled:\s*no/im.test(stanza) || !value("Types")?.split(/\s+/).includes("deb")) continue;
			for (const address of (value("URIs") ?? "").split(/\s+/)) {
				add(address, value("Suites") ?? "", value("Signed-By"));
			}
		}
	}
	return found;
}

function sourceFiles(): string[] {
	const folder = "/etc/apt/sources.list.d";
	const parts = readdirSync(folder, { withFileTypes: false }).map((name) => join(folder, String(name)));
	return ["/etc/apt/sources.list", ...parts].filter(
		(file) => /\.(list|sources)$/.test(file) && statSync(file, { throwIfNoEntry: false })?.isFile(),
	);
}

/** Packages of some suites, and files out of them, kept in one folder. */
export class DebianArchive {
	readonly #folder: string;
	readonly #options: string[];
	readonly #used = new Set<string>();
	#packages: Package[] = [];

	constructor(folder: string) {
		this.#folder = folder;
		const settings = {
			"Dir::Etc::sourcelist": join(folder, "sources.list"),
			"Dir::Etc::sourceparts": "-",
			"Dir::State::lists": join(folder, "lists"),
			"Dir::Cache": join(folder, "apt"),
			"APT::Sandbox::User": "root",
			"APT::Architectures": "amd64,arm64",
			"Acquire::Languages": "none",
			"Acquire::PDiffs": "false",
			"Acquire::GzipIndexes": "false",
			"Acquire::Retries": "3",
			// The last release of a suite that has ended stays good for what it is.
			"Acquire::Check-Valid-Until": "false",
		};
		this.#options = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
	}

	/** Reads which packages these suites hold whose names match; returns why that may be out of date, or "". */
	async update(suites: readonly Suite[], names: RegExp): Promise<string> {
		mkdirSync(this.#folder, { recursive: true });
		const wanted = sourceLines(suites);
		const file = join(this.#folder, "packages.json");
		const known = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Known) : undefined;
		const usable = known?.wanted === wanted ? known : undefined;
		if (usable && Date.now() - usable.time < freshMs) {
			this.#packages = usable.packages;
			return "";
		}
		try {
			this.#packages = await this.#fetch(wanted, names);
		} catch (error) {
			if (!usable) throw error;
			this.#packages = usable.packages;
			return (error as Error).message;
		}
		writeFileSync(
			file,
			JSON.stringify({ wanted, time: Date.now(), packages: this.#packages } satisfies Known),
		);
		return "";
	}

	async #fetch(sources: string, names: RegExp): Promise<Package[]> {
		const lists = join(this.#folder, "lists");
		mkdirSync(join(lists, "partial"), { recursive: true });
		writeFileSync(join(this.#folder, "sources.list"), sources);
		await call("apt-get", [...this.#options, "--error-on=any", "update"]);
		const format = "$(ARCHITECTURE) $(FILENAME) $(REPO_URI)";
		const targets = ["indextargets", "--format", format, "Created-By: Packages"];
		const targetLines = await call("apt-get", [...this.#options, ...targets]);
		const packages = targetLines
			.trim()
			.split("\n")
			.flatMap((line) => {
				const [architecture = "", index = "", address = ""] = line.split(" ");
				return architecture === "all" ? [] : kernelPackages(readFileSync(index, "latin1"), address, names);
			});
		for (const name of ["lists", "apt"]) rmSync(join(this.#folder, name), { recursive: true, force: true });
		return packages;
	}

	find(architecture: Package["architecture"], name: RegExp): Package[] {
		return this.#packages.filter((each) => each.architecture === architecture && name.test(each.name));
	}

	/** Path of the one file out of a package that `wanted` takes; the package is fetched when it is not there. */
	async extract(from: Package, wanted: RegExp): Promise<string> {
		this.#used.add(from.sha256);
		const folder = join(this.#folder, from.sha256);
		const done = join(folder, "done");
		if (!existsSync(done)) {
			await this.#unpack(from, wanted, folder);
		}
		const [hash, name = ""] = readFileSync(done, "utf8").split(" ");
		const file = join(folder, name);
		if (sha256(file) === hash) return file;
		// Damaged since: once more from the start.
		rmSync(folder, { recursive: true });
		return this.extract(from, wanted);
	}

	async #unpack(from: Package, wanted: RegExp, folder: string): Promise<void> {
		const partial = `${folder}.${process.pid}`;
		mkdirSync(partial, { recursive: true });
		try {
			const deb = join(partial, "package.deb");
			await call(helper, [...this.#options, "download-file", from.address, deb, `SHA256:${from.sha256}`]);
			const paths = (await call("dpkg-deb", ["-c", deb]))
				.split("\n")
				.flatMap((line) => /(\.\/\S+)$/.exec(line)?.[1] ?? []);
			const path = paths.find((each) => wanted.test(each));
			if (!path) throw new Error(`${from.name} ${from.version} holds no file like ${wanted}`);
			const file = join(partial, basename(path));
			await call("sh", ["-c", `dpkg-deb --fsys-tarfile "$1" | tar -xO "$2" >"$3"`, "sh", deb, path, file]);
			rmSync(deb);
			writeFileSync(join(partial, "done"), `${sha256(file)} ${basename(path)}`);
			rmSync(folder, { recursive: true, force: true });
			renameSync(partial, folder);
		} finally {
			rmSync(partial, { recursive: true, force: true });
		}
	}

	/** Forgets the files of packages that were not asked for: those that newer ones have replaced. */
	prune(): void {
		for (const name of readdirSync(this.#folder).filter((each) => /^[0-9a-f]{64}/.test(each))) {
			if (!this.#used.has(name)) rmSync(join(this.#folder, name), { recursive: true });
		}
	}
}

interface Known {
	readonly wanted: string;
	readonly time: number;
	readonly packages: Package[];
}

function sourceLines(suites: readonly Suite[]): string {
	const own = ownSources();
	return suites
		.map(({ archive, suite, architectures }) => {
			const source = own.get(archive);
			if (!source) throw new Error(`apt's sources on this machine name no Debian archive (${archive})`);
			return `deb [arch=${architectures.join(",")} ${source.options}] ${source.address} ${suite} main\n`;
		})
		.join("");
}

/** A whole index is some 50 MB: only the stanzas of kernels are taken apart. */
function kernelPackages(index: string, address: string, names: RegExp): Package[] {
	const found: Package[] = [];
	for (const [stanza] of index.matchAll(/^Package: linux-[\s\S]*?\n\n/gm)) {
		const value = (key: string) => new RegExp(`^${key}: (.+)$`, "m").exec(stanza)?.[1] ?? "";
		if (!names.test(value("Package"))) continue;
		found.push({
			name: value("Package"),
			version: value("Version"),
			architecture: value("Architecture"),
			address: `${address.replace(/\/?$/, "/")}${value("Filename")}`,
			sha256: value("SHA256"),
		});
	}
	return found;
}

function sha256(file: string): string {
	return createHash("sha256").update(readFileSync(file)).digest("hex");
}
