// What one sink had to drop, until it has been said in a gap record. A sink that is down for hours must not
// fill its own queue with gaps, so the longer the loss goes on the rarer it is told.
import type * as wire from "../model/picket.v1.ts";
import type { RecordKind } from "./record.ts";
import { formatUnixMs } from "./time.ts";

export interface Losses {
	count(kind: RecordKind): void;
	/** All that was ever counted. */
	readonly total: number;
	/** Tells what is not told yet, now. */
	tell(): void;
	close(): void;
}

export interface LossOptions {
	/** "sink:<name>". */
	readonly where: string;
	readonly clock: () => number;
	/** Makes a record of it, for this sink and all others. */
	readonly report: (gap: wire.Gap) => void;
	/** ms from a loss until it is told; doubles while losses go on, up to 60 times as much. 1000 by default. */
	readonly delayMs?: number;
}

export function createLosses(options: LossOptions): Losses {
	const firstDelay = options.delayMs ?? 1000;
	const counts = new Map<RecordKind, number>();
	let total = 0;
	let from = 0;
	let to = 0;
	let delay = firstDelay;
	let toldAt = 0;
	let timer: NodeJS.Timeout | undefined;

	const tell = (): void => {
		clearTimeout(timer);
		timer = undefined;
		if (counts.size === 0) return;
		const lost = [...counts].map(([kind, count]) => ({ class: kind, count: String(count) }));
		counts.clear();
		toldAt = performance.now();
		options.report({ from: formatUnixMs(from), to: formatUnixMs(to), where: options.where, lost });
	};
	return {
		count(kind) {
			const now = options.clock();
			if (counts.size === 0) from = now;
			to = now;
			total++;
			counts.set(kind, (counts.get(kind) ?? 0) + 1);
			if (timer !== undefined) return;
			const quiet = performance.now() - toldAt > delay * 2;
			delay = toldAt === 0 || quiet ? firstDelay : Math.min(delay * 2, firstDelay * 60);
			timer = setTimeout(tell, delay).unref();
		},
		get total() {
			return total;
		},
		tell,
		close() {
			clearTimeout(timer);
			timer = undefined;
		},
	};
}
