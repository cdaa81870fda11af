// What the kernel is asked to send: the sum of what rules, policy and outputs need.
import { type EventName, eventNames } from "./event.ts";

/** Paths of opens or changes somebody asks for. `suffixes` are of whole paths. */
export interface PathInterest {
	readonly exact: readonly string[];
	readonly prefixes: readonly string[];
	/** Base names. */
	readonly names: readonly string[];
	readonly suffixes: readonly string[];
}

export type OpenInterest = "none" | "all" | PathInterest;

export interface ConnectInterest {
	/** Peers by address: none, every one, or those on these remote ports. */
	readonly ip: "none" | "all" | readonly number[];
	readonly unix: boolean;
}

export interface Interest {
	readonly kinds: ReadonlySet<EventName>;
	/** Opens that can write or make the file. */
	readonly writeOpens: OpenInterest;
	/** All other successful opens. */
	readonly readOpens: OpenInterest;
	readonly failedOpens: boolean;
	/** Changes of names and attributes of files, done or refused: rename … setxattr. */
	readonly fileChanges: OpenInterest;
	readonly connects: ConnectInterest;
}

/** The kinds that `fileChanges` is about. */
export const fileChangeKinds = [
	"rename",
	"unlink",
	"rmdir",
	"mkdir",
	"mknod",
	"link",
	"symlink",
	"chmod",
	"chown",
	"truncate",
	"setxattr",
] as const satisfies readonly EventName[];

export const noInterest: Interest = {
	kinds: new Set(),
	writeOpens: "none",
	readOpens: "none",
	failedOpens: false,
	fileChanges: "none",
	connects: { ip: "none", unix: false },
};

export const everything: Interest = {
	kinds: new Set(eventNames),
	writeOpens: "all",
	readOpens: "all",
	failedOpens: true,
	fileChanges: "all",
	connects: { ip: "all", unix: true },
};

/** What the process tree is made of, as far as it is captured: losing one of them leaves it wrong. */
export const treeKinds: ReadonlySet<EventName> = new Set([
	...(["exec", "fork", "exit"] as const),
	...(["setuid", "setgid", "capset", "unshare", "setns"] as const),
]);

/**
 * What the agent itself needs whatever the rules are: the process tree and the containers. Changes of identity and
 * namespaces are not worth a hook on every such call: records carry the user, and an exec tells the rest.
 */
export const ownNeeds: Interest = { ...noInterest, kinds: new Set(["exec", "fork", "exit", "cgroup"]) };

function sumOfOpens(asked: readonly OpenInterest[]): OpenInterest {
	if (asked.includes("all")) return "all";
	const paths = asked.filter((each) => typeof each !== "string");
	if (paths.length === 0) return "none";
	const sum = (key: keyof PathInterest) => [...new Set(paths.flatMap((each) => each[key]))];
	return {
		exact: sum("exact"),
		prefixes: sum("prefixes"),
		names: sum("names"),
		suffixes: sum("suffixes"),
	};
}

function sumOfPeers(asked: readonly ConnectInterest["ip"][]): ConnectInterest["ip"] {
	if (asked.includes("all")) return "all";
	const ports = asked.filter((each) => typeof each !== "string");
	return ports.length === 0 ? "none" : [...new Set(ports.flat())];
}

/** The least that satisfies all of them. */
export function sumOfInterests(interests: readonly Interest[]): Interest {
	const opens = (key: "writeOpens" | "readOpens" | "fileChanges") =>
		sumOfOpens(interests.map((each) => each[key]));
	return {
		kinds: new Set(interests.flatMap(({ kinds }) => [...kinds])),
		writeOpens: opens("writeOpens"),
		readOpens: opens("readOpens"),
		failedOpens: interests.some(({ failedOpens }) => failedOpens),
		fileChanges: opens("fileChanges"),
		connects: {
			ip: sumOfPeers(interests.map(({ connects }) => connects.ip)),
			unix: interests.some(({ connects }) => connects.unix),
		},
	};
}
