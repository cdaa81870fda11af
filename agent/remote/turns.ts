// Long work in turns with everything else: the event loop judges events and must not wait for a console's question.

/** Lets others work once its turn is over. */
export function createTurns(turnMs = 5): () => Promise<void> | undefined {
	let begun = performance.now();
	return () => {
		if (performance.now() - begun < turnMs) return undefined;
		return new Promise((resolve) => {
			setImmediate(() => {
				begun = performance.now();
				resolve();
			});
		});
	};
}
