// First steps of every action, before anything is looked at: is the order well-formed, what is its target in
// canonical form, and which local caps apply. Pure.
import { AddressError, formatNetwork, type Network, parseNetwork } from "../model/address.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Direction, Order } from "../model/verdict.ts";
import { RespondError } from "./failure.ts";
import { tooWide, widest } from "./width.ts";

export interface Settings {
	/** For what names no time to live. */
	readonly ttlSeconds: number;
	/** A longer one is cut down to this. */
	readonly maxTtlSeconds: number;
	/** Targets of all orders together. */
	readonly actionsPerMinute: number;
	/** Targets of one rule. */
	readonly ruleTargetsPerMinute: number;
	/** So many of the running containers, at least one, rules may have out of service at the same time. */
	readonly containerPercent: number;
	/** How long there are only alerts after one of these was exceeded. */
	readonly alertOnlySeconds: number;
	readonly maxActiveBlocks: number;
}

/** ipset takes at most 2147483 s; a day is long for an address that belongs to somebody else tomorrow. */
export const defaultSettings: Settings = {
	ttlSeconds: 3600,
	maxTtlSeconds: 86_400,
	actionsPerMinute: 60,
	ruleTargetsPerMinute: 10,
	containerPercent: 20,
	alertOnlySeconds: 900,
	maxActiveBlocks: 65_536,
};

/** What is refused when it is executed. */
export type Program =
	| { readonly by: "path"; readonly path: string }
	| { readonly by: "inode"; readonly device: number; readonly inode: bigint }
	| { readonly by: "not-from-image" | "any" };

/** An order that is well-formed, in canonical form and within the caps. */
export type Parsed =
	| {
			readonly kind: "block";
			readonly network: Network;
			/** 0 for one without an end. */
			readonly ttlSeconds: number;
			readonly direction: Direction;
	  }
	| { readonly kind: "unblock" | "cut"; readonly network: Network }
	| { readonly kind: "pause" | "disconnect"; readonly container: string; readonly ttlSeconds: number }
	| { readonly kind: PlainContainerOrder; readonly container: string }
	| { readonly kind: "kill"; readonly pid: number; readonly start: number; readonly tree: boolean }
	| { readonly kind: "refuseEgress"; readonly container: string; readonly ttlSeconds: number }
	| { readonly kind: "permitEgress"; readonly container: string }
	| {
			readonly kind: "refuseExec";
			readonly program: Program;
			/** "" for the whole host. */
			readonly container: string;
			readonly ttlSeconds: number;
	  }
	| { readonly kind: "permitExec"; readonly program: Program; readonly container: string };

export type PlainContainerOrder = "resume" | "stop" | "start" | "restart" | "remove" | "reconnect";

const actionKinds = {
	block: "KIND_BLOCK",
	unblock: "KIND_UNBLOCK",
	cut: "KIND_CUT",
	pause: "KIND_PAUSE",
	resume: "KIND_RESUME",
	stop: "KIND_STOP",
	start: "KIND_START",
	restart: "KIND_RESTART",
	remove: "KIND_REMOVE",
	disconnect: "KIND_DISCONNECT",
	reconnect: "KIND_RECONNECT",
	kill: "KIND_KILL",
	refuseEgress: "KIND_REFUSE_EGRESS",
	permitEgress: "KIND_PERMIT_EGRESS",
	refuseExec: "KIND_REFUSE_EXEC",
	permitExec: "KIND_PERMIT_EXEC",
} as const satisfies Record<Order["kind"], wire.ActionKind>;

export function actionKindOf(order: Order): wire.ActionKind {
	if (order.kind === "kill" && order.tree === true) return "KIND_KILL_TREE";
	return actionKinds[order.kind] ?? "KIND_UNSPECIFIED";
}

const maxPid = 4_194_304;

/** Orders come from consoles as well: every field is checked as if it had no type. Throws RespondError. */
export function parseOrder(order: Order, settings: Settings, steps: string[]): Parsed {
	switch (order.kind) {
		case "block":
			if (order.address === "") {
				throw invalid(
					"there is no peer to block: the alert is not on a connection",
					"ask for pause or kill as well",
				);
			}
			return {
				kind: "block",
				network: parseTarget(order.address, true),
				ttlSeconds: order.permanent === true ? 0 : capTtl(order.ttlSeconds, settings, steps),
				direction: parseDirection(order.direction ?? "both"),
			};
		case "unblock":
		case "cut":
			return { kind: order.kind, network: parseTarget(order.address, order.kind === "cut") };
		case "pause":
		case "disconnect":
			return {
				kind: order.kind,
				container: parseContainer(order.container),
				ttlSeconds: capTtl(order.ttlSeconds ?? 0, settings, steps),
			};
		case "resume":
		case "stop":
		case "start":
		case "restart":
		case "remove":
		case "reconnect":
		case "permitEgress":
			return { kind: order.kind, container: parseContainer(order.container) };
		case "kill":
			return {
				kind: "kill",
				pid: parsePid(order.pid),
				start: parseStart(order.start),
				tree: order.tree === true,
			};
		case "refuseEgress":
			return {
				kind: "refuseEgress",
				container: parseContainer(order.container),
				ttlSeconds: capTtl(order.ttlSeconds, settings, steps),
			};
		case "refuseExec":
		case "permitExec": {
			const program = parseProgram(order.program);
			const container = order.container === "" ? "" : parseContainer(order.container);
			if (container === "" && program.by !== "path" && program.by !== "inode") {
				throw invalid(`${program.by} on the whole host would stop it`, "name a container or a program");
			}
			if (order.kind === "permitExec") return { kind: "permitExec", program, container };
			return {
				kind: "refuseExec",
				program,
				container,
				ttlSeconds: capTtl(order.ttlSeconds, settings, steps),
			};
		}
		default:
			throw invalid(
				`there is no act "${String((order as { kind: unknown }).kind)}"`,
				`use one of ${Object.keys(actionKinds).join(", ")}`,
			);
	}
}

/** The target as Action.target has it, readable even when the order is not well-formed. */
export function targetOf(order: Order): string {
	return textOf(order).slice(0, 300);
}

function textOf(order: Order): string {
	if ("address" in order) return String(order.address);
	if (order.kind === "kill") return `${order.pid}:${order.start}`;
	if ("program" in order) return `${order.container || "host"} ${order.program}`;
	return String(order.container);
}

/** Canonical: what parseProgram reads. */
export function programText(program: Program): string {
	if (program.by === "path") return program.path;
	if (program.by === "inode") return `inode:${program.device}:${program.inode}`;
	return program.by;
}

function parseTarget(address: string, limited: boolean): Network {
	let network: Network;
	try {
		network = parseNetwork(String(address));
	} catch (error) {
		if (error instanceof AddressError) throw invalid(error.message, "give one address or network");
		throw error;
	}
	const why = limited ? tooWide(network) : undefined;
	if (why !== undefined) {
		const remedy = `name networks of /${widest[network.family]} or smaller for IPv${network.family}`;
		throw invalid(`${formatNetwork(network)} is too wide: ${why}`, remedy);
	}
	return network;
}

function capTtl(ttlSeconds: number, settings: Settings, steps: string[]): number {
	if (!Number.isFinite(ttlSeconds) || ttlSeconds < 0) {
		throw invalid(
			`a time to live of ${ttlSeconds} s makes no sense`,
			"give seconds above 0, or 0 for the default",
		);
	}
	const wanted = ttlSeconds === 0 ? settings.ttlSeconds : Math.ceil(ttlSeconds);
	if (wanted <= settings.maxTtlSeconds) return wanted;
	steps.push(`cap: ${wanted} s cut down to ${settings.maxTtlSeconds} s, the longest time allowed here`);
	return settings.maxTtlSeconds;
}

function parseContainer(container: string): string {
	if (container === "") {
		throw invalid("there is no container: it happened on the host", "use scope: container in the response");
	}
	if (typeof container === "string" && /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(container)) return container;
	throw invalid("that is no container id or name", "give an id or name as docker ps shows it");
}

function parseDirection(direction: Direction): Direction {
	if (direction === "in" || direction === "out" || direction === "both") return direction;
	throw invalid(`there is no direction "${String(direction)}"`, "use in, out or both");
}

const longestPath = 4096;

function parseProgram(program: string): Program {
	const text = String(program);
	if (text === "not-from-image" || text === "any") return { by: text };
	const inode = /^inode:(\d{1,10}):(\d{1,20})$/.exec(text);
	if (inode !== null) return { by: "inode", device: Number(inode[1]), inode: BigInt(inode[2] ?? 0) };
	const absolute = text.startsWith("/") && !text.includes("\0") && !/\/(\.{0,2}\/|\.{1,2}$)/.test(text);
	if (absolute && !text.endsWith("/") && text.length < longestPath) return { by: "path", path: text };
	throw invalid(
		"that is no program",
		"give its absolute path without . and .., inode:DEVICE:INODE, not-from-image or any",
	);
}

function parsePid(pid: number): number {
	if (Number.isInteger(pid) && pid >= 1 && pid <= maxPid) return pid;
	throw invalid(`${pid} is no pid`, `give a pid of 1 to ${maxPid}`);
}

function parseStart(start: number): number {
	if (Number.isFinite(start) && start >= 0) return start;
	throw invalid(
		"the start time of the process is missing",
		"give it as the alert does: a pid alone is not safe",
	);
}

function invalid(message: string, remedy: string): RespondError {
	return new RespondError("PICKET_ORDER_INVALID", message, remedy);
}
