// Gives records that lie in the file positions behind those that were given while the file could not be opened: readers
// have moved on past their old ones, and what lies behind a reader's place would never be read.
import type { DatabaseSync } from "node:sqlite";
import { classes } from "./classes.ts";
import { insertEntry } from "./database.ts";
import { createReading } from "./read.ts";

/** Within the caller's transaction. Order stays. Returns the first position that is free after them. */
export function renumber(db: DatabaseSync, first: number): number {
	const insert = insertEntry(db);
	const reading = createReading(db);
	const deletion = classes.map(({ table }) => db.prepare(`DELETE FROM ${table} WHERE position = ?`));
	const all = 2 ** classes.length - 1;
	let next = first;
	let after = 0;
	for (;;) {
		// A damaged one stays where it is: what it was cannot be known any more.
		const old = reading
			.read(after, all, 1000, 1024 * 1024)
			.entries.filter(({ position }) => position < first);
		if (old.length === 0) return next;
		for (const entry of old) {
			deletion[entry.class]?.run(entry.position);
			insert({ ...entry, position: next++ });
		}
		after = old.at(-1)?.position ?? after;
	}
}
