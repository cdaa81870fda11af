// What is made up for when a container's name comes after its first event.
import { describe, expect, it } from "vitest";
import { createContainerLookup } from "../../../agent/container-lookup.ts";
import { createContainerPatches } from "../../../agent/container-patches.ts";
import { createContainers } from "../../../agent/enrich/containers.ts";
import type { ContainerFacts } from "../../../agent/model/process.ts";
import type { RecordBody } from "../../../agent/report/record.ts";

const id = (seed: number) => seed.toString(16).padStart(64, "0");
const facts = (seed: number): ContainerFacts => ({
	id: id(seed),
	runtime: "docker",
	name: `n${seed}`,
	image: "nginx:1.27",
	labels: {},
});

function patched() {
	const out: RecordBody[] = [];
	const patches = createContainerPatches((body) => out.push(body));
	const containers = createContainers({ clock: () => 0, limit: 5000 });
	containers.onKnown(patches.known);
	return { out, patches, containers };
}

describe("a container that went out by its id alone", () => {
	it("is told in an event of its own once it is known, and only once", () => {
		const { out, patches, containers } = patched();
		patches.sent({ event: { id: "1", container: { id: id(1), runtime: "docker" } } });
		expect(out).toEqual([]);
		containers.facts(facts(1));
		expect(out).toEqual([
			{ event: { container: { id: id(1), name: "n1", image: "nginx:1.27", runtime: "docker" } } },
		]);
		containers.facts({ ...facts(1), privileged: true });
		expect(out.length).toBe(1);
	});

	it("in an alert is told too", () => {
		const { out, patches, containers } = patched();
		patches.sent({ alert: { event: { container: { id: id(1) } } } });
		containers.facts(facts(1));
		expect(out.length).toBe(1);
	});

	it("is not told when it went out whole, or not at all", () => {
		const { out, patches, containers } = patched();
		patches.sent({ event: { container: { id: id(1), name: "n1", image: "nginx:1.27" } } });
		patches.sent({ event: { process: { pid: 1 } } });
		patches.sent({ status: {} });
		containers.facts(facts(1));
		containers.facts(facts(2));
		expect(out).toEqual([]);
	});

	it("is forgotten when a thousand others came after it", () => {
		const { out, patches, containers } = patched();
		for (let seed = 0; seed < 1100; seed++) patches.sent({ event: { container: { id: id(seed) } } });
		containers.facts(facts(0));
		expect(out).toEqual([]);
		containers.facts(facts(1099));
		expect(out.length).toBe(1);
	});
});

describe("a runtime is asked about a container", () => {
	const setup = (always = false, answer = async (id: string) => ({ ...facts(1), id })) => {
		const asked: string[] = [];
		const got: ContainerFacts[] = [];
		const lookup = createContainerLookup({
			runtimes: {
				docker: {
					always,
					inspect: (id) => {
						asked.push(id);
						return answer(id);
					},
				},
			},
			onFacts: (facts) => got.push(facts),
			delay: 5,
		});
		return { lookup, asked, got, containers: createContainers({ clock: () => 0 }) };
	};

	it("that nobody has told of by then; of another runtime's nobody is asked", async () => {
		const { lookup, asked, got, containers } = setup();
		lookup.ask(containers.get(id(1), "docker"));
		lookup.ask(containers.get(id(2), "docker"));
		lookup.ask(containers.get(id(3), "containerd"));
		lookup.ask(containers.get(id(4), "constructor"));
		containers.facts(facts(2));
		await expect.poll(() => got.map((each) => each.id)).toEqual([id(1)]);
		expect(asked).toEqual([id(1)]);
		lookup.close();
	});

	it("also when a file has told of it, where files tell less", async () => {
		const { lookup, asked, containers } = setup(true);
		const container = containers.get(id(1), "docker");
		containers.facts(facts(1));
		lookup.ask(container);
		await expect.poll(() => asked).toEqual([id(1)]);
		lookup.close();
	});

	it("and a refusal stops nothing", async () => {
		const { lookup, asked, containers } = setup(false, () => Promise.reject(new Error("down")));
		lookup.ask(containers.get(id(1), "docker"));
		await expect.poll(() => asked.length).toBe(1);
		lookup.ask(containers.get(id(2), "docker"));
		await expect.poll(() => asked).toEqual([id(1), id(2)]);
		lookup.close();
	});
});
