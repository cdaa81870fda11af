// What the kernel is asked to send for a rule: enough that no match is lost, and as little as can be.
import { describe, expect, it } from "vitest";
import { Engine } from "../../../agent/detect/engine.ts";
import { observationOf } from "../../../agent/detect/sample.ts";
import { Text } from "../../../agent/model/event.ts";
import { noInterest, type OpenInterest, type PathInterest } from "../../../agent/model/interest.ts";
import { context, load, Random, ruleOf, ruleText } from "./rig.ts";

const empty: PathInterest = { exact: [], prefixes: [], names: [], suffixes: [] };
const read = "evt.type in (open, openat) and evt.is_open_read = true and evt.rawres >= 0 and";
const interest = (condition: string) => {
	const found = ruleOf(condition).rule.interest;
	if (!found) throw new Error("no interest");
	return found;
};

describe("the interest of a rule", () => {
	it("is in the kinds of event it can match on", () => {
		expect([...interest("evt.type = execve").kinds]).toEqual(["exec"]);
		expect([...interest("evt.type = connect and fd.sport = 1").kinds]).toEqual(["connect"]);
		const descriptors = "open connect chmod chown truncate setxattr accept bind listen send dup memfd";
		expect([...interest("fd.name = /x").kinds]).toEqual(descriptors.split(" "));
		expect([...interest("evt.type = unlinkat").kinds]).toEqual(["unlink", "rmdir"]);
		expect([...interest("evt.type = unlink").kinds]).toEqual(["unlink"]);
		expect([...interest("not evt.type = unlink and evt.arg.path startswith /x").kinds]).toEqual(
			"unlink rmdir mkdir mknod chown truncate setxattr chroot".split(" "),
		);
		expect([...interest("evt.type = personality").kinds]).toEqual([]);
		expect(interest("evt.type = execve")).toMatchObject({
			writeOpens: "none",
			failedOpens: false,
			readOpens: "none",
		});
	});

	it.each([
		["evt.is_open_write = true", "all", true, "none"],
		["evt.is_open_write = true and evt.rawres >= 0", "all", false, "none"],
		["evt.is_open_write = true and fd.num >= 0", "all", false, "none"],
		["evt.is_open_write = true and evt.res = SUCCESS", "all", false, "none"],
		["evt.is_open_write = true and evt.failed = false", "all", false, "none"],
		["evt.is_open_write = true and evt.rawres < 0", "none", true, "none"],
		["evt.is_open_write != false and evt.res != SUCCESS", "none", true, "none"],
		["not evt.is_open_write = false and evt.failed = true", "none", true, "none"],
		["evt.is_open_read = true and evt.rawres >= 0", "all", false, "all"],
		["evt.is_open_read = false", "all", true, "none"],
		["evt.arg.flags contains O_TRUNC and evt.rawres >= 0", "all", false, "none"],
		["evt.arg.flags contains O_CREAT", "all", true, "none"],
		["evt.arg.flags contains oneof (O_CREAT, O_RDONLY)", "all", true, "all"],
		["evt.is_open_exec = true and evt.rawres >= 0", "all", false, "none"],
		["evt.res in (SUCCESS, EACCES)", "all", true, "all"],
		["evt.res startswith S", "all", true, "all"],
		["evt.is_open_read exists", "all", true, "all"],
		["evt.failed exists", "all", true, "all"],
		["evt.is_open_read in (false, true)", "all", true, "all"],
	])(
		"evt.type = openat and %s: writes %s, failures %s, reads %s",
		(condition, writeOpens, failedOpens, readOpens) => {
			expect(interest(`evt.type = openat and ${condition}`)).toMatchObject({
				writeOpens,
				failedOpens,
				readOpens,
			});
		},
	);

	it.each([
		["fd.name = /etc/shadow", { exact: ["/etc/shadow"] }],
		["fd.name in (/a, /b)", { exact: ["/a", "/b"] }],
		["fd.name startswith /etc/", { prefixes: ["/etc/"] }],
		["fd.name startswith oneof (/a, /b)", { prefixes: ["/a", "/b"] }],
		["fd.name endswith /authorized_keys", { suffixes: ["/authorized_keys"] }],
		["fd.name pmatch (/etc)", { exact: ["/etc"], prefixes: ["/etc/"] }],
		["fd.name pmatch (etc//ssh/)", { exact: ["/etc/ssh"], prefixes: ["/etc/ssh/"] }],
		["fd.name pmatch (/home/*/.ssh)", { prefixes: ["/home/"] }],
		["fd.name glob /home/*/.ssh/*", { prefixes: ["/home/"] }],
		["fd.name glob /home/*/.ssh/authorized_keys", { names: ["authorized_keys"] }],
		["fd.name glob */id_rsa", { names: ["id_rsa"] }],
		["fd.name glob *.pem", { suffixes: [".pem"] }],
		["fd.name glob /etc/shadow", { exact: ["/etc/shadow"] }],
		["fd.directory = /etc/", { prefixes: ["/etc/"] }],
		["fd.directory in (/etc, /)", { prefixes: ["/etc/", "/"] }],
		["fd.directory startswith /root/.ssh", { prefixes: ["/root/.ssh"] }],
		["fd.directory pmatch (/etc)", { exact: ["/etc"], prefixes: ["/etc/"] }],
		["fd.filename in (id_rsa, shadow)", { names: ["id_rsa", "shadow"] }],
		["fd.filename endswith .pem", { suffixes: [".pem"] }],
		["fd.name startswith /home/ and fd.name = /home/x", { exact: ["/home/x"], prefixes: [] }],
		["fd.name startswith oneof (/home/, /root/) and fd.filename endswith .pem", { suffixes: [".pem"] }],
		["(fd.name = /a or fd.filename = b)", { exact: ["/a"], names: ["b"] }],
		["fd.name = /a and not fd.name = /b", { exact: ["/a"] }],
		["proc.name = cat and fd.name = /a", { exact: ["/a"] }],
		["fd.name = /é", { exact: [Buffer.from("/é").toString("latin1")] }],
	])("in files read is bounded by %s", (condition, bound) => {
		const found = interest(`${read} ${condition}`).readOpens;
		const expected = { ...empty, ...bound };
		for (const key of ["exact", "prefixes", "names", "suffixes"] as const)
			expect((found as PathInterest)[key], key).toEqual(expected[key]);
	});

	it.each([
		"proc.name = cat",
		"not fd.name = /a",
		"fd.name != /a",
		"fd.name contains shadow",
		"(fd.name = /a or proc.name = b)",
		"fd.name = val(proc.exepath)",
		"fd.name in val(proc.exepath)",
		"tolower(fd.name) = /a",
		"fd.name startswith allof ()",
		"fd.nameraw = /a",
		"fd.name iglob /etc/*",
		String.raw`fd.name glob *\a`,
		"fd.directory endswith x",
		"fd.filename = ''",
	])("in files read is not bounded by %s, and that is warned of", (condition) => {
		const { set, rule } = ruleOf(`${read} ${condition}`);
		expect(rule.interest?.readOpens).toBe("all");
		expect(set.interest.readOpens).toBe("all");
		expect(set.problems).toMatchObject([{ level: "warning", where: "r", line: 1, file: "rules.yaml" }]);
		expect(set.problems[0]?.remedy).not.toBe("");
	});

	it("in files written is bounded the same way, and the two do not mix", () => {
		const both = interest(
			"evt.type = openat and evt.rawres >= 0 and evt.is_open_write = true and fd.name startswith /etc/",
		);
		expect(both).toMatchObject({ readOpens: "none", writeOpens: { ...empty, prefixes: ["/etc/"] } });
		const { set } = ruleOf("evt.is_open_write = true and evt.rawres >= 0 and proc.name = cat");
		expect(set.problems).toMatchObject([{ level: "warning" }]);
		expect(set.problems[0]?.message).toContain("for writing");
	});

	it.each([
		["fd.sport = 22", [22], false],
		["fd.sport in (80, 443) and proc.name = x", [80, 443], false],
		["fd.rport = 22 and fd.typechar in (4, 6)", [22], false],
		["(fd.sport = 22 or fd.sip = 10.0.0.1)", "all", false],
		["fd.sport != 22", "all", false],
		["fd.cport = 22", "all", false],
		["fd.port = 22", "all", false],
		["fd.typechar in (4, 6)", "all", false],
		["fd.typechar = u and fd.name = /run/x", "none", true],
		["fd.l4proto = tcp", "all", false],
		["not fd.sport = 22", "all", true],
		["proc.name = x", "all", true],
	])("in connections of %s is in ports %j, Unix sockets %j", (condition, ip, unix) => {
		expect(interest(`evt.type = connect and ${condition}`).connects).toEqual({ ip, unix });
	});

	it("of a rule that is off is nothing, and nothing is warned of", () => {
		const set = load(ruleText(`${read} proc.name = x`, { enabled: "false" }));
		expect(set.problems).toEqual([]);
		expect(set.interest).toEqual(noInterest);
	});

	it("adds up over the rules", () => {
		const rules = [
			`${read} fd.name = /a`,
			`${read} fd.filename = b`,
			"evt.type = execve",
			"evt.is_open_write = true",
		];
		const set = load(
			`[${rules.map((condition, i) => ruleText(condition, { rule: `r${i}` }).slice(1, -1)).join()}]`,
		);
		expect(set.interest).toEqual({
			...noInterest,
			kinds: new Set(["open", "exec"]),
			writeOpens: "all",
			failedOpens: true,
			readOpens: { ...empty, exact: ["/a"], names: ["b"] },
		});
	});
});

/** Would the kernel send this open, with the interest as it is written into its tables? */
function sent(path: string, reads: OpenInterest): boolean {
	if (reads === "all" || reads === "none") return reads === "all";
	// The root directory's own name is a slash (fs/dcache.c, d_make_root).
	const name = path === "/" ? "/" : path.slice(path.lastIndexOf("/") + 1);
	const names = [
		...reads.names,
		...reads.suffixes
			.filter((suffix) => suffix.includes("/"))
			.map((suffix) => suffix.slice(suffix.lastIndexOf("/") + 1)),
	];
	if (reads.suffixes.some((suffix) => !suffix.includes("/") && name.endsWith(suffix))) return true;
	return (
		reads.exact.includes(path) ||
		reads.prefixes.some((prefix) => path.startsWith(prefix)) ||
		names.includes(name)
	);
}

describe("no match is lost to the filter in the kernel:", () => {
	const random = new Random(7);
	const part = () => random.pick(["a", "b", "ab", "é", "etc", ".ssh", "id_rsa", "x.pem"]);
	const path = () => `/${random.several(0, 4, part).join("/")}`;
	const quoted = (text: string) => `"${text}"`;
	const piece = () => {
		const whole = path();
		return random.pick([
			whole,
			whole.slice(random.below(whole.length)),
			whole.slice(0, random.below(whole.length) + 1),
			`${whole}/`,
			part(),
			"",
		]);
	};
	const pattern = () =>
		random
			.several(1, 4, () =>
				random.pick([part(), part(), "*", "?", "[a-e]", "[!x]", "/", "//", "\\\\a", "[", "]"]),
			)
			.join(random.pick(["", "/"]));
	const list = (make: () => string) => `(${random.several(0, 3, () => quoted(make())).join(", ")})`;

	function check(): string {
		const field = random.pick(["fd.name", "fd.directory", "fd.filename"]);
		return random.pick([
			() => `${field} = ${quoted(piece())}`,
			() => `${field} in ${list(piece)}`,
			() => `${field} startswith ${quoted(piece())}`,
			() => `${field} endswith ${quoted(piece())}`,
			() =>
				`${field} ${random.pick(["startswith", "endswith", "="])} ${random.pick(["oneof", "allof"])} ${list(piece)}`,
			() => `${field} glob ${quoted(random.pick(["", "/"]) + pattern())}`,
			() => `${field} glob oneof ${list(pattern)}`,
			() => `${field} pmatch ${list(() => random.pick(["", "/"]) + pattern())}`,
			() => `${field} contains ${quoted(part())}`,
			() =>
				random.pick([
					"evt.is_open_read = true",
					"evt.is_open_write = false",
					"evt.res in (SUCCESS)",
					"fd.num >= 0",
				]),
			() =>
				random.pick(["evt.arg.flags contains oneof (O_RDONLY, O_CREAT)", "proc.name = cat", "proc.name = x"]),
		])();
	}
	function condition(depth = 0): string {
		if (depth > 2 || random.chance(0.35)) return check();
		const inner = () => `(${condition(depth + 1)})`;
		return random.pick([
			() => `not ${inner()}`,
			() => random.several(2, 3, inner).join(" and "),
			() => random.several(2, 3, inner).join(" and "),
			() => random.several(2, 3, inner).join(" or "),
		])();
	}

	it.each(["read", "write"])(
		"a random rule's every %s lies within the interest derived from it",
		(sort) => {
			const count = { matches: 0, bounded: 0 };
			for (let round = 0; round < 3000; round++) {
				const text = `evt.type = openat and evt.is_open_${sort} = true and (${condition()})`;
				const { set, rule } = ruleOf(text);
				const reads = (sort === "read" ? rule.interest?.readOpens : rule.interest?.writeOpens) ?? "none";
				if (reads !== "all") count.bounded++;
				const engine = new Engine(set, context);
				for (let i = 0; i < 8; i++) {
					const observation = observationOf({
						open: { path: path(), flags: [sort === "read" ? "O_RDONLY" : "O_WRONLY"] },
						process: { exe: "/usr/bin/cat" },
					});
					let matched = false;
					engine.evaluate(observation, () => {
						matched = true;
					});
					if (!matched) continue;
					count.matches++;
					const file = observation.event.text(Text.path);
					if (!sent(file, reads))
						expect.fail(`${text}\nmatches ${file}, which is not in ${JSON.stringify(reads)}`);
				}
			}
			expect(count.bounded).toBeGreaterThan(500);
			expect(count.matches).toBeGreaterThan(1000);
		},
		30_000,
	);
});
