// What container runtimes keep on disk about one container: there before its first process runs, and without asking
// anybody. Read once, when a container is first seen. What stands there is a guest's or a user's choice: sizes are
// capped, a wrong type is left out, and what cannot be read is named to `complain`.
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import type { Container, ContainerFacts } from "../model/process.ts";

export type ReadContainerFiles = (id: string, runtime: string) => ContainerFacts | undefined;

export interface ContainerFilesOptions {
	/** For tests: where the host's files are. */
	readonly root?: string;
	complain(file: string, what: string): void;
}

type Json = Readonly<Record<string, unknown>>;
type Read = (path: string, limit?: number) => unknown;

const maxBytes = 1 << 20;
/** One file names all containers of the host. */
const maxIndexBytes = 2 << 20;
const maxNamespaces = 32;
const maxLabels = 512;
const maxText = 4096;
/** As a path's part, and no other. */
const plainId = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

export function createContainerFiles(options: ContainerFilesOptions): ReadContainerFiles {
	const { root = "", complain } = options;
	const read: Read = (path, limit = maxBytes) => readJson(`${root}${path}`, limit, complain);
	return (id, runtime) => {
		if (!plainId.test(id)) return undefined;
		switch (runtime) {
			case "docker":
				return ofDocker(id, read);
			case "containerd":
				return ofContainerd(id, read, root);
			case "cri-o":
			case "podman":
				return ofStorage(id, runtime, read);
			default:
				return undefined;
		}
	};
}

function ofDocker(id: string, read: Read): ContainerFacts | undefined {
	const top = object(read(`/var/lib/docker/containers/${id}/config.v2.json`));
	if (top === undefined || top.ID !== id) return undefined;
	const config = object(top.Config);
	return facts(id, "docker", {
		name: text(top.Name)?.replace(/^\//, ""),
		image: text(config?.Image),
		imageId: text(top.Image),
		labels: labels(config?.Labels ?? {}),
		created: text(top.Created),
	});
}

/** The namespace of containerd is not in the cgroup's path: k8s.io, default, or of the user's choice. */
function ofContainerd(id: string, read: Read, root: string): ContainerFacts | undefined {
	const tasks = "/run/containerd/io.containerd.runtime.v2.task";
	for (const namespace of directories(`${root}${tasks}`).slice(0, maxNamespaces)) {
		const annotations = object(object(read(`${tasks}/${namespace}/${id}/config.json`))?.annotations);
		if (annotations === undefined) continue;
		const of = (name: string) => text(annotations[`io.kubernetes.cri.${name}`]);
		const sandbox = of("container-type") === "sandbox";
		return facts(id, "containerd", {
			name: of("container-name") ?? (sandbox ? of("sandbox-name") : text(annotations["nerdctl/name"])),
			image: of("image-name") ?? of("podsandbox.image-name") ?? (sandbox ? "" : undefined),
			labels: labels({
				...annotations,
				"io.kubernetes.pod.name": of("sandbox-name"),
				"io.kubernetes.pod.namespace": of("sandbox-namespace"),
				"io.kubernetes.pod.uid": of("sandbox-uid"),
				"io.kubernetes.container.name": of("container-name"),
			}),
		});
	}
	return undefined;
}

/** CRI-O and Podman keep theirs in one store (containers/storage). */
function ofStorage(id: string, runtime: "cri-o" | "podman", read: Read): ContainerFacts | undefined {
	const store = "/var/lib/containers/storage/overlay-containers";
	const config =
		object(read(`${store}/${id}/userdata/config.json`)) ??
		object(read(`/run/containers/storage/overlay-containers/${id}/userdata/config.json`));
	const entry =
		stored(id, read(`${store}/containers.json`, maxIndexBytes)) ??
		stored(id, read(`${store}/volatile-containers.json`, maxIndexBytes));
	if (config === undefined && entry === undefined) return undefined;
	const annotations = object(config?.annotations) ?? {};
	const metadata = object(parse(text(entry?.metadata))) ?? {};
	const names: unknown[] = Array.isArray(entry?.names) ? entry.names : [];
	return facts(id, runtime, {
		name: text(annotations["io.kubernetes.container.name"]) ?? text(metadata.name) ?? text(names[0]),
		image: text(annotations["io.kubernetes.cri-o.ImageName"]) ?? text(metadata["image-name"]),
		imageId: text(annotations["io.kubernetes.cri-o.Image"]) ?? text(metadata["image-id"]),
		// CRI-O has the labels as JSON in an annotation; Podman keeps them in a database of its own.
		labels: labels({
			...annotations,
			"io.kubernetes.cri-o.Labels": undefined,
			...object(parse(annotations["io.kubernetes.cri-o.Labels"])),
		}),
		created: text(annotations["io.kubernetes.cri-o.Created"]) ?? text(entry?.created),
	});
}

function stored(id: string, index: unknown): Json | undefined {
	if (!Array.isArray(index)) return undefined;
	return object(index.find((entry: unknown) => object(entry)?.id === id));
}

interface Told {
	name: string | undefined;
	image: string | undefined;
	imageId?: string | undefined;
	labels: Container["labels"];
	created?: string | undefined;
}

function facts(id: string, runtime: string, told: Told): ContainerFacts {
	const created = Date.parse(told.created ?? "");
	return {
		id,
		runtime,
		...(told.name === undefined ? {} : { name: told.name }),
		...(told.image === undefined ? {} : { image: told.image }),
		...(told.imageId === undefined ? {} : { imageId: told.imageId }),
		labels: told.labels,
		...(created > 0 ? { created } : {}),
	};
}

function labels(value: unknown): Container["labels"] {
	const pairs = Object.entries(object(value) ?? {}).filter(
		(pair): pair is [string, string] => text(pair[1]) !== undefined && pair[0].length <= maxText,
	);
	// fromEntries defines properties: a label "__proto__" becomes a label, not a prototype.
	return Object.fromEntries(pairs.slice(0, maxLabels));
}

function text(value: unknown): string | undefined {
	return typeof value === "string" && value.length <= maxText ? value : undefined;
}

function object(value: unknown): Json | undefined {
	return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function parse(json: unknown): unknown {
	try {
		return typeof json === "string" ? JSON.parse(json) : undefined;
	} catch {
		return undefined;
	}
}

function directories(path: string): string[] {
	try {
		return readdirSync(path).filter((name) => plainId.test(name));
	} catch {
		return [];
	}
}

/** Undefined when there is none. latin1 like all captured text: the same bytes wherever they came from. */
function readJson(path: string, limit: number, complain: ContainerFilesOptions["complain"]): unknown {
	let file: number;
	try {
		// Not blocking: a pipe in a file's place must not hold up the sensor.
		file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
	} catch (error) {
		const code = error instanceof Error && "code" in error ? String(error.code) : "";
		if (code !== "ENOENT" && code !== "ENOTDIR") complain(path, `cannot be opened (${code})`);
		return undefined;
	}
	try {
		const { size } = fstatSync(file);
		if (!fstatSync(file).isFile()) return void complain(path, "is no regular file");
		if (size > limit) return void complain(path, `is larger than ${limit} bytes`);
		const bytes = Buffer.alloc(size);
		const read = readSync(file, bytes, 0, size, 0);
		return JSON.parse(bytes.toString("latin1", 0, read));
	} catch (error) {
		complain(path, error instanceof SyntaxError ? "is not JSON" : "cannot be read");
		return undefined;
	} finally {
		closeSync(file);
	}
}
