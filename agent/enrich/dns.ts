// DNS messages as they were on the wire, and the names under which a host's addresses were looked up. Pure: bytes
// come from anybody, so nothing here throws and the work for one message is bounded.

import type { DnsAnswer, DnsMessage, DnsQuestion } from "../model/dns.ts";

const codes =
	"NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE".split(" ");

// The IANA registry of DNS parameters: those that are met.
const types: Readonly<Record<number, string>> = {
	1: "A",
	2: "NS",
	5: "CNAME",
	6: "SOA",
	10: "NULL",
	12: "PTR",
	13: "HINFO",
	15: "MX",
	16: "TXT",
	24: "SIG",
	25: "KEY",
	28: "AAAA",
	29: "LOC",
	33: "SRV",
	35: "NAPTR",
	37: "CERT",
	39: "DNAME",
	41: "OPT",
	43: "DS",
	44: "SSHFP",
	46: "RRSIG",
	47: "NSEC",
	48: "DNSKEY",
	50: "NSEC3",
	52: "TLSA",
	64: "SVCB",
	65: "HTTPS",
	99: "SPF",
	251: "IXFR",
	252: "AXFR",
	255: "ANY",
	256: "URI",
	257: "CAA",
};

/** Types whose data is a name, and how many bytes come before it. */
const targetAt: Readonly<Record<string, number>> = {
	NS: 0,
	CNAME: 0,
	PTR: 0,
	DNAME: 0,
	MX: 2,
	SVCB: 2,
	HTTPS: 2,
	SRV: 6,
};

/** Each byte of a label as it is shown. */
const shown = Array.from({ length: 256 }, (_, byte) => {
	const char = String.fromCharCode(byte);
	if (char === "." || char === "\\") return `\\${char}`;
	return byte > 32 && byte < 127 ? char.toLowerCase() : `\\${String(byte).padStart(3, "0")}`;
});
/** Of those that are shown as one character, that; else 0. */
const plain = Uint8Array.from(shown, (text) => (text.length === 1 ? text.charCodeAt(0) : 0));
/** The name that is being read: a string put together from single characters takes three times as long. */
const spelled = Buffer.alloc(4 * 256);

const headerBytes = 12;
const classInternet = 1;
const maxQuestions = 4;
const maxAnswers = 64;
/** Of a name as it is sent (RFC 1035, 2.3.4), its closing zero included. */
const maxName = 255;
/** A name that its server compressed well takes three or four. */
const maxPointers = 16;

/** Reads on from `at`; after what could not be read `ok` is false, and all that follows is nothing. */
class Reader {
	readonly #bytes: Uint8Array;
	readonly #start: number;
	readonly #end: number;
	at: number;
	ok = true;

	constructor(bytes: Uint8Array, start: number, end: number) {
		this.#bytes = bytes;
		this.#start = start;
		this.#end = end;
		this.at = start;
	}

	#byte(at: number): number {
		return this.#bytes[at] as number;
	}

	/** Moves on by `count`; returns where it was. */
	skip(count: number): number {
		const at = this.at;
		if (at + count > this.#end) this.ok = false;
		else this.at = at + count;
		return at;
	}

	half(): number {
		const at = this.skip(2);
		return this.ok ? this.#byte(at) * 256 + this.#byte(at + 1) : 0;
	}

	word(): number {
		return this.half() * 65_536 + this.half();
	}

	/** A name, with the pointers that stand for a part that was sent before. Each leads back, so they come to an end. */
	name(): string {
		let length = 0;
		let sent = 1;
		let pointers = 0;
		let at = this.at;
		let after = 0;
		let before = at;
		for (;;) {
			if (at >= this.#end) return this.#fail();
			const size = this.#byte(at);
			if (size === 0) break;
			if (size >= 0xc0) {
				if (at + 1 >= this.#end || ++pointers > maxPointers) return this.#fail();
				if (pointers === 1) after = at + 2;
				at = this.#start + (size - 0xc0) * 256 + this.#byte(at + 1);
				if (at >= before) return this.#fail();
				before = at;
				continue;
			}
			sent += size + 1;
			if (size > 63 || sent > maxName || at + size >= this.#end) return this.#fail();
			if (length > 0) spelled[length++] = 0x2e;
			for (let i = at + 1; i <= at + size; i++) {
				const byte = this.#byte(i);
				const char = plain[byte] as number;
				if (char !== 0) spelled[length++] = char;
				else length += spelled.write(shown[byte] as string, length, "latin1");
			}
			at += size + 1;
		}
		this.at = pointers > 0 ? after : at + 1;
		return length === 0 ? "." : spelled.toString("latin1", 0, length);
	}

	#fail(): string {
		this.ok = false;
		return "";
	}
}

/** One DNS message; undefined when there is not even a header. */
export function parseDns(bytes: Uint8Array, start: number, size: number): DnsMessage | undefined {
	const end = Math.min(start + size, bytes.length);
	if (start < 0 || !(end - start >= headerBytes)) return undefined;
	const reader = new Reader(bytes, start, end);
	const id = reader.half();
	const bits = reader.half();
	const questionCount = reader.half();
	const answerCount = reader.half();
	reader.skip(4);

	const questions: DnsQuestion[] = [];
	while (reader.ok && questions.length < Math.min(questionCount, maxQuestions)) {
		const name = reader.name();
		const type = typeName(reader.half());
		reader.skip(2);
		if (reader.ok) questions.push({ name, type });
	}
	const answers: DnsAnswer[] = [];
	// Where questions were left out the answers cannot be found.
	while (
		reader.ok &&
		questions.length === questionCount &&
		answers.length < Math.min(answerCount, maxAnswers)
	) {
		const answer = readAnswer(reader, bytes, start);
		if (answer) answers.push(answer);
	}
	return {
		id,
		response: bits >= 0x8000,
		code: codes[bits & 15] ?? String(bits & 15),
		questions,
		answers,
		complete: reader.ok && questions.length === questionCount && answers.length === answerCount,
	};
}

function readAnswer(reader: Reader, bytes: Uint8Array, start: number): DnsAnswer | undefined {
	const name = reader.name();
	const type = typeName(reader.half());
	const internet = reader.half() === classInternet;
	const seconds = reader.word();
	const size = reader.half();
	const data = reader.skip(size);
	if (!reader.ok) return undefined;
	// RFC 2181, 8: with the highest bit it is none.
	const answer = { name, type, ttl: seconds >= 0x8000_0000 ? 0 : seconds };
	if (!internet) return answer;
	if ((type === "A" && size === 4) || (type === "AAAA" && size === 16))
		return { ...answer, address: new Uint8Array(bytes.subarray(data, data + size)) };
	const before = targetAt[type];
	if (before === undefined || size <= before) return answer;
	// A name in the data may point back to anything before it, and ends within.
	const inner = new Reader(bytes, start, data + size);
	inner.at = data + before;
	const target = inner.name();
	return inner.ok ? { ...answer, target } : answer;
}

function typeName(type: number): string {
	return types[type] ?? `TYPE${type}`;
}

export interface NameTableOptions {
	/** ms; the one that events are timed by, so that a recording is read as it was. */
	readonly clock: () => number;
	/** Addresses of all scopes together; one scope has an eighth of it at most. */
	readonly limit?: number;
}

const mappedIpv4 = "\0\0\0\0\0\0\0\0\0\0\xff\xff";

interface KnownName {
	readonly name: string;
	/** ms. */
	readonly expires: number;
}

// A process keeps what it was told beyond a time to live of seconds, and nobody knows an hour later.
const leastSeconds = 60;
const mostSeconds = 3600;

/**
 * Under which name an address was looked up. What one container is answered says nothing about another, so names
 * are kept by scope: the caller's key for a container or a network namespace.
 */
export class NameTable {
	readonly #clock: () => number;
	readonly #limit: number;
	/** Oldest news first: of the scopes, and of the addresses in each. */
	readonly #scopes = new Map<string, Map<string, KnownName>>();
	#size = 0;

	constructor(options: NameTableOptions) {
		this.#clock = options.clock;
		this.#limit = Math.max(8, options.limit ?? 16_384);
	}

	get size(): number {
		return this.#size;
	}

	/**
	 * Keeps what an answer says of the name that was asked for. Only for answers somebody asked for: anybody can
	 * send a packet that looks like one.
	 */
	learn(scope: string, message: DnsMessage): void {
		const name = message.questions[0]?.name;
		if (!message.response || message.code !== "NOERROR" || name === undefined) return;
		const aliases = aliasesOf(name, message.answers);
		for (const answer of message.answers) {
			if (!answer.address || !aliases.has(answer.name)) continue;
			const seconds = Math.min(Math.max(answer.ttl, leastSeconds), mostSeconds);
			const key = addressKey(answer.address, 0, answer.address.length);
			this.#add(scope, key, { name, expires: this.#clock() + seconds * 1000 });
		}
	}

	/** The name that was asked for when this address (4 or 16 bytes) was last answered; undefined when none is known. */
	name(scope: string, bytes: Uint8Array, start = 0, size = bytes.length): string | undefined {
		const names = this.#scopes.get(scope);
		const key = names && addressKey(bytes, start, size);
		const known = key !== undefined && names?.get(key);
		if (!known) return undefined;
		if (known.expires > this.#clock()) return known.name;
		this.#drop(scope, key);
		return undefined;
	}

	/** Of a container or a namespace that is gone. */
	forget(scope: string): void {
		this.#size -= this.#scopes.get(scope)?.size ?? 0;
		this.#scopes.delete(scope);
	}

	#add(scope: string, key: string, known: KnownName): void {
		this.#drop(scope, key);
		const names = this.#scopes.get(scope) ?? new Map<string, KnownName>();
		// To the end of both orders.
		this.#scopes.delete(scope);
		this.#scopes.set(scope, names);
		names.set(key, known);
		this.#size++;
		if (names.size > this.#limit / 8) this.#dropOldest(scope, names);
		const oldest = this.#size > this.#limit ? this.#scopes.entries().next().value : undefined;
		if (oldest) this.#dropOldest(...oldest);
	}

	#dropOldest(scope: string, names: ReadonlyMap<string, KnownName>): void {
		const key = names.keys().next().value;
		if (key !== undefined) this.#drop(scope, key);
	}

	#drop(scope: string, key: string): void {
		const names = this.#scopes.get(scope);
		if (!names?.delete(key)) return;
		this.#size--;
		if (names.size === 0) this.#scopes.delete(scope);
	}
}

/** The name asked for and all that it stands for by the answers' CNAMEs, in whatever order they came. */
function aliasesOf(name: string, answers: readonly DnsAnswer[]): ReadonlySet<string> {
	const targets = new Map<string, string>();
	for (const { name: owner, type, target } of answers) {
		if (type === "CNAME" && target !== undefined) targets.set(owner, target);
	}
	const aliases = new Set<string>();
	for (
		let next: string | undefined = name;
		next !== undefined && !aliases.has(next);
		next = targets.get(next)
	)
		aliases.add(next);
	return aliases;
}

/** IPv4 in the clothes of IPv6 is IPv4, as events have it. */
function addressKey(bytes: Uint8Array, start: number, size: number): string {
	let key = "";
	for (let i = start; i < start + size; i++) key += String.fromCharCode(bytes[i] ?? 0);
	return key.startsWith(mappedIpv4) ? key.slice(mappedIpv4.length) : key;
}
