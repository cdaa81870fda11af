// Records that overtake those that wait for their acknowledgement. They are sent again in their place, so that one which
// finds no room here is late and not lost.
import type { Stored } from "../model/delivery.ts";

export interface Ahead {
	push(record: Stored): void;
	/** The first ones, all of one boot; undefined when there are none. */
	take(): { readonly bootId: string; readonly payloads: Stored["payload"][] } | undefined;
	clear(): void;
}

const maxAhead = 256;

export function createAhead(): Ahead {
	let waiting: Stored[] = [];
	return {
		push(record) {
			waiting.push(record);
			if (waiting.length > maxAhead) waiting.shift();
		},
		take() {
			const [first] = waiting;
			if (first === undefined) return undefined;
			const { bootId } = first;
			const end = waiting.findIndex((record) => record.bootId !== bootId);
			const records = waiting.splice(0, end === -1 ? waiting.length : end);
			return { bootId, payloads: records.map((record) => record.payload) };
		},
		clear() {
			waiting = [];
		},
	};
}
