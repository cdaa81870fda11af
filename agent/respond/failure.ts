// Every way in which a response can end other than well, each with a code and a remedy.

export type FailureCode =
	| "PICKET_ORDER_INVALID"
	| "PICKET_TARGET_PROTECTED"
	| "PICKET_TARGET_UNKNOWN"
	| "PICKET_RATE_LIMITED"
	| "PICKET_BREAKER_OPEN"
	| "PICKET_NOT_PERMITTED"
	| "PICKET_CLOSING"
	| "PICKET_AUDIT_FAILED"
	| "PICKET_COMMAND_MISSING"
	| "PICKET_COMMAND_FAILED"
	| "PICKET_COMMAND_TIMEOUT"
	| "PICKET_FIREWALL_UNUSABLE"
	| "PICKET_RUNTIME_FAILED"
	| "PICKET_KILL_FAILED"
	| "PICKET_KERNEL_UNFIT"
	| "PICKET_REFUSAL_FAILED";

/** A refusal was decided before anything was attempted; everything else is a failed attempt. */
const refusals: ReadonlySet<FailureCode> = new Set<FailureCode>([
	"PICKET_ORDER_INVALID",
	"PICKET_TARGET_PROTECTED",
	"PICKET_TARGET_UNKNOWN",
	"PICKET_RATE_LIMITED",
	"PICKET_BREAKER_OPEN",
	"PICKET_NOT_PERMITTED",
	"PICKET_CLOSING",
	"PICKET_KERNEL_UNFIT",
]);

export class RespondError extends Error {
	readonly code: FailureCode;
	/** What the user can do about it. */
	readonly remedy: string;

	constructor(code: FailureCode, message: string, remedy: string) {
		super(message);
		this.code = code;
		this.remedy = remedy;
	}

	get refused(): boolean {
		return refusals.has(this.code);
	}
}

/** One line for an action's steps. */
export function describeError(error: unknown): string {
	if (error instanceof RespondError) return `${error.code}: ${error.message}; ${error.remedy}`;
	return error instanceof Error ? error.message : String(error);
}
