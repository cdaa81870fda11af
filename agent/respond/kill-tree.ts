// Ends a process and all it has started. The tree is frozen before anything is killed: what runs could start the next
// one while the last is being ended, and what is stopped does not. One protected member and nothing is killed at all.
import { RespondError } from "./failure.ts";
import { type Freezer, isFrozen, ownFreezer, processesIn, setFrozen } from "./freezer.ts";
import { haveEnded, type Kill, type KillDeps, openProcess, signalUnlessGone } from "./kill.ts";
import { createProcessTree, type ProcessTree } from "./process-tree.ts";
import { type ProcessIdentity, readIdentity, threadStates } from "./procfs.ts";

const SIGKILL = 9;
const SIGCONT = 18;
const SIGSTOP = 19;
/** A tree that grows faster than so many looks can follow needs its cgroup frozen. */
const maxLooks = 8;
/** A descriptor each. */
const maxMembers = 8192;
const maxPasses = 5;
/** ms in which a process that is told to stop does so, unless it waits for a device. */
const stopMs = 100;

interface Member {
	readonly identity: ProcessIdentity;
	readonly pidfd: number;
	/** Running when it was found: to be continued when the act is refused. */
	readonly running: boolean;
}

export interface TreeDeps extends KillDeps {
	/** Why a process must not be touched. */
	readonly protectedBecause: (identity: ProcessIdentity) => string | undefined;
}

export interface Survey {
	/** Is anything left of the tree? */
	readonly alive: boolean;
	/** Why one of it must not be touched; undefined when all may. */
	readonly protectedBecause: string | undefined;
}

/** Only looks. */
export function surveyTree(deps: TreeDeps, pid: number, start: number): Survey {
	const members = createProcessTree(deps, pid, start).read();
	const alive = members.some(({ state }) => !isDead(state));
	for (const one of members) {
		const why = deps.protectedBecause(one);
		const protectedBecause = one.pid === pid ? why : `${one.comm} (pid ${one.pid}) belongs to it: ${why}`;
		if (why !== undefined) return { alive, protectedBecause };
	}
	return { alive, protectedBecause: undefined };
}

/** Throws RespondError; what was running and has not been killed by then goes on. */
export async function killTree(deps: TreeDeps, pid: number, start: number, steps: string[]): Promise<Kill> {
	const tree = createProcessTree(deps, pid, start);
	const members = new Map<number, Member>();
	const cgroup = ownFreezer(deps.root, pid);
	let frozen: Freezer | undefined;
	let killed = 0;

	const living = () => [...members.values()].filter(({ pidfd }) => !deps.processes.exited(pidfd));
	async function end(some: readonly Member[]): Promise<boolean> {
		if (some.length === 0) return true;
		const pidfds = some.map(({ pidfd }) => pidfd);
		for (const pidfd of pidfds) signalUnlessGone(deps.processes, pidfd, SIGKILL);
		killed += some.length;
		steps.push(`pidfd_send_signal(SIGKILL) to ${some.length}`);
		return haveEnded(deps.processes, pidfds);
	}

	try {
		for (let pass = 0; pass < maxPasses; pass++) {
			for (const [ended, { pidfd }] of members) {
				if (!deps.processes.exited(pidfd)) continue;
				deps.processes.close(pidfd);
				members.delete(ended);
			}
			// At once and without a signal that one of them could take back, where the tree has a cgroup to itself.
			frozen ??= await freezeCgroup(deps, tree, cgroup);
			const held = await stopAll(deps, tree, members, cgroup, frozen);
			const followers = living().filter(({ identity }) => identity.session !== identity.pid);
			if (pass === 0) steps.push(`${held ? "frozen" : "not all held still"}: ${list(living())}`);
			if (pass === 0 && frozen !== undefined) steps.push(`frozen: ${frozen.directory}`);
			if (held && followers.length === 0) break;
			if (!(await end(followers))) break;
		}
		// Last who leads a session: while it is there, the session says who belongs.
		await end(living());
	} catch (error) {
		const left = living().filter(({ running }) => running);
		for (const { pidfd } of left) signalUnlessGone(deps.processes, pidfd, SIGCONT);
		if (left.length > 0) steps.push(`continued: the ${left.length} that ran before`);
		throw error;
	} finally {
		for (const { pidfd } of members.values()) deps.processes.close(pidfd);
		if (frozen !== undefined && (await isFrozen(deps.root, frozen))) await setFrozen(deps, frozen, false);
	}
	if (killed === 0) {
		steps.push(`check: nothing is left of process ${pid} and what it started`);
		return "unchanged";
	}
	const left = tree.read().filter(({ state }) => !isDead(state));
	steps.push(left.length === 0 ? `verify: all ${killed} have ended` : `verify: ${left.length} still run`);
	return left.length === 0 ? "done" : "no effect";
}

/** Stops what belongs until a look finds nobody new; false when that did not come about. */
async function stopAll(
	deps: TreeDeps,
	tree: ProcessTree,
	members: Map<number, Member>,
	cgroup: Freezer | undefined,
	frozen: Freezer | undefined,
): Promise<boolean> {
	let fresh = 0;
	const stop = (found: ProcessIdentity) => {
		const member = members.get(found.pid);
		if (isDead(found.state) || member?.identity.startTicks === found.startTicks) return;
		// Also when it is gone before it is held: it may have left a successor.
		fresh++;
		if (member !== undefined) deps.processes.close(member.pidfd);
		members.delete(found.pid);
		const held = members.size < maxMembers ? hold(deps, found) : undefined;
		if (held !== undefined) members.set(found.pid, held);
	};
	for (let look = 0; look < maxLooks; look++) {
		fresh = 0;
		// The whole of /proc takes longer to read than many a process lives; most of the tree is in its cgroup.
		tree.read(stop, cgroup === undefined ? [] : await processesIn(deps.root, cgroup));
		if (frozen !== undefined && fresh === 0) return true;
		const still = await standStill(deps, members);
		if (fresh === 0) return still && !(await isEscaping(deps, tree, members, cgroup));
	}
	return false;
}

/** Stopped. Throws when it is protected, which the look before the act did not see: then it goes on at once. */
function hold(deps: TreeDeps, meant: ProcessIdentity): Member | undefined {
	const pidfd = openProcess(deps.processes, meant.pid);
	if (pidfd === undefined) return undefined;
	const identity = readIdentity(deps.root, meant.pid);
	if (identity?.startTicks !== meant.startTicks || deps.processes.exited(pidfd)) {
		deps.processes.close(pidfd);
		return undefined;
	}
	const running = identity.state !== "T" && identity.state !== "t";
	signalUnlessGone(deps.processes, pidfd, SIGSTOP);
	const why = deps.protectedBecause(identity);
	if (why === undefined) return { identity, pidfd, running };
	if (running) signalUnlessGone(deps.processes, pidfd, SIGCONT);
	deps.processes.close(pidfd);
	throw new RespondError(
		"PICKET_TARGET_PROTECTED",
		`${meant.comm} (pid ${meant.pid}) belongs to the tree: ${why}`,
		"kill a narrower part of it",
	);
}

/** Waits until no thread of any member runs; who was continued by somebody else is stopped again. */
async function standStill(deps: TreeDeps, members: ReadonlyMap<number, Member>): Promise<boolean> {
	let moving = [...members.values()];
	for (let waited = 0; ; waited++) {
		moving = moving.filter(({ identity, pidfd }) => {
			return !deps.processes.exited(pidfd) && !threadStates(deps.root, identity.pid).every(isStill);
		});
		if (moving.length === 0) return true;
		if (waited >= stopMs) return false;
		for (const { pidfd } of moving) signalUnlessGone(deps.processes, pidfd, SIGSTOP);
		await new Promise((resolve) => setTimeout(resolve, 1));
	}
}

/** The cgroup of the tree, frozen, when nobody but the tree is in it. */
async function freezeCgroup(
	deps: TreeDeps,
	tree: ProcessTree,
	freezer: Freezer | undefined,
): Promise<Freezer | undefined> {
	if (freezer === undefined || !(await isOfTree(deps, tree, freezer))) return undefined;
	if ((await setFrozen(deps, freezer, true)) && (await isOfTree(deps, tree, freezer))) return freezer;
	await setFrozen(deps, freezer, false);
	return undefined;
}

/** Is there somebody of the tree in its cgroup who is not held, also if only for less than a look takes? */
async function isEscaping(
	deps: TreeDeps,
	tree: ProcessTree,
	members: ReadonlyMap<number, Member>,
	cgroup: Freezer | undefined,
): Promise<boolean> {
	if (cgroup === undefined) return false;
	const others = (await processesIn(deps.root, cgroup)).filter((pid) => !members.has(pid));
	return others.length > 0 && tree.claims(others).length > 0;
}

async function isOfTree(deps: TreeDeps, tree: ProcessTree, freezer: Freezer): Promise<boolean> {
	const pids = await processesIn(deps.root, freezer);
	return pids.length > 0 && tree.claims(pids).length === pids.length;
}

function isStill(state: string): boolean {
	return state === "T" || state === "t" || isDead(state);
}

function isDead(state: string): boolean {
	return state === "Z" || state === "X";
}

function list(members: readonly Member[]): string {
	const shown = members.slice(0, 10).map(({ identity }) => `${identity.pid} ${identity.comm}`);
	return members.length > shown.length
		? `${shown.join(", ")} and ${members.length - shown.length} more`
		: shown.join(", ");
}
