// A DNS message, taken apart.

export interface DnsMessage {
	/** What question and answer share. */
	readonly id: number;
	readonly response: boolean;
	/** "NOERROR", "NXDOMAIN", …; of an answer only. */
	readonly code: string;
	readonly questions: readonly DnsQuestion[];
	readonly answers: readonly DnsAnswer[];
}

export interface DnsQuestion {
	/** As on the wire, latin1, without the dot at the end. */
	readonly name: string;
	/** "A", "AAAA", "TXT", …; the number of one without a name. */
	readonly type: string;
}

export interface DnsAnswer extends DnsQuestion {
	/** An address or a name; another record's content as far as it can be shown. */
	readonly data: string;
	readonly ttlSeconds: number;
}
