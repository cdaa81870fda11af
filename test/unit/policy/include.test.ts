// What a policy includes: the templates that come with the sensor, each with an act that it forbids and one that is only
// like it, and files of the user's.
import { describe, expect, it } from "vitest";
import type { Observation } from "../../../agent/model/event.ts";
import type { Container, Process } from "../../../agent/model/process.ts";
import { PolicyEngine } from "../../../agent/policy/engine.ts";
import { templateNames } from "../../../agent/policy/include.ts";
import {
	connect,
	container,
	context,
	exec,
	load,
	open,
	policyOf,
	process,
	socket,
	violations,
} from "./rig.ts";

const box = container();
const run = (comm: string, given: Partial<Process> = {}, inside: Container = box): Observation =>
	exec(process({ comm, exe: `/usr/bin/${comm}`, ...given }, inside));
const to = (address: number[], port: number): Observation => ({
	...connect(address, port),
	process: process({}, box),
});
const inBox = process({}, box);
const capability = (bit: number) => ({ capabilities: 1n << BigInt(bit) });
const mounting = (source: string) =>
	run("nginx", {}, container({ mounts: [{ source, destination: "/x", writable: true }] }));
const six = (hex: string) => [...Buffer.from(hex, "hex")];

/** An act, and whether the template forbids it. */
const acts: Readonly<Record<string, readonly (readonly [boolean, Observation])[]>> = {
	"no-root": [
		[true, run("nginx", { euid: 0 })],
		[false, run("nginx", { euid: 1, uid: 0 })],
	],
	"no-shells": [
		[true, run("bash")],
		[true, run("x", { exe: "/tmp/dash", comm: "x" })],
		[false, run("bashtop")],
	],
	"no-ssh": [
		[true, run("sshd")],
		[true, socket("listen", { localPort: 22 }, inBox)],
		[true, socket("accept", { remote: "203.0.113.7", localPort: 22 }, inBox)],
		[true, to([203, 0, 113, 7], 22)],
		[false, run("sshfs-none")],
		[false, socket("listen", { localPort: 2222 }, inBox)],
		[false, to([203, 0, 113, 7], 443)],
	],
	"no-package-managers": [
		[true, run("apt-get")],
		[true, run("pip3")],
		[false, run("apt-listchanges")],
		[false, run("pipe")],
	],
	"no-writes-below-binaries": [
		[true, open("/usr/bin/ls", 1, inBox)],
		[true, open("/usr/local/lib/x/y.so", 2, inBox)],
		[false, open("/usr/bin/ls", 0, inBox)],
		[false, open("/usr/share/x", 1, inBox)],
		[false, open("/srv/usr/bin/x", 1, inBox)],
	],
	"image-files-only": [
		[true, run("nginx", { upperLayer: true })],
		[false, run("nginx")],
	],
	"only-these-ports": [
		[true, socket("listen", { localPort: 4444 }, inBox)],
		[true, socket("accept", { remote: "203.0.113.7", localPort: 4444 }, inBox)],
		[false, socket("listen", { localPort: 80 }, inBox)],
		[false, socket("accept", { remote: "203.0.113.7", localPort: 8001 }, inBox)],
	],
	"no-cloud-metadata": [
		[true, to([169, 254, 169, 254], 80)],
		[true, to(six("fd000ec2000000000000000000000254"), 80)],
		[false, to([169, 254, 169, 253], 53)],
	],
	"container-hardening": [
		[true, run("nginx", {}, container({ privileged: true }))],
		[true, mounting("/var/run/docker.sock")],
		[true, mounting("/etc")],
		[true, run("nginx", capability(21))],
		[true, run("nsenter")],
		[true, run("nginx", { euid: 0 })],
		[true, open("/proc/sys/kernel/core_pattern", 1, inBox)],
		[false, mounting("/etc/localtime")],
		[false, run("nginx", capability(10))],
		[false, run("mountpoint")],
		[false, open("/proc/sys/kernel/core_pattern", 0, inBox)],
	],
};

describe("the template", () => {
	it("of each name is tried", () => {
		expect(Object.keys(acts).sort()).toEqual(templateNames());
	});

	it.each(Object.entries(acts))("%s forbids what it is for, and nothing like it", (template, those) => {
		const include =
			template === "only-these-ports"
				? "{template: only-these-ports, with: {ports: [80, 8000-8100]}}"
				: template;
		const policy = policyOf(`include: [${include}]`);
		expect(new Set(those.map(([forbidden]) => forbidden)).size).toBe(2);
		for (const [index, [forbidden, act]] of those.entries()) {
			const found = violations(policy, act).map(({ rule }) => rule);
			expect(found.length > 0, `${index}: ${found.join()}`).toBe(forbidden);
		}
	});

	it("container-hardening knows the host's namespaces", () => {
		const hostNamespaces = () => ({ pid: 1, network: 2, ipc: 3 }) as never;
		const engine = new PolicyEngine(policyOf("include: [container-hardening]"), {
			...context,
			hostNamespaces,
		});
		const seen = (network: number) => {
			const found: string[] = [];
			const namespaces = { pid: 9, network, ipc: 9 } as Process["namespaces"];
			engine.violations(run("nginx", { namespaces }, container()), ({ rule }) => found.push(rule));
			return found;
		};
		expect(seen(2)).toEqual(["policy/container-hardening/container.host_namespaces"]);
		expect(seen(8)).toEqual([]);
	});

	it("is put where the policy wants it, and named there", () => {
		const policy = policyOf(
			'include: [{template: no-shells, scope: {image: "shop/*"}, mode: observe, severity: low, name: shop}]',
		);
		expect(policy.scopes).toMatchObject([{ name: "shop", mode: "observe", severity: "low" }]);
		expect(policy.scopes[0]?.place).toMatchObject({ file: "policy.yaml", line: 1 });
		expect(policy.scopes[0]?.processes.deny?.[0]?.place.file).toMatch(/packaging\/policy\/no-shells\.yaml$/);
		expect(violations(policy, run("bash"))).toEqual([]);
		expect(violations(policy, run("bash", {}, container({ image: "shop/web:1" })))).toHaveLength(1);
	});

	it("keeps the place of what it is given", () => {
		const policy = policyOf(
			"include:\n  - template: only-these-ports\n    with:\n      ports:\n        - 80\n",
		);
		expect(policy.scopes[0]?.listening.allow?.[0]).toMatchObject({
			text: "80",
			place: { file: "policy.yaml", line: 5 },
		});
	});

	it.each([
		["[no-shell]", 'there is no template "no-shell"', 'write "no-shells"'],
		["[only-these-ports]", "only-these-ports needs ports", "add with: {ports: […]}"],
		["[{template: only-these-ports, with: {port: [1]}}]", 'has no parameter "port"', "ports"],
		["[{template: only-these-ports, with: {ports: [http]}}]", '"http" does not fit', "schema"],
		["[{template: no-root, mode: panic}]", "must be one of off, observe, enforce", "off"],
		["[{template: no-shells, scope: host}]", "denies the host its shell", "mode: observe"],
	])("included as %s is refused: %s", (include, message, remedy) => {
		const { policy, problems } = load(`include: ${include}`);
		expect(policy).toBeUndefined();
		expect(problems[0]?.message).toContain(message);
		expect(problems[0]?.remedy).toContain(remedy);
		expect(problems[0]?.line).toBeGreaterThan(0);
	});
});

describe("an included file", () => {
	const reading = (files: Readonly<Record<string, string>>) => ({
		read: (path: string) => {
			const text = files[path];
			if (text === undefined) throw Object.assign(new Error("none"), { code: "ENOENT" });
			return text;
		},
	});
	const at = (path: string) => new URL(path, `file://${globalThis.process.cwd()}/`).pathname;

	it("is found beside the file that names it, and lies before it, its responses behind", () => {
		const options = reading({
			[at("sub/a.yaml")]:
				"include: [b.yaml]\nscopes: [{name: a, scope: containers}]\nresponses: [{do: [stop]}]",
			[at("sub/b.yaml")]: "mode: observe\nscopes: [{name: b, scope: containers}]\nresponses: [{do: [kill]}]",
		});
		const policy = policyOf(
			"include: [./sub/a.yaml]\nscopes: [{name: own, scope: containers}]\nresponses: [{do: [pause]}]",
			options,
		);
		expect(policy.scopes.map(({ name, mode }) => `${name} ${mode}`)).toEqual([
			"b observe",
			"a enforce",
			"own enforce",
		]);
		expect(policy.responses.map(({ responses }) => responses[1])).toEqual([
			{ act: "pause", ttlSeconds: 0 },
			{ act: "stop" },
			{ act: "kill", mode: "observe" },
		]);
	});

	it("with a mistake names itself", () => {
		const { policy, problems } = load(
			"include: [{file: ./a.yaml}]",
			reading({ [at("a.yaml")]: "scopes:\n  - scop: host\n" }),
		);
		expect(policy).toBeUndefined();
		expect(problems.every(({ file }) => file === at("a.yaml"))).toBe(true);
		expect(problems.map(({ line }) => line)).toContain(2);
	});

	it("cannot grant a console anything", () => {
		const { problems } = load("include: [./a.yaml]", reading({ [at("a.yaml")]: "console: {may: [kill]}" }));
		expect(problems[0]?.message).toBe('there is no key "console"');
	});

	it.each([
		[
			"that includes itself",
			{ "a.yaml": "include: [./b.yaml]", "b.yaml": "include: [./a.yaml]" },
			"includes itself",
		],
		["that is not there", {}, "cannot read"],
		[
			"nested without an end",
			Object.fromEntries(
				Array.from({ length: 20 }, (_, index) => [
					index === 0 ? "a.yaml" : `${index}.yaml`,
					`include: [./${index + 1}.yaml]`,
				]),
			),
			"more than 8 files deep",
		],
	])("%s is refused", (_, files, message) => {
		const absolute = Object.fromEntries(Object.entries(files).map(([name, text]) => [at(name), text]));
		const { policy, problems } = load("include: [./a.yaml]", reading(absolute));
		expect(policy).toBeUndefined();
		expect(problems).toHaveLength(1);
		expect(problems[0]?.message).toContain(message);
	});

	it("is refused where none can be read, as in a policy that a console sends", () => {
		const { policy, problems } = load("include: [no-root, ./a.yaml]");
		expect(policy).toBeUndefined();
		expect(problems[0]?.message).toBe("./a.yaml cannot be included here");
	});
});
