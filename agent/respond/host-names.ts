// Addresses of host names, for protection: an order must not wait for a name server that is dead, and an address
// that a rotating name had a while ago is still in use.

export interface NameCache {
	/** Addresses as text; waits only for a name never answered before, and then 2 s at most. */
	resolve(name: string): Promise<readonly string[]>;
}

const freshForMs = 60_000;
const usedForMs = 3_600_000;
const waitMs = 2000;
const maxNames = 256;
const maxAddresses = 64;

interface Known {
	askedAt: number;
	/** Address → when it was last an answer. */
	readonly addresses: Map<string, number>;
	answered: boolean;
	asking: Promise<void> | undefined;
}

/** The last good answers stay when no new one can be had. */
export function createNameCache(
	lookup: (name: string) => Promise<readonly string[]>,
	clock: () => number,
): NameCache {
	const names = new Map<string, Known>();

	async function ask(name: string, known: Known): Promise<void> {
		try {
			const addresses = await lookup(name);
			const now = clock();
			for (const address of addresses) {
				known.addresses.delete(address);
				known.addresses.set(address, now);
			}
			for (const [address, at] of known.addresses) {
				if (now - at > usedForMs || known.addresses.size > maxAddresses) known.addresses.delete(address);
			}
			known.answered = true;
		} catch {
			// What is known stays.
		} finally {
			known.asking = undefined;
		}
	}

	return {
		async resolve(name) {
			let known = names.get(name);
			if (known === undefined) {
				if (names.size >= maxNames) return [];
				known = {
					askedAt: Number.NEGATIVE_INFINITY,
					addresses: new Map(),
					answered: false,
					asking: undefined,
				};
				names.set(name, known);
			}
			const now = clock();
			if (known.asking === undefined && !(now >= known.askedAt && now - known.askedAt < freshForMs)) {
				known.askedAt = now;
				known.asking = ask(name, known);
			}
			if (!known.answered && known.asking !== undefined) await atMost(known.asking, waitMs);
			return [...known.addresses.keys()];
		},
	};
}

/** Waits for the work, but no longer than `ms`. */
export async function atMost(work: Promise<unknown>, ms: number): Promise<void> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<void>((done) => {
		timer = setTimeout(done, ms);
	});
	await Promise.race([work, late]);
	clearTimeout(timer);
}
