// A sample of what happens on the host: a few lines a second are kept, the rest is counted, so a flood costs
// neither attention nor redraws.
import type { ActivityWords } from "./live-words.ts";

const maxItems = 100;
/** Lines a second on average, and at once after a silence. */
const perSecond = 5;
const burst = 10;

export type ActivityItem =
	| (ActivityWords & { readonly time: number; readonly count: number })
	| { readonly kind: "more"; readonly time: number; readonly count: number };

export interface Activity {
	/** Oldest first. Never changed in place: a repeat replaces its item. */
	readonly items: readonly ActivityItem[];
	/** `time` of the event, `now` of its arrival, Unix ms. */
	add(words: ActivityWords, time: number, now: number): void;
	/** Counts events that were left out before they came here. */
	skip(count: number, now: number): void;
	copy(): Activity;
}

export function createActivity(start: readonly ActivityItem[] = []): Activity {
	const items: ActivityItem[] = [...start];
	let tokens = burst;
	let filled = Number.NEGATIVE_INFINITY;

	const skip = (count: number, now: number): void => {
		const last = items.at(-1);
		if (last?.kind === "more") items[items.length - 1] = { ...last, time: now, count: last.count + count };
		else push({ kind: "more", time: now, count });
	};
	const push = (item: ActivityItem): void => {
		items.push(item);
		if (items.length > maxItems) items.shift();
	};
	return {
		items,
		skip,
		copy: () => createActivity(items),
		add(words, time, now) {
			const index = items.length - 1;
			const last = items[index];
			if (last !== undefined && last.kind !== "more" && last.text === words.text && last.who === words.who) {
				items[index] = { ...last, time, count: last.count + 1 };
				return;
			}
			if (now > filled || now < filled - 1000) {
				const gained = filled === Number.NEGATIVE_INFINITY ? burst : ((now - filled) / 1000) * perSecond;
				tokens = Math.max(0, Math.min(burst, tokens + gained));
				filled = now;
			}
			if (tokens < 1) return skip(1, now);
			tokens--;
			push({ ...words, time, count: 1 });
		},
	};
}
