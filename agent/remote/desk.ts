// Where the commands of all consoles end, in the core: each gets exactly one result, none that acts is carried out
// twice, also over restarts, and what came of it is in the audit. Whether it is granted says the local policy.
import { createHash, randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Logger } from "pino";
import { CommandError } from "../failure.ts";
import type { Grant } from "../model/grants.ts";
import type * as wire from "../model/picket.v1.ts";
import { consoleRefusal, grantOfConsole } from "../policy/load.ts";
import type { ConsoleGrant, Policy } from "../policy/policy.ts";
import { errorText } from "../report/errors.ts";
import { createCommandAudit } from "./audit.ts";
import { type BucketLimits, createBuckets } from "./buckets.ts";
import {
	acts,
	grantOf,
	idOf,
	orderNameOf,
	type RemoteCommand,
	type RemoteOrder,
	readCommand,
	takesBack,
} from "./command.ts";
import { fitted, kindOf, shortened, targetOf } from "./result.ts";
import { openSeenCommands } from "./seen.ts";

/** A command that is to be carried out: granted, and not taken before. */
export interface RemoteRequest {
	readonly id: string;
	/** Of the console, as the host's configuration calls it. */
	readonly console: string;
	/** "console:hq", for the audit. */
	readonly requester: string;
	/** Who asked at the console, as it says; "" when it does not. */
	readonly person: string;
	readonly order: RemoteOrder;
	readonly grant: ConsoleGrant;
	/** Why the policy does not grant that to this console; undefined when it does. */
	refusal(grant: Grant): string | undefined;
}

export interface CommandDesk {
	/**
	 * `console` is its name in the host's configuration, `command` what its JSON was parsed to, of which nothing is
	 * believed. Never rejects; the result fits into a message.
	 */
	take(console: string, command: unknown): Promise<wire.CommandResult>;
	/** In a sentence each, for the status. */
	problems(): string[];
	/** Refuses what comes later and writes what is not in the audit yet. */
	close(): Promise<void>;
}

export interface DeskOptions {
	readonly stateDir: string;
	/** Unix ms. */
	readonly clock: () => number;
	readonly logger: Logger;
	readonly policy: () => Policy;
	readonly carryOut: (request: RemoteRequest) => Promise<wire.CommandResult>;
	/** Tells an act that was refused here to whoever gets records. */
	readonly emit: (action: wire.Action) => void;
	/** ms after which a command that has no result gets one that says so; 60,000 by default. */
	readonly resultMs?: number;
	readonly limits?: Partial<BucketLimits>;
}

const defaultLimits: BucketLimits = { perMinute: 120, burst: 60, allPerMinute: 300 };
const maxRunning = 16;
const maxRunningOfOne = 8;
/** For what gives back, whatever hangs. */
const spareRunning = 8;
const remembered = 1000;
/** What `close` waits for those that run. */
const closeMs = 3000;
const tooMany = "refused without a look: too many";

interface Taken {
	readonly digest: string;
	readonly result: Promise<wire.CommandResult>;
	ended: boolean;
}

/** Within which a command has its result, ms; content has a trial first. */
const usualMs = 60_000;
const trialMs = 90_000;

export function createCommandDesk(options: DeskOptions): CommandDesk {
	const { clock, logger, policy } = options;
	const limits = { ...defaultLimits, ...options.limits };
	const buckets = createBuckets(limits, clock);
	const audit = createCommandAudit(options.stateDir, clock, logger);
	const seen = openSeenCommands({ file: join(options.stateDir, "commands.seen"), clock });
	if (seen.problem !== "") logger.warn(seen.problem);
	/** By console and id, in the order they came; of those that ended only the newest. */
	const known = new Map<string, Taken>();
	const running = new Map<string, number>();
	const deciding = new Set<Promise<unknown>>();
	let closed = false;

	const keep = (key: string, taken: Taken): void => {
		known.set(key, taken);
		if (known.size <= remembered) return;
		for (const [old, { ended }] of known) {
			if (ended) known.delete(old);
			if (known.size <= remembered) return;
		}
	};
	const sumOfRunning = (): number => [...running.values()].reduce((sum, count) => sum + count, 0);
	const changeRunning = (console: string, by: number): void => {
		running.set(console, (running.get(console) ?? 0) + by);
	};

	/** A result that says why not, in the audit, and told as an act where it was one. */
	const refuse = async (console: string, raw: unknown, why: string): Promise<wire.CommandResult> => {
		const result = { commandId: idOf(raw), accepted: false, message: `refused: ${why}` };
		const order = orderNameOf(raw);
		await audit.outcome(
			console,
			{
				command: { id: result.commandId, order: order ?? "" },
				accepted: false,
				message: result.message.slice(0, 1000),
			},
			false,
		);
		return result;
	};

	/** Why it is not carried out; undefined when it is to be, and then it counts as taken. */
	const objection = (console: string, command: RemoteCommand, digest: string): string | undefined => {
		const { order, id, expires } = command;
		const wanted = grantOf(order.name);
		const requester = `console:${console}`;
		const { may } = grantOfConsole(policy(), console);
		const forbidden =
			wanted === undefined && may.some((grant) => grant.startsWith("apply_"))
				? undefined
				: consoleRefusal(policy(), requester, wanted ?? "apply_rules, apply_policy or apply_intel");
		if (forbidden !== undefined) return forbidden;
		const back = takesBack(order);
		const room = back ? spareRunning : 0;
		if (
			sumOfRunning() >= maxRunning + room ||
			(running.get(console) ?? 0) >= maxRunningOfOne + (back ? spareRunning : 0)
		)
			return `${maxRunningOfOne} commands of this console, or ${maxRunning} in all, are running already; try again with a new id`;
		if (!acts(order.name)) return undefined;
		const old = back ? undefined : seen.tooOld(expires);
		if (old !== undefined) return old;
		try {
			seen.add({ console, id, digest, expires });
		} catch (error) {
			if (!back) return errorText(error);
		}
		return undefined;
	};

	/** Told to all outputs: somebody tried to act on this host who may not. */
	const tellRefused = (console: string, { order, person }: RemoteCommand, why: string): void => {
		const kind = kindOf(order);
		if (kind === undefined) return;
		const reason = "reason" in order.params ? order.params.reason : "";
		options.emit({
			id: randomUUID(),
			kind,
			outcome: "OUTCOME_REFUSED",
			target: targetOf(order),
			targetName: "",
			reason: withPerson(reason, person),
			requester: `console:${console}`,
			steps: [`refused: ${why}`],
		});
	};

	const decide = async (console: string, raw: unknown, digest: string): Promise<wire.CommandResult> => {
		const command = readCommand(raw, clock());
		if (typeof command === "string") return refuse(console, raw, command);
		const { id, order, person } = command;
		const before = seen.find(console, id);
		if (before !== undefined) {
			audit.count(console, "came again");
			if (before.digest !== digest) return { commandId: id, ...usedBefore };
			return {
				commandId: id,
				...(before.outcome ?? {
					accepted: false,
					message:
						"it came before this sensor was started anew, and what came of it is not known; it is not carried out again, " +
						"see the actions",
				}),
			};
		}
		const why = objection(console, command, digest);
		if (why !== undefined) {
			if (acts(order.name)) tellRefused(console, command, why);
			return refuse(console, raw, why);
		}
		changeRunning(console, 1);
		const acted = acts(order.name);
		const about = { person, command: { id, order: order.name, ...shownParams(order) } };
		try {
			if (acted && !announced.has(order.name)) await audit.announce(console, about);
		} catch (error) {
			changeRunning(console, -1);
			const message = `refused: the audit cannot be written: ${errorText(error)}`;
			return { commandId: id, accepted: false, message };
		}
		const work = resultOf(
			options.carryOut({
				...{ id, console, requester: `console:${console}`, person, order },
				grant: grantOfConsole(policy(), console),
				refusal: (grant) => consoleRefusal(policy(), `console:${console}`, grant),
			}),
		);
		void work.then(() => changeRunning(console, -1));
		const ms = options.resultMs ?? (order.name === "applyContent" ? trialMs : usualMs);
		const result = fitted({ ...(await within(work, ms)), commandId: id });
		const { accepted = false, message = "" } = result;
		if (acted) seen.settle(console, id, { accepted, message });
		await audit.outcome(console, { ...about, accepted, message: message.slice(0, 1000) }, acted);
		return result;
	};

	return {
		take(console, raw) {
			const id = idOf(raw);
			const key = `${console}\n${id}`;
			const before = id === "" ? undefined : known.get(key);
			if (!buckets.take(console)) {
				audit.count(console, tooMany);
				// What is known costs nothing, and a refusal would be wrong: it may be running.
				if (before !== undefined) return before.result;
				return Promise.resolve({
					commandId: id,
					accepted: false,
					message: `refused: more than ${limits.perMinute} commands a minute of this console, or ${limits.allPerMinute} of all`,
				});
			}
			if (closed)
				return Promise.resolve({
					commandId: id,
					accepted: false,
					message: "refused: the sensor is stopping",
				});
			let digest: string;
			try {
				digest = digestOf(raw);
			} catch {
				// Nested deeper than there is room on the stack.
				return refuse(console, raw, "the command cannot be read");
			}
			if (before !== undefined) {
				audit.count(console, "came again");
				return before.digest === digest ? before.result : Promise.resolve({ commandId: id, ...usedBefore });
			}
			const answer = decide(console, raw, digest).catch((error): wire.CommandResult => {
				// A defect of ours: the console still gets its one result.
				logger.error({ err: error }, "a console's command");
				return { commandId: id, accepted: false, message: `failed: ${errorText(error)}` };
			});
			const taken: Taken = { digest, result: answer.then(shortened), ended: false };
			if (id !== "") keep(key, taken);
			deciding.add(answer);
			void answer.then(() => {
				taken.ended = true;
				deciding.delete(answer);
			});
			return answer;
		},
		problems: () => (seen.danger === "" ? [] : [seen.danger]),
		async close() {
			closed = true;
			const late = Promise.withResolvers<void>();
			const timer = setTimeout(late.resolve, closeMs);
			await Promise.race([Promise.all(deciding), late.promise]);
			clearTimeout(timer);
			await audit.close();
			seen.close();
		},
	};
}

const usedBefore = {
	accepted: false,
	message: "refused: that id was used for another command before; give each command an id of its own",
};

/** Those with a write-ahead of their own: the responder's, and that of the mode. */
const announced: ReadonlySet<string> = new Set(["block", "unblock", "pause", "resume", "kill", "setMode"]);

/** "asked by a console (alice)". */
export function withPerson(reason: string, person: string): string {
	return `${reason || "asked by a console"}${person === "" ? "" : ` (${person})`}`;
}

function digestOf(raw: unknown): string {
	return createHash("sha256")
		.update(JSON.stringify(raw) ?? "")
		.digest("hex")
		.slice(0, 32);
}

/** For the audit; of content only its size and hash. */
function shownParams(order: RemoteOrder): object {
	if (order.name !== "applyContent") return { params: order.params };
	const bytes = Buffer.from(order.params.content, "base64");
	return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

async function resultOf(work: Promise<wire.CommandResult>): Promise<wire.CommandResult> {
	try {
		return await work;
	} catch (error) {
		const remedy = error instanceof CommandError ? ` (${error.remedy})` : "";
		return { accepted: false, message: `failed: ${errorText(error)}${remedy}` };
	}
}

async function within(work: Promise<wire.CommandResult>, ms: number): Promise<wire.CommandResult> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<wire.CommandResult>((resolve) => {
		timer = setTimeout(() => {
			const message = `no result within ${ms / 1000} s; the order may still take effect, see the actions`;
			resolve({ accepted: false, message });
		}, ms).unref();
	});
	try {
		return await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
}
