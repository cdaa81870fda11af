// What comes from a console: every command ends in exactly one result, and none is carried out twice. Whether
// an order is allowed is the local policy's business, behind `onCommand`.
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "./errors.ts";
import { parseUnixMs } from "./time.ts";

export interface CommandDesk {
	take(command: wire.Command): void;
	/** Results that could not be sent yet, oldest first; they are the caller's from now on. */
	pending(): wire.CommandResult[];
}

export interface CommandOptions {
	readonly onCommand: (command: wire.Command) => Promise<wire.CommandResult>;
	/** Unix ms. */
	readonly clock: () => number;
	/** False when there is no connection now; the result is then kept for the next one. */
	readonly send: (result: wire.CommandResult) => boolean;
	/** ms after which a command that has no result gets one that says so; 60,000 by default. */
	readonly resultMs?: number;
}

const orders = [
	"block",
	"unblock",
	"pause",
	"resume",
	"kill",
	"queryProcesses",
	"applyContent",
] as const satisfies readonly (keyof wire.Command)[];

const remembered = 1000;
const maxRunning = 16;
const maxIdLength = 200;

export function createCommandDesk(options: CommandOptions): CommandDesk {
	/** By id: the result, or undefined while the command runs. In the order they came. */
	const known = new Map<string, wire.CommandResult | undefined>();
	const waiting: wire.CommandResult[] = [];
	let running = 0;

	const answer = (result: wire.CommandResult): void => {
		if (options.send(result)) return;
		waiting.push(result);
		if (waiting.length > remembered) waiting.shift();
	};
	const refuse = (id: string, message: string): void =>
		answer({ commandId: id, accepted: false, message: `refused: ${message}` });
	const remember = (id: string, result: wire.CommandResult | undefined): void => {
		known.set(id, result);
		for (const [old, oldResult] of known) {
			if (known.size <= remembered) break;
			// A running command is not forgotten: there are few of them.
			if (oldResult !== undefined) known.delete(old);
		}
	};
	const run = async (id: string, command: wire.Command): Promise<void> => {
		running++;
		remember(id, undefined);
		const result = await resultOf(command, options);
		running--;
		const complete = { ...result, commandId: id };
		// Process lists are long; who asks again gets told to ask anew.
		const { processes, ...short } = complete;
		remember(
			id,
			processes === undefined
				? complete
				: { ...short, message: "answered before; ask again with a new command id" },
		);
		answer(complete);
	};

	return {
		take(command) {
			const id = command.id ?? "";
			if (id === "" || id.length > maxIdLength) {
				return refuse(id.slice(0, maxIdLength), `a command needs an id of 1 to ${maxIdLength} characters`);
			}
			if (known.has(id)) {
				const before = known.get(id);
				// Still running: its one result is on the way.
				if (before !== undefined) answer(before);
				return;
			}
			const expires = parseUnixMs(command.expires ?? "");
			if (expires === undefined) return refuse(id, "a command needs a time at which it expires");
			if (expires <= options.clock()) {
				return refuse(
					id,
					`the command expired at ${command.expires}; compare the clocks of console and host`,
				);
			}
			if (!orders.some((order) => command[order] !== undefined)) {
				return refuse(id, "this sensor does not know that kind of command; it may be older than the console");
			}
			if (running >= maxRunning) return refuse(id, `${maxRunning} commands are running already; try again`);
			void run(id, command);
		},
		pending: () => waiting.splice(0),
	};
}

async function resultOf(command: wire.Command, options: CommandOptions): Promise<wire.CommandResult> {
	const limit = options.resultMs ?? 60_000;
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<wire.CommandResult>((resolve) => {
		timer = setTimeout(() => {
			const message = `no result within ${limit / 1000} s; the order may still take effect, see the actions`;
			resolve({ accepted: false, message });
		}, limit).unref();
	});
	try {
		return await Promise.race([options.onCommand(command), late]);
	} catch (error) {
		return { accepted: false, message: `failed: ${errorText(error)}` };
	} finally {
		clearTimeout(timer);
	}
}
