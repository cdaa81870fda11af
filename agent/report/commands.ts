// Commands of a console at its end of the stream: handed on, and their results kept until they can be sent. Whether one
// is carried out, and that none is twice, is the business of the desk in the core (agent/remote/desk.ts).
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "./errors.ts";

export interface CommandDesk {
	take(command: wire.Command): void;
	/** Results that could not be sent yet, oldest first; they are the caller's from now on. */
	pending(): wire.CommandResult[];
}

export interface CommandOptions {
	/** Answers each command once, also one that comes again. */
	readonly onCommand: (command: wire.Command) => Promise<wire.CommandResult>;
	/** False when there is no connection now; the result is then kept for the next one. */
	readonly send: (result: wire.CommandResult) => boolean;
}

/** Bytes of the results that wait; a console that asks again gets what was dropped again. */
const mostWaitingBytes = 8 * 1024 * 1024;
const mostWaiting = 1000;
/** The core answers at once when it refuses; more than that are on their way only when it does not answer at all. */
const mostRunning = 1000;

export function createCommandDesk({ onCommand, send }: CommandOptions): CommandDesk {
	let waiting: { readonly result: wire.CommandResult; readonly bytes: number }[] = [];
	let waitingBytes = 0;
	/** Ids on their way to the core. */
	const running = new Set<string>();

	const answer = (result: wire.CommandResult): void => {
		if (send(result)) return;
		const bytes = Buffer.byteLength(JSON.stringify(result));
		waiting.push({ result, bytes });
		waitingBytes += bytes;
		while (waiting.length > mostWaiting || waitingBytes > mostWaitingBytes)
			waitingBytes -= waiting.shift()?.bytes ?? 0;
	};

	return {
		take(command) {
			const commandId = (command.id ?? "").slice(0, 200);
			// Its one result is on the way; a console that connects anew asks again.
			if (commandId !== "" && running.has(commandId)) return;
			if (running.size >= mostRunning)
				return answer({
					commandId,
					accepted: false,
					message: `refused: ${mostRunning} commands are running already; try again`,
				});
			running.add(commandId);
			onCommand(command)
				.catch(
					(error): wire.CommandResult => ({
						accepted: false,
						message: `failed: ${errorText(error)}`,
					}),
				)
				.then((result) => {
					running.delete(commandId);
					answer({ ...result, commandId });
				});
		},
		pending() {
			const all = waiting.map(({ result }) => result);
			waiting = [];
			waitingBytes = 0;
			return all;
		},
	};
}
