// container.*, k8s.*: the container around the acting process, and the pod around that.
import { bool, type Field, type Fields, ofContainer, type TextField } from "./field.ts";
import { sinceEpoch } from "./fields-process.ts";

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

/** Told by the cgroup, so that it need not wait for the runtime. */
const podUid: TextField = {
	type: "text",
	get: ({ process }) => process?.cgroup?.container?.podUid || undefined,
};

export const containerFields: Fields = {
	"container.id": {
		type: "text",
		get: ({ process }) => {
			if (!process) return undefined;
			return process.cgroup?.container?.id.slice(0, 12) ?? "host";
		},
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
	"container.mounts": ofContainer((container) =>
		container.mounts
			.map(({ source, destination, writable }) => `${source}:${destination}::${writable}`)
			.join(","),
	),
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
};
