// Blocks addresses: sets with a time-out in the kernel and two chains of our own. Touches no rule that is not ours, and
// nothing at all before the first block. What is asked for at the same time is done with one command each. Which
// address may be blocked is decided elsewhere.
import type { Direction } from "../model/verdict.ts";
import type { Variant } from "./backend.ts";
import { createBatch } from "./batch.ts";
import { isMissing, type RunCommand } from "./command.ts";
import { createIpset } from "./ipset.ts";
import { createIptables } from "./iptables.ts";
import { type Family, families, familyOf } from "./ruleset.ts";
import { additionOf, type Block, coverage, creationOf, removalOf, setsOf } from "./sets.ts";

export interface Firewall {
	/**
	 * Drops the packets of a block for its time. True when a look afterwards saw the entry and every rule in its place.
	 * Throws RespondError; then nothing new remains.
	 */
	block(block: Block, steps: string[], options?: BlockOptions): Promise<boolean>;
	/** True when it is not blocked any more (another, wider entry may still cover it). */
	unblock(target: string, steps: string[]): Promise<boolean>;
	/** Is it in a set, itself or as part of a wider network? False on a host that never blocked anything. */
	holds(target: string): Promise<boolean>;
	/** Everything in our sets, by target; undefined where there is no ipset. */
	held(): Promise<ReadonlyMap<string, Block> | undefined>;
	/** Is it dropped right now: in the sets, and every rule in its place? */
	inForce(target: string, direction: Direction, steps: string[]): Promise<boolean>;
	/**
	 * Puts back what somebody took away or moved: entries, rules, their place. Does nothing where all stands. Resolves
	 * with what it did, for people. `wanted` is asked when its turn has come. Throws RespondError.
	 */
	repair(wanted: () => readonly Block[]): Promise<readonly string[]>;
	/**
	 * Takes chains and sets away; true when nothing of ours is left. `forget` is called then, before a repair could put
	 * anything back.
	 */
	remove(steps: string[], forget?: () => void): Promise<boolean>;
	/** What is wrong with the host's packet filter, as far as it has been looked at. */
	problems(): readonly string[];
}

export interface BlockOptions {
	/** It was blocked already, and stays so when this fails. */
	readonly standing?: boolean;
	/** Asked when its turn has come, last of all: rejects when it may not be blocked any more. */
	readonly confirm?: () => Promise<void>;
}

export interface FirewallOptions {
	readonly run: RunCommand;
	/** Which iptables: "" the host's own choice. */
	readonly variant?: Variant;
	/** These have been unblocked: called before a repair could put them back. */
	readonly onTakenOut?: (targets: readonly string[]) => void;
}

interface Wanted {
	readonly block: Block;
	readonly steps: string[];
	readonly standing: boolean;
	readonly confirm: () => Promise<void>;
}

/** Of one block among those that are applied together. */
type Answer = { readonly seen: boolean } | { readonly refused: unknown };

interface Leaving {
	readonly target: string;
	readonly steps: string[];
}

interface Asked {
	readonly target: string;
	readonly direction: Direction;
	readonly steps: string[];
}

type Note = (step: string) => void;

/** Up to so many are asked for one by one; more are looked up in what the whole set holds. */
const fewTargets = 3;
/** Up to so many entries a repair compares one by one; above it their number has to do while it is right. */
const comparedEntries = 4096;

export function createFirewall({ run, variant = "", onTakenOut }: FirewallOptions): Firewall {
	const ipset = createIpset(run);
	const iptables = createIptables(run, variant);
	let turn: Promise<unknown> = Promise.resolve();
	/** The set of an older version is looked for once. */
	let oldIsGone = false;

	/** One change at a time. */
	function inTurn<T>(work: () => Promise<T>): Promise<T> {
		const done = turn.then(work);
		turn = done.catch(() => {});
		return done;
	}

	/** For each: in which of its sets is it? */
	async function lookUp(asked: readonly Asked[]): Promise<{ set: string; inside: boolean }[][]> {
		const places = asked.map(({ target, direction }) => setsOf(familyOf(target), direction));
		const few = asked.length <= fewTargets;
		const names = few ? [] : [...new Set(places.flat())];
		const held = await ipset.held(names);
		const covers = new Map(names.map((name) => [name, coverage(held.get(name))]));
		const isIn = async (set: string, target: string) =>
			few ? ipset.has(set, target) : covers.get(set)?.(target) === true;
		return Promise.all(
			asked.map(({ target }, index) =>
				Promise.all((places[index] ?? []).map(async (set) => ({ set, inside: await isIn(set, target) }))),
			),
		);
	}

	async function look(asked: readonly Asked[]): Promise<boolean[]> {
		const used = familiesOf(asked);
		const [found, ...rules] = await Promise.all([lookUp(asked), ...used.map(iptables.stand)]);
		return asked.map(({ target, steps }, index) => {
			const places = found[index] ?? [];
			for (const { set, inside } of places) {
				steps.push(`verify: ipset ${set}: ${inside ? "in the set" : "not in the set"}`);
			}
			const rule = rules[used.indexOf(familyOf(target))];
			if (rule !== undefined) steps.push(rule.step);
			return rule?.stand === true && places.every(({ inside }) => inside);
		});
	}

	async function apply(items: readonly Wanted[]): Promise<Answer[]> {
		const confirmed = await Promise.allSettled(items.map(({ confirm }) => confirm()));
		const allowed = items.filter((_, index) => confirmed[index]?.status === "fulfilled");
		const seen = (allowed.length === 0 ? [] : await applyAll(allowed)).values();
		return confirmed.map((one) =>
			one.status === "rejected" ? { refused: one.reason } : { seen: seen.next().value === true },
		);
	}

	async function applyAll(items: readonly Wanted[]): Promise<boolean[]> {
		const blocks = items.map(({ block }) => block);
		const used = familiesOf(blocks);
		const note: Note = (step) => {
			for (const { steps } of items) steps.push(step);
		};
		try {
			const additions = blocks.map((block) =>
				setsOf(familyOf(block.target), block.direction).map((set) => additionOf(set, block)),
			);
			await ipset.restore([...used.flatMap(creationOf), ...additions.flat()]);
			for (const [index, lines] of additions.entries()) {
				items[index]?.steps.push(...lines.map((line) => `ipset ${line}`));
			}
			for (const family of used) await iptables.install(family, note);
			if (!oldIsGone) for (const family of families) await takeOver(family, note);
			oldIsGone = true;
			return await look(items.map(({ block, steps }) => ({ ...block, steps })));
		} catch (error) {
			iptables.forgetBackend();
			const fresh = items.filter(({ standing }) => !standing);
			await takeOut(fresh.map(({ block }) => block.target)).catch(() => {});
			throw error;
		}
	}

	/** Out of every set of ours that there is. */
	async function takeOut(targets: readonly string[]): Promise<void> {
		const names = (await ipset.names()) ?? [];
		const lines = targets.flatMap((target) => {
			const places = everySetOf(familyOf(target)).filter((name) => names.includes(name));
			return removalOf(places, target);
		});
		await ipset.restore(lines);
	}

	async function drop(items: readonly Leaving[]): Promise<boolean[]> {
		await takeOut(items.map(({ target }) => target));
		onTakenOut?.(items.map(({ target }) => target));
		for (const { target, steps } of items) steps.push(`ipset del ${target}`);
		const asked = items.map(({ target, steps }) => ({ target, steps, direction: "both" as const }));
		return (await lookUp(asked)).map((places, index) => {
			const still = places.filter(({ inside }) => inside).map(({ set }) => set);
			const seen =
				still.length === 0 ? "not in the set" : `a wider entry still covers it in ${still.join(", ")}`;
			items[index]?.steps.push(`verify: ipset: ${seen}`);
			return still.length === 0;
		});
	}

	/** What a version before 0.2 blocked: first its entries come to us, then its rules and its set go. */
	async function takeOver(family: Family, note: Note): Promise<void> {
		if ((await ipset.names())?.includes(family.oldSet) !== true) return;
		await ipset.restore(creationOf(family));
		const held = await ipset.held(everySetOf(family));
		const old = held.get(family.oldSet) ?? new Map<string, number>();
		const blocks = [...old].map(([target, ttlSeconds]) => ({
			target,
			ttlSeconds,
			direction: "both" as const,
		}));
		for (const set of setsOf(family, "both")) {
			// What has been blocked anew keeps its time.
			const missing = blocks.filter(({ target }) => held.get(set)?.has(target) !== true);
			await ipset.restore(missing.map((block) => additionOf(set, block)));
		}
		await iptables.install(family, note);
		await iptables.removeOld(family, note);
		await ipset.destroy(family.oldSet);
		note(`took over ${old.size} entries of ${family.oldSet}`);
	}

	async function repair(wanted: readonly Block[]): Promise<string[]> {
		const done: string[] = [];
		const note: Note = (step) => done.push(step);
		if (wanted.length === 0) return done;
		iptables.forgetBackend();
		for (const family of familiesOf(wanted)) {
			const blocks = wanted.filter(({ target }) => familyOf(target) === family);
			await refill(family, blocks, note);
			await iptables.install(family, note);
			await iptables.removeElsewhere(family, note);
			await takeOver(family, note);
		}
		return done;
	}

	async function refill(family: Family, blocks: readonly Block[], note: Note): Promise<void> {
		const counts = await ipset.counts();
		const sets = setsOf(family, "both").map((name) => ({
			name,
			blocks: blocks.filter(({ direction }) => setsOf(family, direction).includes(name)),
		}));
		const doubtful = sets.filter(
			({ name, blocks }) => blocks.length <= comparedEntries || counts.get(name) !== blocks.length,
		);
		const held = await ipset.held(doubtful.map(({ name }) => name).filter((name) => counts.has(name)));
		const lines = doubtful.flatMap(({ name, blocks }) =>
			blocks
				.filter(({ target }) => held.get(name)?.has(target) !== true)
				.map((block) => additionOf(name, block)),
		);
		const gone = sets.filter(({ name }) => !counts.has(name)).map(({ name }) => name);
		if (gone.length === 0 && lines.length === 0) return;
		await ipset.restore([...creationOf(family), ...lines]);
		note(`ipset restore: ${[...gone, ""].join(" made again, ")}${lines.length} entries put back`);
	}

	async function remove(steps: string[]): Promise<boolean> {
		const note: Note = (step) => steps.push(step);
		const names = (await ipset.names()) ?? [];
		const present = families.flatMap(everySetOf).filter((set) => names.includes(set));
		let gone = true;
		try {
			gone = await iptables.removeAll(note);
		} catch (error) {
			// Where the tool itself is missing it cannot have installed anything, unless a set says so.
			if (!isMissing(error) || present.length > 0) throw error;
		}
		for (const set of present) {
			await ipset.destroy(set);
			note(`ipset destroy ${set}`);
		}
		return gone;
	}

	async function heldNow(): Promise<ReadonlyMap<string, Block> | undefined> {
		const names = await ipset.names();
		if (names === undefined) return undefined;
		const ours = families.flatMap(everySetOf).filter((set) => names.includes(set));
		const found = new Map<string, Block>();
		for (const [set, entries] of await ipset.held(ours)) {
			for (const [target, ttlSeconds] of entries) {
				const direction = set.endsWith("-in") ? "in" : set.endsWith("-out") ? "out" : "both";
				found.set(target, { target, ttlSeconds, direction: found.has(target) ? "both" : direction });
			}
		}
		return found;
	}

	const applying = createBatch((items: readonly Wanted[]) => inTurn(() => apply(items)));
	const dropping = createBatch((items: readonly Leaving[]) => inTurn(() => drop(items)));
	const looking = createBatch((items: readonly Asked[]) => inTurn(() => look(items)));

	return {
		async block(block, steps, { standing = false, confirm = async () => {} } = {}) {
			const answer = await applying({ block, steps, standing, confirm });
			if ("refused" in answer) throw answer.refused;
			return answer.seen;
		},
		unblock: (target, steps) => dropping({ target, steps }),
		inForce: (target, direction, steps) => looking({ target, direction, steps }),
		repair: (wanted) => inTurn(() => repair(wanted())),
		problems: iptables.problems,
		held: heldNow,

		async holds(target) {
			const places = setsOf(familyOf(target), "both");
			return (await Promise.all(places.map((set) => ipset.has(set, target)))).includes(true);
		},

		remove: (steps, forget = () => {}) =>
			inTurn(async () => {
				const gone = await remove(steps);
				if (gone) forget();
				return gone;
			}),
	};
}

function familiesOf(items: readonly { readonly target: string }[]): Family[] {
	const used = new Set(items.map(({ target }) => familyOf(target)));
	return families.filter((family) => used.has(family));
}

function everySetOf(family: Family): string[] {
	return [...setsOf(family, "both"), family.oldSet];
}
