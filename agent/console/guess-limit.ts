// Keeps whoever guesses tokens slow: so many failures an address and minute. There is no limit for all together: with it
// a stranger could keep everybody from enrolling.
import { ReportError } from "../report/errors.ts";

const minute = 60_000;
const perPeer = 10;
const maxPeers = 1000;

export interface GuessLimit {
	/** Throws ReportError BUSY. */
	check(peer: string): void;
	failed(peer: string): void;
}

/** A secret has 256 bits: the limit is there for the console's own sake, and for its log. */
export function createGuessLimit(clock: () => number): GuessLimit {
	let since = clock();
	const failures = new Map<string, number>();
	const roll = (): void => {
		// A clock that was set back must not keep anybody out.
		if (Math.abs(clock() - since) < minute) return;
		since = clock();
		failures.clear();
	};
	return {
		check(peer) {
			roll();
			if ((failures.get(peer) ?? 0) < perPeer) return;
			throw new ReportError("BUSY", "too many attempts; try again in a minute");
		},
		failed(peer) {
			roll();
			if (failures.size < maxPeers || failures.has(peer)) failures.set(peer, (failures.get(peer) ?? 0) + 1);
		},
	};
}
