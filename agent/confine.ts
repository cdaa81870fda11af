// How a process of ours that reads bytes of strangers gives up its rights: started by the launcher (native/launch.cc), it
// loads all of its code, and then becomes nobody that may do anything. The one way for the uplink and for all others.
import { addon } from "./capture/addon.ts";

export { launcherPath } from "./capture/addon.ts";

export interface Rights {
	readonly uid?: number;
	readonly gid?: number;
}

/** nobody, by number: that is the same everywhere. */
const nobody: Rights = { uid: 65_534, gid: 65_534 };

/**
 * What holds from now on, and what could not be had. Throws when it cannot become `rights`, or is root still.
 * `withParent`: it is ended when the one that started it is gone.
 */
export function giveUp({ uid, gid }: Rights, withParent: boolean): ReturnType<Confine> {
	if (uid !== undefined && gid !== undefined) {
		addon().dropBoundingSet();
		process.setgroups?.([]);
		process.setgid?.(gid);
		process.setuid?.(uid);
	}
	return addon().confine(withParent);
}

type Confine = ReturnType<typeof addon>["confine"];

/** For a child with one piece of work: nobody when it was started by root, and gone when that is. Throws as `giveUp` does. */
export function giveUpAll(): void {
	giveUp(process.getuid?.() === 0 ? nobody : {}, true);
}
