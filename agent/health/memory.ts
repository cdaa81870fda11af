// Gives back what loading took: reading the signatures leaves some 40 MB of garbage that V8 would otherwise keep for
// hours in an idle sensor (measured: 159 MB resident after loading, 118 MB after this).
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type Collect = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** `trim` gives the C library's free memory back. Takes some 50 ms; for the end of start-up and of a reload, never for the hot path. */
export function releaseMemory(trim: () => void): void {
	setFlagsFromString("--expose-gc");
	const collect = runInNewContext("gc") as Collect | undefined;
	setFlagsFromString("--no-expose-gc");
	collect?.({ type: "major", execution: "sync", flavor: "last-resort" });
	trim();
}
