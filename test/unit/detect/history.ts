// A random history of one host: processes fork, exec again and again, are inherited by others and end; containers
// become known while their processes run. Records through the real decoder and the real process tree.
import { RecordView } from "../../../agent/decode/view.ts";
import { ProcessTree } from "../../../agent/enrich/tree.ts";
import { EventFlag, EventKind, type Observation } from "../../../agent/model/event.ts";
import type { Cgroup, Container } from "../../../agent/model/process.ts";
import { memoryOf, recordOf, type Value } from "../decode/bytes.ts";
import { comms, randomPath, randomText } from "./random.ts";
import type { Random } from "./rig.ts";

const latin1 = (text: string) => Buffer.from(text, "utf8").toString("latin1");

function container(id: string): Container {
	const nothing = {
		name: "",
		image: "",
		imageId: "",
		labels: {},
		podName: "",
		podNamespace: "",
		podUid: "",
		privileged: undefined,
		mounts: [],
		created: 0,
	};
	return { id, runtime: "docker", ...nothing, known: false };
}

export class History {
	readonly #random: Random;
	readonly #view = new RecordView();
	readonly #containers = [container("a".repeat(64)), container("b".repeat(64))];
	readonly #cgroups = new Map<number, Cgroup>([
		[1, { id: 1, path: "/", container: undefined }],
		...this.#containers.map((each, index): [number, Cgroup] => [
			index + 2,
			{ id: index + 2, path: `/docker/${each.id}`, container: each },
		]),
	]);
	readonly #tree = new ProcessTree({
		limit: 50,
		cgroup: (id) => this.#cgroups.get(id),
		read: () => undefined,
		onRead: () => undefined,
	});
	/** Start and cgroup of those that run, by pid. */
	readonly #running = new Map<number, { start: number; cgroupId: number }>();
	#time = 1e12;
	/** How often each thing has happened. */
	readonly counts = { exec: 0, fork: 0, exit: 0, open: 0, connect: 0, reparented: 0, described: 0 };

	constructor(random: Random) {
		this.#random = random;
		for (let pid = 10; pid < 16; pid++) this.#running.set(pid, { start: pid * 1e9, cgroupId: 1 + (pid % 3) });
	}

	/** One more event, and its process as the tree has it. `after` is to be called when it has been judged. */
	next(): { observation: Observation; shown: string; after: () => void } {
		const random = this.#random;
		if (random.chance(0.03)) this.#describe();
		const pid = random.pick([...this.#running.keys()]);
		const share = random.below(100);
		const [kind, values] =
			share < 20
				? this.#exec(pid)
				: share < 28 && this.#running.size < 20
					? this.#fork(pid)
					: share < 36 && this.#running.size > 4
						? this.#exit(pid)
						: share < 80
							? this.#open(pid)
							: this.#connect(pid);
		this.counts[kind]++;
		const { memory, places } = memoryOf([recordOf(kind, values)]);
		this.#view.attach(memory);
		const [offset, size] = places[0] as [number, number];
		if (!this.#view.move(offset, size, 1)) throw new Error("no record");
		const process = this.#tree.apply(this.#view);
		const line = [];
		for (let at: typeof process | undefined = process; at; at = at.parent)
			line.push([at.comm, at.exe, at.args]);
		const after = () => {
			if (this.#view.kind !== EventKind.exit) return;
			const orphans = [...this.#tree.processes()].filter(({ parent }) => parent === process);
			this.#tree.forget(this.#view);
			this.counts.reparented += orphans.filter(({ parent }) => parent !== undefined).length;
		};
		return {
			observation: { event: this.#view, process },
			shown: `${kind} by ${JSON.stringify(line)}`,
			after,
		};
	}

	/** The runtime tells of a container, or tells otherwise than before. */
	#describe(): void {
		const found = this.#random.pick(this.#containers);
		found.known = this.#random.chance(0.8);
		found.image = this.#random.pick(["a:1", "b", "ab:2"]);
		this.counts.described++;
	}

	#common(pid: number): Record<string, Value> {
		const { start, cgroupId } = this.#running.get(pid) as { start: number; cgroupId: number };
		return { pid, tid: pid, start, cgroupId, time: ++this.#time };
	}
	#exec(pid: number): ["exec", Record<string, Value>] {
		const random = this.#random;
		const args = ["0", ...random.several(0, 3, () => latin1(randomText(random)))];
		const uid = random.pick([0, 3, 1000]);
		const path = latin1(randomPath(random));
		const exec = { parentPid: 9, namespacePid: pid, uid, euid: uid, raw: path, path, cwd: "/" };
		const comm = latin1(random.pick(comms));
		return [
			"exec",
			{ ...this.#common(pid), ...exec, comm, args: random.chance(0.1) ? "" : `${args.join("\0")}\0` },
		];
	}
	#fork(pid: number): ["fork", Record<string, Value>] {
		const childPid = 10 + this.#random.below(50);
		const common = this.#common(pid);
		if (this.#running.has(childPid)) return this.#fork(pid);
		const childStart = Number(common.time);
		const childCgroupId = this.#random.chance(0.8) ? Number(common.cgroupId) : 1 + this.#random.below(3);
		this.#running.set(childPid, { start: childStart, cgroupId: childCgroupId });
		const child = { childPid, childStart, childCgroupId, childNamespacePid: childPid, childParentPid: pid };
		return ["fork", { ...common, ...child }];
	}
	#exit(pid: number): ["exit", Record<string, Value>] {
		const common = this.#common(pid);
		this.#running.delete(pid);
		// No process is inherited by one of its own descendants, nor do the orphans among these become their own.
		const able = [...this.#running.keys()].filter((each) => !this.#isBelow(each, pid));
		return ["exit", { ...common, reaperPid: able.length > 0 ? this.#random.pick(able) : 0 }];
	}
	#isBelow(pid: number, above: number): boolean {
		for (let at = this.#tree.get(pid)?.parent; at; at = at.parent) if (at.pid === above) return true;
		return false;
	}
	#open(pid: number): ["open", Record<string, Value>] {
		const random = this.#random;
		const raw = random.pick([randomPath(random), randomText(random), "../b", "a/./ab"]);
		const common = { ...this.#common(pid), openFlags: random.pick([0, 1, 2, 0o102]), raw: latin1(raw) };
		if (random.chance(0.2)) {
			const base = { flags: EventFlag.pathIsBase, path: latin1(randomPath(random)), result: -2 };
			return ["open", { ...common, ...base }];
		}
		const path = random.chance(0.1) ? randomText(random) : randomPath(random);
		return ["open", { ...common, path: latin1(path), result: random.pick([3, 0, -2]) }];
	}
	#connect(pid: number): ["connect", Record<string, Value>] {
		const random = this.#random;
		const common = { ...this.#common(pid), result: random.pick([0, -115]) };
		if (random.chance(0.3)) return ["connect", { ...common, family: 1, path: latin1(randomPath(random)) }];
		const local = { localAddress: Buffer.from([10, 0, 0, 5]), localPort: random.pick([3, 40_000]) };
		const remote = { remoteAddress: Buffer.from([10, 0, 0, 1]), remotePort: random.pick([443, 80]) };
		return ["connect", { ...common, ...local, ...remote, family: 2, protocol: 6 }];
	}
}
