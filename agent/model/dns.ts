// A DNS message, taken apart.

export interface DnsQuestion {
	/** Without a closing dot; odd bytes within a label as in RFC 1035. */
	readonly name: string;
	/** "A", "AAAA", …, or "TYPE123". */
	readonly type: string;
}

export interface DnsAnswer extends DnsQuestion {
	/** Seconds. */
	readonly ttl: number;
	/** A and AAAA: 4 or 16 bytes. */
	readonly address?: Uint8Array;
	/** The name that CNAME, PTR and their like lead to. */
	readonly target?: string;
}

export interface DnsMessage {
	/** What question and answer share. */
	readonly id: number;
	readonly response: boolean;
	/** "NOERROR", "NXDOMAIN", … */
	readonly code: string;
	readonly questions: readonly DnsQuestion[];
	readonly answers: readonly DnsAnswer[];
	/** False when not all that the header announces was there and made sense. */
	readonly complete: boolean;
}
