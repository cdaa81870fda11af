// First steps of every action, before anything is looked at: is the order well-formed, what is its target in
// canonical form, and which local caps apply. Pure.
import { AddressError, formatNetwork, type Network, parseNetwork } from "../model/address.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Order } from "../model/verdict.ts";
import { RespondError } from "./failure.ts";

export interface Settings {
	/** For a block that names no time to live. */
	readonly blockTtlSeconds: number;
	/** A longer block is cut down to this. */
	readonly maxBlockTtlSeconds: number;
	readonly actionsPerMinute: number;
	readonly maxActiveBlocks: number;
}

/** ipset takes at most 2147483 s; a day is long for an address that belongs to somebody else tomorrow. */
export const defaultSettings: Settings = {
	blockTtlSeconds: 1800,
	maxBlockTtlSeconds: 86_400,
	actionsPerMinute: 30,
	maxActiveBlocks: 4096,
};

/** An order that is well-formed, in canonical form and within the caps. */
export type Parsed =
	| { readonly kind: "block"; readonly network: Network; readonly ttlSeconds: number }
	| { readonly kind: "unblock"; readonly network: Network }
	| { readonly kind: "pause" | "resume"; readonly container: string }
	| { readonly kind: "kill"; readonly pid: number; readonly start: number };

export const actionKinds = {
	block: "KIND_BLOCK",
	unblock: "KIND_UNBLOCK",
	pause: "KIND_PAUSE",
	resume: "KIND_RESUME",
	kill: "KIND_KILL",
} as const satisfies Record<Order["kind"], wire.ActionKind>;

/** Wider networks than these are not an attacker but a part of the internet. */
const widest = { 4: 8, 6: 32 } as const;
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
				ttlSeconds: capTtl(order.ttlSeconds, settings, steps),
			};
		case "unblock":
			return { kind: "unblock", network: parseTarget(order.address, false) };
		case "pause":
		case "resume":
			if (order.container === "") {
				throw invalid(
					"there is no container to pause: it happened on the host",
					"use scope: container in the response",
				);
			}
			return { kind: order.kind, container: parseContainer(order.container) };
		case "kill":
			return { kind: "kill", pid: parsePid(order.pid), start: parseStart(order.start) };
		default:
			throw invalid(
				`there is no act "${String((order as { kind: unknown }).kind)}"`,
				"use block, pause or kill",
			);
	}
}

/** The target as Action.target has it, readable even when the order is not well-formed. */
export function targetOf(order: Order): string {
	const text =
		order.kind === "block" || order.kind === "unblock"
			? order.address
			: order.kind === "kill"
				? `${order.pid}:${order.start}`
				: order.container;
	return String(text).slice(0, 300);
}

function parseTarget(address: string, limited: boolean): Network {
	let network: Network;
	try {
		network = parseNetwork(String(address));
	} catch (error) {
		if (error instanceof AddressError) throw invalid(error.message, "give one address or network");
		throw error;
	}
	const limit = widest[network.family];
	if (limited && network.prefix < limit) {
		throw invalid(
			`${formatNetwork(network)} is too wide`,
			`block networks of /${limit} or smaller for IPv${network.family}`,
		);
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
	const wanted = ttlSeconds === 0 ? settings.blockTtlSeconds : Math.ceil(ttlSeconds);
	if (wanted <= settings.maxBlockTtlSeconds) return wanted;
	steps.push(`cap: ${wanted} s cut down to ${settings.maxBlockTtlSeconds} s, the longest block allowed here`);
	return settings.maxBlockTtlSeconds;
}

function parseContainer(container: string): string {
	if (typeof container === "string" && /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(container)) return container;
	throw invalid("that is no container id or name", "give an id or name as docker ps shows it");
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
