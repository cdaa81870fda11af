// Looks at the kernel's loss counters once a second: what is lost is told as a gap, and where the process tree may be
// wrong by it, it is read again.
import type { LiveCapture } from "./capture/live.ts";
import { treeKinds } from "./model/interest.ts";
import type * as wire from "./model/picket.v1.ts";

export interface LossWatch {
	/** Events lost since the start, as last looked. */
	lost(): number;
	/** Looks once more, without repairing anything. */
	close(): void;
}

export interface LossOptions {
	readonly capture: Pick<LiveCapture, "counters" | "damages">;
	gap(gap: wire.Gap): void;
	/** Reads /proc again. */
	repair(): void;
	readonly simulated: boolean;
	/** Unix ms. */
	clock(): number;
}

/** ms between two looks. */
const interval = 1000;

export function watchLoss({ capture, gap, repair, simulated, clock }: LossOptions): LossWatch {
	let lost = 0;
	const before = new Map<string, number>();
	const growth = (key: string, count: number): number => {
		const fresh = count - (before.get(key) ?? 0);
		before.set(key, count);
		return fresh;
	};
	let since = clock();
	let repairWanted = false;
	let repairAfter = 0;
	const look = (): void => {
		const now = clock();
		const span = { from: new Date(since).toISOString(), to: new Date(now).toISOString() };
		const counts: wire.LossCount[] = [];
		const limited: wire.LossCount[] = [];
		lost = 0;
		for (const [name, count] of capture.counters()) {
			lost += count.lost + count.limited;
			const over = growth(`${name} limited`, count.limited);
			if (over > 0) limited.push({ class: name, count: String(over) });
			const fresh = growth(name, count.lost);
			if (fresh <= 0) continue;
			counts.push({ class: name, count: String(fresh) });
			if (treeKinds.has(name)) repairWanted = true;
		}
		if (counts.length > 0) gap({ ...span, where: simulated ? "simulated" : "ring", lost: counts });
		if (limited.length > 0) gap({ ...span, where: "limit", lost: limited });
		if (growth("damages", capture.damages()) > 0) {
			// Without numbers: what was in the ring, nobody knows.
			gap({ ...span, where: "ring" });
			repairWanted = true;
		}
		since = now;
		// Reading all of /proc holds everything else up: while losses go on, a twentieth of the time at most.
		const begun = performance.now();
		if (!repairWanted || begun < repairAfter) return;
		repairWanted = false;
		repair();
		const end = performance.now();
		repairAfter = end + 20 * (end - begun);
	};
	const timer = setInterval(look, interval);
	return {
		lost: () => lost,
		close() {
			clearInterval(timer);
			repairAfter = Number.POSITIVE_INFINITY;
			look();
		},
	};
}
