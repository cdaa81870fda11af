// In which order a console's addresses are tried, and how long to wait between tries.

export interface Addresses {
	/** The one to try now. */
	readonly current: string;
	readonly isFirst: boolean;
	readonly first: string;
	/**
	 * The current one did not work, or has ended. `proven`: it had worked. Returns ms to wait before the next try:
	 * within a round the next address comes at once, between rounds the pause is random (full jitter).
	 */
	failed(proven: boolean): number;
	/** The first one answers again. */
	backToFirst(): void;
	/** Goes on with the current one if it is still among them; else false, and with the first. */
	replace(list: readonly string[]): boolean;
}

export interface AddressOptions {
	readonly list: readonly string[];
	/** Pauses are random, up to a limit that doubles from the first to the last of these, in ms. */
	readonly firstRetry: number;
	readonly lastRetry: number;
	/** 0 to below 1. */
	readonly random: () => number;
}

export function createAddresses(options: AddressOptions): Addresses {
	let { list } = options;
	let index = 0;
	let rounds = 0;
	return {
		get current() {
			return list[index] ?? "";
		},
		get isFirst() {
			return index === 0;
		},
		get first() {
			return list[0] ?? "";
		},
		failed(proven) {
			if (proven) rounds = 0;
			else if (index + 1 < list.length) {
				index++;
				return 0;
			}
			index = 0;
			const limit = Math.min(options.lastRetry, options.firstRetry * 2 ** Math.min(rounds++, 30));
			return options.random() * limit;
		},
		backToFirst() {
			index = 0;
		},
		replace(next) {
			const at = next.indexOf(list[index] ?? "");
			list = next;
			index = Math.max(0, at);
			return at !== -1;
		},
	};
}
