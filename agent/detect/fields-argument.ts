// evt.arg.* and evt.rawarg.*: the arguments of each system call under the language's names, as far as a record has them.
import { capabilityNames } from "../model/capabilities.ts";
import { type EventKind, EventKind as Kind, type Observation, Text } from "../model/event.ts";
import { flagNames, protectionNames } from "../model/flag-names.ts";
import { hostArchitecture, openFlagNames, resultName } from "../model/kernel-names.ts";
import {
	bpfEvent,
	callEvent,
	fileEvent,
	identityEvent,
	moduleEvent,
	mountEvent,
	namespaceEvent,
	protectEvent,
	socketEvent,
	targetEvent,
} from "../model/layout.ts";
import { bpfCommandName, familyName, ptraceName, signalName } from "../model/number-names.ts";
import type { Process } from "../model/process.ts";
import { mayWriteExecutable } from "../model/writable.ts";
import { typesOf } from "./event-types.ts";
import type { Field, FieldContext, Fields, NumberField, TextField } from "./field.ts";
import { withResult } from "./fields-event.ts";
import { fileName, memfdName, targetName } from "./fields-file.ts";
import { socketDescriptor, socketName } from "./fields-socket.ts";

type Value = string | number | undefined;
interface Argument {
	readonly kinds: readonly EventKind[];
	/** Only for these calls of the kinds; for all when left out. */
	readonly calls?: readonly string[];
	readonly get: (observation: Observation, context: FieldContext) => Value;
	/** As passed; as shown when left out. */
	readonly raw?: Argument["get"];
}

const { exec, open, rename, unlink, rmdir, mkdir, mknod, link, symlink, chmod, chown, truncate, setxattr } =
	Kind;
const { connect, accept, bind, listen, send, socket, dup, setuid, setgid, capset, unshare, setns } = Kind;
const { ptrace, vmWrite, kill, mount, umount, chroot, module, bpf, memfd, userfaultfd, protect, ioUring } =
	Kind;

/** Which text of the record an argument is. */
const recorded = new Map<Argument["get"] | undefined, Text>();
function textOf(field: Text): Argument["get"] {
	const get: Argument["get"] = ({ event }) => event.text(field) || undefined;
	recorded.set(get, field);
	return get;
}
const path: Argument["get"] = ({ event }) => fileName(event);
recorded.set(path, Text.path);
const rawPath = textOf(Text.raw);
const target: Argument["get"] = ({ event }) => targetName(event);
const rawTarget = textOf(Text.targetRaw);
const word =
	(at: number): Argument["get"] =>
	({ event }) =>
		event.word(at);
const joined = (names: readonly string[]): string => names.join("|");
/** The names of a few bits as one text, which is made once for each combination that occurs. */
const remembered = (names: (bits: number) => readonly string[]): ((bits: number) => string) => {
	const texts = new Map<number, string>();
	return (bits) => {
		const known = texts.get(bits);
		if (known !== undefined) return known;
		const text = joined(names(bits)) || "0";
		// Who passes any bits there are must not fill the memory.
		if (texts.size >= 4096) texts.clear();
		texts.set(bits, text);
		return text;
	};
};
/** A path: the kernel's own, and what the caller passed. */
const pathOf = (kinds: readonly EventKind[], calls?: readonly string[]): Argument => ({
	kinds,
	...(calls && { calls }),
	get: path,
	raw: rawPath,
});
/** Names of the bits at that place of the record; 0 when none is set. */
const flagsAt = (
	kinds: readonly EventKind[],
	at: number,
	names: (bits: number) => readonly string[],
): Argument => {
	const textFor = remembered(names);
	return { kinds, get: ({ event }) => textFor(event.word(at)), raw: word(at) };
};
const unprefixed = (names: readonly string[]) => names.map((name) => name.replace(/^(MS|MNT|UMOUNT)_/, ""));
/** Users are compared by name. */
const user = (kinds: readonly EventKind[], at: number, calls?: readonly string[]): Argument => ({
	kinds,
	...(calls && { calls }),
	get: ({ event }, context) => {
		const uid = event.word(at);
		return context.userName(uid) ?? String(uid === 0xffff_ffff ? -1 : uid);
	},
	raw: ({ event }) => event.signed(at),
});
const group = (kinds: readonly EventKind[], at: number, calls?: readonly string[]): Argument => ({
	kinds,
	...(calls && { calls }),
	get: ({ event }) => String(event.signed(at)),
	raw: ({ event }) => event.signed(at),
});
const number = (
	kinds: readonly EventKind[],
	get: (observation: Observation) => number | undefined,
): Argument => ({
	kinds,
	get,
});
const capabilities = (at: number): Argument => ({
	kinds: [capset],
	get: ({ event }) => joined(capabilityNames(event.big(at))),
	raw: ({ event }) => Number(event.big(at)),
});
const permissions = (bits: number): string[] => flagNames("permissions", bits & 0o7777);
const permissionText = remembered(permissions);
const { asked } = identityEvent;
const real = ["setreuid", "setresuid", "setregid", "setresgid"];

/** Of an exec: what its process became by it. */
const ofExec = (get: (process: Process, context: FieldContext) => Value): Argument => ({
	kinds: [exec],
	get: ({ process }, context) => (process && process.comm !== "" ? get(process, context) : undefined),
});
const exeBits = (process: Process): readonly (readonly [name: string, bit: number])[] => [
	...(mayWriteExecutable(process) ? [["EXE_WRITABLE", 1] as const] : []),
	...(process.upperLayer ? [["EXE_UPPER_LAYER", 2] as const] : []),
	...(process.fromMemfd ? [["EXE_FROM_MEMFD", 4] as const] : []),
];

/** In the order they are told in. A name stands for something else in another call: then it is there several times. */
const table: readonly (readonly [name: string, argument: Argument])[] = [
	["exe", ofExec((process) => process.args[0] ?? process.exe)],
	["args", ofExec((process) => process.args.slice(1).join(" "))],
	["comm", ofExec((process) => process.comm)],
	["cwd", ofExec((process) => process.cwd || undefined)],
	["tty", ofExec((process) => process.tty)],
	["loginuid", ofExec((process) => process.loginUid)],
	[
		"flags",
		{
			...ofExec((process) => joined(exeBits(process).map(([name]) => name)) || "0"),
			raw: ({ process }) => process && exeBits(process).reduce((sum, [, bit]) => sum | bit, 0),
		},
	],
	[
		"uid",
		{
			...ofExec((process, context) => context.userName(process.euid) ?? String(process.euid)),
			raw: ({ process }) => process?.euid,
		},
	],
	["trusted_exepath", ofExec((process) => process.exe || undefined)],
	["path", pathOf([unlink], ["unlink"])],
	["path", pathOf([rmdir], ["rmdir"])],
	["path", pathOf([mkdir, mknod, chroot, truncate, setxattr])],
	["path", pathOf([chown], ["chown", "lchown"])],
	["pathname", pathOf([chown], ["fchownat"])],
	["filename", pathOf([chmod], ["chmod", "fchmodat", "fchmodat2"])],
	["name", { kinds: [open], get: rawPath }],
	["name", pathOf([unlink, rmdir], ["unlinkat"])],
	["name", pathOf([umount])],
	["name", { kinds: [memfd], get: ({ event }) => memfdName(event).slice("memfd:".length) }],
	["name", { kinds: [module, setxattr], get: textOf(Text.name) }],
	["oldpath", pathOf([rename, link])],
	["newpath", { kinds: [rename, link], get: target, raw: rawTarget }],
	["target", { kinds: [symlink], get: rawTarget }],
	["linkpath", pathOf([symlink])],
	["mode", flagsAt([chmod, mkdir, mknod], fileEvent.newMode, permissions)],
	[
		"mode",
		{
			kinds: [open],
			get: ({ event }) => permissionText(event.mode),
			raw: ({ event }) => event.mode,
		},
	],
	["uid", user([chown], fileEvent.newUid)],
	["gid", group([chown], fileEvent.newGid)],
	["uid", user([setuid], asked, ["setuid", "setfsuid"])],
	["ruid", user([setuid], asked, real)],
	["euid", user([setuid], asked + 4, real)],
	["suid", user([setuid], asked + 8, ["setresuid"])],
	["gid", group([setgid], asked, ["setgid", "setfsgid"])],
	["rgid", group([setgid], asked, real)],
	["egid", group([setgid], asked + 4, real)],
	["sgid", group([setgid], asked + 8, ["setresgid"])],
	["cap_inheritable", capabilities(identityEvent.inheritableCapabilities)],
	["cap_permitted", capabilities(identityEvent.permittedCapabilities)],
	["cap_effective", capabilities(identityEvent.capabilities)],
	[
		"flags",
		{
			kinds: [open],
			get: ({ event }, context) =>
				joined(openFlagNames(event.openFlags, context.architecture ?? hostArchitecture)),
			raw: ({ event }) => event.openFlags,
		},
	],
	["flags", flagsAt([rename], fileEvent.callFlags, (bits) => flagNames("rename", bits))],
	["flags", flagsAt([unlink, rmdir, link, chown], fileEvent.callFlags, (bits) => flagNames("at", bits))],
	["flags", flagsAt([memfd], fileEvent.callFlags, (bits) => flagNames("memfd", bits))],
	["flags", flagsAt([unshare], namespaceEvent.callFlags, (bits) => flagNames("unshare", bits))],
	["flags", flagsAt([mount], mountEvent.callFlags, (bits) => unprefixed(flagNames("mount", bits)))],
	["flags", flagsAt([umount], mountEvent.callFlags, (bits) => unprefixed(flagNames("umount", bits)))],
	["flags", flagsAt([module], moduleEvent.callFlags, (bits) => flagNames("moduleInit", bits))],
	["flags", flagsAt([protect], protectEvent.callFlags, (bits) => flagNames("map", bits))],
	["flags", number([userfaultfd], ({ event }) => event.word(callEvent.argument))],
	["entries", number([ioUring], ({ event }) => event.word(callEvent.argument))],
	["nstype", flagsAt([setns], namespaceEvent.callFlags, (bits) => flagNames("clone", bits))],
	[
		"domain",
		{ kinds: [socket], get: ({ event }) => familyName(event.family), raw: ({ event }) => event.family },
	],
	["type", number([socket], ({ event }) => event.word(socketEvent.type))],
	["proto", number([socket], ({ event }) => event.protocol)],
	["fd", number([open, memfd], ({ event }) => event.result)],
	["fd", number([connect, accept, bind, listen, send], ({ event }) => socketDescriptor(event))],
	["oldfd", number([dup], ({ event }) => event.signed(socketEvent.descriptor))],
	["newfd", number([dup], ({ event }) => event.result)],
	["tuple", { kinds: [connect, accept, send], get: ({ event }) => socketName(event) }],
	["addr", { kinds: [connect, bind, send], get: ({ event }) => socketName(event)?.replace(/^.*->/, "") }],
	["backlog", number([listen], ({ event }) => event.word(socketEvent.argument))],
	[
		"request",
		{
			kinds: [ptrace],
			get: ({ event }) => ptraceName(event.word(targetEvent.request)),
			raw: word(targetEvent.request),
		},
	],
	[
		"pid",
		number(
			[ptrace, vmWrite, kill],
			({ event }) => event.signed(targetEvent.targetPid) || event.signed(targetEvent.targetNamespacePid),
		),
	],
	[
		"tid",
		{ ...number([kill], ({ event }) => event.word(targetEvent.targetTid)), calls: ["tkill", "tgkill"] },
	],
	[
		"sig",
		{
			kinds: [kill],
			get: ({ event }) => signalName(event.word(targetEvent.request)),
			raw: word(targetEvent.request),
		},
	],
	["dev", { kinds: [mount], get: textOf(Text.source) }],
	["dir", pathOf([mount])],
	["type", { kinds: [mount], get: textOf(Text.filesystem) }],
	["uargs", { kinds: [module], get: textOf(Text.args) }],
	[
		"cmd",
		{
			kinds: [bpf],
			get: ({ event }) => bpfCommandName(event.word(bpfEvent.command)),
			raw: word(bpfEvent.command),
		},
	],
	["length", number([protect], ({ event }) => event.long(protectEvent.size))],
	[
		"prot",
		{
			kinds: [protect],
			get: ({ event }) => joined(protectionNames(event.word(protectEvent.protection))),
			raw: word(protectEvent.protection),
		},
	],
];

/** Those that are numbers whatever the call; the others compare as text. */
const numbers: ReadonlySet<string> = new Set(
	"fd oldfd newfd pid tid backlog length entries proto tty loginuid".split(" "),
);

/** The argument of that name on this event; a loop and no closure, since it runs for every event of the kind. */
function argumentOf(
	all: readonly Argument[],
	observation: Observation,
	context: FieldContext,
): Argument | undefined {
	for (let i = 0; i < all.length; i++)
		if (applies(all[i] as Argument, observation, context)) return all[i] as Argument;
	return undefined;
}

const applies = ({ kinds, calls }: Argument, { event }: Observation, context: FieldContext): boolean =>
	kinds.includes(event.kind) &&
	(calls === undefined || typesOf(event, context.architecture).some((name) => calls.includes(name)));

function namesOf(): string[] {
	return [...new Set(table.map(([name]) => name))];
}

const asText =
	(get: Argument["get"]): TextField["get"] =>
	(observation, context) => {
		const value = get(observation, context);
		return value === undefined ? undefined : String(value);
	};

function argumentField(name: string): Field {
	const all = table.filter(([known]) => known === name).map(([, argument]) => argument);
	const kinds = [...new Set(all.flatMap((each) => each.kinds))];
	const get = (observation: Observation, context: FieldContext): Value =>
		argumentOf(all, observation, context)?.get(observation, context);
	if (numbers.has(name)) return { type: "number", kinds, get: get as NumberField["get"] };
	return { type: "text", kinds, get: asText(get), recorded: recordedIn(all, ({ get: from }) => from) };
}

/** Of a kind whose calls have the argument in different texts none is the one. */
function recordedIn(
	all: readonly Argument[],
	getter: (argument: Argument) => Argument["get"],
): (kind: EventKind) => Text | undefined {
	return (kind) => {
		const texts = all.filter(({ kinds }) => kinds.includes(kind)).map((each) => recorded.get(getter(each)));
		return new Set(texts).size === 1 ? texts[0] : undefined;
	};
}

/** Those whose value as passed is a number in every call. */
const rawNumbers: ReadonlySet<string> = new Set([
	...numbers,
	..."mode uid gid ruid euid suid rgid egid sgid cap_inheritable cap_permitted cap_effective".split(" "),
	..."flags nstype domain request sig cmd prot".split(" "),
]);

function rawField(name: string): Field {
	const all = table.filter(([known]) => known === name).map(([, argument]) => argument);
	const kinds = [...new Set(all.flatMap((each) => each.kinds))];
	const get = (observation: Observation, context: FieldContext): Value => {
		const found = argumentOf(all, observation, context);
		return (found?.raw ?? found?.get)?.(observation, context);
	};
	if (rawNumbers.has(name)) return { type: "number", kinds, get: get as NumberField["get"] };
	const recordedRaw = recordedIn(all, ({ raw, get: shown }) => raw ?? shown);
	return { type: "text", kinds, get: asText(get), recorded: recordedRaw };
}

/** "res=SUCCESS path=/tmp/x": the result and every argument. */
function argumentLine(observation: Observation, context: FieldContext): string {
	const { event } = observation;
	const parts = withResult.includes(event.kind) ? [`res=${resultName(event.result)}`] : [];
	for (const [name, argument] of table) {
		if (!applies(argument, observation, context)) continue;
		const value = argument.get(observation, context);
		if (value !== undefined) parts.push(`${name}=${value}`);
	}
	return parts.join(" ");
}

const line: TextField = { type: "text", get: argumentLine };

export const argumentFields: Fields = {
	"evt.args": line,
	"evt.info": line,
	"evt.arg.res": { type: "text", kinds: withResult, get: ({ event }) => resultName(event.result) },
	...Object.fromEntries(namesOf().map((name) => [`evt.arg.${name}`, argumentField(name)])),
	...Object.fromEntries(namesOf().map((name) => [`evt.rawarg.${name}`, rawField(name)])),
};

/** evt.arg[NAME] is evt.arg.NAME. */
const byName =
	(prefix: string) =>
	(name: string | undefined): Field | undefined =>
		name === undefined ? undefined : argumentFields[`${prefix}.${name}`];
export const argumentFieldsWith: Readonly<Record<string, (name: string | undefined) => Field | undefined>> = {
	"evt.arg": byName("evt.arg"),
	"evt.rawarg": byName("evt.rawarg"),
};
