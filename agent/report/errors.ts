// The errors that reporting raises while it is being set up or while it reads foreign data. A running sink
// raises none: what goes wrong there is in its status.

export type ReportErrorCode =
	/** A JSON value does not fit its message. */
	| "MESSAGE_JSON"
	/** Bytes that are no message of the expected type. */
	| "MESSAGE_BYTES"
	| "ADDRESS"
	/** Clear text towards anything but this host. */
	| "PLAINTEXT"
	| "CERTIFICATE"
	| "LISTEN"
	| "STORE"
	| "NO_SENSOR"
	/** Whoever asks has not shown that he may. */
	| "REFUSED"
	/** Asked too often. */
	| "BUSY"
	| "NO_ANSWER";

export class ReportError extends Error {
	override readonly name = "ReportError";
	readonly code: ReportErrorCode;

	constructor(code: ReportErrorCode, message: string, cause?: unknown) {
		super(message, cause === undefined ? undefined : { cause });
		this.code = code;
	}
}

/** What to say of anything thrown. */
export function errorText(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
