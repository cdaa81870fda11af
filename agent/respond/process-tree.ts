// Who descends from a process, from one reading of /proc after the other. A reading is no snapshot: processes come
// and go while it is made. What was once known to belong to the tree stays known when its parent ends.
import { isSameStart, type KillDeps } from "./kill.ts";
import { listPids, type ProcessIdentity, readIdentity } from "./procfs.ts";

export interface ProcessTree {
	/**
	 * Reads /proc anew, `near` first. Each that belongs is given to `visit` the moment it is found: a little later it may
	 * be gone.
	 */
	read(visit?: (member: ProcessIdentity) => void, near?: readonly number[]): ProcessIdentity[];
	/** Which of these belong, or have ended since they were listed and may have? */
	claims(pids: readonly number[]): number[];
}

/**
 * Belongs: the process itself, a child of one that belongs, and whoever is in a session that one of them leads,
 * since a session is only ever inherited. So an orphan is found that init has adopted. What left the session as
 * well is found when the sensor has seen it being made (`deps.descendants`).
 */
export function createProcessTree(deps: KillDeps, pid: number, start: number): ProcessTree {
	const known = new Map<number, ProcessIdentity>();

	/** The same process as one known, or a new one with a kinsman of this pid who began before it. */
	function belongs(found: ProcessIdentity): boolean {
		const before = known.get(found.pid);
		if (before?.startTicks === found.startTicks) return true;
		return [found.parentPid, found.session].some((kin) => {
			const kinsman = known.get(kin);
			return kinsman !== undefined && kinsman.pid !== found.pid && kinsman.startTicks <= found.startTicks;
		});
	}

	/** Who has ended proves nothing any more: its pid may be given to another, unless a session still holds it. */
	function forgetEnded(all: ReadonlyMap<number, ProcessIdentity>): void {
		const lives = (one: ProcessIdentity) => all.get(one.pid)?.startTicks === one.startTicks;
		const sessions = new Set([...known.values()].filter(lives).map(({ session }) => session));
		for (const one of known.values()) {
			if (!lives(one) && (all.has(one.pid) || !sessions.has(one.pid))) known.delete(one.pid);
		}
	}

	function told(): ProcessIdentity[] {
		return [{ pid, start }, ...(deps.descendants?.(pid, start) ?? [])].flatMap((one) => {
			const found = readIdentity(deps.root, one.pid);
			return found !== undefined && isSameStart(one.start, found.startTicks) ? [found] : [];
		});
	}

	return {
		read(visit = () => {}, near = []) {
			const all = new Map<number, ProcessIdentity>();
			const members = new Map<number, ProcessIdentity>();
			const take = (found: ProcessIdentity) => {
				known.set(found.pid, found);
				members.set(found.pid, found);
				visit(found);
			};
			for (const found of told()) {
				all.set(found.pid, found);
				take(found);
			}
			for (const one of chain(near, () => listPids(deps.root))) {
				const found = all.has(one) ? undefined : readIdentity(deps.root, one);
				if (found === undefined) continue;
				all.set(one, found);
				if (belongs(found)) take(found);
				else known.delete(one);
			}
			forgetEnded(all);
			// Each round finds the next generation of those whose pids are lower than their parents'.
			for (let size = -1; size < members.size; ) {
				size = members.size;
				for (const found of all.values()) if (!members.has(found.pid) && belongs(found)) take(found);
			}
			return [...members.values()];
		},
		claims(pids) {
			for (const found of told()) known.set(found.pid, found);
			return pids.filter((one) => {
				const found = readIdentity(deps.root, one);
				if (found === undefined) return true;
				if (belongs(found)) known.set(one, found);
				return belongs(found);
			});
		},
	};
}

/** The second list is made when the first has been read. */
function* chain(first: readonly number[], second: () => readonly number[]): Generator<number> {
	yield* first;
	yield* second();
}
