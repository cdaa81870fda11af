// The grammar of conditions, and what each operator says of each type of field.
import { describe, expect, it } from "vitest";
import { Engine } from "../../../agent/detect/engine.ts";
import type { Sample } from "../../../agent/detect/sample.ts";
import { observationOf } from "../../../agent/detect/sample.ts";
import { type Node, parseCondition, SyntaxProblem, type Term } from "../../../agent/detect/syntax.ts";
import { Text } from "../../../agent/model/event.ts";
import { context, errorOf, findings, fired, holds, load, Random, ruleOf, ruleText } from "./rig.ts";

/** A tree as text with every parenthesis written. */
function show(node: Node): string {
	const term = (each: Term): string => {
		if (each.is === "text") return JSON.stringify(each.text);
		if (each.is === "call") return `${each.name}(${each.terms.map(term).join(",")})`;
		const { name, argument } = each.field;
		return argument === undefined ? name : `${name}[${argument}]`;
	};
	switch (node.is) {
		case "name":
			return node.name;
		case "not":
			return `!${show(node.node)}`;
		case "check":
			return `${term(node.left)} ${node.match === "all" ? "all " : ""}${node.operator} ${node.right.map(term).join("|")}`.trim();
		default:
			return `(${node.nodes.map(show).join(node.is === "and" ? " & " : " + ")})`;
	}
}
const parsed = (text: string) => show(parseCondition(text));
function problem(text: string): SyntaxProblem {
	try {
		parseCondition(text);
	} catch (error) {
		if (error instanceof SyntaxProblem) return error;
	}
	throw new Error(`${text} was taken`);
}

const exec = (args: readonly string[], more: Partial<Sample["process"]> = {}): Sample => ({
	process: { exe: "/usr/bin/tool", args: ["tool", ...args], ...more },
});
const open = (path: string, more: Readonly<Record<string, string | readonly string[]>> = {}): Sample => ({
	open: { path, flags: ["O_RDONLY"], ...more },
	process: { exe: "/usr/bin/cat" },
});
const connect = (address: string, port = "443"): Sample => ({
	connect: { address, port },
	process: { exe: "/usr/bin/curl" },
});

describe("a condition", () => {
	it.each([
		["a or b and c", "(a + (b & c))"],
		["a and b or c", "((a & b) + c)"],
		["(a or b) and c", "((a + b) & c)"],
		["not a and b", "(!a & b)"],
		["not not a", "a"],
		["not not not a", "!a"],
		["not (a or b)", "!(a + b)"],
		["not(a or b)and(c)", "(!(a + b) & c)"],
		["a and(b or c)or(d)", "((a & (b + c)) + d)"],
		["not not(a)", "a"],
		["((((a))))", "a"],
		["a\n\tand\r\n b", "(a & b)"],
		[" a ", "a"],
	])("%j reads as %s", (text, tree) => {
		expect(parsed(text)).toBe(tree);
	});

	it.each([
		["andy or orange", "(andy + orange)"],
		["nothing and notes", "(nothing & notes)"],
		["inside", "inside"],
		["existing_thing", "existing_thing"],
		["tolower_macro", "tolower_macro"],
	])("%j has names that only begin like keywords", (text, tree) => {
		expect(parsed(text)).toBe(tree);
	});

	it.each([
		["proc.name=bash", 'proc.name = "bash"'],
		["proc.name == bash", 'proc.name = "bash"'],
		["proc.name!=bash", 'proc.name != "bash"'],
		["proc.name exists and a", "(proc.name exists & a)"],
		["evt.num>=0 and a", '(evt.num >= "0" & a)'],
		["evt.num<=0x10", 'evt.num <= "0x10"'],
		["proc.aname[2] = x", 'proc.aname[2] = "x"'],
		["container.mount.dest[/proc*] exists", "container.mount.dest[/proc*] exists"],
		['container.label["a b"] = x', 'container.label[a b] = "x"'],
		["proc.name in (a, b,c)", 'proc.name in "a"|"b"|"c"'],
		["proc.name in(a)", 'proc.name in "a"'],
		["proc.name in ()", "proc.name in"],
		["proc.name in ( 'a b' , \"c)\" )", 'proc.name in "a b"|"c)"'],
		["proc.args contains oneof (a, b)", 'proc.args contains "a"|"b"'],
		["proc.args contains anyof (a)", 'proc.args contains "a"'],
		["proc.args contains allof (a, b)", 'proc.args all contains "a"|"b"'],
		["proc.name = oneof (a, b)", 'proc.name = "a"|"b"'],
		["proc.name != allof(a, b)", 'proc.name all != "a"|"b"'],
		["proc.name = oneofus", 'proc.name = "oneofus"'],
		["fd.name glob /etc/*.conf and a", '(fd.name glob "/etc/*.conf" & a)'],
		["fd.name pmatch (/etc, /usr)", 'fd.name pmatch "/etc"|"/usr"'],
		["proc.name = proc.pname", 'proc.name = "proc.pname"'],
		["proc.name = val(proc.pname)", "proc.name = val(proc.pname)"],
		["tolower(proc.name) = x", 'tolower(proc.name) = "x"'],
		["join('-', (proc.name, proc.pname)) = x", 'join("-",list(proc.name,proc.pname)) = "x"'],
	])("%j is a check", (text, tree) => {
		expect(parsed(text)).toBe(tree);
	});

	it.each([
		[String.raw`proc.args contains "\ "`, "\\"],
		[String.raw`proc.args contains "a\"b'c"`, `a"b'c`],
		[String.raw`proc.args contains 'a\'b"c'`, `a'b"c`],
		[String.raw`proc.args contains "\n\t\r\b\f"`, "\n\t\r\b\f"],
		[String.raw`proc.args contains "\\\/"`, "\\/"],
		[String.raw`proc.args contains "\x41\x7e"`, "A~"],
		[`proc.args contains "two\nlines"`, "two\nlines"],
		['proc.args contains ""', ""],
	])("%j has a quoted value", (text, value) => {
		const node = parseCondition(text);
		expect(node.is === "check" && node.right).toEqual([{ is: "text", text: value }]);
	});

	it.each([
		["", "missing", 0],
		["a and", "unexpected", 2],
		["a and ", "missing", 6],
		["a b", "unexpected", 2],
		["(a", ") is missing", 2],
		["a)", "unexpected", 1],
		["proc.name", "an operator is missing", 9],
		["proc.name foo bar", "an operator is missing", 10],
		["proc.name =", "a value is missing", 11],
		['proc.name = "abc', "has no end", 12],
		[String.raw`proc.name = "a\qb"`, "unknown escape", 16],
		[String.raw`proc.name = "a\'b"`, "unknown escape", 16],
		["proc.name in nowhere", "no list is named nowhere", 13],
		["proc.name in (a b)", ", or ) is missing", 16],
		["proc.aname[2 = x", "] is missing", 12],
		["proc.aname[] = x", "an argument is missing", 11],
		["a and and b", "unexpected", 10],
		["proc.name contains(x)", "an operator is missing", 10],
	])("%j is refused with its place and a remedy", (text, message, at) => {
		const found = problem(text);
		expect(found.message).toContain(message);
		expect(found.at).toBe(at);
		expect(found.remedy).not.toBe("");
	});

	it("may nest a hundred levels, and is refused rather than overflow the stack", () => {
		expect(parsed(`${"(".repeat(100)}a${")".repeat(100)}`)).toBe("a");
		expect(problem(`${"(".repeat(100_000)}a`).message).toContain("too deeply");
		expect(problem(`${"tolower(".repeat(100_000)}proc.name`).message).toContain("too deeply");
		expect(problem(`join(${"(".repeat(100_000)}`).message).toContain("too deeply");
		expect(parsed(`${"not ".repeat(100_001)}a`)).toBe("!a");
	});

	it("of any text is either read or refused in short time", () => {
		const words = [
			"and",
			"or",
			"not",
			"(",
			")",
			"proc.name",
			"=",
			"in",
			"x",
			'"',
			"'",
			"\\",
			" ",
			",",
			"[",
			"]",
		];
		const random = new Random(1);
		let taken = 0;
		for (let round = 0; round < 20_000; round++) {
			const text = random.several(0, 11, () => random.pick(words)).join(random.pick([" ", ""]));
			try {
				parseCondition(text);
				taken++;
			} catch (error) {
				expect(error, text).toBeInstanceOf(SyntaxProblem);
			}
		}
		expect(taken).toBeGreaterThan(100);
	});
});

describe("logic is two-valued:", () => {
	const orphan = exec(["-x"]);
	const child: Sample = { ...orphan, ancestors: [{ exe: "/usr/bin/bash" }] };

	it.each([
		["proc.pname = bash", false],
		["proc.pname != bash", false],
		["not proc.pname = bash", true],
		["not proc.pname != bash", true],
		["proc.pname in (bash)", false],
		["proc.pname exists", false],
		["not proc.pname exists", true],
		["proc.pname startswith ''", false],
		["proc.aname != bash", false],
		["proc.aname exists", false],
		["container.image.repository != x", false],
		["not container.image.repository = x", true],
		["fd.name != x", false],
		["not fd.name = x", true],
		["k8s.ns.name != x", false],
		["fd.sip != 1.2.3.4", false],
		["not fd.sip = 1.2.3.4", true],
	])("without a parent, a container or a file %s is %s", (condition, expected) => {
		expect(holds(condition, orphan)).toBe(expected);
	});

	it("a known parent makes the checks ordinary", () => {
		expect(holds("proc.pname != bash", child)).toBe(false);
		expect(holds("proc.pname != zsh", child)).toBe(true);
		expect(holds("proc.pname exists", child)).toBe(true);
	});

	it("an argument that is empty is there", () => {
		expect(holds("proc.args = ''", exec([]))).toBe(true);
		expect(holds("proc.args exists", exec([]))).toBe(true);
		expect(holds("proc.args[0] exists", exec([]))).toBe(false);
		expect(holds("proc.args[1] = b", exec(["a", "b"]))).toBe(true);
	});

	it("an ancestor of which nothing is known satisfies nothing", () => {
		const observation = observationOf({ ...orphan, ancestors: [{ exe: "/usr/bin/bash" }] });
		const parent = observation.process?.parent;
		if (!parent || !observation.process) throw new Error("no parent");
		const process = { ...observation.process, parent: { ...parent, comm: "", exe: "", args: [] } };
		const check = (condition: string) => fired(ruleOf(condition).set, { ...observation, process });
		expect(check("proc.aname != zsh")).toEqual([]);
		expect(check("proc.aname exists")).toEqual([]);
		expect(check("proc.aname[1] exists")).toEqual([]);
		expect(check("proc.pexe exists")).toEqual([]);
		expect(check("not proc.aname exists")).toEqual(["r"]);
	});
});

describe("an ancestor's field", () => {
	const sample: Sample = {
		process: { exe: "/usr/bin/id" },
		ancestors: [
			{ exe: "/usr/bin/dash" },
			{ exe: "/usr/sbin/nginx", args: ["nginx", "-g"] },
			{ exe: "/sbin/init" },
		],
	};
	it.each([
		["proc.aname = nginx", true],
		["proc.aname in (init, foo)", true],
		["proc.aname = id", false],
		["proc.aname != nginx", true],
		["proc.aname[0] = id", true],
		["proc.aname[1] = dash", true],
		["proc.aname[2] = nginx", true],
		["proc.aname[3] startswith in", true],
		["proc.aname[4] exists", false],
		["proc.aexepath = /usr/sbin/nginx", true],
		["proc.aexe[2] = nginx", true],
		["proc.acmdline contains -g", true],
		["proc.aname = oneof (zsh, init)", true],
	])("%s is %s", (condition, expected) => {
		expect(holds(condition, sample)).toBe(expected);
	});
});

describe("an operator on text", () => {
	const sample = exec(["--Config", "/etc/ünï.conf", "a b"]);
	it.each([
		["proc.args contains Config", true],
		["proc.args contains config", false],
		["proc.args icontains cONFIG", true],
		["proc.args icontains ÜNÏ", false],
		["proc.args icontains oneof (nope, CONF)", true],
		["proc.args icontains allof (nope, CONF)", false],
		["proc.args contains ünï", true],
		["proc.args startswith --C", true],
		["proc.args startswith --c", false],
		["proc.args endswith 'a b'", true],
		["proc.args endswith allof (b, ' b')", true],
		["proc.args startswith allof (--, -x)", false],
		["proc.args glob '--*.conf a b'", true],
		["proc.args glob '--?onfig*'", true],
		["proc.args glob '--*.conf'", false],
		["proc.args iglob '--CONFIG*'", true],
		["proc.args glob '[-][-][A-D]*'", true],
		["proc.args glob '[!a]*'", true],
		["proc.args glob '[^-]*'", false],
		["proc.args iglob '--[!C]*'", false],
		["proc.args iglob '--[!c]*'", false],
		["proc.args regex '--Config .*'", true],
		["proc.args regex 'Config'", false],
		["proc.args regex '.*Config.*'", true],
		["proc.args regex '(?i)--config.*'", true],
		["proc.args bcontains 2d2d436f", true],
		["proc.args bstartswith 2D2D43", true],
		["proc.args bstartswith 436f", false],
		["proc.args bcontains c3bc", true],
		["proc.args bcontains allof (2d2d, ffff)", false],
		["proc.args regex allof ('--.*', 'x.*')", false],
		["proc.args intersects ('--Config /etc/ünï.conf a b')", true],
		["proc.name < toom", true],
		["proc.name > toom", false],
		["proc.name >= tool", true],
		["proc.name != allof (a, b)", true],
		["proc.name != oneof (tool, b)", true],
		["proc.name != allof (tool, b)", false],
		["proc.name in ()", false],
		["proc.name = tool", true],
		["proc.name = Tool", false],
	])("%s is %s", (condition, expected) => {
		expect(holds(condition, sample)).toBe(expected);
	});

	it.each([
		["fd.name pmatch (/etc)", "/etc/ssh/config", true],
		["fd.name pmatch (/etc)", "/etc", true],
		["fd.name pmatch (/etc/)", "/etc/x", true],
		["fd.name pmatch (/etc)", "/etcx", false],
		["fd.name pmatch (/usr, /etc)", "/etc/x", true],
		["fd.name pmatch (/home/*/.ssh)", "/home/ada/.ssh/id_rsa", true],
		["fd.name pmatch (/home/*/.ssh)", "/home/ada/x/.ssh/id_rsa", false],
		["fd.name pmatch (/ü)", "/ü/x", true],
		["fd.name glob /home/*/.ssh/*", "/home/ada/x/.ssh/id", true],
		["fd.name glob /ü/?", "/ü/x", true],
		["fd.directory = /", "/x", true],
		["fd.directory = /etc", "/etc/passwd", true],
		["fd.filename = passwd", "/etc/passwd", true],
		["fd.filename = memfd:x", "memfd:x", true],
		["fd.directory = /etc", "/etc/ssh/x", false],
		["fd.name in (/ü, /x)", "/ü", true],
		["fd.name bstartswith 2fc3bc", "/ü", true],
		["fd.typechar = f", "/x", true],
		["fd.typechar in (4, 6)", "/x", false],
	])("%s of the file %s is %s", (condition, path, expected) => {
		expect(holds(condition, open(path))).toBe(expected);
	});

	it("reads a file name that is not UTF-8 byte by byte", () => {
		const sample = observationOf(open("/tmp/AA"));
		sample.event.bytes.set([0xff, 0xfe], sample.event.textStart(Text.path) + "/tmp/".length);
		expect(fired(ruleOf("fd.filename bcontains fffe").set, sample)).toEqual(["r"]);
		expect(fired(ruleOf("fd.filename glob '??'").set, sample)).toEqual(["r"]);
	});

	it("matches a hostile expression in linear time", () => {
		const { set } = ruleOf("proc.args regex '(a+)+$'");
		const hostile = observationOf(exec([`${"a".repeat(100_000)}!`]));
		const begin = performance.now();
		expect(fired(set, hostile)).toEqual([]);
		// Milliseconds when linear, also on a busy machine; minutes when quadratic.
		expect(performance.now() - begin).toBeLessThan(2000);
	});

	it("matches a hostile glob in bounded time", () => {
		const { set } = ruleOf("proc.args glob 'a*a*a*a*a*a*a*a*b'");
		const hostile = observationOf(exec(["a".repeat(20_000)]));
		const begin = performance.now();
		expect(fired(set, hostile)).toEqual([]);
		expect(performance.now() - begin).toBeLessThan(200);
	});
});

describe("an operator on a number or a truth", () => {
	it.each([
		["evt.rawres >= 0", true],
		["evt.rawres = 3", true],
		["evt.rawres = 0x3", true],
		["evt.rawres in (1, 2)", false],
		["evt.rawres in (1, 3)", true],
		["evt.rawres != 3", false],
		["evt.rawres > -1", true],
		["evt.num > 0", true],
		["evt.is_open_read = true", true],
		["evt.is_open_read != true", false],
		["evt.is_open_write = true", false],
		["evt.res = SUCCESS", true],
		["fd.num >= 0", true],
		["evt.arg.flags contains O_RDONLY", true],
	])("%s of a read-only open is %s", (condition, expected) => {
		expect(holds(condition, open("/x"))).toBe(expected);
	});

	it.each([
		["evt.res = EACCES", true],
		["evt.rawres < 0", true],
		["evt.failed = true", true],
		["fd.num = -1", true],
		["fd.name = /x", true],
		["fd.filename exists", false],
		["fd.typechar = f", true],
	])("%s of a failed open is %s", (condition, expected) => {
		expect(holds(condition, open("/x", { result: "-13" }))).toBe(expected);
	});

	it("an open for both is a read and a write", () => {
		const both = open("/x", { flags: ["O_RDWR", "O_CREAT"], mode: "0755" });
		expect(holds("evt.is_open_read = true and evt.is_open_write = true", both)).toBe(true);
		expect(holds("evt.is_open_exec = true", both)).toBe(true);
		expect(holds("evt.is_open_exec = true", open("/x", { flags: ["O_RDWR", "O_CREAT"] }))).toBe(false);
		expect(holds("evt.arg.flags contains O_CREAT", both)).toBe(true);
	});

	it.each([
		["evt.rawres contains 3", "contains does not go with evt.rawres"],
		["evt.rawres = many", '"many" is none'],
		["evt.rawres = ''", "is none"],
		["evt.is_open_read = yes", "true or false, not yes"],
		["evt.is_open_read = 1", "true or false, not 1"],
		["evt.is_open_read > false", "> does not go with evt.is_open_read"],
		["fd.sip startswith 10.", "startswith does not go with fd.sip"],
		["fd.sip = 10.0.0.300", "fd.sip"],
		["fd.snet in (10.0.0.0/33)", "fd.snet"],
		["proc.args regex '('", "cannot be used"],
		["proc.args bcontains xyz", "hexadecimal"],
		["proc.args bcontains abc", "hexadecimal"],
		["tolower() = x", "takes one value"],
		["tolower(proc.name) regex '('", "cannot be used"],
		["len(proc.name) > many", "is none"],
		["len(proc.name) contains 3", "contains does not go with len"],
		["tolower(proc.nonsense) = x", "no field proc.nonsense"],
	])("%s does not load", (condition, message) => {
		const error = errorOf(condition);
		expect(error.message).toContain(message);
		expect(error.remedy).not.toBe("");
	});
});

describe("an address", () => {
	it.each([
		["fd.sip = 10.1.2.3", true],
		["fd.sip != 10.1.2.3", false],
		["fd.sip = 10.1.2.4", false],
		["fd.snet in (10.0.0.0/8)", true],
		["fd.rip = 10.1.2.3", true],
		["fd.cip = 10.1.2.3", false],
		["fd.cip = 0.0.0.0", true],
		["fd.lip = 0.0.0.0", true],
		["fd.ip = 0.0.0.0", true],
		["fd.ip = 10.1.2.3", true],
		["fd.ip != 10.1.2.3", false],
		["fd.ip != 0.0.0.0", false],
		["fd.ip != 9.9.9.9", true],
		["fd.net = 10.0.0.0/8", true],
		["fd.net != 10.0.0.0/8", false],
		["fd.net != 127.0.0.0/8", true],
		["fd.net in (127.0.0.0/8, 10.0.0.0/8)", true],
		["fd.ip = ::1", false],
		["fd.ip != ::1", true],
		["fd.snet = 2001:db8::/32", false],
		["fd.sport = 443", true],
		["fd.port = 443", true],
		["fd.port in (443)", true],
		["fd.port = 40000", true],
		["fd.port != 443", false],
		["fd.port != 40000", false],
		["fd.port != 5", true],
		["fd.cport = 40000", true],
		["fd.l4proto = tcp", true],
		["fd.typechar = 4", true],
		["fd.sip exists", true],
		["fd.name = '0.0.0.0:40000->10.1.2.3:443'", true],
		["fd.name endswith :443", true],
	])("%s of a connection to 10.1.2.3:443 is %s", (condition, expected) => {
		expect(holds(condition, connect("10.1.2.3"))).toBe(expected);
	});

	it.each([
		["fd.sip = 2001:db8::1", true],
		["fd.snet = 2001:db8::/32", true],
		["fd.sip = 10.1.2.3", false],
		["fd.sip != 10.1.2.3", true],
		["fd.snet = 0.0.0.0/0", false],
		["fd.net != 0.0.0.0/0", true],
		["fd.typechar = 6", true],
	])("%s of a connection to 2001:db8::1 is %s", (condition, expected) => {
		expect(holds(condition, connect("2001:db8::1"))).toBe(expected);
	});

	it("that is IPv4 inside IPv6 is an IPv4 address", () => {
		expect(holds("fd.typechar = 4 and fd.sip = 1.2.3.4", connect("::ffff:1.2.3.4"))).toBe(true);
	});

	it("is not there for a Unix socket", () => {
		const unix: Sample = { connect: { path: "/run/docker.sock" } };
		expect(holds("fd.typechar = u and fd.name = /run/docker.sock", unix)).toBe(true);
		expect(holds("fd.sip exists", unix)).toBe(false);
		expect(holds("fd.sport exists", unix)).toBe(false);
		expect(holds("fd.ip != 1.2.3.4", unix)).toBe(false);
	});
});

describe("a transform", () => {
	const sample: Sample = {
		process: { exe: "/usr/bin/Tool", args: ["/usr/bin/Tool", "--user", "Ada", "--mode=x", "Éa"] },
		ancestors: [{ exe: "/usr/bin/tool" }],
	};
	it.each([
		["tolower(proc.name) = tool", true],
		["toupper(proc.name) = TOOL", true],
		["proc.name = val(proc.pname)", false],
		["tolower(proc.name) = val(proc.pname)", true],
		["proc.pname = tolower(proc.name)", true],
		["basename(proc.exepath) = Tool", true],
		["len(proc.name) = 4", true],
		["len(proc.name) > 4", false],
		["len(proc.pname) >= 0x4", true],
		["concat(proc.name, '-', proc.pname) = Tool-tool", true],
		["join(':', (proc.name, proc.pname)) = Tool:tool", true],
		["getopt(proc.args, 'user') = Ada", true],
		["getopt(proc.args, 'mode') = x", true],
		["getopt(proc.args, 'nothing') exists", false],
		["tolower(proc.args[3]) = Éa", true],
		["tolower(proc.aname[9]) = x", false],
		["not tolower(proc.aname[9]) = x", true],
		["tolower(fd.name) = x", false],
		["proc.name in (Tool) and tolower(proc.name) in (tool, x)", true],
		["tolower(proc.name) startswith to", true],
		["val(fd.num) exists", false],
		["proc.pid >= val(proc.ppid)", true],
		["proc.name regex val(proc.pname)", false],
		["proc.pname regex tolower(proc.name)", true],
		["val(fd.directory) exists", false],
	])("%s is %s", (condition, expected) => {
		expect(holds(condition, sample)).toBe(expected);
	});

	it("patterns out of the event are each its own, also of more than are kept", () => {
		const { set } = ruleOf("proc.name regex val(proc.pname)");
		const engine = new Engine(set, context);
		const observation = observationOf(sample);
		for (let round = 0; round < 2; round++)
			for (let n = 0; n < 40; n++) {
				// Every third one is no pattern.
				const pattern = n % 3 === 0 ? `(${n}` : `a{${n}}`;
				Object.assign(observation.process?.parent ?? {}, { comm: pattern });
				for (const length of [n, n + 1]) {
					Object.assign(observation.process ?? {}, { comm: "a".repeat(length) });
					let told = 0;
					engine.evaluate(observation, () => told++);
					expect(told, `${pattern} ${length}`).toBe(n % 3 !== 0 && length === n ? 1 : 0);
				}
			}
	});

	it.each([
		["proc.name = val(proc.pname)", true],
		["proc.name != val(proc.pname)", false],
		["proc.name in val(proc.pname)", true],
		["proc.name startswith val(proc.pname)", true],
		["proc.name contains val(proc.pname)", true],
	])("%s is %s of the same bytes, though they are no UTF-8", (condition, expected) => {
		const observation = observationOf(sample);
		const names = [observation.process, observation.process?.parent];
		for (const process of names) Object.assign(process ?? {}, { comm: "a\xff" });
		expect(fired(ruleOf(condition).set, observation)).toEqual(expected ? ["r"] : []);
	});

	it.each([
		["tolower(proc.pid) = 1", "tolower takes a text, not a number"],
		["basename(fd.sip) = x", "basename takes a text, not an address"],
		["proc.pid = val(proc.name)", "a number is compared with a text"],
		["proc.name = val(proc.pid)", "a text is compared with a number"],
		["len(proc.name) = val(proc.name)", "a number is compared with a text"],
		["fd.sip startswith val(fd.cip)", "startswith does not go with fd.sip"],
		["tolower() = x", "tolower takes one value"],
		["tolower(proc.name, proc.exe) = x", "tolower takes one value"],
		["toupper(proc.nam) = x", "there is no field proc.nam"],
		["toupper(name) = x", "a field is missing"],
	])("%s is refused for its types", (condition, message) => {
		expect(errorOf(condition).message).toContain(message);
	});

	it.each([
		["fd.sip = val(fd.rip)", true],
		["fd.sip = val(fd.lip)", false],
		["fd.sip != val(fd.lip)", true],
		["proc.pid = val(proc.ppid)", false],
		["proc.pid > val(proc.ppid)", true],
	])("compares numbers and addresses of one event: %s is %s", (condition, expected) => {
		expect(holds(condition, connect("10.1.2.3"))).toBe(expected);
	});

	it("takes bytes out of base 64", () => {
		const given: Sample = { process: { args: ["x", Buffer.from("secret").toString("base64")] } };
		expect(holds("b64(proc.args) = secret", given)).toBe(true);
	});
});

describe("an output", () => {
	const render = (output: string, sample: Sample) => {
		const set = load(ruleText("evt.num > 0", { output }));
		const [finding] = findings(set, observationOf(sample));
		if (!finding) throw new Error(set.problems.map(({ message }) => message).join());
		return finding;
	};

	it("has the fields filled in and <NA> for what is missing", () => {
		const { summary, fields } = render("%proc.name did %evt.type (%proc.pname) %k8s.ns.name.", exec(["x"]));
		expect(summary).toBe("tool did execve (<NA>) <NA>.");
		expect(fields).toEqual({
			"proc.name": "tool",
			"evt.type": "execve",
			"proc.pname": "<NA>",
			"k8s.ns.name": "<NA>",
		});
	});

	it("takes arguments, truths, numbers and addresses", () => {
		const sample: Sample = { ...connect("10.1.2.3"), ancestors: [{ exe: "/bin/sh" }] };
		const { summary } = render(
			"*%proc.aname[1] %fd.sip:%fd.sport %fd.name %evt.failed 100%% %5proc.name|%4proc.pname|",
			sample,
		);
		expect(summary).toBe("sh 10.1.2.3:443 0.0.0.0:40000->10.1.2.3:443 false 100% curl |sh  |");
	});

	it("does not make up what the event does not have", () => {
		const { summary } = render(
			"%fd.name|%fd.directory|%fd.filename|%fd.num|%fd.type|%evt.is_open_read|%fd.sip|%fd.l4proto",
			exec(["x"]),
		);
		expect(summary).toBe(Array(8).fill("<NA>").join("|"));
	});

	it("keeps captured bytes as they are", () => {
		expect(render("» %fd.name", open("/tmp/é")).summary).toBe(Buffer.from("» /tmp/é").toString("latin1"));
	});

	it("that names no field there is costs the rule", () => {
		const set = load(ruleText("evt.num > 0", { output: "%proc.nonsense" }));
		expect(set.problems).toMatchObject([{ where: "rule r", level: "error" }]);
		expect(set.problems[0]?.message).toContain("proc.nonsense");
	});
});
