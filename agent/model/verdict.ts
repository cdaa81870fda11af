// What detect and policy conclude, and what respond is asked to do.
import type * as wire from "./picket.v1.ts";

export type Severity = "informational" | "low" | "medium" | "high" | "critical";
export const severities: readonly Severity[] = ["informational", "low", "medium", "high", "critical"];

/** Falco's priorities, strongest first, and the severity each maps to. */
export const priorities = {
	Emergency: "critical",
	Alert: "critical",
	Critical: "critical",
	Error: "high",
	Warning: "medium",
	Notice: "low",
	Informational: "informational",
	Debug: "informational",
} as const satisfies Record<string, Severity>;
export type Priority = keyof typeof priorities;

/** One match, before it becomes an alert record. Strings are latin1 where they hold captured text. */
export interface Finding {
	readonly rule: string;
	readonly origin: "picket" | "falco" | "sigma" | "policy";
	readonly priority: Priority;
	readonly severity: Severity;
	/** The rule's output, fields filled in. */
	readonly summary: string;
	readonly description: string;
	/** ATT&CK tactic names with dashes ("credential-access") and technique ids ("T1003.008"). */
	readonly tactics: readonly string[];
	readonly techniques: readonly string[];
	readonly tags: readonly string[];
	/** Output fields by Falco name. */
	readonly fields: Readonly<Record<string, string>>;
	/** Who made the rule and where to read on, as far as the rule says so. */
	readonly credit?: Credit;
}

export interface Credit {
	/** The rule's own id; "" when it has none. */
	readonly id: string;
	readonly author: string;
	readonly references: readonly string[];
	readonly falsePositives: readonly string[];
}

/** What a policy line asks for. */
export type Response =
	| { readonly act: "alert" }
	| { readonly act: "block"; readonly ttlSeconds: number }
	| { readonly act: "pause" }
	| { readonly act: "kill" };

/** A wanted act with its target, as given by policy, the CLI or a console. Nothing here is trusted. */
export type Order =
	| { readonly kind: "block"; readonly address: string; readonly ttlSeconds: number }
	| { readonly kind: "unblock"; readonly address: string }
	| { readonly kind: "pause"; readonly container: string }
	| { readonly kind: "resume"; readonly container: string }
	/** start: ns since boot as in Process.start. */
	| { readonly kind: "kill"; readonly pid: number; readonly start: number };

export interface OrderContext {
	/** "policy", "cli", "console:<name>". */
	readonly requester: string;
	readonly reason: string;
	readonly alertId: string;
	/** Unix ms of the event that led here; undefined for orders by hand. */
	readonly eventTime: number | undefined;
}

/** Carries out orders; every call ends in exactly one Action, whatever happens. */
export interface Responder {
	order(order: Order, context: OrderContext): Promise<wire.Action>;
}

/** A mistake in something a user wrote, with its place and the way out. */
export interface Problem {
	readonly file: string;
	/** 1-based; 0 when the file as a whole is meant. */
	readonly line: number;
	readonly column: number;
	/** Key or rule name, "" when there is none. */
	readonly where: string;
	readonly message: string;
	readonly remedy: string;
	readonly level: "error" | "warning";
}
