// What a stream is to those who use one, and what a console's authority answers; nothing here is gRPC.
import type * as wire from "../model/picket.v1.ts";

/** A console's own authority: it decides for each call who may. */
export interface ServerAuthority {
	/** PEM: the console's certificate with its chain, its key, who signs the sensors' certificates. */
	context(): { readonly cert: string; readonly key: string; readonly ca: string };
	/** Called when `context` has become another; one listener. Streams that are open stay. */
	onContext(listener: () => void): void;
	/**
	 * Whose certificate it is (DER); TLS has found it signed by the authority and in time. Undefined: there is none, or
	 * not such a one. Throws ReportError REFUSED.
	 */
	identify(certificate: Buffer | undefined): PeerIdentity;
	/** Rejects with ReportError REFUSED or BUSY, whose message the sensor gets. `peer`: address without port. */
	enrol(request: wire.EnrolRequest, peer: string): Promise<wire.EnrolResponse>;
	renew(request: wire.RenewRequest, identity: PeerIdentity): Promise<wire.RenewResponse>;
}

export interface PeerIdentity {
	readonly hostId: string;
	/** Of the certificate, hex in lower case. */
	readonly serial: string;
}

/**
 * Who ended a stream and how: this side, also for an answer that it cannot take; the other side with a reason of its own
 * ("refused", as INVALID_ARGUMENT or UNKNOWN) or because we may not be there ("barred"); or the connection broke,
 * whoever it was.
 */
export type EndCause = "here" | "refused" | "barred" | "broken";

export interface StreamHandlers<Incoming> {
	message(message: Incoming): void;
	/** There is room again after `write` said false. */
	drain(): void;
	/** Exactly once, and the last call. `problem` is for people; "" when this side closed it. */
	end(problem: string, cause: EndCause): void;
}

export interface ClientStream {
	/** A ConnectRequest, or the bytes of one. False: wait for `drain`. */
	write(message: wire.ConnectRequest | Buffer): boolean;
	/** No more to write; the other side ends the stream when it has read all. */
	finish(): void;
	close(): void;
}

export interface ServerStream {
	/** "ipv4:10.0.0.7:41234". */
	readonly peer: string;
	/** Who that is by its certificate; only with an authority of the console's own. */
	readonly identity?: PeerIdentity;
	write(message: wire.ConnectResponse): boolean;
	pause(): void;
	resume(): void;
	/** `problem`: told to the other side; a clean end without. */
	close(problem?: string): void;
}
