// Notices that the sensor ends again and again without having been stopped: after three such ends within ten minutes it
// only looks on (nothing acts), without the content that came last, until it has run for ten minutes or somebody says that
// all is well. <state>/starts.json holds the starts that have not ended well.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { failureText } from "../failure.ts";
import { hashed, withHash, writeWhole } from "./store.ts";

export const crashes = 3;
export const crashWindowMs = 600_000;
const mostKept = 20;

const schema = z.strictObject({
	/** Unix ms, and Store.describe(). */
	starts: z.array(z.strictObject({ time: z.int(), content: z.string() })).max(mostKept),
	/** Why nothing acts; "" when it does. */
	captureOnly: z.string().max(2000),
});
type Kept = z.output<typeof schema>;

export interface Starts {
	/** Did the last starts end badly with this content in force? Then it is to blame as far as one knows. */
	blames(content: string): boolean;
	/** Why nothing may act; "" when it may. */
	captureOnly(): string;
	/** Written before anything begins, so that the end does not have to be. `content`: what is in force from now on. */
	begun(content: string): void;
	/** Other content is in force: it has a clean record. */
	changed(content: string): void;
	/** Stopped on purpose. */
	ended(): void;
	/** It has run long enough, or an admin says so. */
	accept(): void;
	/** Why the record cannot be kept; "" when it can. */
	problem(): string;
}

/** Reads only; writing begins with `begun`. Never throws. */
export function openStarts(stateDir: string, clock: () => number): Starts {
	let problem = "";
	let kept = read(stateDir);
	const now = clock();
	// A clock that was set back must not keep starts for ever.
	const recent = kept.starts.filter(({ time }) => time > now - crashWindowMs && time <= now + crashWindowMs);
	if (recent.length >= crashes)
		kept = {
			...kept,
			captureOnly: `the sensor ended ${recent.length} times within ten minutes without having been stopped`,
		};
	kept = { ...kept, starts: recent };
	const write = (changed: Kept): void => {
		kept = changed;
		try {
			mkdirSync(stateDir, { recursive: true, mode: 0o700 });
			writeWhole(stateDir, "starts.json", withHash(JSON.stringify(kept)));
			problem = "";
		} catch (error) {
			problem = `a series of crashes would not be noticed: starts.json cannot be written: ${failureText(error).message}`;
		}
	};
	return {
		blames: (content) =>
			recent.length >= crashes && recent.slice(-crashes).every((one) => one.content === content),
		captureOnly: () => kept.captureOnly,
		begun(content) {
			write({ ...kept, starts: [...kept.starts, { time: clock(), content }].slice(-mostKept) });
		},
		changed(content) {
			const starts = kept.starts.with(-1, { time: clock(), content });
			write({ ...kept, starts });
		},
		ended: () => write({ ...kept, starts: [] }),
		accept: () => write({ starts: kept.starts.slice(-1), captureOnly: "" }),
		problem: () => problem,
	};
}

/** What cannot be read tells nothing: a damaged file must not keep a host unprotected, nor a sensor from starting. */
function read(stateDir: string): Kept {
	try {
		return schema.parse(JSON.parse(hashed(readFileSync(join(stateDir, "starts.json"), "utf8"))));
	} catch {
		return { starts: [], captureOnly: "" };
	}
}
