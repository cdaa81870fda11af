// Group commit: what is asked for while a piece of work runs is done together as the next piece. One command then
// serves a flood of orders, and a single order does not wait for company.

/** `work` gets at least one item and answers each in its place; when it throws, each of them fails with that. */
export function createBatch<T, R>(
	work: (items: readonly T[]) => Promise<readonly R[]>,
): (item: T) => Promise<R> {
	interface Waiting {
		readonly item: T;
		readonly resolve: (result: R) => void;
		readonly reject: (error: unknown) => void;
	}
	let waiting: Waiting[] = [];
	let running = false;

	async function drain(): Promise<void> {
		while (waiting.length > 0) {
			const batch = waiting;
			waiting = [];
			try {
				const results = await work(batch.map(({ item }) => item));
				for (const [index, { resolve }] of batch.entries()) resolve(results[index] as R);
			} catch (error) {
				for (const { reject } of batch) reject(error);
			}
		}
		running = false;
	}

	return (item) =>
		new Promise((resolve, reject) => {
			waiting.push({ item, resolve, reject });
			if (running) return;
			running = true;
			// Orders of the same turn of the event loop come along.
			setImmediate(drain);
		});
}
