// An evaluator of conditions that is as plain and slow as can be, to hold the engine against: it walks the tree for
// every event and takes every field as a string.

import process_ from "node:process";
import type { Node, Term } from "../../../agent/detect/syntax.ts";
import { EventFlag, EventKind, type EventName, type Observation, Text } from "../../../agent/model/event.ts";
import type { Process } from "../../../agent/model/process.ts";
import { syscallName } from "../../../agent/model/syscalls.ts";

/** What a field says of an event: nothing, or one or several texts of which any may satisfy. Latin1. */
type Reading = readonly string[];
const none: Reading = [];

/** A regular expression is about characters, not about bytes. */
const spelled = (text: string): string => Buffer.from(text, "latin1").toString("utf8");
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
	[EventKind.open]: ["open", "openat", "openat2", "creat", "open_by_handle_at"],
	[EventKind.unlink]: ["unlink", "unlinkat"],
	[EventKind.rename]: ["rename", "renameat", "renameat2"],
	[EventKind.chmod]: ["chmod", "fchmod", "fchmodat", "fchmodat2"],
	[EventKind.mkdir]: ["mkdir", "mkdirat"],
	[EventKind.connect]: ["connect"],
	[EventKind.fork]: ["clone", "clone3", "fork", "vfork"],
	[EventKind.exit]: ["procexit"],
	[EventKind.rmdir]: ["rmdir", "unlinkat"],
	[EventKind.bind]: ["bind"],
	[EventKind.ptrace]: ["ptrace"],
	[EventKind.umount]: ["umount2"],
};

function read(name: string, argument: string | undefined, observation: Observation): Reading {
	const { event } = observation;
	const process = observation.process as Process;
	/** Of a process without a name nothing else is known either. */
	const ofProcess = (value: string | number | undefined): Reading => (process.comm === "" ? none : of(value));
	const parent = process.parent?.comm ? process.parent : undefined;
	const ancestors = ancestorsOf(process).filter(({ comm }) => comm !== "");
	const isOpen = event.kind === EventKind.open;
	const isConnect = event.kind === EventKind.connect;
	const raw = event.text(Text.raw);
	// Of a failed open the directory is told, and what was asked for there.
	const isBase = isOpen && (event.flags & EventFlag.pathIsBase) !== 0;
	const captured = event.text(Text.path);
	const path = isBase ? resolve(raw.startsWith("/") ? raw : `${captured}/${raw}`) : captured;
	const cut = path.lastIndexOf("/");
	const of = (value: string | number | boolean | undefined): Reading =>
		value === undefined ? none : [String(value)];
	const isKind = (...kinds: EventName[]) => kinds.some((kind) => EventKind[kind] === event.kind);
	/** One of these, as far as the record tells: without its call it may be any of its kind's. */
	const isCall = (...calls: string[]) =>
		read("evt.type", undefined, observation).some((type) => calls.includes(type));
	const succeeded = (text: string): Reading => (event.result >= 0 && text !== "" ? [text] : none);
	switch (name) {
		case "evt.type": {
			const call = syscallName(event.syscall, process_.arch === "arm64" ? "arm64" : "x64");
			return call === undefined ? (typeNames[event.kind] ?? none) : [call];
		}
		case "evt.rawres":
			return isKind("fork", "exit", "cgroup", "dns") ? none : of(event.result);
		case "evt.is_open_read":
			return isOpen ? of((event.openFlags & 3) === 0 || (event.openFlags & 3) === 2) : none;
		case "evt.is_open_write":
			return isOpen ? of((event.openFlags & 3) === 1 || (event.openFlags & 3) === 2) : none;
		case "fd.nameraw":
			return isOpen ? of(raw) : read("fd.name", undefined, observation);
		case "fd.name": {
			if (isKind("memfd")) return of(`memfd:${event.text(Text.name)}`);
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
			if (isKind("memfd")) return read("fd.name", undefined, observation);
			return isOpen && path !== "" && event.result >= 0 ? of(path.slice(cut + 1)) : none;
		case "fd.sport":
			return isConnect && event.family !== 1 ? of(event.remotePort) : none;
		case "fd.sip":
		case "fd.ip": {
			if (!isConnect || event.family === 1) return none;
			const ends =
				name === "fd.ip" ? [event.remoteAddressStart, event.localAddressStart] : [event.remoteAddressStart];
			return ends.map((start) => octets(observation, start, 2).join("."));
		}
		case "fd.port":
			return isConnect && event.family !== 1 ? [String(event.remotePort), String(event.localPort)] : none;
		case "proc.name":
			return ofProcess(process.comm);
		case "proc.exe":
			return ofProcess(process.args[0] ?? process.exe);
		case "proc.exepath":
			return ofProcess(process.exe);
		case "proc.args":
			return ofProcess(
				argument === undefined ? process.args.slice(1).join(" ") : process.args[Number(argument) + 1],
			);
		case "proc.cmdline":
			return ofProcess(commandLine(process));
		case "proc.pname":
			return ofProcess(parent?.comm);
		case "proc.pcmdline":
			return ofProcess(parent && commandLine(parent));
		case "proc.aname": {
			if (argument === undefined) return ancestors.map(({ comm }) => comm);
			return ofProcess([process, ...ancestorsOf(process)][Number(argument)]?.comm || undefined);
		}
		case "proc.aexepath":
			return ancestors.map(({ exe }) => exe);
		case "proc.pid":
			return of(process.pid);
		case "proc.apid":
			return ancestors.map(({ pid }) => String(pid));
		case "user.uid":
			return ofProcess(process.euid);
		case "container.id":
			return of(process.cgroup?.container?.id.slice(0, 12) ?? "host");
		case "container.image.repository":
			return process.cgroup?.container?.known ? of(process.cgroup.container.image.split(":")[0]) : none;
		case "k8s.ns.name":
			return none;
		case "evt.arg.path":
			return isCall("unlink", "mkdir", "mkdirat") ? of(path || undefined) : none;
		case "evt.arg.oldpath":
			return isCall("rename", "renameat", "renameat2") ? of(path || undefined) : none;
		case "evt.rawarg.oldpath":
			return isCall("rename", "renameat", "renameat2") ? of(raw || undefined) : none;
		case "evt.arg.newpath":
			return isCall("rename", "renameat", "renameat2") ? of(event.text(Text.target) || undefined) : none;
		case "evt.arg.filename":
			return isCall("chmod", "fchmodat", "fchmodat2") ? of(path || undefined) : none;
		case "fs.path.name":
			return isOpen || isKind("unlink", "chmod", "mkdir") ? succeeded(path) : none;
		case "fs.path.source":
			return isKind("rename") ? succeeded(path) : none;
		case "fs.path.sourceraw":
			return isKind("rename") ? succeeded(raw) : none;
		case "fs.path.target":
			return isKind("rename") ? succeeded(event.text(Text.target)) : none;
		default:
			throw new Error(`the test does not know ${name}`);
	}
}

function resolve(path: string): string {
	const parts: string[] = [];
	for (const part of path.split("/").filter((each) => each !== "" && each !== "."))
		if (part === "..") parts.pop();
		else parts.push(part);
	return `/${parts.join("/")}`;
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

const order = (a: string, b: string): number =>
	Buffer.compare(Buffer.from(a, "latin1"), Buffer.from(b, "latin1"));

export const numeric = new Set(["evt.rawres", "fd.sport", "fd.port", "user.uid", "proc.pid", "proc.apid"]);
function compare(name: string, operator: string, value: string, against: string): boolean {
	if (numeric.has(name)) {
		const [left, right] = [Number(value), Number(against)];
		if (operator === "<") return left < right;
		if (operator === "<=") return left <= right;
		if (operator === ">") return left > right;
		if (operator === ">=") return left >= right;
		return operator === "!=" ? left !== right : left === right;
	}
	switch (operator) {
		case "!=":
			return value !== against;
		case "<":
			return order(value, against) < 0;
		case "<=":
			return order(value, against) <= 0;
		case ">":
			return order(value, against) > 0;
		case ">=":
			return order(value, against) >= 0;
		case "iequals":
			return fold(value) === fold(against);
		case "istartswith":
			return fold(value).slice(0, against.length) === fold(against);
		case "iendswith":
			return against === "" || fold(value).slice(-against.length) === fold(against);
		case "like":
			return globs(fold(against), fold(value));
		case "search":
			return new RegExp(against).test(value);
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
		case "regex":
			return new RegExp(`^(?:${spelled(against)})$`, "su").test(spelled(value));
		case "bstartswith":
			return Buffer.from(value, "latin1").toString("hex").startsWith(against);
		case "bcontains":
			return Buffer.from(value, "latin1")
				.toString("hex")
				.replace(/../g, "$& ")
				.includes(against.replace(/../g, "$& "));
		default:
			return value === against;
	}
}

/** What a term says: nothing, or its texts. */
function say(term: Term, observation: Observation): Reading | undefined {
	if (term.is === "text") return [latin1(term.text)];
	if (term.is === "field") {
		const [first] = read(term.field.name, term.field.argument, observation);
		return first === undefined ? undefined : [first];
	}
	const parts = term.terms.map((each) => say(each, observation));
	if (parts.includes(undefined)) return undefined;
	const flat = parts.flatMap((each) => each ?? []);
	const [text = ""] = flat;
	switch (term.name) {
		case "tolower":
			return [fold(text)];
		case "toupper":
			return [text.replace(/[a-z]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) - 32))];
		case "basename":
			return [text.slice(text.lastIndexOf("/") + 1)];
		case "b64":
			return [Buffer.from(text, "base64").toString("latin1")];
		case "len":
			return [String(text.length)];
		case "concat":
			return [flat.join("")];
		case "join":
			return [flat.slice(1).join(text)];
		default:
			return flat;
	}
}

function evaluateCall(
	{ left, operator, match, right }: Extract<Node, { is: "check" }>,
	observation: Observation,
) {
	const lefts = say(left, observation);
	const rights = right.map((each) => say(each, observation));
	if (!lefts || (operator !== "exists" && rights.includes(undefined))) return false;
	const name = left.is === "call" && left.name === "len" ? "user.uid" : "";
	const check = (value: string) => lefts.some((text) => compare(name, operator, text, value));
	const values = rights.flatMap((each) => each ?? []);
	return operator === "exists" || (match === "all" ? values.every(check) : values.some(check));
}

export function evaluate(node: Node, observation: Observation): boolean {
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
			if (node.left.is !== "field" || node.right.some(({ is }) => is !== "text"))
				return evaluateCall(node, observation);
			const { name, argument } = node.left.field;
			const values = node.right.map((term) => latin1(term.is === "text" ? term.text : ""));
			const reading = read(name, argument, observation);
			if (node.operator === "exists") return reading.length > 0;
			// A kind that stands for several system calls is none of the others: != means none of its names.
			if (name === "evt.type" && node.operator === "!=")
				return values.some((value) => !reading.includes(value));
			// Of both ends of a connection != has to be true of both.
			if (name === "fd.ip" && node.operator === "!=")
				return reading.length > 0 && values.some((value) => !reading.includes(value));
			if (name === "fd.port" && node.operator === "!=")
				return (
					reading.length > 0 &&
					reading.every((text) => values.some((value) => Number(text) !== Number(value)))
				);
			return reading.some((text) => {
				const check = (value: string) => compare(name, node.operator, text, value);
				return node.match === "all" ? values.every(check) : values.some(check);
			});
		}
	}
}
