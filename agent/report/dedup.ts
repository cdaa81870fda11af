// Folds repeats: the first alert of a story goes out at once, later ones are counted and told at 10, 100, … and
// when the window ends. What is told late is told with its count; nothing is left out in silence.
import type * as wire from "../model/picket.v1.ts";
import { largestCount } from "./record.ts";

export interface Folder {
	/** `key` names the story where it is not the alert's dedupKey. */
	push(alert: wire.Alert, time?: string, key?: string): void;
	/**
	 * Counts `count` repeats of a story that is told already. False when it is not, or when they are to be told: then
	 * nothing was counted and the alert has to be pushed. Spares making alerts that nobody would see.
	 */
	repeat(key: string, count: number): boolean;
	/** Stories that are open now, and how many were closed early for lack of room. */
	table(): wire.Table;
	/** Tells all that is counted and not told. */
	close(): void;
}

export interface FolderOptions {
	readonly emit: (alert: wire.Alert, time?: string) => void;
	/** 60,000 by default. */
	readonly windowMs?: number;
	/** Stories kept at a time; the oldest window ends early above it. 4096 by default. */
	readonly maxStories?: number;
}

interface Story {
	/** performance.now() at which the window ends. */
	ends: number;
	count: number;
	told: number;
	/** The newest repeat that was made into an alert: it carries the freshest event. */
	last: wire.Alert;
	time: string | undefined;
}

const digits = (count: number): number => String(count).length;

export function createFolder(options: FolderOptions): Folder {
	const windowMs = options.windowMs ?? 60_000;
	const maxStories = options.maxStories ?? 4096;
	// In order of their beginning, which is the order of their end, since all windows are equally long.
	const stories = new Map<string, Story>();
	let evicted = 0;
	let timer: NodeJS.Timeout | undefined;

	const tell = (story: Story): void => {
		if (story.told === story.count) return;
		story.told = story.count;
		options.emit({ ...story.last, count: Math.min(largestCount, story.count) }, story.time);
	};
	const end = (key: string, story: Story): void => {
		stories.delete(key);
		tell(story);
	};
	const expire = (): void => {
		timer = undefined;
		const now = performance.now();
		for (const [key, story] of stories) {
			if (story.ends > now) {
				timer = setTimeout(expire, story.ends - now + 1).unref();
				return;
			}
			end(key, story);
		}
	};
	return {
		repeat(key, count) {
			const known = stories.get(key);
			if (known === undefined || known.ends <= performance.now()) return false;
			if (digits(known.count + count) > digits(known.count)) return false;
			known.count += count;
			return true;
		},
		push(alert, time, key = alert.dedupKey) {
			if (key === undefined || key === "") return options.emit(alert, time);
			const now = performance.now();
			const count = alert.count ?? 1;
			const known = stories.get(key);
			if (known !== undefined && known.ends > now) {
				const before = known.count;
				known.count += count;
				known.last = alert;
				known.time = time;
				if (digits(known.count) > digits(before)) tell(known);
				return;
			}
			if (known !== undefined) end(key, known);
			const story = { ends: now + windowMs, count, told: count, last: alert, time };
			stories.set(key, story);
			options.emit({ ...alert, count }, time);
			for (const [oldKey, old] of stories) {
				if (stories.size <= maxStories) break;
				evicted++;
				end(oldKey, old);
			}
			timer ??= setTimeout(expire, windowMs + 1).unref();
		},
		table: () => ({
			name: "alert-stories",
			size: String(stories.size),
			capacity: String(maxStories),
			evicted: String(evicted),
		}),
		close() {
			clearTimeout(timer);
			timer = undefined;
			for (const [key, story] of stories) end(key, story);
		},
	};
}
