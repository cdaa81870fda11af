import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { containerOfPath, findMounts, podOfPath } from "../../../agent/enrich/cgroup-path.ts";
import { createCgroups } from "../../../agent/enrich/cgroups.ts";
import { createContainers } from "../../../agent/enrich/containers.ts";

const a = "a1".repeat(32);
const b = "b2".repeat(32);
const pod = "pod8a2c7e1e-7b1f-4a0e-9a58-0f6d8f6a2a11";

describe("the pod of a cgroup path", () => {
	const uid = pod.slice(3);
	const flat = uid.replaceAll("-", "_");
	it.each([
		[uid, `/kubepods/burstable/${pod}/${a}`],
		[uid, `/kubepods/${pod}/crio-${a}`],
		[
			uid,
			`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${flat}.slice/cri-containerd-${a}.scope`,
		],
		[uid, `/kubepods.slice/kubepods-pod${flat}.slice/crio-${a}.scope`],
		[uid, `/system.slice/containerd.service/kubepods-besteffort-pod${flat}.slice:cri-containerd:${a}`],
		[uid, `/docker/${b}/kubelet/kubepods/besteffort/${pod}/${a}`],
		["0".repeat(32), `/kubepods/burstable/pod${"0".repeat(32)}/${a}`],
		["", `/docker/${a}`],
		["", `/kubepods/burstable/podium/${a}`],
		["", `/machine.slice/libpod-${a}.scope`],
		["", `/system.slice/notkubepods-pod${flat}.slice/x`],
	])("is %j for %s", (expected, path) => {
		expect(podOfPath(path)).toBe(expected);
	});
});

describe("the container of a cgroup path", () => {
	it.each([
		["docker", a, `/docker/${a}`],
		["docker", a, `/system.slice/docker-${a}.scope`],
		["docker", a, `/shop.slice/docker-${a}.scope`],
		["docker", a, `/user.slice/user-1000.slice/user@1000.service/user.slice/docker-${a}.scope`],
		["docker", a, `/lxc.payload.box/docker/${a}`],
		["docker", a, `/../docker/${a}`],
		["podman", a, `/machine.slice/libpod-${a}.scope`],
		["podman", a, `/machine.slice/libpod-${a}.scope/container`],
		["podman", a, `/libpod_parent/libpod-${a}`],
		["podman", a, `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${a}.scope/container`],
		[
			"containerd",
			a,
			`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-${pod}.slice/cri-containerd-${a}.scope`,
		],
		["containerd", a, `/kubepods/burstable/${pod}/${a}`],
		["containerd", a, `/kubepods/${pod}/${a}`],
		["containerd", a, `/system.slice/containerd.service/kubepods-burstable-${pod}.slice:cri-containerd:${a}`],
		["containerd", "redis-1", "/default/redis-1"],
		["containerd", a, `/default/${a}`],
		["containerd", a, `/k8s.io/${a}`],
		["containerd", a, `/system.slice/nerdctl-${a}.scope`],
		["cri-o", a, `/kubepods.slice/kubepods-${pod}.slice/crio-${a}.scope`],
		["cri-o", a, `/kubepods/${pod}/crio-${a}`],
		["docker", a, `/kubepods.slice/kubepods-${pod}.slice/docker-${a}.scope`],
		["buildkit", "x7f0q2m1n8k4z9s3v6b5c1d2e", "/docker/buildkit/x7f0q2m1n8k4z9s3v6b5c1d2e"],
	])("is %s %s for %s", (runtime, id, path) => {
		expect(containerOfPath(path)).toEqual({ runtime, id });
	});

	it.each([
		["systemd in a container", `/docker/${a}/init.scope`],
		["a service in a container", `/system.slice/docker-${a}.scope/system.slice/nginx.service`],
		["Docker in Docker", `/docker/${a}/docker/${b}`],
		["Kubernetes in Docker", `/docker/${a}/kubelet/kubepods/burstable/${pod}/${b}`],
		["a builder in Docker", `/docker/${a}/buildkit/x7f0q2m1n8k4z9s3v6b5c1d2e`],
	])("is the outermost one for %s", (_, path) => {
		expect(containerOfPath(path)).toEqual({ runtime: "docker", id: a });
	});

	it.each([
		"/",
		"/docker",
		"/docker/buildkit",
		"/system.slice/docker.service",
		"/system.slice/docker.socket",
		`/${a}`,
		`/machine.slice/${a}`,
		`/user.slice/${a}`,
		`/machine.slice/libpod-conmon-${a}.scope`,
		`/kubepods.slice/kubepods-${pod}.slice/crio-conmon-${a}.scope`,
		`/docker/${a.slice(1)}`,
		`/docker/${a}0`,
		`/docker/${a.toUpperCase()}`,
		`/system.slice/docker-${a}.service`,
		`/system.slice/notdocker-${a}.scope`,
		`/system.slice/docker-${a}.scope.evil`,
		`/notdocker/${a}`,
		`/kubepods/burstable/${pod}`,
		`/kubepods/${a}`,
		"/default",
		"/user.slice/default/redis",
		"/default/.hidden",
		`/machine.slice/machine-${a}.scope`,
	])("does not exist for %s", (path) => {
		expect(containerOfPath(path)).toBeUndefined();
	});
});

describe("the cgroup mounts", () => {
	const v2 = (root: string, point: string) => `41 31 0:38 ${root} ${point} rw shared:9 - cgroup2 cgroup2 rw`;
	const v1 = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
	it("are told apart as unified, hybrid and legacy", () => {
		expect(findMounts(v2("/", "/sys/fs/cgroup"))).toEqual({
			mount: "/sys/fs/cgroup",
			prefix: "",
			mode: "unified",
		});
		expect(findMounts(`${v1}\n${v2("/", "/sys/fs/cgroup/unified")}`)).toMatchObject({
			mount: "/sys/fs/cgroup/unified",
			mode: "hybrid",
		});
		expect(findMounts(v1)).toMatchObject({ mount: undefined, mode: "legacy" });
		expect(findMounts("nonsense\n - cgroup2\n")).toMatchObject({ mode: "legacy" });
	});
	it("are chosen by how much of the hierarchy they show", () => {
		const text = [v2("/", "/own"), v2("/../..", "/host\\040cgroup"), v2("/docker/x", "/part")].join("\n");
		expect(findMounts(text)).toMatchObject({ mount: "/host cgroup", prefix: "/../.." });
	});
});

describe("the cgroup table", () => {
	let directory: string;
	let mount: string;
	let proc: string;
	let now: number;
	beforeEach(() => {
		directory = mkdtempSync(join(tmpdir(), "picket-cgroups-"));
		mount = join(directory, "cgroup");
		proc = join(directory, "proc");
		now = 1_000_000;
		mkdirSync(mount);
		mounted(`41 31 0:38 / ${mount} rw - cgroup2 cgroup2 rw\n`);
	});
	afterEach(() => rmSync(directory, { recursive: true }));

	function mounted(text: string): void {
		mkdirSync(join(proc, "self"), { recursive: true });
		writeFileSync(join(proc, "self/mountinfo"), text);
	}
	/** Makes the directory and gives its inode, which is a cgroup's id. */
	function make(path: string): number {
		mkdirSync(join(mount, path), { recursive: true });
		return statSync(join(mount, path)).ino;
	}
	function runs(pid: number, text: string): void {
		mkdirSync(join(proc, `${pid}`), { recursive: true });
		writeFileSync(join(proc, `${pid}/cgroup`), text);
	}
	function open(limit = 1000) {
		const clock = () => now;
		const containers = createContainers({ clock });
		return { containers, cgroups: createCgroups({ containers, clock, limit, proc }) };
	}

	it("knows at start what the mount shows, nested cgroups with their container", () => {
		const nested = make(`docker/${a}/init.scope`);
		const own = make(`docker/${a}`);
		const service = make("system.slice/ssh.service");
		const { cgroups, containers } = open();
		expect(cgroups.lookup(service, 0)).toEqual({
			id: service,
			path: "/system.slice/ssh.service",
			container: undefined,
		});
		expect(cgroups.lookup(own, 0)).toMatchObject({
			path: `/docker/${a}`,
			container: { id: a, runtime: "docker" },
		});
		expect(cgroups.lookup(nested, 0)?.container).toBe(containers.find(a));
		expect(cgroups.lookup(statSync(mount).ino, 0)?.path).toBe("/");
		expect(cgroups.size).toBe(6);
		expect(cgroups.status()).toEqual({ mode: "unified", mount, problem: "", remedy: "" });
	});

	it("gives the uppermost cgroups of each container, and none that is gone", () => {
		const other = "b".repeat(64);
		const { cgroups, containers } = open();
		cgroups.created(7_000_002, `/docker/${a}/init.scope`);
		cgroups.created(7_000_001, `/docker/${a}`);
		cgroups.created(7_000_003, `/system.slice/docker-${a}.scope`);
		cgroups.created(7_000_004, `/docker/${other}/deep/below`);
		cgroups.created(7_000_005, `/docker/${other}`);
		cgroups.created(7_000_006, "/user.slice");
		const first = containers.find(a);
		const second = containers.find(other);
		if (!first || !second) throw new Error("the containers are not known by their cgroups");
		expect(cgroups.ofContainers()).toEqual(
			new Map([
				[first, [7_000_001, 7_000_003]],
				[second, [7_000_005]],
			]),
		);
		cgroups.removed(7_000_005);
		expect(cgroups.ofContainers().get(second)).toEqual([7_000_004]);
		cgroups.removed(7_000_004);
		expect(cgroups.ofContainers().has(second)).toBe(false);
	});

	it("gives the same object for the same id", () => {
		const { cgroups } = open();
		cgroups.created(7, "/a");
		expect(cgroups.lookup(7, 0)).toBe(cgroups.lookup(7, 0));
	});

	it("follows created and removed, and keeps a removed one for 60 s", () => {
		const { cgroups } = open();
		cgroups.created(7_000_000, `/docker/${a}`);
		cgroups.removed(7_000_000);
		now += 59_999;
		cgroups.created(7_000_001, "/x");
		expect(cgroups.lookup(7_000_000, 0)?.container?.id).toBe(a);
		now += 1;
		cgroups.created(7_000_002, "/y");
		expect(cgroups.lookup(7_000_000, 0)).toBeUndefined();
		cgroups.removed(123);
		expect(cgroups.size).toBe(3);
	});

	it("does not expire an id that was created again", () => {
		const { cgroups } = open();
		cgroups.created(7_000_000, "/first");
		cgroups.removed(7_000_000);
		cgroups.created(7_000_000, "/second");
		now += 120_000;
		cgroups.created(7_000_001, "/other");
		expect(cgroups.lookup(7_000_000, 0)?.path).toBe("/second");
	});

	it("asks /proc for an unknown id and believes it only when the directory has that id", () => {
		const { cgroups } = open();
		const later = make(`docker/${a}`);
		runs(5, `9:name=systemd:/x\n0::/docker/${a}\n`);
		expect(cgroups.lookup(later + 1_000_000, 5)).toBeUndefined();
		expect(cgroups.lookup(later, 5)).toMatchObject({ id: later, container: { id: a } });
		rmSync(join(proc, "5"), { recursive: true });
		expect(cgroups.lookup(later, 5)).toMatchObject({ id: later });
	});

	it("remembers for a second that an id was not found", () => {
		const { cgroups } = open();
		const later = make("late.slice");
		expect(cgroups.lookup(later, 5)).toBeUndefined();
		runs(5, "0::/late.slice\n");
		now += 999;
		expect(cgroups.lookup(later, 5)).toBeUndefined();
		now += 1;
		expect(cgroups.lookup(later, 5)?.path).toBe("/late.slice");
	});

	it("stays within its limit, gives up removed ones first and counts", () => {
		const { cgroups } = open(4);
		for (const id of [1_000_001, 1_000_002, 1_000_003]) cgroups.created(id, `/docker/${a}/${id}`);
		cgroups.removed(1_000_002);
		cgroups.created(1_000_004, "/d");
		expect(cgroups.lookup(1_000_002, 0)).toBeUndefined();
		expect(cgroups.lookup(1_000_001, 0)).toBeDefined();
		for (let id = 2_000_000; id < 2_001_000; id++) cgroups.created(id, `/docker/${a}/${id}`);
		expect(cgroups.size).toBe(4);
		expect(cgroups.evicted).toBe(1001);
	});

	it("takes a bare id under a foreign parent for a container when Docker says it is one, and only then", () => {
		const { cgroups, containers } = open();
		cgroups.created(1_000_001, `/custom/${a}`);
		cgroups.created(1_000_002, `/custom/${a}/inner`);
		cgroups.created(1_000_003, `/custom/${b}`);
		expect(cgroups.lookup(1_000_001, 0)?.container).toBeUndefined();
		const container = containers.facts({ id: a, runtime: "docker", name: "n", image: "i", labels: {} });
		expect(cgroups.lookup(1_000_001, 0)?.container).toBe(container);
		expect(cgroups.lookup(1_000_002, 0)?.container).toBe(container);
		expect(cgroups.lookup(1_000_003, 0)?.container).toBeUndefined();
		cgroups.created(1_000_004, `/custom/${a}/later`);
		expect(cgroups.lookup(1_000_004, 0)?.container).toBe(container);
	});

	it("reads v1 controllers once a process on a host without cgroup2, and says what is lost", () => {
		mounted("35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
		runs(5, `4:memory:/docker/${a}\n3:cpu,cpuacct:/docker/${a}\n`);
		runs(6, "4:memory:/\n3:cpu,cpuacct:/system.slice/ssh.service\n");
		const { cgroups, containers } = open();
		expect(cgroups.lookup(1, 5)).toBeUndefined();
		expect(cgroups.ofProcess(5)).toMatchObject({ id: 0, path: `/docker/${a}` });
		expect(cgroups.ofProcess(5)).toBe(cgroups.ofProcess(5));
		expect(cgroups.ofProcess(5)?.container).toBe(containers.find(a));
		expect(cgroups.ofProcess(6)?.container).toBeUndefined();
		expect(cgroups.ofProcess(404)).toBeUndefined();
		expect(cgroups.status()).toMatchObject({ mode: "legacy", mount: "" });
		expect(cgroups.status().problem).not.toBe("");
		expect(cgroups.status().remedy).not.toBe("");
	});

	it("finds on a hybrid host the container that an old runtime shows to v1 controllers only", () => {
		mounted(`35 31 0:32 / /m rw - cgroup cgroup rw,memory\n41 31 0:38 / ${mount} rw - cgroup2 cgroup2 rw\n`);
		const service = make("system.slice/docker.service");
		const joined = make(`docker/${b}`);
		runs(5, `4:memory:/docker/${a}\n0::/system.slice/docker.service\n`);
		runs(6, `4:memory:/docker/${b}\n0::/docker/${b}\n`);
		const { cgroups } = open();
		expect(cgroups.lookup(service, 5)?.container).toBeUndefined();
		expect(cgroups.ofProcess(5)?.container?.id).toBe(a);
		expect(cgroups.ofProcess(6)).toBe(cgroups.lookup(joined, 6));
		expect(cgroups.status().mode).toBe("hybrid");
	});

	it("names cgroups as the kernel does when our own cgroup namespace hides what is above", () => {
		mounted(`41 31 0:38 /../.. ${mount} rw - cgroup2 cgroup2 rw\n`);
		const seeded = make(`docker/${a}`);
		const { cgroups } = open();
		expect(cgroups.lookup(seeded, 0)?.path).toBe(`/docker/${a}`);
		const later = make(`docker/${b}`);
		runs(5, `0::/../../docker/${b}\n`);
		expect(cgroups.lookup(later, 5)).toMatchObject({ path: `/docker/${b}`, container: { id: b } });
	});
});
