// The root file system of the virtual machines: busybox, the pinned Node, the project as it is built here, the
// kernel tests and what they start.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { buildTrigger } from "../kernel/harness.ts";
import { Archive } from "./cpio.ts";

const root = new URL("../..", import.meta.url).pathname;
/** Where the project lies in the virtual machine. */
const home = "picket";
const busybox = "/bin/busybox";
// vite is only there because vitest takes its module runner along; what it bundles with stays at home.
const packages = ["vitest", "vite"];
const withoutDependencies = new Set(["vite"]);

function output(command: string, ...args: string[]): string {
	const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
	if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr}`);
	return stdout;
}

/** Shared libraries that a file needs, the loader among them. */
function libraries(file: string): string[] {
	return [...output("ldd", file).matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] as string);
}

/** A program or library at its own path without the links on the way, and everything it is linked to. */
function addLinked(archive: Archive, path: string, source: string): void {
	archive.copy(path, realpathSync(source));
	for (const library of libraries(source)) archive.copy(withoutOldFolders(library), realpathSync(library));
}

/** /bin, /sbin and /lib are links into /usr, as on every current distribution. */
function withoutOldFolders(path: string): string {
	return path.replace(/^\/(usr\/)?/, "usr/");
}

/** Names of packages and of all they depend on. */
function closure(names: readonly string[], found = new Set<string>()): Set<string> {
	for (const name of names) {
		const file = join(root, "node_modules", name, "package.json");
		if (found.has(name) || !existsSync(file)) continue;
		found.add(name);
		if (withoutDependencies.has(name)) continue;
		const { dependencies = {} } = JSON.parse(readFileSync(file, "utf8")) as Dependencies;
		closure(Object.keys(dependencies), found);
	}
	return found;
}
interface Dependencies {
	readonly dependencies?: Record<string, string>;
}

function addProject(archive: Archive): void {
	const { dependencies = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Dependencies;
	const runtime = Object.keys(dependencies).filter((name) => !name.startsWith("node-"));
	const isCode = (name: string) => /\.(js|mjs|cjs|json)$/.test(name);
	for (const name of closure([...packages, ...runtime])) {
		const folder = join("node_modules", name);
		archive.tree(join(home, folder), join(root, folder), isCode);
	}
	archive.copy(join(home, "package.json"), join(root, "package.json"));
	for (const folder of ["agent", "proto", "test"]) {
		archive.tree(join(home, folder), join(root, folder), () => true);
	}
	const built = "build/Release";
	for (const object of ["picket.bpf.o", "refuse.bpf.o"]) {
		archive.copy(join(home, built, object), join(root, built, object));
	}
	addLinked(archive, join(home, built, "picket.node"), join(root, built, "picket.node"));
}

/** What tests compile is compiled here; a `cc` that knows the results stands in for the compiler. */
function addTriggers(archive: Archive): void {
	archive.copy(join(home, "build/test/trigger"), buildTrigger());
	const folder = join(root, "test", "trigger");
	for (const name of readdirSync(folder).filter((each) => each.endsWith(".c"))) {
		const out = join(root, "build", "test", `vm-${name.slice(0, -2)}`);
		output("cc", "-O1", "-static", "-pthread", "-o", out, join(folder, name));
		archive.copy(`usr/lib/triggers/${name}`, out);
	}
	archive.copy("usr/bin/cc", join(root, "test/vm/guest/cc"));
	const verify = join(root, "build", "test", "vm-verify");
	const libraries = ["-l:libbpf.a", "-lelf", "-lz"];
	output("cc", "-O1", "-Wall", "-Werror", "-o", verify, join(root, "test/vm/guest/verify.c"), ...libraries);
	addLinked(archive, "usr/bin/verify", verify);
}

function addSystem(archive: Archive): void {
	for (const folder of ["bin", "sbin", "lib", "lib64"]) archive.link(folder, `usr/${folder}`);
	for (const folder of [
		"dev",
		"proc",
		"sys",
		"tmp",
		"root",
		"run",
		"usr/sbin",
		"usr/lib64",
		"usr/share/doc",
	]) {
		archive.directory(folder);
	}
	archive.copy("usr/bin/busybox", busybox);
	for (const applet of output(busybox, "--list").trim().split("\n"))
		archive.link(`usr/bin/${applet}`, "busybox");
	addLinked(archive, "usr/bin/node", process.execPath);
	archive.file("etc/hostname", Buffer.from("picket-vm\n"));
	archive.file("etc/hosts", Buffer.from("127.0.0.1 localhost\n::1 localhost\n"));
	archive.file("etc/passwd", Buffer.from("root:x:0:0:root:/root:/bin/sh\n"));
	archive.file("etc/group", Buffer.from("root:x:0:\n"));
	archive.copy("init", join(root, "test/vm/guest/init"));
}

/** Writes the archive to `path`. */
export function buildInitramfs(path: string): void {
	const archive = new Archive(path);
	addSystem(archive);
	addProject(archive);
	addTriggers(archive);
	archive.close();
}
