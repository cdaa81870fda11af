// The newest alerts, actions and gaps, for whoever asks later.
import type * as wire from "../model/picket.v1.ts";

export interface Recent {
	push(record: wire.OutputRecord): void;
	/** Oldest first. */
	list(): readonly wire.OutputRecord[];
}

/** Alerts hold process trees: some kB each. */
export function createRecent(most = 200): Recent {
	let records: wire.OutputRecord[] = [];
	return {
		push(record) {
			if (!record.alert && !record.incident && !record.action && !record.gap) return;
			records.push(record);
			// In one go now and then: shift() moves all of them each time.
			if (records.length >= most * 2) records = records.slice(-most);
		},
		list: () => records.slice(-most),
	};
}
