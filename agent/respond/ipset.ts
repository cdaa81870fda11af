// The ipset command: our sets as they are in the kernel. What they hold and mean is in sets.ts.
import { firstLine, isMissing, must, type RunCommand, unusable } from "./command.ts";
import { type Held, readCounts, readSaved } from "./sets.ts";

export interface Ipset {
	/** Of all sets; undefined when ipset is not installed. */
	names(): Promise<readonly string[] | undefined>;
	/** Numbers of entries by name, of all sets. */
	counts(): Promise<ReadonlyMap<string, number>>;
	/** What those of the sets hold that exist. */
	held(names: readonly string[]): Promise<ReadonlyMap<string, Held>>;
	/** Is it in the set, itself or by a wider entry? False without the set. */
	has(set: string, target: string): Promise<boolean>;
	/** Lines for `ipset restore`, where what is already so is no error. */
	restore(lines: readonly string[]): Promise<void>;
	destroy(set: string): Promise<void>;
}

/** A set stays in use for a moment after its last rule is gone: nf_tables frees rules in the background. */
const destroyAttempts = 20;
const betweenAttemptsMs = 100;

export function createIpset(run: RunCommand): Ipset {
	return {
		async names() {
			try {
				return (await must(run, "ipset", ["list", "-n"])).stdout.split("\n");
			} catch (error) {
				if (isMissing(error)) return undefined;
				throw error;
			}
		},

		counts: async () => readCounts((await must(run, "ipset", ["list", "-terse"])).stdout),

		async held(names) {
			const texts = await Promise.all(
				names.map(async (name) => {
					const { code, stdout, stderr } = await run("ipset", ["save", name]);
					if (code === 0) return stdout;
					if (stderr.includes("does not exist")) return "";
					throw unusable("ipset save", firstLine(stderr), "check that the kernel has ip_set");
				}),
			);
			return readSaved(texts.join(""));
		},

		async has(set, target) {
			const { code, stderr } = await run("ipset", ["test", set, target]);
			// Exit code 1 is both "not in it" and every error; only the words tell them apart.
			if (code === 0) return true;
			if (/is NOT in set|does not exist/.test(stderr)) return false;
			throw unusable("ipset test", firstLine(stderr), "check that the kernel has ip_set");
		},

		async restore(lines) {
			if (lines.length > 0) await must(run, "ipset", ["-exist", "restore"], `${lines.join("\n")}\n`);
		},

		async destroy(set) {
			for (let attempt = 0; ; attempt++) {
				const { code, stderr } = await run("ipset", ["destroy", set]);
				if (code === 0 || stderr.includes("does not exist")) return;
				if (attempt >= destroyAttempts || !stderr.includes("in use")) {
					throw unusable("ipset destroy", firstLine(stderr), `see who uses it: iptables-save | grep ${set}`);
				}
				await new Promise((resolve) => setTimeout(resolve, betweenAttemptsMs));
			}
		},
	};
}
