// The spool's threads: the writer and the reader, which one it is says `workerData.role`. They wait for the disk so that
// the sensor's thread does not have to.
import type { DatabaseSync } from "node:sqlite";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { pack, transferables } from "./batch.ts";
import { checkPages, isDamage, openForReading } from "./database.ts";
import type { FromReader, FromWriter, ToReader, ToWriter } from "./messages.ts";
import { openSpool } from "./open.ts";
import { createReading, type Reading } from "./read.ts";
import { createStore, type Store } from "./store.ts";

interface WorkerData {
	readonly role: "writer" | "reader";
	readonly path: string;
	readonly maxBytes: number;
}

type Failed = Extract<FromWriter, { type: "failed" }>;

function failed(error: unknown): Failed {
	const reason = error instanceof Error ? error.message : String(error);
	return { type: "failed", reason, damage: isDamage(error) };
}

function write(port: MessagePort, { path, maxBytes }: WorkerData): void {
	let store: Store | undefined;
	let tidying: NodeJS.Timeout | undefined;

	function tidySoon(delay: number): void {
		tidying ??= setTimeout(() => {
			tidying = undefined;
			try {
				if (store?.tidy() === true) tidySoon(20);
			} catch {
				// The next commit meets the same and says so.
			}
		}, delay);
	}
	function open(request: Extract<ToWriter, { type: "open" }>): FromWriter {
		store?.close();
		store = undefined;
		const opened = openSpool({
			path,
			maxBytes,
			now: Date.now(),
			given: request.given,
			damage: request.damage,
		});
		store = createStore(path, opened, maxBytes);
		const { places, damaged, broken, problems, unchecked } = opened;
		const first = request.served ? store.moveBehind(opened.first) : opened.first;
		tidySoon(1000);
		return {
			type: "opened",
			first,
			places,
			damaged,
			broken,
			problems,
			unchecked,
			untold: store.untold(),
			quarantined: store.quarantined(),
			figures: store.figures(tidying !== undefined),
		};
	}
	function answer(request: Exclude<ToWriter, { type: "stop" }>): FromWriter {
		if (request.type === "open") return open(request);
		if (store === undefined) return { type: "failed", reason: "the spool is not open", damage: false };
		let outcome: Pick<Extract<FromWriter, { type: "committed" }>, "evicted" | "refused"> = {
			evicted: [],
			refused: [],
		};
		if (request.type === "forget") store.forget(request.names);
		else outcome = store.commit(request);
		if ((request.type === "forget" ? request.names : request.places).length > 0) tidySoon(50);
		return { type: "committed", ...outcome, figures: store.figures(tidying !== undefined) };
	}
	port.on("message", (request: ToWriter) => {
		if (request.type === "stop") {
			store?.close();
			clearTimeout(tidying);
			port.close();
			return;
		}
		let reply: FromWriter;
		try {
			reply = answer(request);
		} catch (error) {
			reply = failed(error);
		}
		port.postMessage(reply);
	});
}

function read(port: MessagePort, { path }: WorkerData): void {
	let open: { db: DatabaseSync; reading: Reading; generation: number } | undefined;

	function at(generation: number): { db: DatabaseSync; reading: Reading } {
		if (open !== undefined && open.generation !== generation) {
			open.db.close();
			open = undefined;
		}
		if (open === undefined) {
			const db = openForReading(path);
			try {
				open = { db, reading: createReading(db), generation };
			} catch (error) {
				db.close();
				throw error;
			}
		}
		return open;
	}
	port.on("message", (request: ToReader) => {
		if (request.type === "stop") {
			open?.db.close();
			port.close();
			return;
		}
		let reply: FromReader;
		let moved: ArrayBuffer[] = [];
		try {
			const { db, reading } = at(request.generation);
			if (request.type === "read") {
				const { after, mask, maxRecords, maxBytes } = request;
				const page = reading.read(after, mask, maxRecords, maxBytes);
				const batch = pack(page.entries);
				moved = transferables(batch);
				reply = { type: "records", batch, broken: page.broken };
			} else if (request.type === "count") {
				reply = { type: "counts", counts: request.places.map((place) => reading.count(place)) };
			} else {
				checkPages(db);
				reply = { type: "checked" };
			}
		} catch (error) {
			reply = failed(error);
		}
		port.postMessage(reply, moved);
	});
}

if (parentPort !== null) {
	const data = workerData as WorkerData;
	if (data.role === "writer") write(parentPort, data);
	else read(parentPort, data);
}
