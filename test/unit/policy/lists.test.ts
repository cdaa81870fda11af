// What each list of a scope is judged on, beside processes, files and outgoing peers.
import { describe, expect, it } from "vitest";
import type { Process } from "../../../agent/model/process.ts";
import { PolicyEngine } from "../../../agent/policy/engine.ts";
import {
	connect,
	container,
	context,
	exec,
	open,
	policyOf,
	process,
	rules,
	socket,
	violations,
} from "./rig.ts";

const bit = (...bits: number[]) => bits.reduce((sum, each) => sum | (1n << BigInt(each)), 0n);
const ofContainers = (text: string) => policyOf(`scopes: [{name: c, scope: containers, ${text}}]`);
const ofHost = (text: string) => policyOf(`scopes: [{name: h, scope: host, ${text}}]`);
const inside = (given: Partial<Process> = {}) => process(given, container());

describe("an alert line", () => {
	it("is told and permits: neither an allow list nor a response stands against it", () => {
		const policy = policyOf(`
scopes: [{name: c, scope: containers, processes: {allow: [nginx], alert: [bash], deny: [nc]}}]
responses: [{do: [kill]}]
`);
		const engine = new PolicyEngine(policy, context);
		const found = (comm: string) => {
			const seen = exec(inside({ comm, exe: `/usr/bin/${comm}` }));
			return violations(policy, seen, engine).map((finding) => [
				finding.rule,
				engine.responses(finding, seen).map(({ act }) => act),
			]);
		};
		expect(found("nginx")).toEqual([]);
		expect(found("bash")).toEqual([["policy/c/processes.alert", ["alert"]]]);
		expect(found("nc")).toEqual([["policy/c/processes.deny", ["alert", "kill"]]]);
		expect(found("sh")).toEqual([["policy/c/processes.allow", ["alert", "kill"]]]);
	});

	it("of files, and of each other list, says so in words", () => {
		const policy = ofHost("files: {alert_read: [/etc/shadow], alert_write: [/etc/]}");
		expect(rules(policy, open("/etc/shadow", 2))).toEqual([
			"policy/h/files.alert_write",
			"policy/h/files.alert_read",
		]);
		expect(violations(policy, open("/etc/shadow", 0))[0]?.summary).toContain(
			"which policy.yaml:1 wants told (/etc/shadow)",
		);
	});
});

describe("incoming", () => {
	const policy = ofHost(
		'incoming: {deny: [203.0.113.0/24, "2001:db8::/32"], allow: [22, "10.0.0.0/8:5432"]}',
	);
	const taken = (remote: string, localPort: number, local = "192.0.2.1") =>
		rules(policy, socket("accept", { local, remote, localPort }));

	it("judges who connects, and the port of this side", () => {
		expect(taken("198.51.100.1", 22)).toEqual([]);
		expect(taken("203.0.113.5", 22)).toEqual(["policy/h/incoming.deny"]);
		expect(taken("198.51.100.1", 80)).toEqual(["policy/h/incoming.allow"]);
		expect(taken("10.1.1.1", 5432)).toEqual([]);
		expect(taken("10.1.1.1", 5433)).toEqual(["policy/h/incoming.allow"]);
		expect(taken("2001:db8::7", 22, "2001:db9::1")).toEqual(["policy/h/incoming.deny"]);
		expect(taken("127.0.0.1", 80)).toEqual([]);
		expect(
			rules(policy, socket("accept", { remote: "203.0.113.5", localPort: 22 }, process(), { result: -11 })),
		).toEqual([]);
	});

	it("says who came on which port", () => {
		const [finding] = violations(policy, socket("accept", { remote: "203.0.113.5", localPort: 22 }));
		expect(finding?.summary).toContain("took a connection from 203.0.113.5:50000 on port 22, which");
	});
});

describe("listening", () => {
	const policy = ofHost("listening: {allow: [80, 8000-8100], deny: [8080]}");

	it("judges streams when they listen, and datagrams when they are bound", () => {
		expect(rules(policy, socket("listen", { localPort: 80 }))).toEqual([]);
		expect(rules(policy, socket("listen", { localPort: 8080 }))).toEqual(["policy/h/listening.deny"]);
		expect(rules(policy, socket("listen", { localPort: 4444 }))).toEqual(["policy/h/listening.allow"]);
		expect(rules(policy, socket("listen", { localPort: 4444, local: "127.0.0.1" }))).toEqual([]);
		expect(rules(policy, socket("bind", { localPort: 4444 }))).toEqual([]);
		expect(rules(policy, socket("bind", { localPort: 4444 }, process(), { protocol: 17 }))).toHaveLength(1);
		expect(rules(policy, socket("bind", { localPort: 0 }, process(), { protocol: 17 }))).toEqual([]);
		expect(rules(policy, socket("listen", { localPort: 8080 }, process(), { result: -98 }))).toEqual([]);
		expect(violations(policy, socket("listen", { localPort: 8080 }))[0]?.summary).toContain(
			"waits for others on 0.0.0.0:8080",
		);
	});
});

describe("capabilities", () => {
	it("are judged from the effective and the permitted ones", () => {
		const policy = ofContainers("capabilities: {deny: [CAP_SYS_ADMIN, sys_ptrace]}");
		expect(rules(policy, exec(inside({ capabilities: bit(21) })))).toEqual(["policy/c/capabilities.deny"]);
		expect(rules(policy, exec(inside({ capabilitiesPermitted: bit(19) })))).toHaveLength(1);
		expect(rules(policy, exec(inside({ capabilities: bit(20, 22) })))).toEqual([]);
	});

	it("that are allowed are the only ones", () => {
		const policy = ofContainers("capabilities: {allow: [CHOWN, NET_BIND_SERVICE], alert: [BPF]}");
		expect(rules(policy, exec(inside({ capabilities: bit(0, 10) })))).toEqual([]);
		expect(rules(policy, exec(inside({ capabilities: bit(0, 40) })))).toEqual([
			"policy/c/capabilities.allow",
		]);
		expect(rules(policy, exec(inside({ capabilities: bit(39) })))).toEqual(["policy/c/capabilities.alert"]);
		expect(rules(policy, exec(inside()))).toEqual([]);
	});
});

describe("what a container is", () => {
	const told = (text: string, box = container(), hostNamespaces = { pid: 1, network: 2, ipc: 3 }) => {
		const policy = ofContainers(text);
		const engine = new PolicyEngine(policy, { ...context, hostNamespaces: () => hostNamespaces as never });
		const namespaces = { pid: 11, network: 12, ipc: 13 } as Process["namespaces"];
		const seen = () => violations(policy, exec(process({ namespaces }, box)), engine).map(({ rule }) => rule);
		return { first: seen(), later: seen };
	};

	it("is judged by its image, once, when the image is known", () => {
		const box = container({ image: "", known: false });
		const { first, later } = told('images: {deny: ["*/miner:*"]}', box);
		expect(first).toEqual([]);
		Object.assign(box, { image: "evil/miner:1", known: true });
		expect(later()).toEqual(["policy/c/images.deny"]);
		expect(later()).toEqual([]);
		expect(told("images: {allow: [nginx:*]}").first).toEqual([]);
		expect(told("images: {allow: [redis:*]}").first).toEqual(["policy/c/images.allow"]);
	});

	it("is judged by how it was made, once that is known", () => {
		const box = container({ privileged: undefined });
		const { first, later } = told("container: {privileged: deny}", box);
		expect(first).toEqual([]);
		box.privileged = true;
		expect(later()).toEqual(["policy/c/container.privileged"]);
		expect(later()).toEqual([]);
	});

	it("is judged by what of the host is mounted into it", () => {
		const box = (source: string) => container({ mounts: [{ source, destination: "/x", writable: true }] });
		const list = "mounts: {deny: [/, /var/run/docker.sock, /etc]}";
		expect(told(list, box("/var/run/docker.sock")).first).toEqual(["policy/c/mounts.deny"]);
		expect(told(list, box("/")).first).toEqual(["policy/c/mounts.deny"]);
		expect(told(list, box("/etc/localtime")).first).toEqual([]);
		expect(told("mounts: {allow: [/srv/]}", box("/home/x")).first).toEqual(["policy/c/mounts.allow"]);
	});

	it("is judged by whether it shares namespaces with the host", () => {
		const list = "container: {host_namespaces: alert}";
		expect(told(list).first).toEqual([]);
		expect(told(list, container(), { pid: 11, network: 2, ipc: 3 }).first).toEqual([
			"policy/c/container.host_namespaces",
		]);
	});

	it("is not judged again by a scope that does not select it", () => {
		const policy = policyOf('scopes: [{scope: {name: other}, images: {deny: ["*"]}}]');
		expect(rules(policy, exec(inside()))).toEqual([]);
	});
});

describe("a scope narrowed to a program", () => {
	const policy = ofHost(
		"program: /usr/sbin/nginx, processes: {deny: [sh]}, users: {deny: [root]}, peers: {deny: [25]}",
	);

	it("judges what that program executes, not that it is executed", () => {
		const sh = { exe: "/usr/bin/sh", comm: "sh" };
		expect(rules(policy, exec(process({ ...sh, previousExe: "/usr/sbin/nginx" })))).toEqual([
			"policy/h/processes.deny",
		]);
		expect(rules(policy, exec(process({ ...sh, previousExe: "/usr/bin/bash" })))).toEqual([]);
		expect(rules(policy, exec(process({ ...sh, previousExe: "" })))).toEqual([]);
	});

	it("judges whom it runs as, and whom it connects to", () => {
		const nginx = { exe: "/usr/sbin/nginx", comm: "nginx" };
		expect(rules(policy, exec(process({ ...nginx, euid: 0 })))).toEqual(["policy/h/users.deny"]);
		const to = (actor: Process) => rules(policy, { ...connect([192, 0, 2, 1], 25), process: actor });
		expect(to(process(nginx))).toEqual(["policy/h/peers.deny"]);
		expect(to(process())).toEqual([]);
	});
});

describe("lists of one scope", () => {
	it("do not hide each other", () => {
		const policy = ofContainers(
			"processes: {deny: [bash], not_from_image: deny}, users: {deny: [root]}, capabilities: {deny: [BPF]}",
		);
		const seen = exec(inside({ euid: 0, capabilities: bit(39), upperLayer: true }));
		expect(rules(policy, seen)).toEqual(
			["processes.deny", "processes.not_from_image", "users.deny", "capabilities.deny"].map(
				(list) => `policy/c/${list}`,
			),
		);
	});
});

describe("modes of scopes", () => {
	const found = (head: string, mode: string) => {
		const text = `${head}scopes: [{name: c, scope: containers, ${mode}processes: {deny: [bash]}}]\nresponses: [{do: [pause]}]`;
		const policy = policyOf(text);
		const engine = new PolicyEngine(policy, context);
		const seen = exec(inside());
		const [finding] = violations(policy, seen, engine);
		return finding && engine.responses(finding, seen)[1];
	};
	const pause = { act: "pause", ttlSeconds: 0 };

	it.each([
		["", "", pause],
		["", "mode: enforce, ", pause],
		["", "mode: observe, ", { ...pause, mode: "observe" }],
		["mode: observe\n", "mode: enforce, ", { ...pause, mode: "observe" }],
		["", "mode: off, ", undefined],
		["mode: off\n", "mode: enforce, ", undefined],
	])("with %j and %j lead to %j: the most cautious counts", (head, mode, expected) => {
		expect(found(head, mode)).toEqual(expected);
	});

	it("that are off ask for no events", () => {
		const policy = ofHost("mode: off, files: {deny_read: [/etc/shadow]}, incoming: {deny: [1]}");
		expect([...new PolicyEngine(policy, context).interest.kinds]).toEqual([]);
	});
});
