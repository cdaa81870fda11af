// Our own signatures against the samples they carry, through the engine that judges real events.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadRules, type RuleFile } from "../../../agent/detect/load.ts";
import { observationOf, type Sample } from "../../../agent/detect/sample.ts";
import { eventNames } from "../../../agent/model/event.ts";
import { findings } from "./rig.ts";

const folder = new URL("../../../agent/detect/signatures/", import.meta.url).pathname;
const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
	.filter((name) => /\.ya?ml$/.test(name))
	.sort()
	.map((name): RuleFile => ({ path: name, text: readFileSync(folder + name, "utf8"), origin: "picket" }));
const set = loadRules(files);
/** What is there for correlations alone has its samples there: correlation-signatures.test.ts. */
const signatures = set.rules.filter(({ silent, correlation }) => !silent && !correlation);

interface Samples {
	readonly positive: readonly Sample[];
	readonly negative: readonly Sample[];
}
function samplesOf(samples: unknown): Samples {
	const given = (samples ?? {}) as Partial<Samples>;
	return { positive: given.positive ?? [], negative: given.negative ?? [] };
}

/** A misspelt key would make an event that nobody meant, and a negative sample pass for nothing. */
const keys = {
	sample: [...eventNames, "process", "ancestors", "container"],
	exec: ["memfd", "unlinked", "syscall"],
	open: ["path", "raw", "flags", "result", "mode", "syscall"],
	connect: ["family", "protocol", "address", "port", "path", "result"],
	process: ["exe", "comm", "args", "uid", "login_uid", "cwd", "tty", "pid", "sid", "stdin"],
	container: ["id", "name", "image", "privileged", "labels"],
} as const;
function strangeKeys(sample: Sample): string[] {
	const strange = (value: unknown, known: keyof typeof keys): string[] =>
		typeof value === "object" && value !== null
			? Object.keys(value).filter((key) => !(keys[known] as readonly string[]).includes(key))
			: [];
	return [
		...strange(sample, "sample"),
		...strange(sample.exec, "exec"),
		...strange(sample.open, "open"),
		...strange(sample.connect, "connect"),
		...strange(sample.container, "container"),
		...[sample.process, ...(sample.ancestors ?? [])].flatMap((each) => strange(each, "process")),
	];
}

describe("the signatures of the product", () => {
	it("load without an error", () => {
		expect(set.problems.filter(({ level }) => level === "error")).toEqual([]);
	});

	it("ask for no file that cannot be named", () => {
		expect(set.interest.readOpens).not.toBe("all");
		expect(set.interest.writeOpens).not.toBe("all");
		expect(set.problems).toEqual([]);
	});

	it("ask for no change of a file that cannot be named, nor for the many in homes and sources", () => {
		const { fileChanges } = set.interest;
		if (typeof fileChanges === "string") throw new Error(`they ask for ${fileChanges}`);
		const wide = /^\/(home|root|usr|var|opt|srv|mnt|run|etc|proc|sys)?\/?$/;
		expect(fileChanges.prefixes.filter((prefix) => wide.test(prefix))).toEqual([]);
		// Whole names, and endings that no program but ransomware and what encrypts gives.
		const ordinary =
			/^\.?(bak|c|cache|css|db|gz|h|html|jpg|js|json|lock|log|md|o|py|so|tmp|ts|txt|xml|ya?ml)?$/;
		const endings = fileChanges.suffixes.filter((suffix) => !suffix.startsWith("/"));
		expect(endings.filter((suffix) => ordinary.test(suffix) || suffix.length < 4)).toEqual([]);
		for (const rule of set.rules) expect(rule.interest?.fileChanges, rule.name).not.toBe("all");
	});

	it("hook no more kinds of events than they are worth", () => {
		const kinds = `exec open connect
			rename unlink rmdir mknod link symlink chmod chown truncate setxattr socket dup unshare setns ptrace
			vmWrite kill mount pivotRoot chroot module bpf userfaultfd`;
		expect([...set.interest.kinds].sort()).toEqual(kinds.split(/\s+/).sort());
	});

	it("are at least fifteen, each under a name of its own", () => {
		expect(signatures.length).toBeGreaterThanOrEqual(15);
		const written = files.flatMap(({ text }) => text.match(/^- rule:.*$/gm) ?? []);
		const rules = set.rules.filter(({ correlation }) => !correlation);
		expect(rules.length).toBe(written.length);
	});

	it("only define names that begin with picket_, which a user's files do not touch", () => {
		const names = files.flatMap(({ text }) =>
			[...text.matchAll(/^- (?:macro|list): *(\S+)/gm)].map(([, name]) => name ?? ""),
		);
		expect(names.filter((name) => !name.startsWith("picket_"))).toEqual([]);
	});
});

describe.each(signatures.map((rule) => [rule.name, rule] as const))("signature %s", (name, rule) => {
	const { positive, negative } = samplesOf(rule.samples);

	it("says what it is and where it stands in ATT&CK", () => {
		expect(rule.status, rule.reasons.join("; ")).toBe("evaluable");
		expect(rule.reasons).toEqual([]);
		expect(rule.techniques, "techniques").not.toEqual([]);
		expect(rule.tactics, "tactics").not.toEqual([]);
		expect(rule.description.length).toBeGreaterThan(20);
		expect(rule.output.length).toBeGreaterThan(10);
	});

	it("carries samples of both kinds", () => {
		expect(positive.length, "positive samples").toBeGreaterThanOrEqual(1);
		expect(negative.length, "negative samples").toBeGreaterThanOrEqual(2);
	});

	it.each(positive.map((sample, index) => [index + 1, sample] as const))(
		"fires on its sample %i",
		(number, sample) => {
			expect(strangeKeys(sample), "unknown keys").toEqual([]);
			const found = findings(set, observationOf(sample));
			const shown = `${name}: positive sample ${number} ${JSON.stringify(sample)}`;
			expect(
				found.map((finding) => finding.rule),
				shown,
			).toContain(name);
			const own = found.find((finding) => finding.rule === name);
			expect(own?.summary.trim(), shown).not.toBe("");
		},
	);

	it.each(negative.map((sample, index) => [index + 1, sample] as const))(
		"stays silent on its counter-sample %i",
		(number, sample) => {
			expect(strangeKeys(sample), "unknown keys").toEqual([]);
			const found = findings(set, observationOf(sample)).map((finding) => finding.rule);
			expect(found, `${name}: negative sample ${number} ${JSON.stringify(sample)}`).not.toContain(name);
		},
	);
});
