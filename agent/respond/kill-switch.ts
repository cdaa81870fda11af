// The file that stops all enforcement while it is there. Anyone with root can make it with nothing but `touch`, and
// it is looked for before each act and once a second, so it also ends what is in force.
import { existsSync } from "node:fs";
import { join } from "node:path";

export interface KillSwitch {
	/** As it is outside tests: /etc/picket/disable-enforcement. */
	readonly path: string;
	on(): boolean;
	/** Was it there at the last look, of which onChange was told? */
	seen(): boolean;
	close(): void;
}

const lookEveryMs = 1000;

/** `onChange` is called when it comes or goes, and at once when it is there already. */
export function watchKillSwitch(root: string, onChange: (on: boolean) => void): KillSwitch {
	const path = join(root, "etc/picket/disable-enforcement");
	const on = () => existsSync(path);
	let was = false;
	// Polled: inotify has nothing to watch while the folder itself is missing.
	const look = () => {
		const is = on();
		if (is !== was) onChange(is);
		was = is;
	};
	const timer = setInterval(look, lookEveryMs);
	timer.unref();
	// Not before whoever made this has it in hand.
	const first = setImmediate(look);
	return {
		path,
		on,
		seen: () => was,
		close() {
			clearInterval(timer);
			clearImmediate(first);
		},
	};
}
