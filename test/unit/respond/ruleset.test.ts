import { describe, expect, it } from "vitest";
import { describeFirewall, findBackend } from "../../../agent/respond/backend.ts";
import type { RunCommand } from "../../../agent/respond/command.ts";
import { RespondError } from "../../../agent/respond/failure.ts";
import {
	deletionsOf,
	familyOf,
	installationOf,
	isOnlyOurs,
	readTable,
} from "../../../agent/respond/ruleset.ts";
import { coverage, readCounts, readSaved } from "../../../agent/respond/sets.ts";

const family = familyOf("203.0.113.9");
const lines = {
	in: "-A PICKET-IN -m comment --comment picket -m set --match-set picket4-in src -j DROP",
	out: "-A PICKET-OUT -m comment --comment picket -m set --match-set picket4-out dst -j DROP",
	jumpIn: "-A PREROUTING -m comment --comment picket -j PICKET-IN",
	jumpOut: "-A POSTROUTING -m comment --comment picket -j PICKET-OUT",
};
const chains = [
	":PREROUTING ACCEPT [0:0]",
	":POSTROUTING ACCEPT [3:180]",
	":PICKET-IN - [0:0]",
	":PICKET-OUT - [0:0]",
];
const foreign = "-A POSTROUTING -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu";
const table = (...rules: string[]) =>
	readTable(
		["# Generated", "*nat", "-A X -j Y", "COMMIT", "*mangle", ...chains, ...rules, "COMMIT"].join("\n"),
		"mangle",
	);
const whole = [lines.jumpIn, lines.jumpOut, lines.in, lines.out];

describe("the plan for the mangle table", () => {
	it("is empty when all stands, however iptables prints it", () => {
		expect(installationOf(table(...whole, foreign), family)).toEqual([]);
		const other = '-A PICKET-IN -m set --match-set picket4-in src -m comment --comment "picket" -j DROP';
		expect(installationOf(table(lines.jumpIn, lines.jumpOut, other, lines.out), family)).toEqual([]);
	});

	it("makes chains, matches and jumps where there is nothing, and remembers that the table is new", () => {
		expect(installationOf(undefined, family)).toEqual([
			":PICKET-MADE-TABLE - [0:0]",
			":PICKET-IN - [0:0]",
			lines.in,
			":PICKET-OUT - [0:0]",
			lines.out,
			"-I PREROUTING 1 -m comment --comment picket -j PICKET-IN",
			"-I POSTROUTING 1 -m comment --comment picket -j PICKET-OUT",
		]);
		expect(installationOf(undefined, family, true).join()).not.toContain("comment");
	});

	it("mends only what is wrong", () => {
		const jump = "-I POSTROUTING 1 -m comment --comment picket -j PICKET-OUT";
		const behind = table(lines.jumpIn, foreign, lines.jumpOut, lines.in, lines.out);
		expect(installationOf(behind, family)).toEqual([`-D ${lines.jumpOut.slice(3)}`, jump]);
		const twice = table(lines.jumpIn, lines.jumpOut, lines.jumpOut, lines.in, lines.out);
		const drop = `-D ${lines.jumpOut.slice(3)}`;
		expect(installationOf(twice, family)).toEqual([drop, drop, jump]);
		const accepting = table(lines.jumpIn, lines.jumpOut, "-A PICKET-IN -j ACCEPT", lines.in, lines.out);
		expect(installationOf(accepting, family)).toEqual([":PICKET-IN - [0:0]", lines.in]);
		const otherSet = table(lines.jumpIn, lines.jumpOut, lines.in.replace("4-in", "4-old"), lines.out);
		expect(installationOf(otherSet, family)).toEqual([":PICKET-IN - [0:0]", lines.in]);
		const elsewhere = table(...whole, "-A INPUT -i eth1 -j PICKET-IN");
		expect(installationOf(elsewhere, family)).toContain("-D INPUT -i eth1 -j PICKET-IN");
	});

	it("takes away every jump of ours, doubled ones too, and no rule of others", () => {
		const plan = deletionsOf(table(...whole, lines.jumpIn, foreign));
		expect(plan.filter((line) => line === `-D ${lines.jumpIn.slice(3)}`)).toHaveLength(2);
		expect(plan.join()).not.toContain("TCPMSS");
		expect(plan.slice(-2)).toEqual(["-X PICKET-IN", "-X PICKET-OUT"]);
		expect(deletionsOf(table(foreign))).toHaveLength(4);
		expect(deletionsOf(undefined)).toEqual([]);
	});

	it("takes the table itself away only when it was made for us and nobody else uses it", () => {
		const made = (...rules: string[]) =>
			readTable(
				["*mangle", ...chains, ":PICKET-MADE-TABLE - [0:0]", ...rules, "COMMIT"].join("\n"),
				"mangle",
			);
		expect(isOnlyOurs(made(...whole))).toBe(true);
		expect(isOnlyOurs(made(...whole, foreign))).toBe(false);
		expect(isOnlyOurs(table(...whole))).toBe(false);
		expect(
			isOnlyOurs(readTable("*mangle\n:PICKET-MADE-TABLE - [0:0]\n:THEIRS - [0:0]\nCOMMIT", "mangle")),
		).toBe(false);
		expect(
			isOnlyOurs(readTable("*mangle\n:PREROUTING DROP [0:0]\n:PICKET-MADE-TABLE - [0:0]\nCOMMIT", "mangle")),
		).toBe(false);
	});
});

describe("a set as ipset prints it", () => {
	it("is read with what each entry has left, addresses as we write them", () => {
		const saved = readSaved(
			"create picket6-in hash:net family inet6\nadd picket6-in ::1.2.3.4 timeout 9 packets 0 bytes 0\nadd picket6-in 2001:db8::/32 timeout 0\n",
		);
		expect(saved.get("picket6-in")).toEqual(
			new Map([
				["::102:304", 9],
				["2001:db8::/32", 0],
			]),
		);
		const covers = coverage(saved.get("picket6-in"));
		expect(["::102:304", "2001:db8::7", "2001:db9::7"].map(covers)).toEqual([true, true, false]);
		expect(coverage(undefined)("::1")).toBe(false);
	});

	it("is counted", () => {
		const listed =
			"Name: a\nType: hash:net\nNumber of entries: 3\n\nName: b\nType: hash:net\nNumber of entries: 0\n";
		expect(readCounts(listed)).toEqual(
			new Map([
				["a", 3],
				["b", 0],
			]),
		);
	});
});

describe("the backend", () => {
	const docker = "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n";
	const own = "*filter\n-A INPUT -j ACCEPT\n-A INPUT -j f2b-sshd\n:f2b-sshd - [0:0]\nCOMMIT\n";
	/** A host whose commands say these things; others are not installed. */
	const host =
		(said: Record<string, string>): RunCommand =>
		async (file, args) => {
			const call = [file, ...args].join(" ");
			if (said[call] === undefined)
				throw new RespondError("PICKET_COMMAND_MISSING", `${file} is not installed`, "");
			return { code: 0, stdout: said[call], stderr: "" };
		};
	const both = (nft: string, legacy: string, version = "iptables v1.8.9 (nf_tables)") =>
		host({
			"iptables -V": version,
			"iptables-nft -V": "iptables v1.8.9 (nf_tables)",
			"iptables-legacy -V": "iptables v1.8.9 (legacy)",
			"iptables-nft-save": nft,
			"ip6tables-nft-save": "",
			"iptables-legacy-save": legacy,
			"ip6tables-legacy-save": "",
			"iptables-save": version.includes("nf_tables") ? nft : legacy,
			"ip6tables-save": "",
			"ipset -V": "ipset v7.17",
			"ss -V": "ss",
			"nft list tables": "table inet firewalld\n",
		});

	it("is what the host's iptables stands for", async () => {
		expect(await findBackend(both(docker, ""))).toMatchObject({ kind: "nft", variant: "", problems: [] });
		expect(await findBackend(both("", docker, "iptables v1.8.9 (legacy)"))).toMatchObject({
			kind: "legacy",
			variant: "",
		});
		const old = host({ "iptables -V": "iptables v1.4.21" });
		expect(await findBackend(old)).toEqual({ kind: "legacy", variant: "", other: undefined, problems: [] });
	});

	it("is the one in which Docker has its rules, with a warning", async () => {
		const found = await findBackend(both(own, docker));
		expect(found).toMatchObject({ kind: "legacy", variant: "-legacy", other: { variant: "-nft" } });
		expect(found.problems.join()).toContain("since Docker keeps its rules there");
		const staying = await findBackend(both(docker, own));
		expect(staying).toMatchObject({ kind: "nft", variant: "" });
		expect(staying.problems.join()).toContain("packets pass the rules of both");
	});

	it("is not in doubt because of our own rules left in the other", async () => {
		expect((await findBackend(both(own, `*mangle\n${lines.jumpIn}\nCOMMIT\n`))).problems).toEqual([]);
	});

	it("is described with who else has rules here and what is missing", async () => {
		const report = await describeFirewall(both(`${own}${docker}`, ""));
		expect(report).toMatchObject({ backend: "nft", version: "iptables v1.8.9 (nf_tables)" });
		expect(report.others).toEqual(["docker", "firewalld", "fail2ban"]);
		expect(report.problems).toEqual([
			"conntrack is not installed: open connections of a blocked address are not cut, only silent; install the package conntrack",
		]);
	});

	it("that is missing on a host with nftables alone is said plainly", async () => {
		const report = await describeFirewall(
			host({ "nft --version": "nftables v1.0.6", "ipset -V": "", "ss -V": "", "conntrack -V": "" }),
		);
		expect(report.backend).toBe("none");
		expect(report.problems.join()).toContain("this host has nftables but not the tool iptables");
		expect(report.problems.join()).toContain("install the package iptables");
	});
});
