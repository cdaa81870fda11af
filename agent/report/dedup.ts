// Folds repeats: the first alert of a story goes out at once, later ones are counted and told at 10, 100, … and
// when the window ends. What is told late is told with its count; nothing is left out in silence.
import type * as wire from "../model/picket.v1.ts";

export interface Folder {
	push(alert: wire.Alert, time?: string): void;
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
	/** The newest repeat: it carries the freshest event. */
	last: wire.Alert;
	time: string | undefined;
}

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
		options.emit({ ...story.last, count: story.count }, story.time);
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
		push(alert, time) {
			const key = alert.dedupKey;
			if (key === undefined || key === "") return options.emit(alert, time);
			const now = performance.now();
			const count = alert.count ?? 1;
			const known = stories.get(key);
			if (known !== undefined && known.ends > now) {
				const digits = String(known.count).length;
				known.count += count;
				known.last = alert;
				known.time = time;
				if (String(known.count).length > digits) tell(known);
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
