// One timer for each thing that ends by itself. Never keeps the process alive: what the kernel does not end, the
// keeper does.
import type { Entry } from "./ledger-file.ts";

export interface Timers {
	/** Fires once at `at` (Unix ms), or now when that is past; replaces an earlier one of the same kind and target. */
	arm(entry: Pick<Entry, "kind" | "target">, at: number): void;
	disarm(entry: Pick<Entry, "kind" | "target">): void;
	close(): void;
}

/** setTimeout takes no longer delay than this; it is armed anew then. */
const longestMs = 2 ** 31 - 1;

export function createTimers(
	clock: () => number,
	onDue: (due: Pick<Entry, "kind" | "target">) => void,
): Timers {
	const running = new Map<string, NodeJS.Timeout>();
	const nameOf = ({ kind, target }: Pick<Entry, "kind" | "target">) => `${kind} ${target}`;

	function arm(entry: Pick<Entry, "kind" | "target">, at: number): void {
		disarm(entry);
		const delay = Math.min(longestMs, Math.max(0, at - clock()));
		const timer = setTimeout(() => {
			running.delete(nameOf(entry));
			if (clock() < at && delay === longestMs) arm(entry, at);
			else onDue(entry);
		}, delay);
		timer.unref();
		running.set(nameOf(entry), timer);
	}

	function disarm(entry: Pick<Entry, "kind" | "target">): void {
		clearTimeout(running.get(nameOf(entry)));
		running.delete(nameOf(entry));
	}

	return {
		arm,
		disarm,
		close() {
			for (const timer of running.values()) clearTimeout(timer);
			running.clear();
		},
	};
}
