// Long work cut into steps: a generator that yields where it may be interrupted. Commands run it through at once, a
// running sensor lets events, timers and sockets have their turn in between.

/** All steps at once. */
export function finish<T>(steps: Generator<void, T>): T {
	for (;;) {
		const step = steps.next();
		if (step.done) return step.value;
	}
}

/**
 * Steps for `sliceMs` at a time, then everybody else's turn. Longer than the slice the event loop is held up by a
 * single long step only. Rejects with what a step throws.
 */
export async function finishInTurns<T>(steps: Generator<void, T>, sliceMs = 5): Promise<T> {
	for (;;) {
		const until = performance.now() + sliceMs;
		do {
			const step = steps.next();
			if (step.done) return step.value;
		} while (performance.now() < until);
		await new Promise((resolve) => setImmediate(resolve));
	}
}
