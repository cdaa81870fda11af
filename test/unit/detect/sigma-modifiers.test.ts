// Every modifier of Sigma and what goes together, asked of the real engine.
import { describe, expect, it } from "vitest";
import { Engine } from "../../../agent/detect/engine.ts";
import { matcher } from "../../../agent/detect/matcher.ts";
import { observationOf, type Sample } from "../../../agent/detect/sample.ts";
import { context } from "./rig.ts";
import { type Detection, ran, selects, sigmaError, sigmaOf } from "./sigma-rig.ts";

const line = (text: string): Sample => ran([text]);
const inBase64 = (text: string, encoding: BufferEncoding = "utf8") =>
	Buffer.from(text, encoding).toString("base64");

describe("a text", () => {
	it.each<[key: string, value: unknown, yes: string[], no: string[]]>([
		["CommandLine", "tool -x", ["tool -x", "TOOL -X"], ["tool -x ", " tool -x", "tool"]],
		["CommandLine", ["a b", "c"], ["a b", "C"], ["a", "a bc"]],
		["CommandLine", 777, ["777"], ["0777", "7777"]],
		["CommandLine", "a*c", ["ac", "abc", "A/ B C"], ["acd", "bac", "ab"]],
		["CommandLine", "a?c", ["abc", "A?c"], ["ac", "abbc"]],
		["CommandLine", "a\\*c", ["a*c", "A*C"], ["abc", "a\\*c"]],
		["CommandLine", "a\\?c", ["a?c"], ["abc"]],
		["CommandLine", "a\\\\*c", ["a\\c", "a\\bc"], ["a*c", "abc"]],
		["CommandLine", "a\\\\\\*c", ["a\\*c"], ["a\\bc", "a*c"]],
		["CommandLine", "C:\\x", ["C:\\x", "c:\\X"], ["C:x"]],
		["CommandLine", "a\\\\b", ["a\\b"], ["a\\\\b"]],
		["CommandLine", "a[bc]?", ["a[bc]d"], ["abd", "acd"]],
		["CommandLine", "*", ["x", ""], []],
		["CommandLine", "", [""], ["x"]],
		["CommandLine", "*x", ["x", "aX"], ["xa"]],
		["CommandLine", "x*", ["x", "Xa"], ["ax"]],
		["CommandLine", "*x*", ["axa", "X"], ["a"]],
		["CommandLine|contains", "b C", ["a b c d", "B C"], ["bC", "b"]],
		["CommandLine|contains", ["b", "c"], ["abd", "C"], ["d"]],
		["CommandLine|contains|all", ["b", "c"], ["bc", "C-B"], ["b", "c", "d"]],
		["CommandLine|contains", "a*c", ["xabcx", "AC"], ["ca"]],
		["CommandLine|contains", "a\\*c", ["xa*cx"], ["abc"]],
		["CommandLine|startswith", ["a", "-"], ["Ab", "-"], ["ba"]],
		["CommandLine|startswith", "a*c", ["abcd"], ["xabc"]],
		["CommandLine|endswith", [".sh", ".py"], ["x.SH", ".py"], ["x.sh ", "x.shx"]],
		["CommandLine|contains|cased", "Ab", ["xAbx"], ["xabx", "xABx"]],
		["CommandLine|cased", "Ab", ["Ab"], ["ab", "xAb"]],
		["CommandLine|startswith|cased", "Ab", ["Abc"], ["abc"]],
		["CommandLine|endswith|cased", "Ab", ["xAb"], ["xab"]],
		["CommandLine|cased", "A*c", ["Axc"], ["axc", "AxC"]],
		["CommandLine|re", "a+b", ["xaab", "ab"], ["AB", "b"]],
		["CommandLine|re", "^a.c$", ["abc"], ["xabc", "abcx", "a\nc"]],
		["CommandLine|re", ["^a", "z$"], ["ab", "xz"], ["ba"]],
		["CommandLine|re|all", ["^a", "z$"], ["az", "a z"], ["a", "z"]],
		["CommandLine|re|i", "a+B", ["AAB", "ab"], ["a"]],
		["CommandLine|re|s", "^a.c$", ["a\nc", "abc"], ["ac"]],
		["CommandLine|re|m", "^b$", ["a\nb", "b"], ["ab"]],
		["CommandLine|re|i|m|s", "^B.C$", ["a\nb\nc"], ["a\nbc"]],
		["CommandLine|re", "(?i)foo", ["xFOO"], ["fo"]],
		["CommandLine|re", "\\s-[FTd]\\s", ["curl -F x"], ["curl -f x", "curl -F"]],
		["CommandLine|neq", "a", ["b", "aa"], ["a", "A"]],
		["CommandLine|neq|all", ["a", "b"], ["c"], ["a", "B"]],
		["CommandLine|contains|neq", "a", ["b"], ["xax"]],
		[
			"CommandLine|windash|contains",
			" -x",
			["t -x", "t /x", "t \u2013x", "t \u2014x", "t \u2015x"],
			["t x", "t --x"],
		],
		["CommandLine|contains|windash", " -f -q", ["t /f -q", "t -f \u2014q"], ["t -f q"]],
		["CommandLine|base64", "id -u", [inBase64("id -u")], [`x${inBase64("id -u")}`]],
		["CommandLine|base64|contains", "foo", [`x ${inBase64("foo")} y`], [inBase64("xfoo")]],
		["CommandLine|utf16le|base64|contains", "foo", [`x${inBase64("foo", "utf16le")}`], [inBase64("foo")]],
		[
			"CommandLine|wide|base64offset|contains",
			"foo",
			[inBase64("xfoox", "utf16le"), inBase64("foo", "utf16le")],
			[inBase64("foo")],
		],
		[
			"CommandLine|utf16be|base64|contains",
			"fo",
			[Buffer.from([0, 0x66, 0, 0x6f]).toString("base64")],
			[inBase64("fo", "utf16le")],
		],
		[
			"CommandLine|utf16|base64|contains",
			"fo",
			[Buffer.from([0xff, 0xfe, 0x66, 0, 0x6f, 0]).toString("base64")],
			[inBase64("fo", "utf16le")],
		],
		["CommandLine|lt", 5, ["4", "-1", "4.5"], ["5", "6", "x", ""]],
		["CommandLine|lte", 5, ["5", "4"], ["6", "five"]],
		["CommandLine|gt", 5, ["6", "0x10"], ["5", "4", "x"]],
		["CommandLine|gte", "5", ["5", "50"], ["4.9", ""]],
		["CommandLine|exists", true, ["x", ""], []],
		["CommandLine|exists", false, [], ["x", ""]],
	])("%s: %j", (key, value, yes, no) => {
		for (const text of yes)
			expect(selects(key, value, line(text)), `${key} in ${JSON.stringify(text)}`).toBe(true);
		for (const text of no)
			expect(selects(key, value, line(text)), `${key} in ${JSON.stringify(text)}`).toBe(false);
	});

	it("is found in base64 wherever it begins", () => {
		for (const before of ["", "x", "xy", "xyz"])
			for (const after of ["", "1", "12", "123"]) {
				const sample = line(`echo ${inBase64(`${before}/bin/bash${after}`)} | base64 -d`);
				expect(selects("CommandLine|base64offset|contains", "/bin/bash", sample), before + after).toBe(true);
				expect(selects("CommandLine|base64offset|contains", "/bin/zsh", sample)).toBe(false);
			}
	});

	it.each<[key: string, value: string, text: string, holds: boolean]>([
		["CommandLine|contains", "übung", "eine übung", true],
		["CommandLine|contains", "ÜBUNG", "eine übung", true],
		["CommandLine|contains", "Übung*[a]?", "eine übung x[a]ж", true],
		["CommandLine|contains", "Übung*[a]?", "eine übung xa ж", false],
		["CommandLine|contains|cased", "ÜBUNG", "eine übung", false],
		["CommandLine|startswith", "Ж", "жук", true],
		["CommandLine|endswith", "Ж", "жук", false],
		["CommandLine|endswith", "К.", "жук.", true],
		["CommandLine|endswith", "К.", "жукs", false],
		["CommandLine", "ЖУК", "жук", true],
		["CommandLine", "ЖУК", "жук ", false],
		["CommandLine", "漢字", "漢字", true],
		["CommandLine", "caf?", "café", true],
		["CommandLine", "caf??", "café", false],
		["CommandLine|contains", "?", "é", true],
		["CommandLine", "?-????", "漢-a\u{1f600}é字", true],
		["CommandLine|re", "^caf.$", "café", true],
		["CommandLine|re", "^é?x$", "x", true],
		["CommandLine|re", "^é{2}$", "éé", true],
		["CommandLine|re", "^[äö]$", "ö", true],
		["CommandLine|re|i", "^ÄÖ$", "äö", true],
		["CommandLine|re", "^\\p{Cyrillic}+$", "жук", true],
	])("is what UTF-8 spells, in any case: %s %s of %s: %s", (key, value, text, holds) => {
		expect(selects(key, value, line(text))).toBe(holds);
	});
	it("that is no UTF-8 is compared byte for byte", () => {
		const [, ...half] = Buffer.from("é");
		const text = `a${Buffer.from(half).toString("latin1")}`;
		const like = (pattern: string) => matcher("like", [pattern], false).onString(text);
		expect([like("a?"), like("a??")]).toEqual([true, false]);
	});
});

describe("another field", () => {
	const child = (exe: string, parent: string): Sample => ({ process: { exe }, ancestors: [{ exe: parent }] });

	it("is referred to by fieldref", () => {
		expect(selects("Image|fieldref", "ParentImage", child("/bin/sh", "/BIN/sh"))).toBe(true);
		expect(selects("Image|fieldref", "ParentImage", child("/bin/sh", "/bin/bash"))).toBe(false);
		expect(selects("Image|fieldref|cased", "ParentImage", child("/bin/sh", "/BIN/sh"))).toBe(false);
		expect(selects("Image|fieldref|startswith", "ParentImage", child("/bin/sh2", "/bin/sh"))).toBe(true);
		expect(selects("Image|fieldref|endswith", "ParentImage", child("/bin/sh2", "/bin/sh"))).toBe(false);
		expect(selects("Image|fieldref|neq", "ParentImage", child("/bin/sh", "/bin/bash"))).toBe(true);
		expect(selects("Image|fieldref|neq", "ParentImage", child("/bin/sh", "/bin/sh"))).toBe(false);
		expect(selects("Image|fieldref|neq", "ParentImage", { process: { exe: "/bin/sh" } })).toBe(false);
		expect(selects("ProcessId|fieldref", "ParentProcessId", child("/bin/sh", "/bin/sh"))).toBe(true);
		expect(selects("Image|fieldref", "ParentImage", { process: { exe: "/bin/sh" } })).toBe(false);
	});

	it("that is missing is null, empty or does not exist", () => {
		const orphan: Sample = { process: { exe: "/bin/sh" } };
		const nameless: Sample = { process: { exe: "/bin/sh" }, ancestors: [{ exe: "", comm: "x" }] };
		expect(selects("ParentImage", null, orphan)).toBe(true);
		expect(selects("ParentImage", null, nameless)).toBe(true);
		expect(selects("ParentImage", null, child("/bin/sh", "/bin/sh"))).toBe(false);
		expect(selects("ParentImage", [null, "/bin/sh"], child("/bin/sh", "/bin/sh"))).toBe(true);
		expect(selects("ParentImage", "null", orphan)).toBe(false);
		expect(selects("ParentImage|exists", false, orphan)).toBe(true);
		expect(selects("ParentImage|exists", true, child("/bin/sh", "/bin/sh"))).toBe(true);
		expect(selects("ParentImage|neq", "/bin/x", orphan)).toBe(false);
		expect(selects("OriginalFileName", null, orphan)).toBe(true);
		expect(selects("OriginalFileName", "x", orphan)).toBe(false);
	});

	it("that is a number compares as one, and as text where a text is asked for", () => {
		const sample: Sample = { process: { pid: "4711" } };
		expect(selects("ProcessId", 4711, sample)).toBe(true);
		expect(selects("ProcessId", "4711", sample)).toBe(true);
		expect(selects("ProcessId", "471x", sample)).toBe(false);
		expect(selects("ProcessId|startswith", 47, sample)).toBe(true);
		expect(selects("ProcessId|startswith", 11, sample)).toBe(false);
		expect(selects("ProcessId|gt", 4710, sample)).toBe(true);
		expect(selects("ProcessId|lt", 4710, sample)).toBe(false);
		expect(selects("ProcessId", "4*1", sample)).toBe(true);
	});
});

describe("an address", () => {
	const more = { logsource: { product: "linux", category: "network_connection" } };
	const to = (address: string): Sample => ({ connect: { address, port: "443" } });

	it.each([
		["DestinationIp", "192.0.2.7", "192.0.2.7", "192.0.2.70"],
		["DestinationIp|cidr", "192.0.2.0/24", "192.0.2.7", "192.0.3.7"],
		["DestinationIp|cidr", ["10.0.0.0/8", "fe80::/10"], "fe80::1", "fec0::1"],
		["DestinationIp|startswith", "192.0.2.", "192.0.2.7", "192.0.20.7"],
		["DestinationIp|endswith", ".7", "192.0.2.7", "192.0.2.8"],
		["DestinationIp", "192.0.*.7", "192.0.9.7", "192.1.9.7"],
		["DestinationIp|re", "^192\\.0\\.", "192.0.2.7", "1.192.0.2"],
	])("%s: %j", (key, value, yes, no) => {
		expect(selects(key, value, to(yes), more)).toBe(true);
		expect(selects(key, value, to(no), more)).toBe(false);
	});
});

describe("a part of the time", () => {
	/** Does it hold at this Unix time in ms? */
	const holdsAt = (key: string, value: unknown, ms: number): boolean => {
		const observation = observationOf(ran(["x"]));
		const bootTimeMs = () => ms - observation.event.time / 1e6;
		let found = false;
		new Engine(sigmaOf({ s: { [key]: value }, condition: "s" }).set, { ...context, bootTimeMs }).evaluate(
			observation,
			() => {
				found = true;
			},
		);
		return found;
	};
	const friday = Date.UTC(2026, 0, 2, 23, 59, 30);
	it.each([
		["UtcTime|minute", 59, 58],
		["UtcTime|hour", 23, 0],
		["UtcTime|day", 2, 5],
		["UtcTime|week", 1, 53],
		["UtcTime|month", 1, 0],
		["UtcTime|year", 2026, 26],
		["UtcTime|minute|gte", 59, 60],
		["UtcTime|hour|lt", 24, 23],
	])("%s is %i, not %i", (key, yes, no) => {
		expect(holdsAt(key, yes, friday)).toBe(true);
		expect(holdsAt(key, no, friday)).toBe(false);
	});

	it("begins its years with the week of their first Thursday", () => {
		expect(holdsAt("UtcTime|week", 53, Date.UTC(2027, 0, 3))).toBe(true);
		expect(holdsAt("UtcTime|week", 1, Date.UTC(2027, 0, 4))).toBe(true);
		expect(holdsAt("UtcTime|week", 1, Date.UTC(2024, 11, 30))).toBe(true);
	});
});

it("a placeholder that nobody fills keeps the rule from matching, and says so", () => {
	const detection = { s: { "User|expand": "%admins%" }, condition: "s" };
	expect(sigmaOf(detection).rule).toMatchObject({
		status: "not-evaluable",
		reasons: ["nothing says what these placeholders stand for: %admins%"],
	});
	expect(selects("CommandLine|expand", "50% of it", line("50% of it"))).toBe(true);
	expect(selects("CommandLine|expand", "\\%x%", line("%x%"))).toBe(true);
	const mixed = { s: { "CommandLine|contains|expand": ["a%x%", "y"] }, condition: "s" };
	expect(sigmaOf(mixed).rule).toMatchObject({ status: "not-evaluable", enabled: false });
});

describe("a mistake", () => {
	const place = (detection: Detection) => {
		const { line: at, column, message, remedy } = sigmaError(detection);
		expect(remedy).not.toBe("");
		expect([at, column].every((each) => each > 0)).toBe(true);
		return message;
	};
	it.each<[key: string, value: unknown, message: RegExp]>([
		["CommandLine|foo", "x", /there is no modifier foo/],
		["CommandLine|", "x", /no modifier without a name/],
		["CommandLine|contains|contains", "x", /stands there twice/],
		["CommandLine|contains|startswith", "x", /contains and startswith do not go together/],
		["CommandLine|re|contains", "x", /re and contains do not go together/],
		["CommandLine|cidr|contains", "x", /do not go together/],
		["CommandLine|gt|lt", 1, /gt and lt do not go together/],
		["CommandLine|gt|startswith", 1, /do not go together/],
		["CommandLine|re|cased", "x", /re and cased do not go together/],
		["CommandLine|exists|all", true, /exists and all do not go together/],
		["CommandLine|exists|contains", true, /do not go together/],
		["CommandLine|exists", "maybe", /exists is true or false/],
		["CommandLine|i", "x", /i does not stand behind re/],
		["CommandLine|re|cased|i", "x", /do not go together|behind re/],
		["CommandLine|wide", "x", /wide is not followed by base64/],
		["CommandLine|wide|contains", "x", /wide is not followed by base64/],
		["CommandLine|base64|wide", "x", /wide is not followed by base64/],
		["CommandLine|base64|base64offset", "x", /do not go together/],
		["CommandLine|contains|base64", "x", /base64 stands behind contains/],
		["CommandLine|base64", "a*b", /has a wildcard/],
		["CommandLine|re|base64", "x", /do not go together/],
		["CommandLine|hour|minute", 1, /do not go together/],
		["CommandLine|hour|contains", 1, /do not go together/],
		["CommandLine|hour", "noon", /is no number/],
		["CommandLine|lt", "x", /is no number/],
		["CommandLine|contains", null, /null cannot be compared/],
		["CommandLine|re", "(", /cannot be used/],
		["CommandLine|re", "(?=x)", /cannot be used/],
		["CommandLine|re", "(a)\\1", /cannot be used/],
		["CommandLine|cidr", "10.0.0.0/8", /the field is no address/],
		["CommandLine|windash|contains", "-a -b -c -d -e", /too many dashes/],
		["CommandLine", { a: 1 }, /CommandLine is a map/],
		["CommandLine", [], /CommandLine has no value/],
		["CommandLine", [["a"]], /a value is no single value/],
		["|startswith", "x", /startswith needs a field/],
		["|exists", true, /exists needs a field/],
	])("in %s: %j is told", (key, value, message) => {
		expect(place({ s: { [key]: value }, condition: "s" })).toMatch(message);
	});

	it("in an address is told", () => {
		const more = { logsource: { category: "network_connection" } };
		const { message } = sigmaError({ s: { "DestinationIp|cidr": "10.0.0.0/99" }, condition: "s" }, more);
		expect(message).toMatch(/DestinationIp|fd\.sip/);
	});
});
