// A policy that would keep a host from its shell, its runtime, init, sshd, libc or Picket is refused before it is in force.
import { describe, expect, it } from "vitest";
import { load, policyOf } from "./rig.ts";

const problems = (text: string) => load(text).problems.map(({ where, message }) => `${where}: ${message}`);
const scope = (text: string) => `scopes: [{name: s, scope: host, ${text}}]`;

describe("a policy is refused that denies the host", () => {
	it.each([
		["its shell", "processes: {deny: [bash]}"],
		["its shell", "processes: {deny: [sh]}"],
		["its shell", 'processes: {deny: ["/bin/*"]}'],
		["its shell", "processes: {deny: [/usr/bin/dash]}"],
		["the container runtime", "processes: {deny: [/usr/bin/dockerd]}"],
		["the container runtime", 'processes: {deny: ["containerd-shim*"]}'],
		["the container runtime", "processes: {deny: [runc]}"],
		["init", "processes: {deny: [systemd]}"],
		["init", "processes: {deny: [/sbin/init]}"],
		["sshd", "processes: {deny: [sshd]}"],
		["sshd", "processes: {deny: [/usr/lib/openssh/]}"],
		["Picket itself", "processes: {deny: [/usr/lib/picket/]}"],
		["the dynamic loader", 'processes: {deny: ["/lib64/ld-*"]}'],
		["libc or the dynamic loader", "files: {deny_read: [/usr/lib/]}"],
		["libc or the dynamic loader", 'files: {deny_read: ["**/libc.so.6"]}'],
		["(loopback)", "peers: {deny: [127.0.0.0/8]}"],
		["(loopback)", 'peers: {deny: ["::1"]}'],
		["(loopback)", "peers: {deny: [0.0.0.0/0]}"],
		["(loopback)", "incoming: {deny: [1-65535]}"],
	])("%s, as in %s", (what, text) => {
		const { policy, problems: found } = load(scope(text));
		expect(policy).toBeUndefined();
		expect(found[0]).toMatchObject({ level: "error", line: 1 });
		expect(found[0]?.column).toBeGreaterThan(20);
		expect(found[0]?.message).toContain(what);
		expect(found[0]?.remedy).toContain("mode: observe");
	});

	it("what an allow list leaves out, and names it", () => {
		const [missing] = problems(scope('processes: {allow: ["/usr/bin/*", "/usr/sbin/*"]}'));
		expect(missing).toContain(
			'processes.allow of "s" leaves out what the host needs: /usr/lib/systemd/systemd (init)',
		);
		expect(missing).toContain("/usr/lib/picket/node (Picket itself)");
		expect(missing).not.toContain("/usr/bin/bash");
		expect(problems(scope("files: {allow_read: [/etc/]}"))[0]).toContain("libc.so.6");
	});
});

describe("a policy is taken", () => {
	it.each([
		["that allows all that is vital", 'processes: {allow: ["/usr/**"]}'],
		["that permits it by alert", 'processes: {allow: ["/usr/bin/*", "/usr/sbin/*"], alert: ["/usr/lib/**"]}'],
		["that denies what is like it", "processes: {deny: [bashful, /usr/bin/shred, runcible, /tmp/**]}"],
		["that denies one port, of loopback too", "peers: {deny: [4444, 127.0.0.1:4444]}"],
		["that only observes", "mode: observe, processes: {deny: [bash]}"],
		["that is off", "mode: off, processes: {allow: []}"],
		["that is of one user", "user: www-data, processes: {deny: [bash]}"],
		["that is of one program", "program: /usr/sbin/nginx, processes: {deny: [bash]}"],
		["that allows reading all that is vital", "files: {allow_read: [/usr/]}"],
	])("%s", (_, text) => {
		expect(problems(scope(text))).toEqual([]);
	});

	it("of containers, whatever it denies", () => {
		policyOf("scopes: [{scope: containers, processes: {allow: []}, peers: {deny: [0.0.0.0/0]}}]");
	});

	it("but not when the user is root, or the program is any", () => {
		expect(problems(scope("user: root, processes: {deny: [bash]}"))).toHaveLength(1);
		expect(problems(scope('program: "*", processes: {deny: [bash]}'))).toHaveLength(1);
	});
});
