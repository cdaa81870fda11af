// How core and uplink put their messages into the pipe between them, and how they come out of it again:
// u32 length of all that follows, u8 type, u32 length of the head, the head (JSON), payloads one behind the other. Numbers
// are little-endian. Whether a head makes sense is the receiver's business (frame-check.ts).
import type { FromUplink, Stored, ToUplink } from "../model/delivery.ts";

/** The numbers on the wire; both ends are of one version, so they may change. */
export const frameTypes = {
	configure: 1,
	records: 2,
	ahead: 3,
	result: 4,
	status: 5,
	stop: 6,
	renew: 7,
	ready: 33,
	alive: 34,
	more: 35,
	acknowledged: 36,
	quarantine: 37,
	command: 38,
	state: 39,
	log: 40,
	renewed: 41,
} as const satisfies Record<ToUplink["type"] | FromUplink["type"], number>;

const fixed = 9;

interface RecordHead {
	readonly position: number;
	readonly bootId: string;
	readonly sequence: number;
	readonly kind: Stored["kind"];
	readonly severity: Stored["severity"];
	readonly bytes: number;
}

/** The pieces of one frame, to be written in this order. */
export function encodeFrame(message: ToUplink | FromUplink): Buffer[] {
	const payloads: Buffer[] = [];
	const headOf = ({ payload, ...record }: Stored): RecordHead => {
		payloads.push(payload);
		return { ...record, bytes: payload.length };
	};
	const { type, ...rest } = message;
	let head: unknown = rest;
	if (message.type === "records") head = { ...rest, records: message.records.map(headOf) };
	if (message.type === "ahead") head = { ...rest, record: headOf(message.record) };
	return encodeRaw(frameTypes[type], Buffer.from(JSON.stringify(head)), payloads);
}

/** As `encodeFrame`, for whatever head. */
export function encodeRaw(type: number, head: Buffer, payloads: readonly Buffer[] = []): Buffer[] {
	const start = Buffer.alloc(fixed);
	const size = payloads.reduce((sum, payload) => sum + payload.length, head.length);
	start.writeUInt32LE(size + fixed - 4, 0);
	start.writeUInt8(type, 4);
	start.writeUInt32LE(head.length, 5);
	return [start, head, ...payloads];
}

export interface FrameReader {
	/** Bytes in any pieces; nothing is heard after `broken`. */
	push(chunk: Buffer): void;
}

export interface FrameHandlers {
	/** The most bytes a frame of this type may have; 0 for a type that does not belong here. */
	limit(type: number): number;
	/** `payload` is the reader's own copy. */
	frame(type: number, head: unknown, payload: Buffer): void;
	/** Once; what follows cannot be told apart any more. */
	broken(reason: string): void;
}

/** Bytes that have to be there before anything can be said. */
const beginning = 5;

/** Holds at most one frame, in one piece: of never more than its type may have, however small the chunks are. */
export function createFrameReader(handlers: FrameHandlers): FrameReader {
	let frame = Buffer.allocUnsafe(beginning);
	let held = 0;
	let over = false;

	const fail = (reason: string): void => {
		over = true;
		frame = Buffer.alloc(0);
		handlers.broken(reason);
	};
	const cut = (bytes: Buffer) => {
		const headBytes = bytes.readUInt32LE(5);
		const type = bytes.readUInt8(4);
		if (headBytes > bytes.length - fixed)
			return fail(`a head of ${headBytes} bytes in a frame of ${bytes.length}`);
		let head: unknown;
		try {
			head = JSON.parse(bytes.toString("utf8", fixed, fixed + headBytes));
		} catch {
			return fail(`the head of a frame of type ${type} is no JSON`);
		}
		handlers.frame(type, head, bytes.subarray(fixed + headBytes));
	};

	/** There is room for the whole frame once its beginning is known. */
	const begin = () => {
		const size = frame.readUInt32LE(0) + 4;
		const type = frame.readUInt8(4);
		const limit = handlers.limit(type);
		if (limit === 0) return fail(`a frame of type ${type}`);
		if (size < fixed || size > limit) return fail(`a frame of type ${type} with ${size} bytes`);
		const whole = Buffer.allocUnsafe(size);
		frame.copy(whole, 0, 0, beginning);
		frame = whole;
	};

	return {
		push(chunk) {
			for (let at = 0; at < chunk.length && !over; ) {
				const taken = chunk.copy(frame, held, at);
				at += taken;
				held += taken;
				if (held < frame.length) return;
				if (held === beginning) begin();
				else {
					const whole = frame;
					frame = Buffer.allocUnsafe(beginning);
					held = 0;
					cut(whole);
				}
			}
		},
	};
}

/** Of what the core sends, which the uplink believes. */
export function readToUplink(type: number, head: unknown, payload: Buffer): ToUplink {
	const rest = head as Record<string, unknown>;
	let at = 0;
	const stored = ({ bytes, ...record }: RecordHead): Stored => {
		at += bytes;
		return { ...record, payload: payload.subarray(at - bytes, at) };
	};
	const name = Object.entries(frameTypes).find(([, number]) => number === type)?.[0];
	if (type === frameTypes.records)
		return {
			type: "records",
			outlet: rest.outlet as number,
			records: (rest.records as RecordHead[]).map(stored),
		};
	if (type === frameTypes.ahead)
		return { type: "ahead", outlet: rest.outlet as number, record: stored(rest.record as RecordHead) };
	return { type: name, ...rest } as ToUplink;
}
