// Who opens the connections to this host: to know the proxy or balancer through which all the clients come, because
// blocking it would block them all. Called for every accepted connection, so it allocates nothing.

export interface Inbound {
	/** One accepted connection; the peer's address lies in `bytes` in network order, family as in an event. */
	count(family: number, bytes: Uint8Array, start: number, localPort: number): void;
	/** Share of the recent inbound connections of an address of four words (IPv4 mapped) when it fronts most of them. */
	fronts(words: readonly number[]): boolean;
	/** Words of the addresses that do. */
	all(): number[][];
}

const AF_INET = 2;
const AF_INET6 = 10;
const minutes = 10;
const minuteMs = 60_000;
/** Addresses told apart in a minute. One with more than 1/(slots + 1) of the connections is never missed. */
const slots = 32;
const words = 4;
/** Fewer connections than these in ten minutes show nothing. */
const enough = 20;

/** `ignored`: ports that nobody balances, such as that of SSH: who hammers at it is to be blocked. */
export function createInbound(
	clock: () => number,
	ignored: (port: number) => boolean = () => false,
): Inbound {
	const addresses = new Uint32Array(minutes * slots * words);
	const counts = new Uint32Array(minutes * slots);
	/** Of a minute: its number, all its connections, and how far each count may be too low. */
	const numbers = new Float64Array(minutes).fill(-1);
	const totals = new Uint32Array(minutes);
	const errors = new Uint32Array(minutes);
	const current = new Uint32Array(words);

	function minuteAt(now: number): number {
		const number = Math.floor(now / minuteMs);
		const minute = number % minutes;
		if (numbers[minute] === number) return minute;
		numbers[minute] = number;
		totals[minute] = 0;
		errors[minute] = 0;
		counts.fill(0, minute * slots, (minute + 1) * slots);
		return minute;
	}

	function holds(slot: number, wanted: ArrayLike<number>): boolean {
		const at = slot * words;
		return (
			addresses[at + 3] === wanted[3] &&
			addresses[at + 2] === wanted[2] &&
			addresses[at + 1] === wanted[1] &&
			addresses[at] === wanted[0]
		);
	}

	/** Misra and Gries: what finds no slot takes one off everybody. */
	function add(minute: number): void {
		const first = minute * slots;
		let free = -1;
		for (let slot = first; slot < first + slots; slot++) {
			const count = counts[slot] ?? 0;
			if (count === 0) free = slot;
			else if (holds(slot, current)) {
				counts[slot] = count + 1;
				return;
			}
		}
		if (free >= 0) {
			addresses.set(current, free * words);
			counts[free] = 1;
			return;
		}
		for (let slot = first; slot < first + slots; slot++) counts[slot] = (counts[slot] ?? 0) - 1;
		errors[minute] = (errors[minute] ?? 0) + 1;
	}

	/** Most connections of most minutes: a flood of one minute neither makes a proxy nor hides one. */
	function fronts(wanted: readonly number[]): boolean {
		const oldest = Math.floor(clock() / minuteMs) - minutes;
		let busy = 0;
		let led = 0;
		let connections = 0;
		for (let minute = 0; minute < minutes; minute++) {
			const total = totals[minute] ?? 0;
			if (total === 0 || (numbers[minute] ?? -1) <= oldest) continue;
			busy++;
			for (let slot = minute * slots; slot < (minute + 1) * slots; slot++) {
				const count = counts[slot] ?? 0;
				if (count === 0 || !holds(slot, wanted)) continue;
				const most = count + (errors[minute] ?? 0);
				connections += most;
				if (most * 2 > total) led++;
			}
		}
		return connections >= enough && led * 2 > busy;
	}

	return {
		count(family, bytes, start, localPort) {
			if ((family !== AF_INET && family !== AF_INET6) || ignored(localPort)) return;
			current[0] = 0;
			current[1] = 0;
			current[2] = 0xffff;
			if (family === AF_INET) current[3] = wordAt(bytes, start);
			else for (let word = 0; word < words; word++) current[word] = wordAt(bytes, start + word * 4);
			const minute = minuteAt(clock());
			totals[minute] = (totals[minute] ?? 0) + 1;
			add(minute);
		},
		fronts,
		all() {
			const found = new Map<string, number[]>();
			for (let slot = 0; slot < counts.length; slot++) {
				if (counts[slot] === 0) continue;
				const one = [...addresses.subarray(slot * words, (slot + 1) * words)];
				if (fronts(one)) found.set(one.join(), one);
			}
			return [...found.values()];
		},
	};
}

function wordAt(bytes: Uint8Array, start: number): number {
	const high = ((bytes[start] ?? 0) << 8) | (bytes[start + 1] ?? 0);
	return ((high << 16) | ((bytes[start + 2] ?? 0) << 8) | (bytes[start + 3] ?? 0)) >>> 0;
}
