// From Sigma's log sources to our events: which events a rule looks at, and which of our fields stand for its names.
import type { FieldRef } from "../syntax.ts";

/** What stands for a Sigma field: a field of ours, or a text that is the same for all events of the variant. */
export type Mapped =
	| { readonly is: "field"; readonly field: FieldRef; readonly as?: "folder" | "hexadecimal" | "yes or no" }
	| { readonly is: "constant"; readonly text: string };

/** One sort of event a log source stands for. */
export interface Variant {
	/** What an event of that sort satisfies, in the Falco language. */
	readonly guard: string;
	field(name: string): Mapped | undefined;
	/** Fields that make up the text in which keywords are looked for. */
	readonly texts: readonly FieldRef[];
}

export interface LogSource {
	readonly product: string;
	readonly category: string;
	readonly service: string;
}

const plain = (name: string, argument?: string): FieldRef => ({ name, argument });

const process = {
	Image: "proc.exepath",
	CommandLine: "proc.exeline",
	CurrentDirectory: "proc.cwd",
	User: "user.name",
	LogonId: "user.loginuid",
	ProcessId: "proc.pid",
	ParentImage: "proc.pexepath",
	ParentCommandLine: "proc.pexeline",
	ParentProcessId: "proc.ppid",
	ParentUser: "proc.puser",
	UtcTime: "evt.rawtime",
	Computer: "evt.hostname",
};
const network = {
	...process,
	SourceIp: "fd.cip",
	SourcePort: "fd.cport",
	SourceHostname: "fd.cip.name",
	DestinationIp: "fd.sip",
	DestinationPort: "fd.sport",
	DestinationHostname: "fd.sip.name",
	Protocol: "fd.l4proto",
};
const file = (name: string) => ({ ...process, TargetFilename: name, CreationUtcTime: "evt.rawtime" });

function variant(
	guard: string,
	fields: Readonly<Record<string, string>>,
	constants: Readonly<Record<string, string>> = {},
	texts: readonly FieldRef[] = [],
): Variant {
	return {
		guard,
		texts,
		field: (name) => {
			if (Object.hasOwn(constants, name)) return { is: "constant", text: constants[name] as string };
			if (!Object.hasOwn(fields, name)) return undefined;
			const field = plain(fields[name] as string);
			if (field.name === "proc.cwd") return { is: "field", field, as: "folder" };
			if (field.name === "evt.failed") return { is: "field", field, as: "yes or no" };
			return { is: "field", field };
		},
	};
}

const execs = "evt.type in (execve, execveat)";
const opens = "evt.type in (open, openat, openat2, creat, open_by_handle_at) and evt.rawres >= 0";
const renames = "evt.type in (rename, renameat, renameat2) and evt.rawres >= 0";
const unlinks = "evt.type in (unlink, unlinkat) and evt.rawres >= 0";
const commandLine = [plain("proc.exeline")];

/** Sigma's categories that events of ours stand for. */
const categories: Readonly<Record<string, readonly Variant[]>> = {
	process_creation: [variant(execs, process, {}, commandLine)],
	process_termination: [variant("evt.type = procexit", process, {}, commandLine)],
	// Made, or emptied and written anew; and what gets its name by a rename.
	file_event: [
		variant(
			`${opens} and (evt.is_open_create = true or evt.arg.flags contains O_TRUNC)`,
			file("fd.name"),
			{},
			[plain("fd.name")],
		),
		variant(renames, file("fs.path.target"), {}, [plain("fs.path.target")]),
	],
	file_access: [variant(opens, { ...file("fd.name"), FileName: "fd.name" }, {}, [plain("fd.name")])],
	file_delete: [variant(unlinks, file("fs.path.name"), {}, [plain("fs.path.name")])],
	file_rename: [
		variant(renames, { ...file("fs.path.target"), SourceFilename: "fs.path.source" }, {}, [
			plain("fs.path.target"),
			plain("fs.path.source"),
		]),
	],
	network_connection: [
		variant(
			"evt.type = connect and fd.typechar in (4, 6) and (evt.rawres >= 0 or evt.res = EINPROGRESS)",
			network,
			{ Initiated: "true" },
		),
		variant(
			"evt.type in (sendto, sendmsg, sendmmsg) and fd.typechar in (4, 6) and evt.rawres >= 0",
			network,
			{
				Initiated: "true",
			},
		),
		variant("evt.type in (accept, accept4) and fd.typechar in (4, 6) and evt.rawres >= 0", network, {
			Initiated: "false",
		}),
	],
	driver_load: [
		variant("evt.type in (init_module, finit_module) and evt.rawres >= 0", {
			...process,
			ImageLoaded: "evt.arg.name",
		}),
	],
};

const auditFields = {
	comm: "proc.name",
	exe: "proc.exepath",
	pid: "proc.pid",
	ppid: "proc.ppid",
	cwd: "proc.cwd",
	uid: "user.ruid",
	UID: "user.rname",
	euid: "user.uid",
	EUID: "user.name",
	auid: "user.loginuid",
	AUID: "user.loginname",
	egid: "group.gid",
	USER: "user.name",
	SYSCALL: "evt.type",
	success: "evt.failed",
	exit: "evt.rawres",
};

/** EXECVE records: the arguments of a program that was started. */
const execve: Variant = (() => {
	const base = variant(execs, auditFields, { type: "EXECVE" }, commandLine);
	return {
		...base,
		field: (name) => {
			const index = /^a(\d{1,4})$/.exec(name)?.[1];
			if (index === undefined) return base.field(name);
			const field = index === "0" ? plain("proc.exe") : plain("proc.args", String(Number(index) - 1));
			return { is: "field", field };
		},
	};
})();

/** PATH records: one for each name a call has touched. */
function path(guard: string, name: string, nametype: string): Variant {
	return variant(guard, { ...auditFields, name }, { type: "PATH", nametype }, [plain(name)]);
}
const attributes =
	"chmod, fchmod, fchmodat, fchmodat2, chown, lchown, fchown, fchownat, truncate, ftruncate, setxattr, lsetxattr, fsetxattr";
const paths: readonly Variant[] = [
	path(execs, "proc.exepath", "NORMAL"),
	path(`${opens} and evt.is_open_create = true`, "fd.name", "CREATE"),
	path(`${opens} and evt.is_open_create = false`, "fd.name", "NORMAL"),
	path(`evt.type in (${attributes}) and evt.rawres >= 0`, "fs.path.name", "NORMAL"),
	path("evt.type in (mkdir, mkdirat, mknod, mknodat) and evt.rawres >= 0", "fs.path.name", "CREATE"),
	// What a link leads to is its target: the name that is made is the other one.
	path("evt.type in (link, linkat, symlink, symlinkat) and evt.rawres >= 0", "fs.path.source", "CREATE"),
	path(renames, "fs.path.source", "DELETE"),
	path(renames, "fs.path.target", "CREATE"),
	path("evt.type in (unlink, unlinkat, rmdir) and evt.rawres >= 0", "fs.path.name", "DELETE"),
];

/** a0 to a3 of a SYSCALL record, hexadecimal there, where we have them. */
const callArguments: Readonly<Record<string, Readonly<Record<string, string>>>> = {
	socket: { a0: "evt.rawarg.domain", a1: "evt.rawarg.type" },
	ptrace: { a0: "evt.rawarg.request" },
	bpf: { a0: "evt.rawarg.cmd" },
	kill: { a1: "evt.rawarg.sig" },
	setns: { a1: "evt.rawarg.nstype" },
	unshare: { a0: "evt.rawarg.flags" },
};

/** SYSCALL records. */
function call(type: string): Variant {
	const base = variant(`evt.type = ${type}`, auditFields, { type: "SYSCALL", SYSCALL: type }, [
		plain("proc.name"),
		plain("proc.exepath"),
	]);
	const own = callArguments[type] ?? {};
	return {
		...base,
		field: (name) =>
			Object.hasOwn(own, name)
				? { is: "field", field: plain(own[name] as string), as: "hexadecimal" }
				: base.field(name),
	};
}

/**
 * Of the service auditd. `calls` are the system calls the rule names; one that names none is about programs that are
 * started, as every audited call has a SYSCALL record and nobody audits them all.
 */
function auditd(calls: readonly string[]): readonly Variant[] {
	return [execve, ...paths, ...(calls.length > 0 ? calls : ["execve", "execveat"]).map(call)];
}

/** The events of a log source, or why there are none. */
export function variantsOf(
	{ product, category, service }: LogSource,
	calls: readonly string[],
): readonly Variant[] | string {
	if (product !== "" && product !== "linux") return `it is for ${product}, and this host is Linux`;
	if (service === "auditd") return auditd(calls);
	if (Object.hasOwn(categories, category)) return categories[category] as readonly Variant[];
	if (category !== "") return `no events here are of the category ${category}`;
	return service === ""
		? "it searches the text of any log of the host, and the sensor reads no logs"
		: `it reads the log of ${service}, and the sensor reads no logs`;
}

/** Our field for a Sigma field of a category, or of the service auditd; undefined when no event has it. */
export function falcoFieldOf(
	category: string,
	name: string,
): { readonly name: string; readonly argument?: string } | undefined {
	const own = Object.hasOwn(categories, category) ? categories[category] : undefined;
	const variants = category === "auditd" ? auditd([]) : (own ?? []);
	// A file may be made, renamed, removed: this is its name whatever was done.
	if (/^file_/.test(category) && name === "TargetFilename") return { name: "fs.path.changed" };
	for (const each of variants) {
		const mapped = each.field(name);
		if (mapped?.is !== "field") continue;
		const { name: found, argument } = mapped.field;
		return argument === undefined ? { name: found } : { name: found, argument };
	}
	return undefined;
}
