// What runtimes leave on disk, in the shapes they leave it, and what somebody else may leave there.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createContainerFiles, type ReadContainerFiles } from "../../../agent/enrich/container-files.ts";
import { createContainers } from "../../../agent/enrich/containers.ts";

const id = "a1".repeat(32);
const other = "b2".repeat(32);
const tasks = "/run/containerd/io.containerd.runtime.v2.task";
const store = "/var/lib/containers/storage/overlay-containers";
const podLabels = {
	"io.kubernetes.pod.name": "web-7d9",
	"io.kubernetes.pod.namespace": "shop",
	"io.kubernetes.pod.uid": "8a2c7e1e-7b1f-4a0e-9a58-0f6d8f6a2a11",
	"io.kubernetes.container.name": "nginx",
};

let root: string;
let read: ReadContainerFiles;
let complaints: string[];

beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "picket-files-"));
	complaints = [];
	read = createContainerFiles({
		root,
		complain: (file, what) => complaints.push(`${file.slice(root.length)} ${what}`),
	});
});
afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, content: unknown): void {
	mkdirSync(dirname(root + path), { recursive: true });
	writeFileSync(root + path, typeof content === "string" ? content : JSON.stringify(content));
}

describe("the files of", () => {
	it("Docker tell name, image, labels and when it was made", () => {
		put(`/var/lib/docker/containers/${id}/config.v2.json`, {
			ID: id,
			Name: "/shop-web-1",
			Created: "2026-01-02T03:04:05.678901234Z",
			Image: "sha256:aa",
			Config: { Image: "nginx:1.27", Labels: { "com.docker.compose.project": "shop" }, Env: ["A=b"] },
			State: { Running: true },
		});
		expect(read(id, "docker")).toEqual({
			id,
			runtime: "docker",
			name: "shop-web-1",
			image: "nginx:1.27",
			imageId: "sha256:aa",
			labels: { "com.docker.compose.project": "shop" },
			created: Date.parse("2026-01-02T03:04:05.678Z"),
		});
		expect(read(other, "docker")).toBeUndefined();
		expect(complaints).toEqual([]);
	});

	it("containerd tell a Kubernetes container's name, image and pod", () => {
		put(`${tasks}/moby/${other}/config.json`, { ociVersion: "1.2.0" });
		put(`${tasks}/k8s.io/${id}/config.json`, {
			ociVersion: "1.2.0",
			process: { args: ["nginx"] },
			annotations: {
				"io.kubernetes.cri.container-type": "container",
				"io.kubernetes.cri.container-name": "nginx",
				"io.kubernetes.cri.image-name": "docker.io/library/nginx:1.27",
				"io.kubernetes.cri.sandbox-id": other,
				"io.kubernetes.cri.sandbox-name": "web-7d9",
				"io.kubernetes.cri.sandbox-namespace": "shop",
				"io.kubernetes.cri.sandbox-uid": podLabels["io.kubernetes.pod.uid"],
			},
		});
		const found = read(id, "containerd");
		expect(found).toMatchObject({ name: "nginx", image: "docker.io/library/nginx:1.27" });
		expect(found?.labels).toMatchObject(podLabels);
		expect(read(other, "containerd")).toBeUndefined();
	});

	it("containerd tell a pod's sandbox and nerdctl's name", () => {
		put(`${tasks}/k8s.io/${id}/config.json`, {
			annotations: {
				"io.kubernetes.cri.container-type": "sandbox",
				"io.kubernetes.cri.sandbox-name": "web-7d9",
				"io.kubernetes.cri.podsandbox.image-name": "registry.example/pause:3.10",
			},
		});
		put(`${tasks}/default/${other}/config.json`, { annotations: { "nerdctl/name": "redis" } });
		expect(read(id, "containerd")).toMatchObject({ name: "web-7d9", image: "registry.example/pause:3.10" });
		expect(read(other, "containerd")).toMatchObject({ name: "redis" });
	});

	it("CRI-O tell name, image and labels, which it keeps as JSON in an annotation", () => {
		put(`${store}/${id}/userdata/config.json`, {
			annotations: {
				"io.kubernetes.cri-o.ImageName": "quay.example/nginx:1.27",
				"io.kubernetes.cri-o.Created": "2026-01-02T03:04:05.678901234Z",
				"io.kubernetes.cri-o.Labels": JSON.stringify(podLabels),
				"io.kubernetes.container.name": "nginx",
			},
		});
		const found = read(id, "cri-o");
		expect(found).toMatchObject({ runtime: "cri-o", name: "nginx", image: "quay.example/nginx:1.27" });
		expect(found?.labels).toMatchObject(podLabels);
		expect(found?.labels).not.toHaveProperty("io.kubernetes.cri-o.Labels");
		expect(found?.created).toBe(Date.parse("2026-01-02T03:04:05.678Z"));
	});

	it("Podman tell name and image in its store's index, also of a container kept in memory only", () => {
		const entry = (of: string, name: string) => ({
			id: of,
			names: [name],
			image: "ffee",
			created: "2026-01-02T03:04:05.678901234Z",
			metadata: JSON.stringify({ "image-name": "docker.io/library/redis:8", "image-id": "ffee", name }),
		});
		put(`${store}/containers.json`, [entry(id, "cache")]);
		put(`${store}/volatile-containers.json`, [entry(other, "blink")]);
		expect(read(id, "podman")).toMatchObject({
			runtime: "podman",
			name: "cache",
			image: "docker.io/library/redis:8",
			imageId: "ffee",
			labels: {},
		});
		expect(read(other, "podman")).toMatchObject({ name: "blink" });
	});
});

describe("what somebody else put there:", () => {
	const docker = `/var/lib/docker/containers/${id}/config.v2.json`;

	it("broken JSON and another container's file tell nothing, the first is named", () => {
		put(docker, "{ ");
		expect(read(id, "docker")).toBeUndefined();
		expect(complaints).toEqual([`${docker} is not JSON`]);
		put(docker, { ID: other, Name: "/x" });
		expect(read(id, "docker")).toBeUndefined();
	});

	it("a file too large, a pipe and a symbolic link are not read and do not hold anything up", () => {
		put(docker, " ".repeat((1 << 20) + 1));
		expect(read(id, "docker")).toBeUndefined();
		rmSync(root + docker);
		execFileSync("mkfifo", [root + docker]);
		expect(read(id, "docker")).toBeUndefined();
		rmSync(root + docker);
		symlinkSync("/etc/passwd", root + docker);
		expect(read(id, "docker")).toBeUndefined();
		expect(complaints.map((line) => line.slice(docker.length + 1))).toEqual([
			"is larger than 1048576 bytes",
			"is no regular file",
			"cannot be opened (ELOOP)",
		]);
	});

	it("values of another type, long ones and too many labels are left out", () => {
		const many = Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`l${index}`, "x"]));
		put(docker, {
			ID: id,
			Name: 7,
			Created: {},
			Config: {
				Image: "x".repeat(5000),
				Labels: { bad: {}, long: "y".repeat(5000), ["__proto__"]: "p", ...many },
			},
		});
		const found = read(id, "docker");
		expect(Object.keys(found ?? {})).toEqual(["id", "runtime", "labels"]);
		expect(Object.keys(found?.labels ?? {}).length).toBe(512);
		for (const value of [null, [], "text", 5, { ID: id, Config: [] }, { annotations: [1] }]) {
			put(docker, value);
			put(`${tasks}/k8s.io/${id}/config.json`, value);
			put(`${store}/${id}/userdata/config.json`, value);
			put(`${store}/containers.json`, value);
			for (const runtime of ["docker", "containerd", "cri-o", "podman"]) {
				expect(() => read(id, runtime)).not.toThrow();
			}
		}
	});

	it("an id that would leave the folder is not looked for", () => {
		put("/var/lib/docker/config.v2.json", { ID: "../..", Name: "/x" });
		expect(read("..", "docker")).toBeUndefined();
		expect(read("../../x", "containerd")).toBeUndefined();
	});
});

describe("a container of Kubernetes", () => {
	it("has its pod's name, namespace and uid from the labels, the uid from its cgroup before", () => {
		const containers = createContainers({ clock: () => 0 });
		const seen: string[] = [];
		containers.onUnknown((container) => seen.push(container.id));
		const container = containers.get(id, "containerd", "uid-of-path");
		expect([container.podUid, container.podName, seen]).toEqual(["uid-of-path", "", [id]]);
		containers.get(id, "containerd");
		containers.facts({ id, runtime: "containerd", name: "nginx", image: "nginx:1.27", labels: podLabels });
		containers.facts({ id: other, runtime: "docker", name: "x" });
		expect(seen).toEqual([id]);
		expect(container).toMatchObject({
			known: true,
			podName: "web-7d9",
			podNamespace: "shop",
			podUid: podLabels["io.kubernetes.pod.uid"],
		});
	});
});
