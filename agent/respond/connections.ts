// Ends the established flows with an address. A block already drops their packets; this makes both ends notice now and
// not when they time out. The sockets of this host and of its containers are closed, which lie in network namespaces of
// their own; then the kernel's connection tracking forgets the flows, and with them what it lets pass on a fast path.
// Best effort: a host without the tools is only told so.
import { contains, formatNetwork, parseNetwork } from "../model/address.ts";
import { createBatch } from "./batch.ts";
import type { CommandResult, RunCommand } from "./command.ts";
import { describeError, RespondError } from "./failure.ts";
import { readLink } from "./procfs.ts";
import { type Family, families, familyOf } from "./ruleset.ts";

export interface Connections {
	/** Ends all flows with a canonical address or network. Says in steps what came of it, and what is left. */
	cut(target: string, steps: string[]): Promise<void>;
	/** Sockets and established flows with it, now. */
	count(target: string): Promise<number>;
}

export interface ConnectionDeps {
	readonly run: RunCommand;
	/** A process of each container that runs, on this host's pids. */
	readonly containerPids?: () => readonly number[] | Promise<readonly number[]>;
	/** Where /proc lies below. */
	readonly root?: string;
}

interface Item {
	readonly target: string;
	readonly steps: string[];
}

/** A program and its first arguments, which lead into a network namespace. */
type Place = readonly string[];
type Note = (step: string) => void;

/** Up to so many are asked for directly; of more only those that occur in a list of all flows. */
const fewTargets = 4;
/** So many peers go into one filter of ss. */
const peersOfFilter = 32;
/** What has ended is not worth ending. */
const openSockets = ["state", "connected", "exclude", "time-wait"];
const endedFlow = / (TIME_WAIT|CLOSE) /;
/** A flow names the target as its source, its destination, or as what answers after a rewritten destination. */
const flowSides = ["-s", "-d", "-r"] as const;

export function createConnections({ run, containerPids, root = "/" }: ConnectionDeps): Connections {
	async function attempt(
		place: Place,
		words: readonly string[],
		note: Note,
		input?: string,
	): Promise<CommandResult | undefined> {
		const [file = "", ...args] = [...place, ...words];
		try {
			return await run(file, args, input);
		} catch (error) {
			if (!(error instanceof RespondError)) throw error;
			note(`open connections: ${describeError(error)}`);
			return undefined;
		}
	}

	/** This host's own network, and once each that of containers that have another. */
	async function places(): Promise<Place[]> {
		const pids = (await containerPids?.()) ?? [];
		const spaces = new Map<string, number>();
		for (const pid of pids) {
			const space = readLink(root, `proc/${pid}/ns/net`);
			if (space !== undefined) spaces.set(space, pid);
		}
		spaces.delete(readLink(root, "proc/self/ns/net") ?? "");
		return [[], ...[...spaces.values()].map((pid) => ["nsenter", "-t", String(pid), "-n"])];
	}

	async function sockets(place: Place, options: readonly string[], note: Note): Promise<string[]> {
		const words = ["ss", "-H", "-n", "-t", "-u", ...options];
		const result = await attempt(place, words, note);
		if (result !== undefined && result.code !== 0) note(`ss: ${result.stderr.trim().slice(0, 200)}`);
		return linesOf(result?.stdout);
	}

	/** Lines of all places. `options` come before the peers. */
	async function socketsWith(
		targets: readonly string[],
		all: readonly Place[],
		options: readonly string[],
		note: Note,
	): Promise<string[]> {
		const found: string[] = [];
		for (let at = 0; at < targets.length; at += peersOfFilter) {
			const filter = filterOf(targets.slice(at, at + peersOfFilter));
			for (const place of all) found.push(...(await sockets(place, [...options, ...filter], note)));
		}
		return found;
	}

	async function flows(filter: readonly string[], family: Family, note: Note): Promise<string[]> {
		const result = await attempt([], ["conntrack", "-L", "-f", flowsOf(family), ...filter], note);
		return linesOf(result?.stdout).filter((line) => !endedFlow.test(line));
	}

	/** Those of many that have a flow at all. */
	async function occurring(targets: readonly string[], all: readonly Place[], note: Note): Promise<string[]> {
		if (targets.length <= fewTargets) return [...targets];
		const lines = await Promise.all([
			...all.map((place) => sockets(place, openSockets, note)),
			...families.map((family) => flows([], family, note)),
		]);
		const seen = new Set(lines.flat().flatMap(addressesIn));
		const networks = [...seen].map(parseNetwork);
		return targets.filter((target) => {
			if (!target.includes("/")) return seen.has(target);
			const network = parseNetwork(target);
			return networks.some((one) => contains(network, one));
		});
	}

	/** Makes connection tracking forget the flows of which the target is one end. */
	async function forget(target: string, note: Note): Promise<number> {
		let count = 0;
		for (const side of flowSides) {
			const words = ["conntrack", "-D", "-f", flowsOf(familyOf(target)), side, target];
			const result = await attempt([], words, note);
			if (result === undefined) return count;
			// Exit code 1 with "0 flow entries" is how it says that there was none.
			const said = /(\d+) flow entries have been deleted/.exec(result.stderr)?.[1];
			if (said === undefined) note(`conntrack -D ${side}: ${result.stderr.trim().slice(0, 200)}`);
			count += Number(said ?? 0);
		}
		return count;
	}

	/** With one command for all of them, which conntrack can do since 1.4.7. */
	async function forgetAll(targets: readonly string[], note: Note): Promise<void> {
		const deletions = targets.flatMap((target) =>
			flowSides.map((side) => `-D -f ${flowsOf(familyOf(target))} ${side} ${target}`),
		);
		const result =
			targets.length > fewTargets
				? await attempt([], ["conntrack", "-R", "-"], note, `${deletions.join("\n")}\n`)
				: undefined;
		if (result?.code === 0) return note(`conntrack -D: flows of ${targets.length} addresses forgotten`);
		let count = 0;
		for (const target of targets) count += await forget(target, note);
		note(`conntrack -D: ${count} flows forgotten`);
	}

	async function cutAll(items: readonly Item[]): Promise<undefined[]> {
		const noteTo = (some: readonly Item[]) => (step: string) => {
			for (const { steps } of some) steps.push(step);
		};
		const all = await places();
		const targets = [...new Set(items.map(({ target }) => target))];
		const live = await occurring(targets, all, noteTo(items));
		const lives = new Set(live);
		noteTo(items.filter(({ target }) => !lives.has(target)))("open connections: none");
		if (live.length === 0) return [];
		const note = noteTo(items.filter(({ target }) => lives.has(target)));
		// Before the flow is forgotten: the reset that is sent belongs to a known connection then.
		const closed = await socketsWith(live, all, ["-K"], note);
		note(`ss -K: ${closed.length} sockets closed`);
		await forgetAll(live, note);
		const left = closed.length === 0 ? [] : await socketsWith(live, all, openSockets, note);
		if (left.length > 0) note(`verify: ss still shows ${left.length} sockets`);
		return [];
	}

	const cutting = createBatch(cutAll);
	return {
		cut: (target, steps) => cutting({ target, steps }),
		async count(target) {
			const note = () => {};
			const [open, ...tracked] = await Promise.all([
				socketsWith([target], await places(), openSockets, note),
				...flowSides.map((side) => flows([side, target], familyOf(target), note)),
			]);
			return open.length + new Set(tracked.flat().filter((line) => line.includes(" ESTABLISHED "))).size;
		},
	};
}

function flowsOf({ inet }: Family): string {
	return inet === "inet" ? "ipv4" : "ipv6";
}

function linesOf(text = ""): string[] {
	return text.split("\n").filter((line) => line !== "");
}

/** For `ss`, which wants [2001:db8::]/32. An empty one would mean every connection there is. */
function filterOf(targets: readonly string[]): string[] {
	if (targets.length === 0) throw new Error("a filter for ss needs a target");
	return targets.flatMap((target, index) => {
		const peer = target.includes(":") ? target.replace(/^([^/]+)/, "[$1]") : target;
		return [...(index === 0 ? [] : ["or"]), "dst", peer];
	});
}

/** Every address in a line of ss ("[::ffff:10.0.0.1]:22") or conntrack ("src=10.0.0.1"), canonical. */
function addressesIn(line: string): string[] {
	return line.split(/\s+/).flatMap((word) => {
		const text = /^(?:src|dst)=(.+)$/.exec(word)?.[1] ?? /^\[?([^\]]+)\]?:(?:\d+|\*)$/.exec(word)?.[1];
		if (text === undefined) return [];
		try {
			return [formatNetwork(parseNetwork(text.replace(/%.*/, "")))];
		} catch {
			return [];
		}
	});
}
