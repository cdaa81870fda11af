// Rule files written for Falco load unchanged. The public file itself is no part of the repository: where it lies
// beside it (or PICKET_RULES_CORPUS names its folder) it is loaded too; a file of ours with the same constructs always.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { RuleSet } from "../../../agent/detect/load.ts";
import { errorsOf, fired, load } from "./rig.ts";

const repository = new URL("../../../", import.meta.url).pathname;
const corpus = join(process.env.PICKET_RULES_CORPUS ?? join(repository, "../shared/rules-corpus"), "falco");
const files = existsSync(corpus) ? readdirSync(corpus).filter((name) => /\.ya?ml$/.test(name)) : [];

function expectWhole(text: string, set: RuleSet): void {
	const written = [...text.matchAll(/^- rule: *(.*)$/gm)].map(([, name]) =>
		name?.replace(/^(["'])(.*)\1$/, "$2"),
	);
	expect(errorsOf(set)).toEqual([]);
	expect(set.rules.map(({ name }) => name)).toEqual(written);
	for (const { name, status, reasons } of set.rules) {
		expect(status, name).not.toBe("error");
		if (status !== "evaluable") expect(reasons, `${name} says why`).not.toEqual([]);
	}
}

/** Our own text; the constructs are those of the public files. */
const own = `
- required_engine_version: 0.57.0
- required_plugin_versions:
    - name: container
      version: 0.4.0
- macro: open_write
  condition: (evt.type in (open,openat,openat2) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0)
- macro: spawned_process
  condition: (evt.type in (execve, execveat))
- macro: container
  condition: (container.id != host)
- macro: never_true
  condition: (evt.num=0)
- macro: always_true
  condition: (evt.num>=0)
- macro: proc_name_exists
  condition: (not proc.name in ("<NA>","N/A"))
- macro: user_known_things
  condition: (never_true)
- list: shells
  items: [ash, bash, csh, ksh, sh, tcsh, zsh, dash]
- list: allowed_images
  items: []
- list: networks
  items: ['"10.0.0.0/8"', '"172.16.0.0/12"', '"192.168.0.0/16"']
- list: ports
  items: [80, 443, 8443]
- macro: outbound
  condition: >
    (((evt.type = connect) or
      (evt.type in (sendto,sendmsg) and fd.l4proto != tcp and fd.connected=false and fd.name_changed=true)) and
     (fd.typechar = 4 or fd.typechar = 6) and
     (fd.ip != "0.0.0.0" and fd.net != "127.0.0.0/8" and not fd.snet in (networks)) and
     (evt.rawres >= 0 or evt.res = EINPROGRESS))
- rule: Traversal
  desc: >
    Reads with a path that climbs.
  condition: >
    (evt.type in (open,openat) and evt.is_open_read=true)
    and (fd.nameraw contains "../../" or fd.nameraw glob *../*../*)
    and (fd.name startswith "/etc/" or fd.directory in (/root/.ssh) or fd.name glob /home/*/.ssh/*)
    and not user_known_things
  enabled: true
  output: File read | file=%fd.name raw=%fd.nameraw evt_type=%evt.type user=%user.name parent=%proc.pname gparent=%proc.aname[2] %container.info
  priority: WARNING
  tags: [maturity_stable, host, container, filesystem, mitre_credential_access, T1555]
- rule: Terminal
  desc: A shell with a terminal in a container.
  condition: >
    spawned_process
    and container
    and proc.name in (shells, allowed_images)
    and proc.tty != 0
    and (proc.aname[2]=runc or proc.pname exists or not proc.pname exists)
    and not container.image.repository in (allowed_images)
  output: shell %container.id %k8s.ns.name %proc.cmdline
  priority: NOTICE
  exceptions:
    - name: known
      fields: [proc.name, container.image.repository]
      comps: [=, startswith]
      values:
        - [bash, registry.example/]
- rule: Sudo Quirk
  desc: Backslash and blank.
  condition: spawned_process and proc.args contains "\\ " and proc.name = sudoedit
  output: sudo %proc.cmdline
  priority: CRITICAL
- rule: Out
  desc: Goes out.
  condition: outbound and not fd.sport in (ports) and proc_name_exists and always_true
  output: out %fd.name %fd.sip.name
  priority: info
- rule: Disabled
  desc: off
  condition: evt.type = ptrace and evt.arg.request contains PTRACE_ATTACH and proc_name_exists
  output: x
  priority: WARNING
  enabled: false
- rule: Terminal
  append: true
  condition: and not proc.args contains --quiet
`.replace("%container.info", "%container.name");

describe("a file with the constructs of the public ones", () => {
	const set = load(own);

	it("loads whole, nothing dropped", () => {
		expectWhole(own.slice(0, own.lastIndexOf("- rule: Terminal")), set);
	});

	it("says which rule can do what", () => {
		expect(Object.fromEntries(set.rules.map(({ name, status }) => [name, status]))).toEqual({
			Traversal: "evaluable",
			Terminal: "evaluable",
			"Sudo Quirk": "evaluable",
			Out: "evaluable",
			Disabled: "evaluable",
		});
	});

	it("fires as it would there", () => {
		const read = { open: { path: "/etc/shadow", raw: "../../../etc/shadow", flags: ["O_RDONLY"] } };
		expect(fired(set, read)).toEqual(["Traversal"]);
		expect(fired(set, { open: { path: "/etc/shadow", flags: ["O_RDONLY"] } })).toEqual([]);
		const shell = { process: { exe: "/bin/bash", tty: "34816" }, container: { image: "nginx:1" } };
		expect(fired(set, shell)).toEqual(["Terminal"]);
		expect(fired(set, { ...shell, container: { image: "registry.example/x:1" } })).toEqual([]);
		expect(fired(set, { ...shell, process: { ...shell.process, args: ["bash", "--quiet"] } })).toEqual([]);
		expect(fired(set, { process: shell.process })).toEqual([]);
		const sudo = (args: string) => ({ process: { exe: "/usr/bin/sudoedit", args: ["sudoedit", args] } });
		expect(fired(set, sudo("-s \\"))).toEqual(["Sudo Quirk"]);
		expect(fired(set, sudo("-s x"))).toEqual([]);
		expect(fired(set, { connect: { address: "9.9.9.9", port: "22" } })).toEqual([]);
		expect(fired(set, { connect: { address: "10.1.1.1", port: "22" } })).toEqual([]);
	});
});

it(`the public files are ${files.length > 0 ? "there" : "not there, so only our own was loaded"}`, () => {
	// Naming a folder and not having it is a mistake; not having the corpus at all is not.
	if (process.env.PICKET_RULES_CORPUS !== undefined) expect(files.length, corpus).toBeGreaterThan(0);
	expect(errorsOf(load(own))).toEqual([]);
});

describe.runIf(files.length > 0)("the public rule files", () => {
	it.each(files)("%s loads unchanged", (name) => {
		const text = readFileSync(join(corpus, name), "utf8");
		const set = load(text, "falco", name);
		expectWhole(text, set);
		expect(set.rules.length).toBe((text.match(/^- rule:/gm) ?? []).length);
		expect(set.rules.filter(({ status }) => status === "evaluable").length).toBeGreaterThanOrEqual(10);
		const warned = set.problems.filter(({ level }) => level === "warning").map(({ where }) => where);
		expect(warned).toEqual(
			set.rules
				.filter(({ interest }) => interest?.readOpens === "all" || interest?.writeOpens === "all")
				.map((rule) => rule.name),
		);
	});
});
