// What lies between the sensor and those it reports to: records in the spool, who reads them, and what the core and
// its uplink (the process that speaks with the outside) say to each other.
import type * as wire from "./picket.v1.ts";
import type { Severity } from "./verdict.ts";

export type RecordKind = "event" | "alert" | "incident" | "action" | "gap" | "status";
export const recordKinds: readonly RecordKind[] = ["event", "alert", "incident", "action", "gap", "status"];

/** One record as it lies in the spool and goes over the wire. With the host's id, boot and sequence are its key. */
export interface Stored {
	/** Its place in the spool, growing by each record, also over restarts and boots; never given twice. */
	readonly position: number;
	readonly bootId: string;
	readonly sequence: number;
	readonly kind: RecordKind;
	/** Of alerts and incidents; "informational" for all else. */
	readonly severity: Severity;
	/** A serialized picket.v1 Record. */
	readonly payload: Buffer;
}

/** Which records a reader gets. */
export interface RecordFilter {
	readonly kinds: readonly RecordKind[];
	/** Of alerts and incidents those of at least this severity. */
	readonly severity: Severity;
}

/**
 * Records for one destination, in order: what the stream and the syslog senders take from, wherever the records lie
 * (in memory for the embedded console, in the core's spool for the uplink).
 */
export interface RecordSource {
	/** The next records in order, at least one if any is at hand; they stay the source's until acknowledged. */
	take(maxRecords: number, maxBytes: number): Stored[];
	/** Is there anything to take right now? */
	readonly waiting: boolean;
	/** Called whenever there may be something to take after there was nothing; one listener. */
	onWaiting(listener: () => void): void;
	/** Alerts, actions and gaps that are made while older records are still on their way; one listener. */
	onAhead(listener: (record: Stored) => void): void;
	/** All records up to and with this position have arrived for good. */
	acknowledge(position: number): void;
	/** What was taken and not acknowledged comes again. */
	rewind(): void;
	/** This record can never be delivered there; it is set aside, told, and counts as acknowledged. */
	quarantine(position: number, reason: string): void;
	/** Records not acknowledged yet, as far as known. */
	readonly held: number;
}

/** PEM texts, not paths: the uplink reads no file of ours. */
export interface TlsTexts {
	readonly ca?: string;
	readonly cert?: string;
	readonly key?: string;
	/** Revoked certificates of the other side. */
	readonly crl?: string;
	/** Name to expect in the certificate instead of the address's host. */
	readonly serverName?: string;
}

/** One destination. `id` is its place in the list and names it in frames; `name` is unique, stable and for people. */
export type OutletConfig =
	| {
			readonly id: number;
			readonly kind: "console";
			readonly name: string;
			/** In the order in which they are tried: "host:port" or "unix:/path". */
			readonly addresses: readonly string[];
			/** Absent: plain text, to a loopback address or a socket only. */
			readonly tls?: TlsTexts;
	  }
	| {
			readonly id: number;
			readonly kind: "syslog";
			readonly name: string;
			/** "udp:host:514", "tcp:…", "tls:…" (model/syslog.ts). */
			readonly address: string;
			readonly facility: string;
			readonly form: "text" | "json";
			readonly maxMessageBytes: number;
			readonly tls?: TlsTexts;
	  };

export interface OutletState {
	readonly connected: boolean;
	/** Which of its addresses; "" while not connected. */
	readonly address: string;
	readonly sent: number;
	readonly acknowledged: number;
	/** "" when all is well. */
	readonly problem: string;
}

/** From the core to the uplink. */
export type ToUplink =
	/** The first one; again when configuration, certificates or what is in force change. */
	| {
			readonly type: "configure";
			readonly outlets: readonly OutletConfig[];
			readonly hello: wire.Hello;
			/** Address for /metrics and /healthz; "" for none. */
			readonly metrics: string;
	  }
	/** The answer to `more`, in order. */
	| { readonly type: "records"; readonly outlet: number; readonly records: readonly Stored[] }
	/** For consoles that are behind: RecordSource.onAhead. */
	| { readonly type: "ahead"; readonly outlet: number; readonly record: Stored }
	| { readonly type: "result"; readonly outlet: number; readonly result: wire.CommandResult }
	/** Every few seconds, for heartbeats and metrics. */
	| { readonly type: "status"; readonly status: wire.Status; readonly policyHash: string }
	/** Ask that console for a new certificate for this key, with the present one; then try it (enrol/renew.ts). */
	| { readonly type: "renew"; readonly outlet: number; readonly key: string; readonly request: string }
	/** Say farewell and end. */
	| { readonly type: "stop" };

/** From the uplink to the core, which believes none of it: every field is checked, every size bounded. */
export type FromUplink =
	/** What holds it, and what could not be had of it, in words. */
	| { readonly type: "ready"; readonly confinement: readonly string[]; readonly problems: readonly string[] }
	/** The answer to each status: it still turns; what is wrong that is no outlet's. */
	| { readonly type: "alive"; readonly problems: readonly string[] }
	/** Wants so many records after this position, now or once there are some. */
	| {
			readonly type: "more";
			readonly outlet: number;
			readonly after: number;
			readonly records: number;
			readonly bytes: number;
	  }
	| { readonly type: "acknowledged"; readonly outlet: number; readonly position: number }
	| {
			readonly type: "quarantine";
			readonly outlet: number;
			readonly position: number;
			readonly reason: string;
	  }
	/** Canonical JSON of a Command; of applyContent the bytes are base64 as everywhere. */
	| { readonly type: "command"; readonly outlet: number; readonly command: wire.Command }
	/** The answer to `renew`: PEM texts that worked on a connection of their own, or a problem and "" for all else. */
	| {
			readonly type: "renewed";
			readonly outlet: number;
			readonly certificate: string;
			readonly authorities: string;
			readonly revoked: string;
			readonly problem: string;
	  }
	| { readonly type: "state"; readonly outlet: number; readonly state: OutletState }
	| { readonly type: "log"; readonly level: "info" | "warn" | "error"; readonly message: string };

/** The stage between the output and whatever is away from this host. */
export interface Spool {
	/**
	 * Takes a record. Alerts, incidents, actions and gaps are committed (on the disk) at once, all else in groups of at
	 * most 200 ms. Neither blocks nor throws; what cannot be kept is counted and told through `lost`.
	 */
	push(record: Omit<Stored, "position">): void;
	/** A reader that keeps its place by its name over restarts; one that is new begins at the end. */
	reader(name: string, filter: RecordFilter): SpoolReader;
	/** Readers that no configuration names any more hold nothing back: forget all but these. */
	retain(names: readonly string[]): void;
	status(): wire.Spool;
	/** Resolves when all that was pushed before is committed. */
	flush(): Promise<void>;
	close(): Promise<void>;
}

export interface SpoolReader {
	readonly name: string;
	/** Up to and with this position all was acknowledged. */
	readonly acknowledged: number;
	/** Records in order after `after`, at least one if any is committed, [] if none. */
	read(after: number, maxRecords: number, maxBytes: number): Promise<Stored[]>;
	/** Called after a commit that brought records for this reader; one listener. */
	onCommitted(listener: (records: readonly Stored[]) => void): void;
	acknowledge(position: number): void;
	quarantine(position: number, reason: string): void;
	/** Records not acknowledged yet. */
	readonly backlog: number;
}
