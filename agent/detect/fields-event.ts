// evt.*: what is told of the event itself; its arguments are in fields-argument.ts.
import {
	EventFlag,
	type EventKind,
	eventNames,
	EventKind as Kind,
	type Observation,
} from "../model/event.ts";
import { resultName } from "../model/kernel-names.ts";
import { structs } from "../model/structs.ts";
import { eventTypes, typesOf } from "./event-types.ts";
import { bool, type Field, type FieldContext, type Fields, type NumberField, number, text } from "./field.ts";
import { fileName, targetName } from "./fields-file.ts";
import { sinceEpoch } from "./fields-process.ts";

const { open, exit, rename, link, symlink, unlink, rmdir, mkdir } = Kind;
const opens: readonly EventKind[] = [open];
const targets: readonly EventKind[] = [Kind.ptrace, Kind.vmWrite, Kind.kill];
/** An exec is told once it has succeeded; the end of a process is no result. */
export const withResult: readonly EventKind[] = eventNames
	.filter((name) => name === "exec" || structs[name].result !== undefined)
	.map((name) => Kind[name])
	.filter((kind) => kind !== exit);

const writeBits = 3;
const marks: ReadonlySet<EventKind> = new Set([Kind.exit, Kind.cgroup, Kind.dns]);

/** Digits of a date in local time, with the fraction in ns. */
function dateOf(observation: Observation, context: FieldContext): { ms: number; ns: string } | undefined {
	const now = sinceEpoch(observation.event.time, context);
	if (now === undefined) return undefined;
	const ms = Math.floor(now / 1e6);
	return { ms, ns: String(Math.floor(now % 1e9)).padStart(9, "0") };
}
const two = (value: number) => String(value).padStart(2, "0");
function timeOfDay(ms: number): string {
	const date = new Date(ms);
	return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
}
function dayOf(ms: number): string {
	const date = new Date(ms);
	return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
function timeField(write: (ms: number, ns: string) => string): Fields[string] {
	return {
		type: "text",
		get: (observation, context) => {
			const date = dateOf(observation, context);
			return date && write(date.ms, date.ns);
		},
	};
}

/** Kinds that a system call asks for; the others are marks of the kernel's own. */
const systemCalls = eventNames.map((name) => Kind[name]).filter((kind) => !marks.has(kind));
const failed: NumberField["get"] = ({ event }) => (event.result < 0 ? 1 : undefined);

export const eventFields: Fields = {
	"evt.type": {
		type: "text",
		get: ({ event }, context) => typesOf(event, context.architecture)[0],
		possible: (kind) => eventTypes[kind],
		names: ({ event }, context) => typesOf(event, context.architecture),
	},
	"syscall.type": text(systemCalls, ({ event }, context) => typesOf(event, context.architecture)[0]),
	"evt.is_async": bool(() => false),
	"evt.is_io": bool(({ event }) => event.kind === Kind.send),
	"evt.is_io_read": bool(() => false),
	"evt.is_io_write": bool(({ event }) => event.kind === Kind.send),
	"evt.io_dir": text([Kind.send], () => "w"),
	"evt.is_wait": bool(() => false),
	"evt.count.error": number(withResult, failed),
	"evt.count.exit": { type: "number", get: () => 1 },
	"evt.dir": { type: "text", get: () => "<", possible: () => ["<"] },
	"evt.num": { type: "number", get: ({ event }) => event.number },
	"evt.count": { type: "number", get: () => 1 },
	"evt.hostname": { type: "text", get: (_, context) => context.hostname },
	"evt.source": { type: "text", get: () => "syscall", possible: () => ["syscall"] },
	"evt.rawres": number(withResult, ({ event }) => event.result),
	"evt.res": text(withResult, ({ event }) => resultName(event.result)),
	"evt.failed": bool(({ event }) => event.result < 0, withResult),
	"evt.is_open_write": bool(({ event }) => (event.openFlags & writeBits) !== 0, opens),
	"evt.is_open_read": bool(({ event }) => (event.openFlags & writeBits) !== 1, opens),
	"evt.is_open_exec": bool(
		({ event }) => (event.openFlags & 0o100) !== 0 && (event.mode & 0o111) !== 0,
		opens,
	),
	"evt.is_open_create": bool(({ event }) => (event.flags & EventFlag.created) !== 0, opens),
	"evt.is_on_sensor": bool(({ event }) => (event.flags & EventFlag.targetIsSensor) !== 0, targets),
	"evt.abspath": text([open, unlink, rmdir, mkdir, rename, link, symlink], ({ event }) => fileName(event)),
	"evt.abspath.src": text([rename, link], ({ event }) => fileName(event)),
	"evt.abspath.dst": text([rename, link], ({ event }) => targetName(event)),
	"evt.time": timeField((ms, ns) => `${timeOfDay(ms)}.${ns}`),
	"evt.time.s": timeField((ms) => timeOfDay(ms)),
	"evt.time.iso8601": timeField((ms, ns) => `${new Date(ms).toISOString().slice(0, 19)}.${ns}+0000`),
	"evt.datetime": timeField((ms, ns) => `${dayOf(ms)} ${timeOfDay(ms)}.${ns}`),
	"evt.datetime.s": timeField((ms) => `${dayOf(ms)} ${timeOfDay(ms)}`),
	"evt.rawtime": { type: "number", get: ({ event }, context) => sinceEpoch(event.time, context) },
	"evt.rawtime.s": {
		type: "number",
		get: (observation, context) => {
			const date = dateOf(observation, context);
			return date && Math.floor(date.ms / 1000);
		},
	},
	"evt.rawtime.ns": {
		type: "number",
		get: (observation, context) => {
			const date = dateOf(observation, context);
			return date && Number(date.ns);
		},
	},
};

/** evt.type.is[NAME], also evt.type.is.NAME: 1 for events of that type, 0 for others. */
export const eventFieldsWith: Readonly<Record<string, (argument: string | undefined) => Field | undefined>> =
	{
		"evt.type.is": (argument) =>
			argument === undefined
				? undefined
				: {
						type: "number",
						get: ({ event }, context) => Number(typesOf(event, context.architecture).includes(argument)),
					},
	};
