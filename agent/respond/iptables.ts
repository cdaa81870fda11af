// The iptables commands: our chains as they are in the kernel. What they look like is in ruleset.ts.
import { type Backend, findBackend, othersIn, type Variant } from "./backend.ts";
import { must, type RunCommand, unusable } from "./command.ts";
import {
	deletionsOf,
	type Family,
	families,
	installationOf,
	isOnlyOurs,
	oldTable,
	ourTable,
	readTable,
	restoreInput,
} from "./ruleset.ts";

type Note = (step: string) => void;

const installAttempts = 3;

export interface Iptables {
	/** The backend in use, looked for where it is not known. */
	backend(): Promise<Backend>;
	/** Looks for it again when it is needed next. */
	forgetBackend(): void;
	/** What is wrong with it, as far as it has been looked at. */
	problems(): readonly string[];
	/** Brings chains and jumps into place when they are not, in one transaction. Throws when they do not stay. */
	install(family: Family, note: Note): Promise<void>;
	/** Are the rules where they belong? `step` says what was seen. */
	stand(family: Family): Promise<{ stand: boolean; step: string }>;
	/** Takes away what a version before 0.2 made. */
	removeOld(family: Family, note: Note): Promise<void>;
	/** Takes away what is of us in the backend that is not in use. */
	removeElsewhere(family: Family, note: Note): Promise<void>;
	/** Takes away all that is of us; true when nothing is left. */
	removeAll(note: Note): Promise<boolean>;
}

export function createIptables(run: RunCommand, forced: Variant): Iptables {
	let known: Backend | undefined;

	async function backend(): Promise<Backend> {
		known ??= await findBackend(run, forced);
		return known;
	}
	const commandOf = async (family: Family) => `${family.iptables}${(await backend()).variant}`;
	const savedBy = async (command: string) => (await must(run, `${command}-save`, [])).stdout;

	/** `flush`: also takes away what else is in the table. */
	function restore(command: string, table: string, lines: readonly string[], flush = false) {
		// -w lets a waiting xtables lock pass; the nft variant has no such lock and ignores it.
		const options = [...(flush ? [] : ["--noflush"]), "-w", "5"];
		return must(run, `${command}-restore`, options, restoreInput(table, lines));
	}

	async function stand(family: Family): Promise<{ stand: boolean; step: string }> {
		const command = await commandOf(family);
		const lines = installationOf(readTable(await savedBy(command), ourTable), family);
		const found = lines.length === 0 ? "our rules, each once and first" : "our rules missing or not first";
		return { stand: lines.length === 0, step: `verify: ${command}-save shows ${found}` };
	}

	async function removeFrom(
		command: string,
		saved: string,
		tables: readonly string[],
		note: Note,
	): Promise<void> {
		for (const name of tables) {
			const table = readTable(saved, name);
			const lines = deletionsOf(table);
			if (lines.length === 0) continue;
			await restore(command, name, lines);
			// iptables-nft can take a table away only by flushing it.
			if (isOnlyOurs(table)) await restore(command, name, [], true);
			note(`${command}-restore: removed jumps and chains from ${name}`);
		}
	}

	return {
		backend,
		stand,
		problems: () => known?.problems ?? [],
		forgetBackend() {
			known = undefined;
		},

		async install(family, note) {
			const command = await commandOf(family);
			// Others may be changing the same table: the next look finds their part done.
			for (let attempt = 0; attempt < installAttempts; attempt++) {
				const saved = await savedBy(command);
				const table = readTable(saved, ourTable);
				const lines = installationOf(table, family);
				if (lines.length === 0) return;
				await restore(command, ourTable, lines).catch((error) =>
					// A kernel without xt_comment takes them without.
					restore(command, ourTable, installationOf(table, family, true)).catch(() => {
						throw error;
					}),
				);
				const others = othersIn(saved);
				const beside = others.length === 0 ? "" : `; also here: ${others.join(", ")}`;
				note(`${command}-restore: PICKET-IN and PICKET-OUT, first in ${ourTable}${beside}`);
			}
			const { stand: stands, step } = await stand(family);
			if (!stands) throw unusable(`${command}-restore`, step, "see what else changes the rules of this host");
		},

		async removeOld(family, note) {
			const command = await commandOf(family);
			await removeFrom(command, await savedBy(command), [oldTable], note);
		},

		async removeElsewhere(family, note) {
			const { other } = await backend();
			const saved = other?.saved[families.indexOf(family)] ?? "";
			if (other === undefined || !saved.includes("PICKET-")) return;
			await removeFrom(`${family.iptables}${other.variant}`, saved, [ourTable, oldTable], note);
		},

		async removeAll(note) {
			known = undefined;
			const { variant, other } = await backend();
			const variants = other === undefined ? [variant] : [variant, other.variant];
			const commands = variants.flatMap((one) => families.map((family) => `${family.iptables}${one}`));
			let gone = true;
			for (const command of commands) {
				const saved = await savedBy(command);
				if (!saved.includes("PICKET-")) continue;
				await removeFrom(command, saved, [ourTable, oldTable], note);
				gone = !(await savedBy(command)).includes("PICKET-") && gone;
			}
			return gone;
		},
	};
}
