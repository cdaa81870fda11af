// Canonical proto3 JSON of picket.v1 to protobuf bytes and back. The messages are read from the .proto files
// at run time, so there is no second definition. Knows nothing of streams or sockets.
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import type * as wire from "../model/picket.v1.ts";
import { errorText, ReportError } from "./errors.ts";
import { decodePlan, type MessagePlan, messageFromJson, messageToJson, planOf } from "./protoplan.ts";

/** Nothing larger is sent or taken, in bytes. */
export const messageLimit = 4 * 1024 * 1024;

export interface Codec<T> {
	readonly name: string;
	/** Throws ReportError MESSAGE_JSON, naming the place, when a value does not fit. */
	encode(value: T): Buffer;
	/** Throws ReportError MESSAGE_BYTES for bytes that are no such message. */
	decode(bytes: Uint8Array): T;
}

export interface CodecOptions {
	/** Refuse keys that the message does not have; else they are left out. */
	readonly strict?: boolean;
}

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => fileURLToPath(new URL(`../../proto/${target}`, import.meta.url));
root.loadSync(["picket/v1/sensor.proto", "picket/v1/health.proto"]);
root.resolveAll();

/** Codec of a message by its name in picket.v1, "ConnectRequest" or "Status". */
export function codecOf<T>(name: string, options: CodecOptions = {}): Codec<T> {
	const plan: MessagePlan = planOf(root.lookupType(`picket.v1.${name}`));
	const strict = options.strict === true;
	return {
		name,
		encode(value) {
			const message = messageFromJson(plan, value, strict, name);
			return asBuffer(plan.type.encode(message).finish());
		},
		decode(bytes) {
			if (bytes.length > messageLimit) {
				throw new ReportError(
					"MESSAGE_BYTES",
					`${name}: ${bytes.length} bytes, ${messageLimit} are the most`,
				);
			}
			try {
				return messageToJson(plan, decodePlan(plan, bytes), name) as T;
			} catch (error) {
				if (error instanceof ReportError && error.code === "MESSAGE_BYTES") throw error;
				throw new ReportError("MESSAGE_BYTES", `${name}: not a message: ${errorText(error)}`, error);
			}
		},
	};
}

/** Names of all messages of picket.v1, those inside others included ("Outer.Inner"). */
export function messageNames(): string[] {
	const names: string[] = [];
	const visit = (space: protobuf.NamespaceBase): void => {
		for (const child of space.nestedArray) {
			if (child instanceof protobuf.Type) names.push(child.fullName.replace(/^\.picket\.v1\./, ""));
			if (child instanceof protobuf.Namespace) visit(child);
		}
	};
	visit(root.lookup("picket.v1") as protobuf.Namespace);
	return names;
}

/** The definition itself, for tests that go through every field. */
export function messageType(name: string): protobuf.Type {
	return root.lookupType(`picket.v1.${name}`);
}

export const recordCodec: Codec<wire.OutputRecord> = codecOf("Record");
export const requestCodec: Codec<wire.ConnectRequest> = codecOf("ConnectRequest");
export const responseCodec: Codec<wire.ConnectResponse> = codecOf("ConnectResponse");
export const checkRequestCodec: Codec<wire.CheckRequest> = codecOf("CheckRequest");
export const checkResponseCodec: Codec<wire.CheckResponse> = codecOf("CheckResponse");

const batchTag = (messageType("ConnectRequest").fields.batch?.id ?? 0) * 8 + 2;
const recordsTag = (messageType("Batch").fields.records?.id ?? 0) * 8 + 2;
const batchType = messageType("Batch");

/**
 * A ConnectRequest with a batch of records that recordCodec has encoded before: each record is turned into
 * bytes once, however often it is sent, and its size in the queue is its true one.
 */
export function encodeBatch(
	records: readonly Uint8Array[],
	head: { readonly bootId?: string; readonly ahead?: boolean } = {},
): Buffer {
	// Fields may stand in any order; only those that differ from nothing are written.
	const rest = batchType.encode(head).finish();
	const parts: Uint8Array[] = [Buffer.alloc(0)];
	let size = rest.length;
	for (const record of records) {
		const start = prefix(recordsTag, record.length);
		parts.push(start, record);
		size += start.length + record.length;
	}
	parts.push(rest);
	parts[0] = prefix(batchTag, size);
	return Buffer.concat(parts);
}

function prefix(tag: number, size: number): Uint8Array {
	return protobuf.Writer.create().uint32(tag).uint32(size).finish();
}

function asBuffer(bytes: Uint8Array): Buffer {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
