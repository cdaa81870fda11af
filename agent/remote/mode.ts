// How far the host may be changed, as set while the sensor runs: never above what its configuration says. What a console
// takes back it can give back; it is kept over restarts, and an admin can undo it with `picket mode enforce`.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../durable.ts";
import type { Mode } from "../model/verdict.ts";
import { errorText } from "../report/errors.ts";
import { openAudit } from "../respond/audit.ts";
import { auditFile } from "../respond/journal.ts";

/** Who took enforcing back, when (unix ms) and why. */
export interface Holding {
	readonly requester: string;
	readonly time: number;
	readonly reason: string;
}

export interface ModeSwitch {
	/** "observe" while somebody holds enforcing back, else undefined. */
	mode(): "observe" | undefined;
	holding(): Holding | undefined;
	/** Returns what is to be known besides; "" when nothing is. Throws when it is above the configuration's mode. */
	set(mode: Mode, requester: string, reason: string): string;
	/** In a sentence each, for the status. */
	problems(): string[];
}

export interface ModeOptions {
	readonly stateDir: string;
	/** The configuration's and the policy's. */
	readonly most: () => Mode;
	/** Unix ms. */
	readonly clock: () => number;
	/** Called after a change has taken effect. */
	readonly changed: () => void;
}

const schema = z.strictObject({
	mode: z.literal("observe"),
	requester: z.string().max(300),
	time: z.number(),
	reason: z.string().max(600),
});
const byHand = "`picket mode enforce`";

/** Never throws: a file that is damaged still says that somebody held enforcing back. */
export function createModeSwitch({ stateDir, most, clock, changed }: ModeOptions): ModeSwitch {
	const file = join(stateDir, "mode.json");
	let holding = readHolding(file);
	/** Why it does not outlive a restart. */
	let unkept = "";

	const keep = (next: Holding | undefined): void => {
		unkept = "";
		try {
			if (next === undefined) rmSync(file, { force: true });
			else writeHolding(file, next);
		} catch (error) {
			unkept = `this does not outlive a restart, since ${file} cannot be changed: ${errorText(error)}`;
		}
	};

	/** Ahead of the change; why it could not be written, else "". */
	const tell = (change: Readonly<Record<string, unknown>>): string => {
		try {
			const audit = openAudit(auditFile(stateDir), clock);
			try {
				audit.append({ stage: "intent", setMode: change });
			} finally {
				audit.close();
			}
			return "";
		} catch (error) {
			return `the audit cannot be written: ${errorText(error)}`;
		}
	};

	return {
		mode: () => (holding === undefined ? undefined : "observe"),
		holding: () => holding,
		set(mode, requester, reason) {
			if (mode === "enforce" && most() !== "enforce")
				throw new Error(
					"this host's configuration or policy says observe, and nothing but these can raise it",
				);
			const before = holding;
			const byConsole = requester.startsWith("console:");
			if (before !== undefined && byConsole && mode === "observe") return unkept;
			// Only what it took itself: an admin's word, and another console's, stands above it.
			if (before !== undefined && byConsole && before.requester !== requester)
				throw new Error(
					`${before.requester} took it back, so only that one gives it back, or ${byHand} on the host`,
				);
			const unwritten = tell({ mode, requester, reason });
			if (unwritten !== "" && mode === "enforce") throw new Error(unwritten);
			holding = mode === "enforce" ? undefined : { requester, time: clock(), reason };
			keep(holding);
			if ((before === undefined) !== (holding === undefined)) changed();
			return [unkept, unwritten].filter(Boolean).join("; ");
		},
		problems() {
			if (holding === undefined || most() !== "enforce") return unkept === "" ? [] : [unkept];
			const { requester, time, reason } = holding;
			const when = time > 0 ? ` at ${new Date(time).toISOString()}` : "";
			const why = reason === "" ? "" : ` (${reason})`;
			return [
				`nothing is enforced: ${requester} took it back${when}${why}; ${byHand} gives it back`,
				...(unkept === "" ? [] : [unkept]),
			];
		},
	};
}

function readHolding(file: string): Holding | undefined {
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		return { requester: "somebody", time: 0, reason: `${file} cannot be read: ${errorText(error)}` };
	}
	try {
		return schema.parse(JSON.parse(text));
	} catch {
		return { requester: "somebody", time: 0, reason: `${file} is damaged` };
	}
}

function writeHolding(file: string, holding: Holding): void {
	replaceFile(file, `${JSON.stringify({ mode: "observe", ...holding })}\n`);
}
