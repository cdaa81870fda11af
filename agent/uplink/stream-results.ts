// Results of commands on their way to a console: kept, within bounds, while there is no connection.
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "../report/errors.ts";
import { messageLimit, requestCodec } from "../report/protojson.ts";

export interface Results {
	/** Takes a result to be sent with the next `each`. */
	keep(result: wire.CommandResult): void;
	/** Hands out what is kept, oldest first, as messages; what `send` says false to stays, and all after it. */
	each(send: (message: Buffer) => boolean): void;
	readonly kept: number;
}

const maxResults = 1000;
const maxBytes = 16 * 1024 * 1024;
/** What is above this gives way to its short form first. */
const shortBytes = 2048;

export function createResults(tell: (text: string) => void): Results {
	let waiting: { readonly result: wire.CommandResult; message: Buffer }[] = [];
	let bytes = 0;

	const shorten = (): void => {
		for (const one of waiting) {
			if (bytes <= maxBytes) return;
			if (one.message.length <= shortBytes) continue;
			bytes -= one.message.length;
			one.message = shortResult(one.result, "it was too long to be kept while the console was away");
			bytes += one.message.length;
		}
	};
	return {
		keep(result) {
			const message = encodeResult(result);
			waiting.push({ result, message });
			bytes += message.length;
			shorten();
			while (waiting.length > maxResults) {
				const first = waiting.shift();
				bytes -= first?.message.length ?? 0;
				tell(`the result of command ${first?.result.commandId} is dropped: ${maxResults} wait already`);
			}
		},
		each(send) {
			let count = 0;
			for (const { message } of waiting) {
				if (!send(message)) break;
				bytes -= message.length;
				count++;
			}
			waiting = waiting.slice(count);
		},
		get kept() {
			return waiting.length;
		},
	};
}

/** A result that no message can hold must not end the connection again and again: its place takes one that can. */
function encodeResult(result: wire.CommandResult): Buffer {
	try {
		const bytes = requestCodec.encode({ result });
		return bytes.length <= messageLimit ? bytes : shortResult(result, "it is too long");
	} catch (error) {
		return shortResult(result, errorText(error).slice(0, 200));
	}
}

function shortResult(result: wire.CommandResult, why: string): Buffer {
	const message = `${result.message ?? ""} (the whole result cannot be sent: ${why})`;
	return requestCodec.encode({
		result: {
			commandId: String(result.commandId),
			accepted: result.accepted === true,
			message: message.slice(-1000),
		},
	});
}
