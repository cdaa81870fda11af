// The engine against an evaluator that is as plain and slow as can be: it walks the tree for every event and takes
// every field as a string. Random conditions, random events, the same ones every time.
import { describe, expect, it } from "vitest";
import { Engine } from "../../../agent/detect/engine.ts";
import { loadRules, type RuleFile } from "../../../agent/detect/load.ts";
import { observationOf, type Sample } from "../../../agent/detect/sample.ts";
import { type Node, parseCondition } from "../../../agent/detect/syntax.ts";
import { EventKind, type Observation, Text } from "../../../agent/model/event.ts";
import type { Process } from "../../../agent/model/process.ts";
import { context, Random, ruleText } from "./rig.ts";

/** What a field says of an event: nothing, or one or several texts of which any may satisfy. Latin1. */
type Reading = readonly string[];
const none: Reading = [];

const commandLine = ({ comm, args }: Process) => [comm, ...args.slice(1)].join(" ");
function ancestorsOf(process: Process): Process[] {
	const found: Process[] = [];
	for (let at = process.parent; at; at = at.parent) found.push(at);
	return found;
}
function octets(observation: Observation, start: number, family: number): number[] {
	return [...observation.event.bytes.subarray(start, start + (family === 2 ? 4 : 16))];
}

const typeNames: Record<number, readonly string[]> = {
	[EventKind.exec]: ["execve", "execveat"],
	[EventKind.open]: ["open", "openat", "openat2", "creat"],
	[EventKind.connect]: ["connect"],
};

function read(name: string, argument: string | undefined, observation: Observation): Reading {
	const { event } = observation;
	const process = observation.process as Process;
	const isOpen = event.kind === EventKind.open;
	const isConnect = event.kind === EventKind.connect;
	const path = event.text(Text.path);
	const cut = path.lastIndexOf("/");
	const of = (value: string | number | boolean | undefined): Reading =>
		value === undefined ? none : [String(value)];
	switch (name) {
		case "evt.type":
			return typeNames[event.kind] ?? none;
		case "evt.rawres":
			return of(event.result);
		case "evt.is_open_read":
			return isOpen ? of((event.openFlags & 3) === 0 || (event.openFlags & 3) === 2) : none;
		case "evt.is_open_write":
			return isOpen ? of((event.openFlags & 3) === 1 || (event.openFlags & 3) === 2) : none;
		case "fd.name": {
			if (isOpen || (isConnect && event.family === 1)) return path === "" && isOpen ? none : of(path);
			if (!isConnect || event.family !== 2) return none;
			const end = (start: number, port: number) => `${octets(observation, start, 2).join(".")}:${port}`;
			return of(
				`${end(event.localAddressStart, event.localPort)}->${end(event.remoteAddressStart, event.remotePort)}`,
			);
		}
		case "fd.directory":
			return isOpen && cut >= 0 ? of(path.slice(0, cut) || "/") : none;
		case "fd.filename":
			return isOpen && path !== "" && event.result >= 0 ? of(path.slice(cut + 1)) : none;
		case "fd.sport":
			return isConnect && event.family !== 1 ? of(event.remotePort) : none;
		case "proc.name":
			return of(process.comm);
		case "proc.exepath":
			return of(process.exe);
		case "proc.args":
			return argument === undefined
				? of(process.args.slice(1).join(" "))
				: of(process.args[Number(argument) + 1]);
		case "proc.cmdline":
			return of(commandLine(process));
		case "proc.pname":
			return of(process.parent?.comm);
		case "proc.aname": {
			if (argument !== undefined) return of([process, ...ancestorsOf(process)][Number(argument)]?.comm);
			return ancestorsOf(process).map(({ comm }) => comm);
		}
		case "user.uid":
			return of(process.euid);
		case "container.id":
			return of(process.cgroup?.container?.id.slice(0, 12) ?? "host");
		case "container.image.repository":
			return of(process.cgroup?.container?.image.split(":")[0]);
		case "k8s.ns.name":
			return none;
		default:
			throw new Error(`the test does not know ${name}`);
	}
}

const latin1 = (text: string) => Buffer.from(text, "utf8").toString("latin1");
const fold = (text: string) => text.replace(/[A-Z]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) + 32));

/** Globs of * and ? alone, which is what the generator makes, by trying every split. */
function globs(pattern: string, text: string): boolean {
	if (pattern === "") return text === "";
	if (pattern[0] === "*")
		return globs(pattern.slice(1), text) || (text !== "" && globs(pattern, text.slice(1)));
	return (
		text !== "" && (pattern[0] === "?" || pattern[0] === text[0]) && globs(pattern.slice(1), text.slice(1))
	);
}
function below(pattern: string, path: string): boolean {
	const parts = (text: string) => text.split("/").filter((part) => part !== "");
	const given = parts(path);
	return parts(pattern).every((part, index) => index < given.length && globs(part, given[index] ?? ""));
}

const numeric = new Set(["evt.rawres", "fd.sport", "user.uid"]);
function compare(name: string, operator: string, value: string, against: string): boolean {
	if (numeric.has(name)) {
		const [left, right] = [Number(value), Number(against)];
		if (operator === "<") return left < right;
		if (operator === ">=") return left >= right;
		return operator === "!=" ? left !== right : left === right;
	}
	switch (operator) {
		case "!=":
			return value !== against;
		case "<":
			return Buffer.compare(Buffer.from(value, "latin1"), Buffer.from(against, "latin1")) < 0;
		case ">=":
			return Buffer.compare(Buffer.from(value, "latin1"), Buffer.from(against, "latin1")) >= 0;
		case "contains":
			return value.split(against).length > 1 || against === "";
		case "icontains":
			return fold(value).indexOf(fold(against)) >= 0;
		case "startswith":
			return value.slice(0, against.length) === against;
		case "endswith":
			return against === "" || value.slice(-against.length) === against;
		case "glob":
			return globs(against, value);
		case "iglob":
			return globs(fold(against), fold(value));
		case "pmatch":
			return below(against, value);
		case "bcontains":
			return Buffer.from(value, "latin1")
				.toString("hex")
				.replace(/../g, "$& ")
				.includes(against.replace(/../g, "$& "));
		default:
			return value === against;
	}
}

function evaluate(node: Node, observation: Observation): boolean {
	switch (node.is) {
		case "and":
			return node.nodes.every((each) => evaluate(each, observation));
		case "or":
			return node.nodes.some((each) => evaluate(each, observation));
		case "not":
			return !evaluate(node.node, observation);
		case "name":
			throw new Error("no macros here");
		case "check": {
			if (node.left.is !== "field") throw new Error("no calls here");
			const { name, argument } = node.left.field;
			const values = node.right.map((term) => latin1(term.is === "text" ? term.text : ""));
			const reading = read(name, argument, observation);
			if (node.operator === "exists") return reading.length > 0;
			// A kind that stands for several system calls is none of the others: != means none of its names.
			if (name === "evt.type" && node.operator === "!=")
				return values.some((value) => !reading.includes(value));
			return reading.some((text) => {
				const check = (value: string) => compare(name, node.operator, text, value);
				return node.match === "all" ? values.every(check) : values.some(check);
			});
		}
	}
}

const words = [
	"",
	"a",
	"b",
	"ab",
	"ba",
	"A",
	"aB",
	"/",
	"/a",
	"/a/",
	"/a/b",
	"/ab",
	"é",
	"/é",
	"/É/b",
	"ü-x",
	"a b",
	"\\",
];
const comms = ["a", "b", "ab", "Ab", "é", "bash"];

function randomText(random: Random): string {
	return random.several(0, 3, () => random.pick(words)).join("");
}
function randomPath(random: Random): string {
	return `/${random.several(0, 4, () => random.pick(["a", "b", "ab", "é", "Ab", "c.d"])).join("/")}`;
}
const quote = (text: string) => `"${text.replace(/[\\"]/g, "\\$&")}"`;

const textFields = [
	"fd.name",
	"fd.directory",
	"fd.filename",
	"proc.name",
	"proc.exepath",
	"proc.args",
	"proc.args[1]",
	"proc.cmdline",
	"proc.pname",
	"proc.aname",
	"proc.aname[2]",
	"container.id",
	"container.image.repository",
	"k8s.ns.name",
] as const;

function randomCheck(random: Random): string {
	const kind = random.below(10);
	if (kind === 0) {
		const types = ["execve", "open", "openat", "connect", "creat", "unlink"];
		const [first, second] = [random.pick(types), random.pick(types)];
		return random.pick([`evt.type = ${first}`, `evt.type in (${first}, ${second})`, `evt.type != ${first}`]);
	}
	if (kind === 1) {
		const bool = random.pick(["evt.is_open_read", "evt.is_open_write"]);
		return `${bool} ${random.pick(["=", "!="])} ${random.pick(["true", "false"])}`;
	}
	if (kind === 2) {
		const field = random.pick([...numeric]);
		const value = () => random.pick(["0", "3", "-2", "443", "0x50", "1000"]);
		return random.pick([
			`${field} ${random.pick(["=", "!=", "<", ">="])} ${value()}`,
			`${field} in (${random.several(0, 3, value).join(", ")})`,
			`${field} exists`,
		]);
	}
	const field = random.pick(textFields);
	const value = () =>
		quote(random.chance(0.4) ? randomPath(random) : random.pick([randomText(random), random.pick(comms)]));
	const pattern = () =>
		quote(
			[randomText(random), random.pick(["*", "?", "*/", ""]), randomPath(random)]
				.slice(random.below(3))
				.join("")
				.replace(/\\/g, ""),
		);
	const list = (make: () => string) => `(${random.several(0, 3, make).join(", ")})`;
	const some = ["=", "!=", "contains", "icontains", "startswith", "endswith"];
	return random.pick([
		() => `${field} ${random.pick([...some, "<", ">="])} ${value()}`,
		() => `${field} ${random.pick(some)} ${random.pick(["oneof", "allof"])} ${list(value)}`,
		() => `${field} ${random.pick(["in", "intersects"])} ${list(value)}`,
		() => `${field} ${random.pick(["glob", "iglob"])} ${pattern()}`,
		() => `${field} pmatch ${list(pattern)}`,
		() => `${field} bcontains ${random.pick(["61", "c3a9", "2f61", "c3", "a9"])}`,
		() => `${field} exists`,
	])();
}

function randomCondition(random: Random, depth = 0): string {
	if (depth > 3 || random.chance(0.3)) return randomCheck(random);
	const inner = () => randomCondition(random, depth + 1);
	return random.pick([
		() => `not ${random.chance(0.5) ? "not " : ""}(${inner()})`,
		() =>
			random
				.several(2, 3, inner)
				.map((each) => `(${each})`)
				.join(" and "),
		() =>
			random
				.several(2, 3, inner)
				.map((each) => `(${each})`)
				.join(" or "),
	])();
}

function randomSample(random: Random): Sample {
	const process = () => ({
		exe: randomPath(random),
		comm: random.pick(comms),
		args: ["0", ...random.several(0, 3, () => randomText(random))],
		uid: random.pick(["0", "3", "1000"]),
	});
	const what = random.pick([
		(): Sample => ({ exec: "" }),
		(): Sample => ({
			open: {
				path: random.chance(0.05) ? "" : randomPath(random),
				flags: random.pick([["O_RDONLY"], ["O_WRONLY"], ["O_RDWR", "O_CREAT"]]),
				result: random.pick(["3", "0", "-2"]),
			},
		}),
		(): Sample => ({
			connect: { address: random.pick(["10.0.0.1", "9.9.9.9"]), port: random.pick(["443", "80"]) },
		}),
		(): Sample => ({ connect: { path: randomPath(random) } }),
	]);
	return {
		...what(),
		process: process(),
		ancestors: random.several(0, 3, process),
		...(random.chance(0.3) && {
			container: { id: random.pick(["a", "b"]), image: random.pick(["a:1", "é"]) },
		}),
	};
}

/** Bytes that are no UTF-8 at all, put into the event itself. */
function disturb(random: Random, { event }: Observation): void {
	const size = event.textSize(Text.path);
	if (size < 2 || !random.chance(0.3)) return;
	event.bytes[event.textStart(Text.path) + 1 + random.below(size - 1)] = random.pick([
		0xff, 0xc3, 0xa9, 0x41,
	]);
}

describe("the engine", () => {
	it("agrees with a plain evaluator on 40,000 pairs of random conditions and events", () => {
		const random = new Random(20_261_121);
		const pairs = { all: 0, true: 0 };
		for (let round = 0; round < 200; round++) {
			const conditions = random.several(20, 20, () => randomCondition(random));
			const files = conditions.map(
				(condition, index): RuleFile => ({
					path: "rules.yaml",
					text: ruleText(condition, { rule: String(index) }),
					origin: "falco",
				}),
			);
			const set = loadRules(files);
			expect(set.problems.filter(({ level }) => level === "error")).toEqual([]);
			const engine = new Engine(set, context);
			const trees = conditions.map(parseCondition);
			for (let event = 0; event < 10; event++) {
				const sample = randomSample(random);
				const observation = observationOf(sample);
				disturb(random, observation);
				const found = new Set<string>();
				engine.evaluate(observation, (finding) => found.add(finding.rule));
				for (const [index, tree] of trees.entries()) {
					const expected = evaluate(tree, observation);
					pairs.all++;
					if (expected) pairs.true++;
					if (found.has(String(index)) !== expected) {
						expect.fail(
							`${conditions[index]}\nis ${expected} by the plain evaluator for ${JSON.stringify(sample)} with ${JSON.stringify(observation.event.text(Text.path))}`,
						);
					}
				}
			}
		}
		expect(pairs.all).toBe(40_000);
		expect(pairs.true).toBeGreaterThan(5_000);
		expect(pairs.true).toBeLessThan(35_000);
	}, 30_000);
});
