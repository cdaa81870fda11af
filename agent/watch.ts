// Notices that files have changed: looks at their names, times and sizes every few seconds. Watches of the kernel
// (inotify) would be quicker, but are bound to inodes: an editor's rename, a folder that comes later, a link that is
// turned to another folder (as mounted configuration does), network and overlay file systems each need a case of their
// own, and the number of watches is limited by the host. A look at 2,500 files takes some 10 ms.
import { statSync } from "node:fs";
import { rulePaths } from "./rule-files.ts";

export interface Watch {
	close(): void;
}

export interface WatchOptions {
	/** Files and folders, asked before every look; they need not exist. */
	paths(): readonly string[];
	/** Called once a change has come to rest. */
	onChange(): void;
	/** ms between two looks; 2000 by default. */
	readonly everyMs?: number;
	/** A change is told when nothing more has changed for so long, ms; 300 by default. */
	readonly restMs?: number;
}

/** A file that is written all the time is told of after so many looks all the same. */
const mostRests = 20;
/** Looking takes at most this share of the time. */
const share = 0.005;

export function watchFiles(options: WatchOptions): Watch {
	const { paths, onChange, everyMs = 2000, restMs = 300 } = options;
	let last = fingerprint(paths());
	let rests = 0;
	let timer: NodeJS.Timeout | undefined;
	const later = (ms: number): void => {
		timer = setTimeout(look, ms).unref();
	};
	const look = (): void => {
		const begun = performance.now();
		const now = fingerprint(paths());
		const took = performance.now() - begun;
		if (now !== last && rests < mostRests) {
			last = now;
			rests++;
			later(restMs);
			return;
		}
		last = now;
		later(Math.max(everyMs, took / share));
		if (rests === 0) return;
		rests = 0;
		onChange();
	};
	later(everyMs);
	return { close: () => clearTimeout(timer) };
}

/** Another one when a file came, went, was written or replaced. */
function fingerprint(paths: readonly string[]): string {
	return paths
		.flatMap((path) => {
			try {
				return rulePaths(path).map(stampOf);
			} catch {
				return [stampOf(path)];
			}
		})
		.join("\n");
}

function stampOf(path: string): string {
	try {
		const { ino, dev, size, mtimeMs, ctimeMs } = statSync(path);
		return `${path}\0${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
	} catch {
		return `${path}\0`;
	}
}
