// Looks at the floor without an order: a host that gets another router or address by DHCP must not have it blocked
// from before, and who was logged in is known a while longer.
import { parseNetwork } from "../model/address.ts";
import type { Protection } from "./protect.ts";

const everyMs = 30_000;
/** Networks asked about before others have their turn on the event loop. */
const slice = 100;

export interface FloorWatchDeps {
	readonly protection: Protection;
	/** Networks that are blocked now, as canonical texts. */
	readonly blocked: () => readonly string[];
	/** Ends a block; `why` says what it covers. */
	readonly lift: (target: string, why: string) => Promise<void>;
	readonly failed: (error: unknown) => void;
}

export interface FloorWatch {
	/** As the timer does; for tests. */
	look(): Promise<void>;
	close(): void;
}

/** Does not keep the process alive. */
export function watchFloor({ protection, blocked, lift, failed }: FloorWatchDeps): FloorWatch {
	let closed = false;

	async function look(): Promise<void> {
		await protection.refresh();
		for (const [index, target] of blocked().entries()) {
			if (closed) return;
			if (index % slice === slice - 1) await new Promise((resolve) => setImmediate(resolve));
			const why = await protection.address(parseNetwork(target));
			if (why !== undefined) await lift(target, why);
		}
	}

	const timer = setInterval(() => look().catch(failed), everyMs).unref();
	return {
		look,
		close() {
			closed = true;
			clearInterval(timer);
		},
	};
}
