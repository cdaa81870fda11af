// container.*, k8s.*: the container around the acting process, and the pod around that.
import type { Container } from "../model/process.ts";
import { bool, containerId, type Field, type Fields, ofContainer, type TextField } from "./field.ts";
import { sinceEpoch } from "./fields-process.ts";
import { Glob } from "./glob.ts";
import { asLatin1 } from "./text.ts";

/** "registry:5000/team/nginx:1.27@sha256:…" → repository, tag, digest. */
function imageParts(image: string): { repository: string; tag: string; digest: string } {
	const [name = "", digest = ""] = image.split("@");
	const colon = name.lastIndexOf(":");
	const hasTag = colon > name.lastIndexOf("/");
	return {
		repository: hasTag ? name.slice(0, colon) : name,
		tag: hasTag ? name.slice(colon + 1) : "",
		digest,
	};
}

type Mount = Container["mounts"][number];
/** "source:destination:mode:writable:propagation"; mode and propagation are not told. */
const mountText = ({ source, destination, writable }: Mount): string =>
	`${source}:${destination}::${writable}:`;

/** By number, or the first whose `side` matches a glob. */
function mountField(
	side: (mount: Mount) => string,
	get: (mount: Mount) => string,
): (argument: string | undefined) => Field | undefined {
	return (argument) => {
		if (argument === undefined) return undefined;
		if (/^\d+$/.test(argument)) {
			return ofContainer(({ mounts }) => {
				const mount = mounts[Number(argument)];
				return mount && get(mount);
			});
		}
		const glob = new Glob(asLatin1(argument));
		return ofContainer(({ mounts }) => {
			const mount = mounts.find((each) => glob.string(side(each)));
			return mount && get(mount);
		});
	};
}
const source = (mount: Mount): string => mount.source;
const destination = (mount: Mount): string => mount.destination;

/** Kubernetes' runtimes label a container with the pod's own one. */
const sandbox = ({ labels }: Container): string | undefined => labels["io.kubernetes.sandbox.id"];

/** Told by the cgroup, so that it need not wait for the runtime. */
const podUid: TextField = {
	type: "text",
	get: ({ process }) => process?.cgroup?.container?.podUid || undefined,
};

export const containerFields: Fields = {
	"container.id": {
		type: "text",
		get: ({ process }) => process && containerId(process),
	},
	"container.full_id": { type: "text", get: ({ process }) => process?.cgroup?.container?.id },
	"container.name": ofContainer((container) => container.name),
	"container.type": ofContainer((container) => container.runtime),
	"container.image": ofContainer((container) => container.image),
	"container.image.repository": ofContainer((container) => imageParts(container.image).repository),
	"container.image.tag": ofContainer((container) => imageParts(container.image).tag),
	"container.image.digest": ofContainer((container) => imageParts(container.image).digest || undefined),
	"container.image.id": ofContainer((container) => container.imageId.replace(/^sha256:/, "").slice(0, 12)),
	"container.privileged": bool(({ process }) => process?.cgroup?.container?.privileged),
	"container.start_ts": {
		type: "number",
		get: ({ process }) => {
			const created = process?.cgroup?.container?.created;
			return created ? created * 1e6 : undefined;
		},
	},
	"container.mounts": ofContainer((container) => container.mounts.map(mountText).join(",")),
	"container.labels": ofContainer(({ labels }) =>
		Object.entries(labels)
			.map(([name, value]) => `${name}:${value}`)
			.join(","),
	),
	"k8s.pod.sandbox_id": ofContainer((container) => sandbox(container)?.slice(0, 12)),
	"k8s.pod.full_sandbox_id": ofContainer(sandbox),
	"k8s.pod.name": ofContainer((container) => container.podName || undefined),
	"k8s.ns.name": ofContainer((container) => container.podNamespace || undefined),
	"k8s.pod.uid": podUid,
	"k8s.pod.id": podUid,
	"container.duration": {
		type: "number",
		get: ({ event, process }, context) => {
			const created = process?.cgroup?.container?.created;
			const now = sinceEpoch(event.time, context);
			return created && now !== undefined ? now - created * 1e6 : undefined;
		},
	},
};

/** Fields that take an argument in brackets. */
export const containerFieldsWith: Readonly<
	Record<string, (argument: string | undefined) => Field | undefined>
> = {
	"container.label": (argument) =>
		argument === undefined ? undefined : ofContainer((container) => container.labels[argument]),
	"container.mount": mountField(source, mountText),
	"container.mount.source": mountField(destination, source),
	"container.mount.dest": mountField(source, destination),
	"container.mount.rdwr": mountField(source, ({ writable }) => String(writable)),
};
