// What a console sends, made safe: a command's shape, bounds and expiry. Nothing of it is believed before it has passed
// here; whether it is granted and whether it came before is the desk's business.
import { z } from "zod";
import type { Grant } from "../model/grants.ts";
import type * as wire from "../model/picket.v1.ts";
import { parseTime, parseUnixMs } from "../report/time.ts";

const text = (most: number) => z.string().max(most, `must have at most ${most} characters`).default("");
const reason = text(500);
const address = text(200);
const container = text(300);
const pid = z.number().int().min(1).max(4_194_304);
const uint32 = z.number().int().min(0).max(0xffff_ffff).default(0);
const startTime = z.string().refine((value) => parseTime(value) !== undefined, "must be a time");
const base64 = (most: number) =>
	z
		.string()
		.max(Math.ceil(most / 3) * 4, `must have at most ${most} bytes`)
		.regex(/^[A-Za-z0-9+/]*={0,2}$/, "must be base64")
		.default("");

/** Leaves room for the rest of a message of 4 MiB. */
export const mostContentBytes = 3 * 1024 * 1024;
const signatureBytes = 64;

/** Each order as canonical JSON holds it: what is empty there is left out. */
const orders = {
	block: z.strictObject({ address, ttlSeconds: uint32, reason }),
	unblock: z.strictObject({ address }),
	pause: z.strictObject({ container, reason }),
	resume: z.strictObject({ container }),
	kill: z.strictObject({ pid, startTime, reason }),
	queryProcesses: z.strictObject({ contains: text(200), limit: uint32 }),
	queryConnections: z.strictObject({ pid: pid.or(z.literal(0)).default(0), limit: uint32 }),
	queryContainers: z.strictObject({ contains: text(200), limit: uint32 }),
	queryCounters: z.strictObject({}),
	takeEvidence: z.strictObject({ pid, startTime, reason }),
	setMode: z.strictObject({ mode: z.enum(["observe", "enforce"]), reason }),
	applyContent: z.strictObject({ content: base64(mostContentBytes), signature: base64(signatureBytes) }),
} as const;
type Orders = typeof orders;
export type OrderName = keyof Orders;
const orderNames = Object.keys(orders) as OrderName[];

/** One of a console's orders with its parameters, which are within bounds. */
export type RemoteOrder = {
	[Name in OrderName]: { readonly name: Name; readonly params: z.output<Orders[Name]> };
}[OrderName];

/** A command within bounds that has not expired. */
export interface RemoteCommand {
	readonly id: string;
	/** Unix ms. */
	readonly expires: number;
	/** Who asked at the console, as it says. */
	readonly person: string;
	readonly order: RemoteOrder;
}

/** Visible ASCII: an id is shown, logged and compared. */
const idPattern = /^[\x21-\x7e]{1,200}$/;
const longestAheadMs = 24 * 3600 * 1000;
/** What the clocks of a console and a host may differ by. */
const skewMs = 5 * 60_000;

/** The id of whatever was sent, for the answer; "" when it has none that could be one. */
export function idOf(command: unknown): string {
	const id = typeof command === "object" && command !== null ? (command as wire.Command).id : undefined;
	return typeof id === "string" && idPattern.test(id) ? id : "";
}

/** What the command is for, as far as that can be told: for the audit. */
export function orderNameOf(command: unknown): OrderName | undefined {
	if (typeof command !== "object" || command === null) return undefined;
	const named = orderNames.filter((name) => Object.hasOwn(command, name));
	return named.length === 1 ? named[0] : undefined;
}

const envelope = z.strictObject({
	id: z.string(),
	expires: z.string().max(64).optional(),
	requester: text(200),
	...Object.fromEntries(orderNames.map((name) => [name, z.unknown().optional()])),
});

/** The command, or why it is refused. Never throws. `now` is unix ms. */
export function readCommand(command: unknown, now: number): RemoteCommand | string {
	const id = idOf(command);
	if (id === "") return "a command needs an id of 1 to 200 visible ASCII characters";
	const outer = envelope.safeParse(command);
	if (!outer.success) return issueText(outer.error);
	const { expires: until, requester } = outer.data;
	const expires = parseUnixMs(until ?? "");
	if (expires === undefined) return "a command needs a time at which it expires";
	if (expires <= now)
		return `the command expired ${seconds(now - expires)} ago by this host's clock; compare the clocks of console and host`;
	if (expires > now + longestAheadMs + skewMs)
		return (
			`the command expires ${seconds(expires - now)} from now by this host's clock, which is more than a day; ` +
			"let it expire earlier, or compare the clocks of console and host"
		);
	const given = orderNames.filter((name) => (outer.data as wire.Command)[name] !== undefined);
	const [name] = given;
	if (name === undefined)
		return "this sensor does not know that kind of command; it may be older than the console";
	if (given.length > 1) return `a command holds one order, this one has ${given.join(" and ")}`;
	const params = orders[name].safeParse((outer.data as wire.Command)[name]);
	if (!params.success) return `${name}.${issueText(params.error)}`;
	return { id, expires, person: requester, order: { name, params: params.data } as RemoteOrder };
}

function seconds(ms: number): string {
	return `${Math.ceil(ms / 1000)} s`;
}

function issueText({ issues: [first] }: z.ZodError): string {
	const path = first?.path.join(".") ?? "";
	const place = path === "" ? "" : `${path}: `;
	return `${place}${first?.message ?? "is not understood"}`.slice(0, 300);
}

/** The policy's word for an order; undefined for content, of which only its reader knows what it is. */
export function grantOf(name: OrderName): Grant | undefined {
	if (name === "applyContent") return undefined;
	return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) as Grant;
}

/** Does it change or cost the host something? Then it never happens twice, whatever else happens. */
export function acts(name: OrderName): boolean {
	return !name.startsWith("query");
}

/** Makes the host less changed than it is: a full disk must not keep anybody from it. */
export function takesBack(order: RemoteOrder): boolean {
	if (order.name === "setMode") return order.params.mode === "observe";
	return order.name === "unblock" || order.name === "resume";
}
