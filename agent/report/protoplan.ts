// How one message goes from JSON to what protobufjs encodes and back, worked out once per message type:
// times, enums and 64-bit numbers differ between the two forms, all else is the same.
import protobuf from "protobufjs";
import { ReportError } from "./errors.ts";
import { firstSecond, formatTime, lastSecond, parseTime } from "./time.ts";

type Values = Record<string, unknown>;

export interface MessagePlan {
	readonly type: protobuf.Type;
	/** By lowerCamelCase name, which is both the JSON key and the name in protobufjs. */
	readonly fields: ReadonlyMap<string, FieldPlan>;
	/** The names as written in the .proto, which readers of proto3 JSON take too. */
	readonly aliases: ReadonlyMap<string, string>;
}

interface FieldPlan {
	readonly name: string;
	readonly repeated: boolean;
	readonly map: boolean;
	/** Name of the oneof it is part of; undefined outside and for `optional`. */
	readonly choice: string | undefined;
	readonly kind: Kind;
}

type Kind =
	| { readonly is: "scalar"; readonly type: string }
	| { readonly is: "enum"; readonly values: Readonly<Record<string, number>>; readonly names: Values }
	| { readonly is: "time" }
	| { readonly is: "message"; readonly plan: MessagePlan };

const plans = new Map<protobuf.Type, MessagePlan>();

/** The plan of a resolved type. */
export function planOf(type: protobuf.Type): MessagePlan {
	const made = plans.get(type);
	if (made !== undefined) return made;
	const fields = new Map<string, FieldPlan>();
	const aliases = new Map<string, string>();
	const plan: MessagePlan = { type, fields, aliases };
	plans.set(type, plan);
	for (const field of type.fieldsArray) {
		const oneof = field.partOf;
		fields.set(field.name, {
			name: field.name,
			repeated: field.repeated,
			map: field.map,
			choice: oneof === null || oneof.name.startsWith("_") ? undefined : oneof.name,
			kind: kindOf(field),
		});
		aliases.set(
			field.name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
			field.name,
		);
	}
	return plan;
}

function kindOf(field: protobuf.Field): Kind {
	const type = field.resolvedType;
	if (type === null) return { is: "scalar", type: field.type };
	if (type instanceof protobuf.Enum) return { is: "enum", values: type.values, names: type.valuesById };
	if (type.fullName === ".google.protobuf.Timestamp") return { is: "time" };
	return { is: "message", plan: planOf(type) };
}

export function decodePlan(plan: MessagePlan, bytes: Uint8Array): Values {
	return plan.type.decode(bytes) as unknown as Values;
}

/** JSON to what `plan.type.encode` takes. `at` is the place, for messages. */
export function messageFromJson(plan: MessagePlan, value: unknown, strict: boolean, at: string): Values {
	if (typeof value !== "object" || value === null || Array.isArray(value)) {
		throw unfit(at, "an object", value);
	}
	const message: Values = {};
	let chosen: Record<string, string> | undefined;
	for (const [key, given] of Object.entries(value)) {
		if (given === undefined || given === null) continue;
		const field = plan.fields.get(key) ?? plan.fields.get(plan.aliases.get(key) ?? "");
		if (field === undefined) {
			if (!strict) continue;
			throw new ReportError("MESSAGE_JSON", `${at}.${key}: ${plan.type.name} has no such field`);
		}
		if (field.choice !== undefined) {
			chosen ??= {};
			checkChoice(chosen, field, at);
		}
		message[field.name] = fieldFromJson(field, given, strict, `${at}.${key}`);
	}
	return message;
}

function fieldFromJson(field: FieldPlan, given: unknown, strict: boolean, at: string): unknown {
	if (field.repeated) {
		if (!Array.isArray(given)) throw unfit(at, "a list", given);
		return given.map((item, index) => oneFromJson(field.kind, item, strict, `${at}[${index}]`));
	}
	if (!field.map) return oneFromJson(field.kind, given, strict, at);
	if (typeof given !== "object" || Array.isArray(given)) throw unfit(at, "an object", given);
	const map: Values = {};
	for (const [key, item] of Object.entries(given ?? {})) {
		put(map, key.toWellFormed(), oneFromJson(field.kind, item, strict, `${at}["${key}"]`));
	}
	return map;
}

function oneFromJson(kind: Kind, given: unknown, strict: boolean, at: string): unknown {
	switch (kind.is) {
		case "scalar":
			return scalarFromJson(kind.type, given, at);
		case "time": {
			const time = typeof given === "string" ? parseTime(given) : undefined;
			if (time === undefined) throw unfit(at, "a time as in RFC 3339", given);
			return time;
		}
		case "enum": {
			const number = typeof given === "string" ? kind.values[given] : given;
			if (typeof number !== "number" || !Number.isInteger(number) || number !== (number | 0)) {
				throw unfit(at, `one of ${Object.keys(kind.values).join(", ")}`, given);
			}
			return number;
		}
		case "message":
			return messageFromJson(kind.plan, given, strict, at);
	}
}

const limits: Readonly<Record<string, readonly [number, number]>> = {
	uint32: [0, 0xffff_ffff],
	int32: [-0x8000_0000, 0x7fff_ffff],
};
const limits64: Readonly<Record<string, readonly [bigint, bigint]>> = {
	uint64: [0n, (1n << 64n) - 1n],
	int64: [-(1n << 63n), (1n << 63n) - 1n],
};

function scalarFromJson(type: string, given: unknown, at: string): unknown {
	switch (type) {
		case "string":
			if (typeof given !== "string") throw unfit(at, "a text", given);
			// A lone surrogate has no UTF-8 form: other implementations would refuse the whole message.
			return given.isWellFormed() ? given : given.toWellFormed();
		case "bool":
			if (typeof given !== "boolean") throw unfit(at, "true or false", given);
			return given;
		case "double":
			return doubleFromJson(given, at);
		case "bytes":
			if (typeof given !== "string" || !base64.test(given)) throw unfit(at, "bytes in base64", given);
			return Buffer.from(given, "base64");
		case "uint32":
		case "int32": {
			const number = typeof given === "string" && /^-?\d{1,10}$/.test(given) ? Number(given) : given;
			const [low, high] = limits[type] ?? [0, 0];
			if (typeof number !== "number" || !Number.isInteger(number) || number < low || number > high) {
				throw unfit(at, `a whole number from ${low} to ${high}`, given);
			}
			return number;
		}
		case "uint64":
		case "int64": {
			const [low, high] = limits64[type] ?? [0n, 0n];
			const text = Number.isSafeInteger(given) ? String(given) : given;
			if (typeof text !== "string" || !/^-?\d{1,20}$/.test(text)) {
				throw unfit(at, "a whole number as a text", given);
			}
			// Almost all fit a double, which protobufjs writes far quicker than a text.
			if (text.length <= 15 && (type === "int64" || !text.startsWith("-"))) return Number(text);
			const number = BigInt(text);
			if (number < low || number > high) throw unfit(at, `a number from ${low} to ${high}`, given);
			return text;
		}
		default:
			throw new ReportError("MESSAGE_JSON", `${at}: fields of type ${type} are not provided for`);
	}
}

/** Both alphabets, with or without padding, as proto3 JSON takes them. */
const base64 = /^(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}$/;

function doubleFromJson(given: unknown, at: string): number {
	if (typeof given === "number") return given;
	if (given === "NaN") return Number.NaN;
	if (given === "Infinity") return Number.POSITIVE_INFINITY;
	if (given === "-Infinity") return Number.NEGATIVE_INFINITY;
	const number = typeof given === "string" && given.trim() !== "" ? Number(given) : Number.NaN;
	if (Number.isNaN(number)) throw unfit(at, "a number", given);
	return number;
}

/** A decoded message as canonical JSON; fields that were not on the wire stay out. */
export function messageToJson(plan: MessagePlan, message: Values, at: string): Values {
	const json: Values = {};
	let chosen: Record<string, string> | undefined;
	// Unset fields sit in the prototype of a decoded message: only its own ones count.
	for (const key of Object.keys(message)) {
		const field = plan.fields.get(key);
		const value = message[key];
		if (field === undefined || value === undefined || value === null) continue;
		// protobufjs makes lists and maps for fields that were not on the wire.
		if (field.repeated && (value as unknown[]).length === 0) continue;
		if (field.map && Object.keys(value).length === 0) continue;
		if (field.choice !== undefined) {
			chosen ??= {};
			checkChoice(chosen, field, at);
		}
		json[key] = fieldToJson(field, value, `${at}.${key}`);
	}
	return json;
}

function fieldToJson(field: FieldPlan, value: unknown, at: string): unknown {
	if (field.repeated) {
		return (value as unknown[]).map((item, index) => oneToJson(field.kind, item, `${at}[${index}]`));
	}
	if (!field.map) return oneToJson(field.kind, value, at);
	const map: Values = {};
	for (const [key, item] of Object.entries(value as Values)) {
		put(map, key, oneToJson(field.kind, item, at));
	}
	return map;
}

function oneToJson(kind: Kind, value: unknown, at: string): unknown {
	switch (kind.is) {
		case "scalar":
			if (kind.type === "double" && !Number.isFinite(value)) return String(value);
			if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
			// 64-bit numbers are decoded to objects of the package long.
			return typeof value === "object" ? String(value) : value;
		case "time":
			return timeToJson(value as { seconds?: unknown; nanos?: unknown }, at);
		case "enum":
			// A value that came after this build is given as its number, as proto3 JSON asks.
			return kind.names[value as number] ?? value;
		case "message":
			return messageToJson(kind.plan, value as Values, at);
	}
}

function timeToJson(value: { seconds?: unknown; nanos?: unknown }, at: string): string {
	const seconds = Number(value.seconds ?? 0);
	const nanos = Number(value.nanos ?? 0);
	if (!(seconds >= firstSecond && seconds <= lastSecond && nanos >= 0 && nanos <= 999_999_999)) {
		throw new ReportError("MESSAGE_BYTES", `${at}: the time lies outside the years 1 to 9999`);
	}
	return formatTime(seconds, nanos);
}

/** The order of a oneof's fields is lost in decoding, so which one was last, and valid, cannot be told. */
function checkChoice(chosen: Record<string, string>, field: FieldPlan, at: string): void {
	const choice = field.choice ?? "";
	const other = chosen[choice];
	if (other !== undefined) {
		throw new ReportError("MESSAGE_JSON", `${at}: both ${other} and ${field.name}, where one is allowed`);
	}
	chosen[choice] = field.name;
}

/** Sets a key that comes from outside; plain assignment of "__proto__" would set the prototype. */
function put(map: Values, key: string, value: unknown): void {
	if (key === "__proto__") {
		Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
	} else {
		map[key] = value;
	}
}

function unfit(at: string, wanted: string, given: unknown): ReportError {
	const shown = (JSON.stringify(given) ?? String(given)).slice(0, 80);
	return new ReportError("MESSAGE_JSON", `${at}: ${wanted} is wanted, got ${shown}`);
}
