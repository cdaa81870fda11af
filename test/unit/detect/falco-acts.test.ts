// The acts of Falco's stable rules that need more than every host has, as events: a cluster, a kernel that takes modules,
// a privileged container. The others are done in test/sensor/falco-acts.test.ts and test/container/falco-acts.test.ts.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Engine } from "../../../agent/detect/engine.ts";
import { loadRules } from "../../../agent/detect/load.ts";
import { observationOf, type Sample } from "../../../agent/detect/sample.ts";
import type { Process } from "../../../agent/model/process.ts";
import { publicRules } from "../../sensor/rule-acts.ts";
import { context } from "./rig.ts";

const own = new URL("../../sensor/acts.yaml", import.meta.url).pathname;
const set = loadRules(
	[own, ...(publicRules === undefined ? [] : [publicRules])].map((path) => ({
		path,
		text: readFileSync(path, "utf8"),
		origin: "falco",
	})),
);

function fired(sample: Sample, process: Partial<Process>, peer?: string): string[] {
	const { event, process: made } = observationOf(sample);
	const found: string[] = [];
	new Engine(set, { ...context, peerName: () => peer }).evaluate(
		{ event, process: { ...(made as Process), ...process } },
		({ rule }) => found.push(rule),
	);
	return found;
}

const container = { image: "team/app:1" };
const sysModule = 1n << 16n;
const api = { container, connect: { address: "10.96.0.1", port: "443" } };
const loading: Sample = {
	container,
	module: { operation: "1", name: "m", syscall: "finit_module", result: "0" },
};
const debugfs = { exe: "/sbin/debugfs", args: ["debugfs", "/dev/sda"] };

describe("an event of Falco's rule", () => {
	it.each<{ rule: string; own: string; act: () => string[]; near: () => string[] }>([
		{
			rule: "Contact K8S API Server From Container",
			own: "cluster's server",
			act: () => [
				...fired(api, {}, "kubernetes.default.svc.cluster.local"),
				...fired(api, {}, "api.cluster.example"),
			],
			near: () => [
				...fired(api, {}, "kubernetes.example"),
				...fired({ connect: api.connect }, {}, "kubernetes.default.svc.cluster.local"),
			],
		},
		{
			rule: "Linux Kernel Module Injection Detected",
			own: "module from a container",
			act: () => fired(loading, { capabilities: sysModule }),
			near: () => [...fired(loading, { capabilities: 1n }), ...fired({ module: loading.module ?? "" }, {})],
		},
		{
			rule: "Debugfs Launched in Privileged Container",
			own: "debugger of file systems",
			act: () => fired({ process: debugfs, container: { ...container, privileged: "true" } }, {}),
			near: () => [
				...fired({ process: debugfs, container }, {}),
				...fired({ container: { ...container, privileged: "true" } }, {}),
			],
		},
	])("$rule fires it and ours, and what is close to it neither", ({ rule, own, act, near }) => {
		const rules = publicRules === undefined ? [own] : [own, rule];
		for (const each of rules) {
			expect(act()).toContain(each);
			expect(near()).not.toContain(each);
		}
	});

	it("is told by every rule that it satisfies, in the order of the files", () => {
		const both = fired(
			{ container, process: { exe: "/bin/nc", args: ["nc", "-e", "x"] } },
			{ upperLayer: true },
		);
		const ours = ["netcat with a program", "dropped and run"];
		const theirs = ["Netcat Remote Code Execution in Container", "Drop and execute new binary in container"];
		expect(both).toEqual(publicRules === undefined ? ours : [...ours, ...theirs]);
	});
});

it.runIf(publicRules !== undefined)("every stable rule of Falco can be evaluated here", () => {
	const stable = set.rules.filter(({ file }) => file === publicRules);
	expect(stable.length).toBeGreaterThanOrEqual(25);
	expect(
		stable.filter(({ status }) => status !== "evaluable").map(({ name, reasons }) => [name, reasons]),
	).toEqual([]);
});
