// One timer for each thing that ends by itself. Never keeps the process alive: the kernel ends blocks anyway.

export interface Timers {
	/** Fires once at `at` (Unix ms), or now when that is past; replaces an earlier one of the same name. */
	arm(name: string, at: number): void;
	disarm(name: string): void;
	close(): void;
}

/** setTimeout takes no longer delay than this; it is armed anew then. */
const longestMs = 2 ** 31 - 1;

export function createTimers(clock: () => number, onDue: (name: string) => void): Timers {
	const running = new Map<string, NodeJS.Timeout>();

	function arm(name: string, at: number): void {
		disarm(name);
		const delay = Math.min(longestMs, Math.max(0, at - clock()));
		const timer = setTimeout(() => {
			running.delete(name);
			if (clock() < at && delay === longestMs) arm(name, at);
			else onDue(name);
		}, delay);
		timer.unref();
		running.set(name, timer);
	}

	function disarm(name: string): void {
		clearTimeout(running.get(name));
		running.delete(name);
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
