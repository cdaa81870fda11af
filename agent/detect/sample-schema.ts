// The form of samples: what events of a rule file's picket_samples, or of a samples file beside rules that stay
// unchanged, may say. What a sample means at work is in sample.ts.
import { z } from "zod";
import { EventFlag, type EventName, eventNames } from "../model/event.ts";
import { structs } from "../model/structs.ts";
import type { Sample, SampleProcess } from "./sample.ts";

const scalar = z.union([z.string(), z.number(), z.boolean()]).meta({ id: "scalar" });
const list = z.array(scalar);
const given = (words: string) => scalar.optional().describe(words);
const all = <T extends string>(keys: readonly T[], value: z.ZodType) =>
	Object.fromEntries(keys.map((key) => [key, value.optional()])) as Record<T, z.ZodOptional<z.ZodType>>;

const process = z
	.strictObject({
		exe: given("Path of the executed file."),
		comm: given("The process's name; the last part of exe when left out. The kernel cuts it to 15 bytes."),
		args: z.union([list, scalar]).optional().describe("All arguments, the first one too."),
		uid: given("User; 0 when left out."),
		login_uid: given("Who logged in; -1, nobody, when left out."),
		cwd: given("Working directory."),
		tty: given("Number of the controlling terminal; 0, none, when left out."),
		pid: given("Process id."),
		sid: given("Pid of the leader of its session."),
		stdin: given('Peer of the socket that is standard input, "198.51.100.7:4444".'),
	} satisfies Record<keyof SampleProcess, z.ZodType>)
	.meta({ id: "process" });

const container = z.strictObject({
	id: given("Its id."),
	name: given("Its name."),
	image: given("Its image as the user wrote it."),
	privileged: given("true or false."),
	labels: z.record(z.string(), scalar).optional().describe("Its labels."),
} satisfies Record<keyof NonNullable<Sample["container"]>, z.ZodType>);

const syscall = given("Name of the system call, for events that several calls make.");
const result = given("What the call returned; minus the errno when it failed.");

const shaped: Partial<Record<EventName, z.ZodType>> = {
	exec: z.strictObject({
		memfd: given("true: the file was in memory only."),
		unlinked: given("true: the file had been deleted."),
		syscall,
	}),
	open: z.strictObject({
		path: given("The file, as the kernel resolved it."),
		raw: given("The path as passed."),
		flags: list
			.optional()
			.describe("O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_CLOEXEC."),
		result,
		mode: given("Permissions, octal: 644."),
		syscall,
	}),
	connect: z.strictObject({
		address: given("The peer's address."),
		port: given("The peer's port."),
		protocol: given("tcp, the default, or udp."),
		path: given("Path of a Unix socket, instead of address and port."),
		result,
		syscall,
		remoteAddress: given("The peer's address, when all is said in the record's own terms."),
		...all(membersOf("connect"), z.union([list, scalar])),
	}),
};

/** Members of the record that a sample may set, by the names in bpf/event.h. */
function membersOf(event: EventName): string[] {
	const hidden = new Set(["bytes", "header", "reserved"]);
	return Object.keys(structs[event]).filter((name) => !hidden.has(name));
}

const value = z.union([list, scalar]).meta({ id: "value" });
/** Kinds that come as the same record say the same. */
const byRecord = new Map<unknown, z.ZodType>();

function eventSchema(event: EventName): z.ZodType {
	const own = shaped[event];
	if (own) return orNothing(own).meta({ id: event });
	const record = structs[event];
	const known = byRecord.get(record);
	if (known) return known;
	const made = orNothing(
		z.strictObject({
			syscall,
			event_flags: z.array(z.enum(Object.keys(EventFlag) as [string, ...string[]])).optional(),
			...all(membersOf(event), value),
		}),
	).meta({ id: event });
	byRecord.set(record, made);
	return made;
}

/** `exec:` with nothing behind it is an event, too. */
function orNothing(schema: z.ZodType): z.ZodType {
	return z.union([schema, z.null(), z.literal("")]);
}

const members = {
	process: process.optional().describe("Who acted."),
	ancestors: z.array(process).optional().describe("Its parent, the parent's parent and so on."),
	container: container.optional().describe("The container it ran in; left out: none."),
	...(Object.fromEntries(
		eventNames.map((event) => [event, eventSchema(event).optional().describe(`The event: ${event}.`)]),
	) as Record<EventName, z.ZodOptional<z.ZodType>>),
};
const isOneEvent = (sample: Readonly<Record<string, unknown>>): boolean =>
	eventNames.filter((event) => sample[event] !== undefined).length <= 1;
const oneEvent = "has more than one event";

export const sampleSchema = z
	.strictObject(members)
	.refine(isOneEvent, oneEvent)
	.describe("An event and who acted; without a kind it is an exec.")
	.meta({ id: "event" });

const stepSchema = z
	.strictObject({
		...members,
		repeat: given("It happens so many times; {n} in its texts is which of these it is, from 1."),
		every: given("Seconds between two of them; 0.1 when left out."),
		after: given("Seconds since the step before."),
	})
	.refine(isOneEvent, oneEvent)
	.meta({ id: "act" });

const acts = z
	.array(z.union([sampleSchema, z.array(stepSchema).describe("Acts one after another, for correlations.")]))
	.optional();

export const samplesSchema = z
	.strictObject({
		positive: acts.describe("Events on which the rule must match."),
		negative: acts.describe("Events on which it must not."),
	})
	.describe("Events that the rule is tested with: picket rules test.");

export const samplesFileSchema = z.strictObject({
	samples: z
		.array(
			z.strictObject({
				rule: z.string().min(1).describe("Name of the rule, or its title or id."),
				...samplesSchema.shape,
			}),
		)
		.describe("Samples of rules that are in other files."),
});
