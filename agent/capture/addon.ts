// The one place that loads the native addon.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import type * as native from "../../native/index.d.ts";

export type { HookState, NativeError, ProgramInfo, Refuser, Sensor } from "../../native/index.d.ts";

const folder = new URL("../../build/Release/", import.meta.url).pathname;

/** Path of the compiled BPF object. */
export const objectPath = `${folder}picket.bpf.o`;

/** Path of the program that starts the uplink. */
export const launcherPath = `${folder}picket-launch`;

/** Path of the one that refuses. */
export const refuseObjectPath = `${folder}refuse.bpf.o`;

interface Addon {
	Sensor: typeof native.Sensor;
	Refuser: typeof native.Refuser;
	pidfdOpen: typeof native.pidfdOpen;
	pidfdSignal: typeof native.pidfdSignal;
	pidfdExited: typeof native.pidfdExited;
	closeDescriptor: typeof native.closeDescriptor;
	lockFile: typeof native.lockFile;
	notify: typeof native.notify;
	peerCredentials: typeof native.peerCredentials;
	socketUnconfirmed: typeof native.socketUnconfirmed;
	clocks: typeof native.clocks;
	trimMemory: typeof native.trimMemory;
	dropBoundingSet: typeof native.dropBoundingSet;
	confine: typeof native.confine;
	describeLayout: typeof native.describeLayout;
}

let loaded: Addon | undefined;

/** Loads on first use, so that replay and rule checks need no built addon. Throws with what to do when it is missing. */
export function addon(): Addon {
	if (loaded) return loaded;
	const path = `${folder}picket.node`;
	if (!existsSync(path)) throw new Error(`${path} is not built; run \`npm run setup\``);
	loaded = createRequire(import.meta.url)(path) as Addon;
	return loaded;
}
