// Reading in order out of the classes' tables: each is walked by its key, and the next one is always the nearest of all.
import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import type { Entry } from "./batch.ts";
import { classes, has } from "./classes.ts";
import { entryColumns, entryOf, type Place } from "./database.ts";

export interface Page {
	readonly entries: Entry[];
	readonly broken: (readonly [number, number])[];
}

export interface Reading {
	/** At least one record if there is any, whatever its size. Throws what SQLite throws. */
	read(after: number, mask: number, maxRecords: number, maxBytes: number): Page;
	count(place: Place): number;
}

type Row = readonly SQLOutputValue[];

export function createReading(db: DatabaseSync): Reading {
	const statements = classes.map(({ table }) => {
		const statement = db.prepare(`SELECT ${entryColumns} FROM ${table} WHERE position > ? ORDER BY position`);
		statement.setReturnArrays(true);
		return statement;
	});
	const counting = classes.map(({ table }) =>
		db.prepare(`SELECT count(*) AS records FROM ${table} WHERE position > ?`),
	);
	return {
		read(after, mask, maxRecords, maxBytes) {
			const page: Page = { entries: [], broken: [] };
			const walks = statements.map((statement, index) =>
				has(mask, index) ? walk(statement, after) : undefined,
			);
			let bytes = 0;
			try {
				while (page.entries.length < maxRecords) {
					let nearest: Walk | undefined;
					let number = -1;
					walks.forEach((candidate, index) => {
						if (candidate?.row === undefined) return;
						if (nearest === undefined || candidate.position < nearest.position) {
							nearest = candidate;
							number = index;
						}
					});
					const row = nearest?.row;
					if (nearest === undefined || row === undefined) break;
					const entry = entryOf(row);
					if (entry === undefined || entry.class !== number) page.broken.push([number, nearest.position]);
					else {
						bytes += entry.payload.length;
						if (page.entries.length > 0 && bytes > maxBytes) break;
						page.entries.push(entry);
					}
					nearest.next();
				}
			} finally {
				for (const each of walks) each?.end();
			}
			return page;
		},
		count: ({ mask, acknowledged }) =>
			counting.reduce(
				(sum, statement, index) =>
					has(mask, index) ? sum + Number(statement.get(acknowledged)?.records) : sum,
				0,
			),
	};
}

interface Walk {
	readonly row: Row | undefined;
	readonly position: number;
	next(): void;
	end(): void;
}

function walk(statement: StatementSync, after: number): Walk {
	// With setReturnArrays rows are arrays; the declared type knows only the other form.
	const rows = statement.iterate(after) as unknown as Iterator<Row>;
	let row: Row | undefined;
	const next = (): void => {
		const step = rows.next();
		row = step.done === true ? undefined : step.value;
	};
	next();
	return {
		get row() {
			return row;
		},
		get position() {
			return Number(row?.[0]);
		},
		next,
		end: () => {
			rows.return?.();
		},
	};
}
