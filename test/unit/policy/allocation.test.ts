// What violates nothing costs no memory: these are nearly all events there are.
import { expect, it } from "vitest";
import type { Observation } from "../../../agent/model/event.ts";
import { PolicyEngine } from "../../../agent/policy/engine.ts";
import { connect, container, exec, process as made, open, policyOf, socket } from "./rig.ts";

const policy = policyOf(`
scopes:
  - scope: {image: "nginx:*"}
    processes: {deny: [nc, "/tmp/**", "/opt/*/x"], alert: ["py*"], allow: [nginx, "/usr/**"], not_from_image: deny}
    users: {deny: [root], allow: [www-data, "1000"]}
    capabilities: {deny: [SYS_ADMIN], allow: [CHOWN, NET_BIND_SERVICE]}
    files: {deny_read: [/etc/shadow, "**/id_rsa"], alert_read: ["/home/*/x"], allow_write: [/srv/, /tmp/]}
    peers: {deny: [203.0.113.0/24, 25], allow: [10.0.0.0/8]}
    incoming: {allow: [80, 443]}
    listening: {allow: [80, 443]}
    images: {deny: [evil]}
    container: {privileged: deny, host_namespaces: deny}
    mounts: {deny: [/etc]}
  - {scope: containers, user: root, processes: {deny: ["*"]}}
  - {scope: containers, program: [sshd, cron], processes: {deny: ["*"]}, peers: {deny: [443]}}
`);
const actor = made(
	{ exe: "/usr/sbin/nginx", comm: "nginx", capabilities: 1n << 10n, capabilitiesPermitted: 1n << 10n },
	container(),
);
const innocent: readonly Observation[] = [
	exec(actor),
	open("/srv/www/index.html", 2, actor),
	open("/etc/hostname", 0, actor),
	{ ...connect([10, 1, 2, 3], 443), process: actor },
	socket("accept", { remote: "203.0.113.7", localPort: 443 }, actor),
	socket("listen", { localPort: 80 }, actor),
];

it.each(innocent)("an event that violates nothing allocates nothing: %#", (seen) => {
	const engine = new PolicyEngine(policy, { userName: (uid) => (uid === 33 ? "www-data" : undefined) });
	let found = 0;
	const onFinding = (): void => {
		found++;
	};
	const rounds = 4000;
	const pass = (): number => {
		const before = process.memoryUsage().heapUsed;
		for (let round = 0; round < rounds; round++) engine.violations(seen, onFinding);
		return process.memoryUsage().heapUsed - before;
	};
	// What is not optimised yet allocates, and a collection may fall into a pass: the least of many is the true one.
	let least = Number.POSITIVE_INFINITY;
	for (let run = 0; run < 40; run++) {
		const bytes = pass();
		if (bytes >= 0) least = Math.min(least, bytes);
	}
	expect(found).toBe(0);
	expect(least / rounds).toBeLessThan(1);
});
