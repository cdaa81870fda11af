// Falco's stable rules, each by the real act: what it is written for fires it, what is close to it does not. With rules
// of our own over the same fields always, and with the public file where it lies beside the repository. Acts in
// containers are in test/container, the one that needs a cluster in test/unit/detect.
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { buildTrigger } from "../kernel/harness.ts";
import { byProcess, publicRules, RuleActs } from "./rule-acts.ts";

const folder = mkdtempSync(join(tmpdir(), "picket-acts-"));
const shared = mkdtempSync("/dev/shm/picket-acts-");
const rule = buildTrigger("rule");
const trigger = buildTrigger();
const acts = new RuleActs(new URL("acts.yaml", import.meta.url).pathname, [
	"--scope-pid",
	String(process.pid),
]);

interface Command {
	readonly file: string;
	readonly args?: readonly string[];
	readonly cwd?: string;
}
/** Runs it to its end; its pid. It need not succeed: rules are about what was tried, too. */
function run({ file, args = [], cwd = folder }: Command): Promise<number> {
	const child = spawn(file, [...args], { cwd, stdio: ["pipe", "pipe", "pipe"] });
	child.stdin.end();
	child.stdout.resume();
	let complaint = "";
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		complaint += text;
	});
	return new Promise((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code) =>
			code === 99 || child.pid === undefined
				? reject(new Error(`${file}: ${complaint}`))
				: resolve(child.pid),
		);
	});
}
/** A program under another name, which is what the kernel calls the process by. */
function named(name: string, original: string): string {
	const path = join(folder, name);
	if (!existsSync(path)) copyFileSync(original, path);
	return path;
}
const shell = "/bin/bash";
const sh = (name: string, script: string): Command => ({ file: named(name, shell), args: ["-c", script] });
/** Below an /etc of its own, which nobody else sees. */
const withOwnEtc = (script: string): Command => ({
	file: "unshare",
	args: ["--mount", "--propagation", "private", "sh", "-c", `mount -t tmpfs acts /etc && ${script}`],
});
/** A machine of its own that has 203.0.113.1, where `port` is taken. */
const connecting = (port: number): Command => {
	const script = `const net=require("node:net");const s=net.createServer().listen(${port},()=>{
const c=net.connect(${port},"203.0.113.1",()=>{c.destroy();s.close()})})`;
	return {
		file: "unshare",
		args: [
			...[
				"--net",
				shell,
				"-c",
				'ip link set lo up && ip addr add 203.0.113.1/32 dev lo && exec -a ssh "$0" -e "$1"',
			],
			...[process.execPath, script],
		],
	};
};
const climbing = "../../../../../../../../etc/hostname";
const subject = join(folder, "subject");

interface Act {
	/** Of Falco's stable file, and of ours. */
	readonly rule: string;
	readonly own: string;
	readonly act: Command;
	readonly near: Command;
}
const table: readonly Act[] = [
	{
		rule: "Directory traversal monitored file read",
		own: "climbing read",
		act: { file: "head", args: ["-c1", climbing] },
		near: { file: "head", args: ["-c1", "/etc/hostname"] },
	},
	{
		rule: "Read sensitive file trusted after startup",
		own: "late secret",
		act: sh("nginx", "sleep 5.2; read -r x < /etc/shadow; :"),
		near: sh("nginx", "read -r x < /etc/shadow; :"),
	},
	{
		rule: "Read sensitive file untrusted",
		own: "secret",
		act: { file: "head", args: ["-c1", "/etc/shadow"] },
		near: { file: shell, args: ["-c", "read -r x < /etc/shadow; :"] },
	},
	{
		rule: "Run shell untrusted",
		own: "shell of a server",
		act: sh("httpd", "sh -c true; :"),
		near: sh("editor", "sh -c true; :"),
	},
	{
		rule: "System user interactive",
		own: "service user at work",
		act: sh("sshd", "setpriv --reuid=nobody --clear-groups /bin/true; :"),
		near: sh("sshd", "/bin/true; :"),
	},
	{
		rule: "Search Private Keys or Passwords",
		own: "looks for keys",
		act: { file: "grep", args: ["-c", "BEGIN RSA PRIVATE", "/dev/null"] },
		near: { file: "grep", args: ["-c", "BEGIN RSA PUBLIC", "/dev/null"] },
	},
	{
		rule: "Clear Log Activities",
		own: "log emptied",
		act: { file: shell, args: ["-c", `: > ${folder}/syslog`] },
		near: { file: shell, args: ["-c", `: >> ${folder}/syslog`] },
	},
	{
		rule: "Remove Bulk Data from Disk",
		own: "bulk removal",
		act: { file: "shred", args: ["-n1", "-u", subject] },
		near: { file: "rm", args: ["-f", subject] },
	},
	{
		rule: "Create Symlink Over Sensitive Files",
		own: "soft link to a secret",
		act: { file: "ln", args: ["-s", "/etc/shadow", join(folder, "soft")] },
		near: { file: "ln", args: ["-s", "/etc/hostname", join(folder, "other")] },
	},
	{
		rule: "Create Hardlink Over Sensitive Files",
		own: "hard link to a secret",
		act: withOwnEtc(": > /etc/shadow && ln /etc/shadow /etc/again"),
		near: withOwnEtc(": > /etc/hostname && ln /etc/hostname /etc/again"),
	},
	{
		rule: "PTRACE attached to process",
		own: "held another",
		act: { file: rule, args: ["attach"] },
		near: { file: rule, args: ["traceme"] },
	},
	{
		rule: "PTRACE anti-debug attempt",
		own: "asked to be held",
		act: { file: rule, args: ["traceme"] },
		near: { file: rule, args: ["attach"] },
	},
	{
		rule: "Find AWS Credentials",
		own: "looks for cloud keys",
		act: { file: "find", args: [folder, "-path", "*/.aws/credentials"] },
		near: { file: "find", args: [folder, "-path", "*/.aws/config"] },
	},
	{
		rule: "Execution from /dev/shm",
		own: "ran from shared memory",
		act: { file: join(shared, "true") },
		near: { file: join(folder, "true") },
	},
	{
		rule: "Disallowed SSH Connection Non Standard Port",
		own: "ssh elsewhere",
		act: connecting(4444),
		near: connecting(2222),
	},
	{
		rule: "Fileless execution via memfd_create",
		own: "ran from memory",
		act: { file: trigger, args: ["memfd"] },
		near: { file: trigger, args: ["exec", trigger, "exit"] },
	},
];

beforeAll(async () => {
	mkdirSync(folder, { recursive: true });
	for (const place of [folder, shared]) copyFileSync("/bin/true", join(place, "true"));
	writeFileSync(subject, "x");
	await acts.start();
});
afterAll(async () => {
	await acts.stop();
	for (const place of [folder, shared]) rmSync(place, { recursive: true, force: true });
});

describe("an act of Falco's rule", () => {
	it.skipIf(publicRules !== undefined)(
		"is tried on our rules alone: Falco's file is not beside the repository",
		(test) => test.skip(),
	);

	it.each(table)(
		"$rule fires it and ours, and what is close to it neither",
		async ({ rule, own, act, near }) => {
			const rules = publicRules === undefined ? [own] : [own, rule];
			await acts.expectAlone(rules, {
				near: async () => byProcess(await run(near)),
				act: async () => byProcess(await run(act)),
			});
		},
	);
});
