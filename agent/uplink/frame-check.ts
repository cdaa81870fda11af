// What the core takes from the uplink, which has heard strangers: every field, its form and its size. Anything else means
// that the uplink is not itself any more.
import { z } from "zod";
import type { FromUplink } from "../model/delivery.ts";
import type * as wire from "../model/picket.v1.ts";
import { frameTypes } from "./frames.ts";

const text = (most: number) => z.string().max(most);
const count = z.int().min(0);
/** uint32 of the protocol. */
const uint32 = z.int().min(0).max(0xffff_ffff);
const short = text(1000);
const outlet = z.int().min(0).max(9999);

/** Base64 of what a message of the stream may hold. */
const contentCharacters = 5_600_000;

const order = {
	block: z.strictObject({
		address: short.optional(),
		ttlSeconds: uint32.optional(),
		reason: short.optional(),
	}),
	unblock: z.strictObject({ address: short.optional() }),
	pause: z.strictObject({ container: short.optional(), reason: short.optional() }),
	resume: z.strictObject({ container: short.optional() }),
	kill: z.strictObject({ pid: uint32.optional(), startTime: text(64).optional(), reason: short.optional() }),
	queryProcesses: z.strictObject({ contains: short.optional(), limit: uint32.optional() }),
	queryConnections: z.strictObject({ pid: uint32.optional(), limit: uint32.optional() }),
	queryContainers: z.strictObject({ contains: short.optional(), limit: uint32.optional() }),
	queryCounters: z.strictObject({}),
	takeEvidence: z.strictObject({
		pid: uint32.optional(),
		startTime: text(64).optional(),
		reason: short.optional(),
	}),
	setMode: z.strictObject({ mode: text(32).optional(), reason: short.optional() }),
	applyContent: z.strictObject({
		content: text(contentCharacters).optional(),
		signature: text(200).optional(),
	}),
} satisfies Record<Exclude<keyof wire.Command, "id" | "expires" | "requester">, z.ZodType>;

const orders = Object.keys(order) as (keyof typeof order)[];

const command = z
	.strictObject({
		id: text(200).optional(),
		expires: text(64).optional(),
		requester: text(200).optional(),
		...(Object.fromEntries(orders.map((key) => [key, order[key].optional()])) as {
			[Key in keyof typeof order]: z.ZodOptional<(typeof order)[Key]>;
		}),
	})
	.refine((given) => orders.filter((key) => given[key] !== undefined).length <= 1, "more than one order");

const bodies = {
	ready: z.strictObject({
		confinement: z.array(short).max(32),
		problems: z.array(short).max(32),
	}),
	alive: z.strictObject({ problems: z.array(short).max(32) }),
	more: z.strictObject({
		outlet,
		after: count,
		records: z.int().min(1).max(10_000),
		bytes: z.int().min(1).max(16_777_216),
	}),
	acknowledged: z.strictObject({ outlet, position: count }),
	quarantine: z.strictObject({ outlet, position: count, reason: short }),
	command: z.strictObject({ outlet, command }),
	state: z.strictObject({
		outlet,
		state: z.strictObject({
			connected: z.boolean(),
			address: short,
			sent: count,
			acknowledged: count,
			problem: text(4000),
		}),
	}),
	renewed: z.strictObject({
		outlet,
		certificate: text(65_536),
		authorities: text(65_536),
		revoked: text(262_144),
		problem: text(1000),
	}),
	log: z.strictObject({ level: z.enum(["info", "warn", "error"]), message: text(4000) }),
} satisfies Record<FromUplink["type"], z.ZodType>;

const byNumber = new Map(
	(Object.keys(bodies) as FromUplink["type"][]).map((type) => [frameTypes[type] as number, type]),
);

/** Bytes of a frame from the uplink; 0 for what is none. */
export function fromUplinkLimit(type: number): number {
	const name = byNumber.get(type);
	if (name === undefined) return 0;
	if (name === "command") return contentCharacters + 65_536;
	return name === "renewed" ? 1_048_576 : 65_536;
}

/** The message, or what is wrong with it. Never throws. */
export function checkFromUplink(type: number, head: unknown, payload: Buffer): FromUplink | string {
	const name = byNumber.get(type);
	if (name === undefined) return `a frame of type ${type}`;
	if (payload.length > 0) return `${payload.length} bytes behind a ${name}`;
	const result = bodies[name].safeParse(head);
	if (result.success) return { type: name, ...result.data } as FromUplink;
	const issue = result.error.issues[0];
	return `a ${name} whose ${issue?.path.map(String).join(".").slice(0, 100) || "head"} is wrong: ${issue?.code ?? ""}`;
}

/** Why the core would not take this command; undefined when it would. What it refuses ends the uplink, so ask before. */
export function commandTrouble(given: wire.Command): string | undefined {
	const result = command.safeParse(given);
	if (result.success) return undefined;
	const issue = result.error.issues[0];
	return `${issue?.path.map(String).join(".").slice(0, 100) || "the command"}: ${issue?.message.slice(0, 200) ?? ""}`;
}

/** So much at once, and so much a second on average; one at a time unless it is told how many. */
export function createBudget(
	burst: number,
	perSecond: number,
	now: () => number,
): (amount?: number) => boolean {
	let left = burst;
	let last = now();
	return (amount = 1) => {
		const time = now();
		left = Math.min(burst, left + ((time - last) / 1000) * perSecond);
		last = time;
		if (left < amount) return false;
		left -= amount;
		return true;
	};
}
