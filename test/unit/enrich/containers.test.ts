import { describe, expect, it } from "vitest";
import { createContainers } from "../../../agent/enrich/containers.ts";
import type { ContainerFacts } from "../../../agent/model/process.ts";

const id = (seed: number) => seed.toString(16).padStart(64, "0");
const told = (seed: number, more: Partial<ContainerFacts> = {}): ContainerFacts => ({
	id: id(seed),
	runtime: "docker",
	name: `name${seed}`,
	image: "nginx:1.27",
	labels: { tier: "front" },
	...more,
});

function setup(limit = 100) {
	const time = { now: 0 };
	const containers = createContainers({ clock: () => time.now, limit, grace: 300_000 });
	const heard: string[] = [];
	containers.onKnown((container) => heard.push(`${container.name} ${container.privileged}`));
	return { time, containers, heard };
}

describe("the container registry", () => {
	it("has one object per id, whether a cgroup or the runtime spoke first", () => {
		const { containers } = setup();
		const seen = containers.get(id(1), "docker");
		expect(seen).toMatchObject({ known: false, name: "", privileged: undefined, mounts: [], created: 0 });
		expect(containers.facts(told(1))).toBe(seen);
		expect(seen).toMatchObject({
			known: true,
			name: "name1",
			image: "nginx:1.27",
			labels: { tier: "front" },
		});

		const announced = containers.facts(told(2));
		expect(containers.get(id(2), "containerd")).toBe(announced);
		expect(announced.runtime).toBe("docker");
	});

	it("keeps what a later message does not mention", () => {
		const { containers } = setup();
		containers.facts(told(1, { privileged: true, imageId: "sha256:1", created: 5 }));
		containers.facts({ id: id(1), runtime: "docker", name: "renamed" });
		expect(containers.find(id(1))).toMatchObject({
			name: "renamed",
			image: "nginx:1.27",
			imageId: "sha256:1",
			labels: { tier: "front" },
			privileged: true,
			created: 5,
		});
	});

	it("tells listeners when a container is known and when a fact changes, not when one is repeated", () => {
		const { containers, heard } = setup();
		containers.facts({ id: id(1), runtime: "docker", name: "name1" });
		expect(heard).toEqual([]);
		containers.facts(told(1));
		containers.facts(told(1, { labels: { tier: "front" }, mounts: [] }));
		expect(heard).toEqual(["name1 undefined"]);
		containers.facts(told(1, { privileged: false }));
		containers.facts(told(1, { labels: { tier: "back" } }));
		containers.facts(told(1, { mounts: [{ source: "/", destination: "/host", writable: true }] }));
		expect(heard).toHaveLength(4);
	});

	it("keeps a removed container through the grace time and forgets it after", () => {
		const { containers, time } = setup();
		containers.facts(told(1));
		containers.destroyed(id(1));
		containers.destroyed(id(9));
		time.now += 299_999;
		containers.get(id(2), "docker");
		expect(containers.find(id(1))?.name).toBe("name1");
		time.now += 1;
		containers.get(id(3), "docker");
		expect(containers.find(id(1))).toBeUndefined();
		expect(containers.size).toBe(2);
	});

	it("finds by name the container that exists before one that was removed", () => {
		const { containers } = setup();
		containers.facts(told(1, { name: "web" }));
		containers.destroyed(id(1));
		expect(containers.findByName("web")?.id).toBe(id(1));
		containers.facts(told(2, { name: "web" }));
		expect(containers.findByName("web")?.id).toBe(id(2));
		containers.get(id(3), "docker");
		expect(containers.findByName("")).toBeUndefined();
	});

	it("stays within its limit and gives up removed ones, then unknown ones, then the oldest", () => {
		const { containers } = setup(3);
		containers.facts(told(1));
		containers.get(id(2), "docker");
		containers.facts(told(3));
		containers.destroyed(id(3));
		const ids = () => [...containers.values()].map((container) => container.id);
		containers.facts(told(4));
		expect(ids()).toEqual([id(1), id(2), id(4)]);
		containers.facts(told(5));
		expect(ids()).toEqual([id(1), id(4), id(5)]);
		containers.facts(told(6));
		expect(ids()).toEqual([id(4), id(5), id(6)]);
		expect(containers.evicted).toBe(3);
		for (let seed = 10; seed < 1000; seed++) containers.get(id(seed), "docker");
		expect(containers.size).toBe(3);
		expect(containers.find(id(6))?.known).toBe(true);
	});

	it("takes a label named __proto__ for a label", () => {
		const { containers } = setup();
		const labels = JSON.parse('{"__proto__":"x"}') as Record<string, string>;
		const container = containers.facts(told(1, { labels }));
		expect(Object.keys(container.labels)).toEqual(["__proto__"]);
		expect(({} as Record<string, unknown>).x).toBeUndefined();
	});
});
