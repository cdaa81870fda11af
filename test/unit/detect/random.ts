// Random conditions and events for the tests that hold the engine against the plain evaluator.
import type { Sample } from "../../../agent/detect/sample.ts";
import { type EventName, eventNames, type Observation, Text } from "../../../agent/model/event.ts";
import { numeric } from "./plain.ts";
import type { Random } from "./rig.ts";

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
export const comms = ["a", "b", "ab", "Ab", "é", "bash"];

export function randomText(random: Random): string {
	return random.several(0, 3, () => random.pick(words)).join("");
}
export function randomPath(random: Random): string {
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
	"proc.exe",
	"proc.pcmdline",
	"proc.aexepath",
	"fd.nameraw",
	"container.id",
	"container.image.repository",
	"k8s.ns.name",
	"evt.arg.path",
	"evt.arg.oldpath",
	"evt.arg.newpath",
	"evt.arg.filename",
	"evt.rawarg.oldpath",
	"fs.path.name",
	"fs.path.source",
	"fs.path.target",
	"fs.path.sourceraw",
] as const;
/** Those with one text, which calls take. */
const oneText = textFields.filter((field) => field !== "proc.aname" && field !== "proc.aexepath");

/** Checks with a call in them: of a field's text, and against another field's. */
function randomCall(random: Random, value: () => string): string {
	const field = () => random.pick(oneText);
	const call = (): string =>
		random.pick([
			() => `tolower(${field()})`,
			() => `toupper(${field()})`,
			() => `basename(${field()})`,
			() => `tolower(basename(${field()}))`,
			() => `concat(${field()}, ${value()})`,
			() => `join("/", (${field()}, ${value()}))`,
			() => `b64(${field()})`,
		])();
	const some = random.pick(["=", "!=", "contains", "icontains", "startswith", "endswith"]);
	return random.pick([
		() => `${call()} ${some} ${value()}`,
		() => `${call()} in (${random.several(0, 3, value).join(", ")})`,
		() =>
			`tolower(${field()}) ${some} ${random.pick(["anyof", "allof"])} (${random.several(0, 3, value).join(", ")})`,
		() => `${field()} ${some} val(${field()})`,
		() => `${call()} ${some} ${call()}`,
		() => `len(${field()}) ${random.pick(["=", "!=", "<", "<=", ">", ">="])} ${random.below(6)}`,
		() => `${call()} exists`,
	])();
}

/** Of what RE2 and JavaScript read alike. */
function randomRegex(random: Random): string {
	const literal = () => randomText(random).replace(/[^a-zA-Zé/ ]/g, "") || "a";
	return random
		.several(1, 3, () =>
			random.pick([
				literal,
				() => ".*",
				() =>
					`(${literal()}|${literal()}${random.pick(["", "+", "*", "{2}", "?"])})${random.pick(["", "?", "*"])}`,
				() => `[${random.pick(["ab", "^a", "a-c", "/", "^/ "])}]${random.pick(["", "*", "+", "{1,2}"])}`,
				() => `(?:/${literal()})?`,
			])(),
		)
		.join("");
}

function randomCheck(random: Random): string {
	const kind = random.below(10);
	if (kind === 0) {
		const types = [
			"execve",
			"open",
			"openat",
			"connect",
			"creat",
			"unlink",
			"unlinkat",
			"rename",
			"chmod",
			"personality",
			"rmdir",
			"bind",
			"ptrace",
			"umount2",
		];
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
			`${field} ${random.pick(["=", "!=", "<", "<=", ">", ">="])} ${value()}`,
			`${field} in (${random.several(0, 3, value).join(", ")})`,
			`${field} exists`,
		]);
	}
	if (kind === 3 && random.chance(0.5)) {
		const address = () => random.pick(["10.0.0.1", "10.0.0.5", "9.9.9.9", "0.0.0.0"]);
		const field = random.pick(["fd.sip", "fd.ip"]);
		return random.pick([
			`${field} ${random.pick(["=", "!="])} ${address()}`,
			`${field} in (${random.several(0, 3, address).join(", ")})`,
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
	if (random.chance(0.15)) return randomCall(random, value);
	return random.pick([
		() => `${field} ${random.pick([...some, "<", "<=", ">", ">="])} ${value()}`,
		() => `${field} ${random.pick(some)} ${random.pick(["oneof", "anyof", "allof"])} ${list(value)}`,
		() => `${field} ${random.pick(["iglob", "glob"])} ${random.pick(["oneof", "allof"])} ${list(pattern)}`,
		() => `${field} bstartswith ${random.pick(["61", "2f", "2f61", "c3a9"])}`,
		() => `${field} ${random.pick(["in", "intersects"])} ${list(value)}`,
		() => `${field} ${random.pick(["glob", "iglob"])} ${pattern()}`,
		() => `${field} regex ${quote(randomRegex(random))}`,
		() => `${field} regex ${quote(`.*${randomRegex(random)}.*`)}`,
		() => `${field} pmatch ${list(pattern)}`,
		() => `${field} bcontains ${random.pick(["61", "c3a9", "2f61", "c3", "a9"])}`,
		() => `${field} exists`,
	])();
}

export function randomCondition(random: Random, depth = 0): string {
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

const shown: readonly EventName[] = ["exec", "open", "rename", "chmod", "mkdir", "unlink", "connect"];
const others = eventNames.filter((name) => !shown.includes(name));

export function randomSample(random: Random): Sample {
	const process = () => ({
		exe: randomPath(random),
		comm: random.pick(comms),
		args: ["0", ...random.several(0, 3, () => randomText(random))],
		uid: random.pick(["0", "3", "1000"]),
		pid: random.pick(["3", "443", "1000"]),
	});
	/** Some records tell their system call, and both architectures have these. */
	const call = (...names: string[]) => (random.chance(0.5) ? { syscall: random.pick(names) } : {});
	const what = random.pick([
		(): Sample => ({ exec: "" }),
		(): Sample => ({
			open: {
				path: random.chance(0.05) ? "" : randomPath(random),
				flags: random.pick([["O_RDONLY"], ["O_WRONLY"], ["O_RDWR", "O_CREAT"]]),
				result: random.pick(["3", "0", "-2"]),
				...call("openat", "openat2"),
			},
		}),
		(): Sample => ({
			rename: {
				path: randomPath(random),
				target: randomPath(random),
				result: random.pick(["0", "-2"]),
				...call("rename", "renameat2"),
			},
		}),
		(): Sample => ({
			chmod: { path: randomPath(random), result: random.pick(["0", "-1"]), ...call("chmod") },
		}),
		(): Sample => ({
			mkdir: { path: randomPath(random), result: random.pick(["0", "-17"]), ...call("mkdir") },
		}),
		(): Sample => ({
			unlink: { path: randomPath(random), result: random.pick(["0", "-2"]), ...call("unlinkat") },
		}),
		(): Sample => ({
			connect: { address: random.pick(["10.0.0.1", "9.9.9.9"]), port: random.pick(["443", "80"]) },
		}),
		(): Sample => ({ connect: { path: randomPath(random) } }),
		// All others, of which only what every event has is asked.
		(): Sample => ({ [random.pick(others)]: {} }),
		(): Sample => ({ [random.pick(others)]: {} }),
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
export function disturb(random: Random, { event }: Observation): void {
	const size = event.textSize(Text.path);
	if (size < 2 || !random.chance(0.3)) return;
	event.bytes[event.textStart(Text.path) + 1 + random.below(size - 1)] = random.pick([
		0xff, 0xc3, 0xa9, 0x41,
	]);
}

/** Of one sort of event about a file or a peer that it names, so that the kernel need not be asked for all of them. */
export function boundedCondition(random: Random): string {
	const part = () => random.pick(["a", "b", "ab", "é"]);
	const path = (field: string): string =>
		random.pick([
			() => `${field} startswith ${quote(`/${part()}`)}`,
			() => `${field} endswith ${quote(`/${part()}`)}`,
			() => `${field} in ("/", ${quote(`/${part()}`)}, ${quote(`/${part()}/${part()}`)})`,
			() => `${field} = ${quote(`/${part()}`)}`,
			() => `${field} glob ${quote(`/${part()}*`)}`,
			() => `${field} pmatch (${quote(`/${part()}`)})`,
		])();
	const opened = (): string =>
		random.pick([
			() => path("fd.name"),
			() => path("fs.path.name"),
			() => `fd.directory = ${quote(`/${part()}`)}`,
			() => `fd.filename in (${quote(part())}, ${quote(part())})`,
		])();
	const opens = "evt.type in (open, openat, openat2, creat, open_by_handle_at)";
	const condition = random.pick([
		() => `${opens} and ${opened()}`,
		() =>
			`${opens} and evt.is_open_write = ${random.pick(["true", "false"])} and (${opened()} or ${opened()})`,
		() => `${opens} and evt.rawres ${random.pick([">=", "<"])} 0 and ${opened()}`,
		() =>
			`evt.type in (rename, renameat, renameat2) and (${path("evt.arg.oldpath")} or ${path("evt.arg.newpath")})`,
		() => `evt.type in (rename, renameat2) and (${path("fs.path.source")} or ${path("fs.path.target")})`,
		() => `evt.type in (unlink, unlinkat, mkdir, chmod) and ${path("fs.path.name")}`,
		() => `evt.type = connect and fd.sport ${random.pick(["= 443", "in (80, 8080)", "!= 80"])}`,
		() => `evt.type = connect and fd.name startswith ${quote(`/${part()}`)}`,
	])();
	return random.chance(0.5) ? condition : `(${condition}) and (${randomCondition(random, 3)})`;
}
