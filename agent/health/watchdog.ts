// What systemd's watchdog is fed for: the ring drains, rules are in force, and the canary comes back. That this is asked
// at all says that the event loop turns.

export interface WatchdogParts {
	/** Bytes that wait in the ring. */
	pending(): number;
	/** Events judged so far. */
	judged(): number;
	/** Rules that can match. */
	rules(): number;
	/** Whether any are asked for. */
	readonly wantsRules: boolean;
	readonly canary: { readonly missedInARow: number; readonly cameBack: boolean } | undefined;
}

/** Canaries missed in a row that are more than bad luck. */
const tooMany = 2;

/**
 * Gives a function that says what stands against feeding the watchdog, "" for nothing. A canary that has never come
 * back since the start is no reason: what starting did not bring another start will not, and a host on which the sensor
 * is started over and over is worse off.
 */
export function createWatchdog(parts: WatchdogParts): () => string {
	let before: number | undefined;
	return () => {
		const judged = parts.judged();
		const stuck = parts.pending() > 0 && judged === before;
		before = judged;
		if (stuck) return "events wait in the ring and none is read";
		if (parts.wantsRules && parts.rules() === 0) return "no rule is in force";
		const { canary } = parts;
		if (canary?.cameBack && canary.missedInARow >= tooMany)
			return `the last ${canary.missedInARow} executions of its own did not come back`;
		return "";
	};
}
