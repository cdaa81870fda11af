// What cgroup paths mean: which container one belongs to, by the patterns that runtimes use, and where the
// hierarchies are mounted. Pure text, no I/O.

export interface ContainerName {
	readonly runtime: string;
	readonly id: string;
}

const hex = "([0-9a-f]{64})";

// One path segment that names a container by itself, wherever it stands. The monitors beside them
// (libpod-conmon-<id>.scope, crio-conmon-<id>.scope) run on the host and do not match.
const scopes: readonly (readonly [RegExp, string])[] = [
	[new RegExp(`^docker-${hex}\\.scope$`), "docker"],
	[new RegExp(`^libpod-${hex}(?:\\.scope)?$`), "podman"],
	[new RegExp(`^cri-containerd-${hex}\\.scope$`), "containerd"],
	// What containerd makes of a systemd-style name when its own driver is cgroupfs.
	[new RegExp(`:cri-containerd:${hex}$`), "containerd"],
	[new RegExp(`^nerdctl-${hex}\\.scope$`), "containerd"],
	[new RegExp(`^crio-${hex}(?:\\.scope)?$`), "cri-o"],
];
const bareId = new RegExp(`^${hex}$`);
// containerd's own rule for ids; `ctr run` takes any such name.
const ctrId = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/;
const buildId = /^[a-z0-9]{20,64}$/;

/**
 * The outermost match wins: what a container runs below its own cgroup (systemd, an engine of its own,
 * Kubernetes in Docker) still belongs to it, and only the outer id is one the host's runtime knows.
 */
export function containerOfPath(path: string): ContainerName | undefined {
	const segments = path.split("/").filter((segment) => segment !== "" && segment !== "..");
	for (const [index, segment] of segments.entries()) {
		const found = scope(segment) ?? bare(segments, index);
		if (found !== undefined) return found;
	}
	return undefined;
}

/**
 * A 64-digit id below a parent that no runtime has by default: Docker's under a --cgroup-parent of the user's
 * choice, if Docker says so, and nothing otherwise.
 */
export function candidateOfPath(path: string): string | undefined {
	return path.split("/").find((segment) => bareId.test(segment));
}

/**
 * The uid of the Kubernetes pod that the container of this path belongs to. systemd takes a dash for a level of its
 * tree, so its driver writes underscores; a static pod's uid is a hash without either.
 */
export function podOfPath(path: string): string {
	for (const segment of path.split("/")) {
		const uid = podSegment.exec(segment)?.[1];
		if (uid !== undefined) return uid.replaceAll("_", "-");
	}
	return "";
}

const podSegment =
	/^(?:kubepods(?:-burstable|-besteffort)?-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?::|$)/;

function scope(segment: string): ContainerName | undefined {
	for (const [pattern, runtime] of scopes) {
		const id = pattern.exec(segment)?.[1];
		if (id !== undefined) return { runtime, id };
	}
	return undefined;
}

/** Ids without prefix: only the parent says whose they are. */
function bare(segments: readonly string[], index: number): ContainerName | undefined {
	const id = segments[index];
	const parent = segments[index - 1];
	if (id === undefined || parent === undefined) return undefined;
	if (bareId.test(id)) {
		if (parent === "docker") return { runtime: "docker", id };
		if (parent === "libpod_parent") return { runtime: "podman", id };
		if (parent === "k8s.io" && index === 1) return { runtime: "containerd", id };
		if (/^kubepods/.test(segments[0] ?? "") && /^pod|-pod/.test(parent)) return { runtime: "containerd", id };
	}
	// A build step: no container any runtime could describe or pause, but not the host's doing either.
	if (parent === "buildkit" && segments[index - 2] === "docker" && buildId.test(id)) {
		return { runtime: "buildkit", id };
	}
	if (parent === "default" && index === 1 && id.length <= 76 && ctrId.test(id)) {
		return { runtime: "containerd", id };
	}
	return undefined;
}

/** unified: cgroup2 only. hybrid: cgroup2 beside v1 controllers. legacy: no cgroup2 mount at all. */
export type CgroupMode = "unified" | "hybrid" | "legacy";

interface Mounts {
	readonly mount: string | undefined;
	/** Path of the mount's top within the hierarchy as our own cgroup namespace shows it, "" for its root. */
	readonly prefix: string;
	readonly mode: CgroupMode;
}

/**
 * From the text of /proc/self/mountinfo. Of several cgroup2 mounts the one that shows most: seen from inside a
 * cgroup namespace the host's own mount has a root of "/../..".
 */
export function findMounts(mountinfo: string): Mounts {
	let best: { mount: string; prefix: string; height: number } | undefined;
	let v1 = false;
	for (const line of mountinfo.split("\n")) {
		const [fields, source] = line.split(" - ", 2);
		const type = source?.split(" ", 1)[0];
		if (type === "cgroup") v1 = true;
		const [, , , root, point] = fields?.split(" ") ?? [];
		if (type !== "cgroup2" || root === undefined || point === undefined) continue;
		const ups = root.split("/").filter((segment) => segment === "..").length;
		const downs = root.split("/").filter((segment) => segment !== "" && segment !== "..").length;
		const found = { mount: decode(point), prefix: root === "/" ? "" : decode(root), height: ups - downs };
		if (best === undefined || found.height > best.height) best = found;
	}
	if (best === undefined) return { mount: undefined, prefix: "", mode: "legacy" };
	return { mount: best.mount, prefix: best.prefix, mode: v1 ? "hybrid" : "unified" };
}

/** mountinfo writes space, tab, newline and backslash as three octal digits. */
function decode(text: string): string {
	return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** A hierarchy path as a path below the mount. Both may begin with the same "/..". */
export function below(path: string, prefix: string): string {
	return prefix !== "" && path.startsWith(prefix) ? path.slice(prefix.length) : path;
}

/** Without the "/.." that a cgroup namespace puts before what lies above it, as the kernel's events give it. */
export function normal(path: string): string {
	return path.replace(/^(?:\/\.\.)+(?=\/|$)/, "") || "/";
}
