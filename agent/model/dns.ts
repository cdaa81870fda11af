// A DNS message, taken apart.

export interface DnsQuestion {
	/** Lower case, without a closing dot; "." is the root. Dots, backslashes and odd bytes within a label as in RFC 1035: \. \\ \007 */
	readonly name: string;
	/** "A", "AAAA", …, or "TYPE123" (RFC 3597). */
	readonly type: string;
}

export interface DnsAnswer extends DnsQuestion {
	/** Seconds. */
	readonly ttl: number;
	/** A and AAAA: 4 or 16 bytes, a copy. */
	readonly address?: Uint8Array;
	/** The name that CNAME, NS, PTR, MX, SRV and their like lead to. */
	readonly target?: string;
}

export interface DnsMessage {
	readonly id: number;
	readonly response: boolean;
	/** Name of the RCODE: "NOERROR", "NXDOMAIN", …, or its number. */
	readonly code: string;
	readonly questions: readonly DnsQuestion[];
	/** Of the answer section alone. */
	readonly answers: readonly DnsAnswer[];
	/** False when not all that the header announces was there and made sense; what came before is given. */
	readonly complete: boolean;
}
