// Keeps in place what other tools flush, move or forget, for as long as something is blocked: looks every few seconds,
// and at once when somebody noticed a change. On a host on which nothing is blocked it does nothing at all.
import { describeError } from "./failure.ts";
import type { Firewall } from "./firewall.ts";
import type { Entry } from "./ledger.ts";
import type { Block } from "./sets.ts";

export interface Reconciler {
	/** Looks now and puts back what is missing; goes on looking while something is blocked. Never rejects. */
	reconcile(reason: string): Promise<void>;
	/** Begins to look from time to time, if it does not yet: something has been blocked. */
	watch(): void;
	totals(): ReconcileTotals;
	close(): void;
}

export interface ReconcileTotals {
	readonly looks: number;
	readonly repairs: number;
	readonly failures: number;
}

export interface ReconcilerDeps {
	readonly firewall: Firewall;
	/** What is in force. */
	readonly entries: () => readonly Entry[];
	/** Unix ms. */
	readonly clock: () => number;
	/** False while the sensor only observes: then it changes nothing. */
	readonly enforces: () => boolean;
	/** 10,000 ms by default. */
	readonly periodMs?: number;
	/** Somebody had changed our part of the firewall; `steps` say what was put back. */
	readonly onRepair?: (reason: string, steps: readonly string[]) => void;
	/** It could not be put back, or the host's packet filter is not as it should be; told once while it lasts. */
	readonly onProblem?: (message: string) => void;
}

/** An entry that ends within a look may be gone in the kernel already. */
const endingMs = 1500;

export function createReconciler(deps: ReconcilerDeps): Reconciler {
	const { firewall, entries, clock, enforces, periodMs = 10_000 } = deps;
	const totals = { looks: 0, repairs: 0, failures: 0 };
	let timer: NodeJS.Timeout | undefined;
	let closed = false;
	let told = "";

	function wanted(): Block[] {
		const now = clock();
		return entries()
			.filter(({ kind, expires }) => kind === "block" && (expires === 0 || expires - now > endingMs))
			.map(({ target, expires, direction = "both" }) => ({
				target,
				direction,
				ttlSeconds: expires === 0 ? 0 : Math.ceil((expires - now) / 1000),
			}));
	}

	function tell(message: string): void {
		if (message !== "" && message !== told) deps.onProblem?.(message);
		told = message;
	}

	/** Another tool in the midst of its work may take away what was just put back: then once more. */
	async function repair(): Promise<readonly string[]> {
		const look = () => firewall.repair(() => (closed ? [] : wanted()));
		try {
			return await look();
		} catch {
			totals.failures++;
			return look();
		}
	}

	async function reconcile(reason: string): Promise<void> {
		if (closed || !enforces()) return;
		totals.looks++;
		try {
			const steps = await repair();
			if (steps.length > 0) {
				totals.repairs++;
				deps.onRepair?.(reason, steps);
			}
			tell(firewall.problems().join("; "));
		} catch (error) {
			totals.failures++;
			tell(`the blocks could not be kept in place (${reason}): ${describeError(error)}`);
		}
		watch();
	}

	/** One look after the other: a slow host is not asked again before it has answered. */
	function watch(): void {
		if (timer !== undefined || closed) return;
		timer = setTimeout(async () => {
			if (wanted().length > 0) await reconcile("timer");
			timer = undefined;
			if (wanted().length > 0) watch();
		}, periodMs);
		timer.unref();
	}

	return {
		reconcile,
		watch,
		totals: () => ({ ...totals }),
		close() {
			closed = true;
			clearTimeout(timer);
		},
	};
}
