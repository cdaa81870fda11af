// Evidence: what is known of a process right now, from the sensor's tree, from /proc and from the newest records, kept
// as a JSON file on the host and sent along.
import { createHash } from "node:crypto";
import type * as wire from "../model/picket.v1.ts";
import type { Process } from "../model/process.ts";
import { errorText } from "../report/errors.ts";
import { containerToWire, processToWire, type WireContext } from "../report/wire.ts";
import { type ProcFacts, readProcFacts } from "./evidence-proc.ts";
import { createEvidenceStore, type EvidenceBounds, evidenceId } from "./evidence-store.ts";
import { createTurns } from "./turns.ts";

export interface EvidenceOptions {
	readonly stateDir: string;
	readonly host: string;
	/** Unix ms. */
	readonly clock: () => number;
	readonly wire: WireContext;
	readonly find: (pid: number) => Process | undefined;
	/** The newest alerts, actions and gaps, oldest first. */
	readonly recent: () => readonly wire.OutputRecord[];
	readonly bounds?: EvidenceBounds;
	/** Where /proc lies below; "/" by default. */
	readonly root?: string;
}

export interface EvidenceRequest {
	readonly pid: number;
	/** ns since boot. */
	readonly start: number;
	readonly requester: string;
	readonly reason: string;
}

/** What the file holds. */
interface Document {
	readonly format: "picket evidence 1";
	readonly id: string;
	readonly time: string;
	readonly host: string;
	readonly requester: string;
	readonly reason: string;
	/** As the sensor knows it from the kernel's events; absent when it does not. */
	readonly process?: wire.Process;
	/** The parent first. */
	readonly ancestors: readonly wire.Process[];
	readonly container?: wire.Container;
	/** As /proc shows it. */
	readonly now: ProcFacts;
	/** Alerts and acts about it. */
	readonly records: wire.OutputRecord[];
}

export interface Evidence {
	/** Rejects with NoSuchProcess, or with why no evidence is taken for now. */
	take(request: EvidenceRequest): Promise<{ readonly evidence: wire.Evidence; readonly message: string }>;
}

const maxAncestors = 64;
const maxRecords = 50;
const maxRecordsBytes = 1024 * 1024;
/** The file; what it holds is bounded below that. */
const maxFileBytes = 8 * 1024 * 1024;
/** Leaves room for the quotes that the content gets in a message. */
export const mostContentBytes = 1024 * 1024;

export function createEvidence(options: EvidenceOptions): Evidence {
	const { clock, wire: context } = options;
	const store = createEvidenceStore(options.stateDir, options.bounds);
	let tail: Promise<unknown> = Promise.resolve();

	const gather = async ({ pid, start, requester, reason }: EvidenceRequest): Promise<Document> => {
		// First, for it may be gone the next moment; of one that has ended its story is left.
		const known = options.find(pid);
		const process = known !== undefined && isNear(known.start, start) ? known : undefined;
		const time = clock();
		const id = evidenceId(time, pid);
		const told = process && processToWire(process, context);
		const ancestors = process === undefined ? [] : above(process).map((one) => processToWire(one, context));
		const container = process?.cgroup?.container;
		const now = await readProcFacts(pid, start, options.root);
		const records = await recordsAbout(options.recent(), pid, start, told?.startTime);
		return {
			format: "picket evidence 1",
			...{ id, time: new Date(time).toISOString(), host: options.host, requester, reason },
			...(told && { process: told }),
			ancestors,
			...(container && { container: containerToWire(container) }),
			now,
			records,
		};
	};

	const take: Evidence["take"] = async (request) => {
		const document = await gather(request);
		const content = bounded(document);
		const sha256 = createHash("sha256").update(content).digest("hex");
		const notes =
			document.now.problems.length === 0 ? [] : [`not all could be read: ${document.now.problems[0]}`];
		let path = "";
		try {
			const kept = await store.keep(document.id, content);
			path = kept.path;
			if (kept.removed > 0) notes.push(`the oldest ${kept.removed} made room for it`);
		} catch (error) {
			notes.push(`it is not kept on the host: ${errorText(error)}`);
		}
		const truncated = content.length > mostContentBytes;
		return {
			evidence: {
				...{ id: document.id, path, sha256 },
				content: content.subarray(0, mostContentBytes).toString("utf8"),
				truncated,
			},
			message: notes.join("; "),
		};
	};

	return {
		/** One at a time: each reads much. */
		take(request) {
			const taken = tail.then(() => take(request));
			tail = taken.catch(() => {});
			return taken;
		},
	};
}

/** What is given out has the precision of a double, and /proc that of a tick. */
function isNear(one: number, other: number): boolean {
	return Math.abs(one - other) <= 10_000_100;
}

function above(process: Process): Process[] {
	const found: Process[] = [];
	for (let one = process.parent; one !== undefined && found.length < maxAncestors; one = one.parent)
		found.push(one);
	return found;
}

async function recordsAbout(
	records: readonly wire.OutputRecord[],
	pid: number,
	start: number,
	startTime: string | undefined,
): Promise<wire.OutputRecord[]> {
	const turn = createTurns();
	const about: wire.OutputRecord[] = [];
	let bytes = 0;
	// The newest first: they are kept.
	for (const record of records.toReversed()) {
		await turn();
		if (!isAbout(record, pid, start, startTime)) continue;
		bytes += Buffer.byteLength(JSON.stringify(record));
		if (about.length >= maxRecords || bytes > maxRecordsBytes) break;
		about.push(record);
	}
	return about.reverse();
}

function isAbout(
	{ alert, action }: wire.OutputRecord,
	pid: number,
	start: number,
	startTime: string | undefined,
): boolean {
	const isIt = (process: wire.Process | undefined) => process?.pid === pid && process.startTime === startTime;
	if (alert) return isIt(alert.event?.process) || (alert.ancestors ?? []).some(isIt);
	const [target, began] = action?.target?.split(":") ?? [];
	return target === String(pid) && isNear(Number(began), start);
}

/** Gives up its longest parts until it is small enough, and says so. */
function bounded(document: Document): Buffer {
	const { now, records } = document;
	const parts = [
		() => records.splice(0, records.length),
		() => now.maps?.splice(0, now.maps.length),
		() => now.descriptors?.splice(0, now.descriptors.length),
		() => now.connections?.splice(0, now.connections.length),
		() => now.environmentNames?.splice(0, now.environmentNames.length),
		() => now.commandLine?.splice(0, now.commandLine.length),
	];
	for (let content = encode(document); ; content = encode(document)) {
		if (content.length <= maxFileBytes) return content;
		const giveUp = parts.shift();
		if (giveUp === undefined) return content.subarray(0, maxFileBytes);
		giveUp();
		if (!now.problems.includes(tooLong)) now.problems.push(tooLong);
	}
}

const tooLong = `the longest parts were left out: a file has at most ${maxFileBytes} bytes`;

function encode(document: Document): Buffer {
	return Buffer.from(`${JSON.stringify(document, undefined, "\t")}\n`);
}
