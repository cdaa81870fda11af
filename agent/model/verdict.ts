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
	/** Of a correlation: what it was made of. */
	readonly evidence?: Evidence;
	/** The most that may follow it: only that it is told, or only what would be done; absent: what responses say. */
	readonly atMost?: "alert" | "observe";
}

/** The matches a correlation joined. */
export interface Evidence {
	/** "event_count", …, as in its document. */
	readonly type: string;
	/** What was compared with the thresholds. */
	readonly value: number;
	/** Events in the window that matched. */
	readonly matches: number;
	/** Numbers of the newest of them, at most 32, oldest first. */
	readonly events: readonly number[];
	/** Values of the group-by fields. */
	readonly group: Readonly<Record<string, string>>;
	/** ns since boot. */
	readonly first: number;
	readonly last: number;
	/** Names of the rules that matched, in the order of the document. */
	readonly rules: readonly string[];
}

export interface Credit {
	/** The rule's own id; "" when it has none. */
	readonly id: string;
	readonly author: string;
	readonly references: readonly string[];
	readonly falsePositives: readonly string[];
}

/** Which packets of a blocked address are dropped, as this host and its containers see them. */
export type Direction = "in" | "out" | "both";

/** How far the host may be changed. */
export type Mode = "observe" | "enforce";

/** What a policy line asks for; a mode is there when that line holds back what the configuration permits. */
export type Response = Act & { readonly mode?: Mode };

/** 0 seconds stand for the configured time to live. */
export type Act =
	| { readonly act: "alert" }
	| { readonly act: "block"; readonly ttlSeconds: number; readonly direction: Direction }
	| { readonly act: "pause" | "disconnect" | "refuseEgress" | "refuseExec"; readonly ttlSeconds: number }
	| { readonly act: "stop" | "restart" | "remove" | "kill" | "killTree" };

/** For people: "block for 1800 s". */
export function responseText(response: Response): string {
	const act = response.act.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
	const seconds = "ttlSeconds" in response ? response.ttlSeconds : 0;
	const way = response.act === "block" && response.direction !== "both" ? ` ${response.direction}` : "";
	return `${act}${way}${seconds === 0 ? "" : ` for ${seconds} s`}`;
}

/** A wanted act with its target, as given by policy, the CLI or a console. Nothing here is trusted. */
export type Order =
	| {
			readonly kind: "block";
			readonly address: string;
			/** 0 for the configured time; permanent ones come from the local admin only. */
			readonly ttlSeconds: number;
			readonly direction?: Direction;
			readonly permanent?: boolean;
	  }
	| { readonly kind: "unblock"; readonly address: string }
	/** Ends the established flows with an address without blocking it. */
	| { readonly kind: "cut"; readonly address: string }
	/** By id or name. pause and disconnect (from its networks) end after their time, 0 for the configured one. */
	| { readonly kind: "pause" | "disconnect"; readonly container: string; readonly ttlSeconds?: number }
	| {
			readonly kind: "resume" | "stop" | "start" | "restart" | "remove" | "reconnect";
			readonly container: string;
	  }
	/** start: ns since boot as in Process.start. tree: with all it has started. */
	| { readonly kind: "kill"; readonly pid: number; readonly start: number; readonly tree?: boolean }
	/** Refused in the kernel: everything a container sends. */
	| { readonly kind: "refuseEgress"; readonly container: string; readonly ttlSeconds: number }
	| { readonly kind: "permitEgress"; readonly container: string }
	/**
	 * Refused in the kernel: executions of `program` in a container, or on the whole host where that is "". A program is
	 * an absolute path as the process sees it, "inode:<device>:<inode>", "not-from-image" or "any".
	 */
	| {
			readonly kind: "refuseExec";
			readonly program: string;
			readonly container: string;
			readonly ttlSeconds: number;
	  }
	| { readonly kind: "permitExec"; readonly program: string; readonly container: string };

export interface OrderContext {
	/** "policy", "cli", "console:<name>". */
	readonly requester: string;
	readonly reason: string;
	readonly alertId: string;
	/** Unix ms of the event that led here; undefined for orders by hand. */
	readonly eventTime: number | undefined;
	/** Ids of the events that led here. */
	readonly evidence?: readonly string[];
	/** The rule that asks, which has a share of the acts; absent for orders by hand. */
	readonly rule?: string;
	/** Holds back what the configuration permits: the mode of the policy's line. */
	readonly mode?: Mode;
}

/** Carries out orders; every call ends in exactly one Action, whatever happens. */
export interface Responder {
	order(order: Order, context: OrderContext): Promise<wire.Action>;
	/** Would any order of this rule be refused now, since it wanted too many? */
	alertOnly(rule: string): boolean;
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
