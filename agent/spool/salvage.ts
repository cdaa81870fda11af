// Moves all that can be read out of a damaged spool into a new file beside it, `<path>.new`. Deleted rows whose pages
// were not used again come along; the readers' places keep those that have them from getting them again.
import { rmSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { classes } from "./classes.ts";
import { createDatabase, insertEntry, type Place, placeChecksum, readerMark } from "./database.ts";
import { scanPages } from "./pages.ts";

export interface Salvaged {
	readonly records: number;
	readonly broken: number;
}

/** Throws what the file system throws; then nothing has changed but the new file, which may be begun again. */
export function salvage(path: string, maxBytes: number): Salvaged {
	const made = `${path}.new`;
	for (const suffix of ["", "-wal", "-shm"]) rmSync(`${made}${suffix}`, { force: true });
	const db = createDatabase(made, maxBytes);
	let broken = 0;
	const places = new Map<string, Place>();
	try {
		// Not synced row by row: the whole is synced before it takes the other's place.
		db.exec("PRAGMA synchronous = OFF; BEGIN");
		const insert = insertEntry(db);
		// A file of ours is never larger, unless its bounds were narrowed since.
		scanPages(path, 4 * maxBytes, {
			each: insert,
			broken: () => {
				broken++;
			},
			place(place) {
				const known = places.get(place.name);
				// Places only move on, so of several versions of a row the farthest is the newest.
				if (known === undefined || known.acknowledged < place.acknowledged) places.set(place.name, place);
			},
		});
		insertPlaces(db, [...places.values()]);
		const counts = classes.map(
			({ table }) => db.prepare(`SELECT count(*) AS records FROM ${table}`).get()?.records,
		);
		db.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
		return { records: counts.reduce<number>((sum, count) => sum + Number(count), 0), broken };
	} finally {
		db.close();
	}
}

function insertPlaces(db: DatabaseSync, places: readonly Place[]): void {
	const insert = db.prepare(
		"INSERT INTO readers(mark, name, mask, acknowledged, checksum) VALUES (?, ?, ?, ?, ?)",
	);
	for (const place of places) {
		insert.run(readerMark, place.name, place.mask, place.acknowledged, placeChecksum(place));
	}
}
