// IP addresses and networks: strict parsing, canonical text, containment. Shared vocabulary of policy
// (which peers), respond (what to block) and config (what is protected). What may be blocked is not decided here.

/** An address is a network of full prefix. `words` are unsigned 32-bit, one for IPv4, four for IPv6. */
export interface Network {
	readonly family: 4 | 6;
	readonly words: readonly number[];
	/** 0..32 or 0..128; bits of `words` beyond it are zero. */
	readonly prefix: number;
}

export class AddressError extends Error {
	readonly code = "PICKET_ADDRESS_INVALID";
}

/** AF_INET and AF_INET6 of Linux, as in EventView.family. */
const AF_INET = 2;
const AF_INET6 = 10;

/**
 * Reads "1.2.3.4", "10.0.0.0/8", "2001:db8::1" or "2001:db8::/32". Stricter than ipset and inet_aton, which
 * read `010.1.1.1` as 8.1.1.1: no leading zeros, four decimal parts, no zone id, no host bits after the prefix.
 * IPv4-mapped IPv6 becomes IPv4. Throws AddressError saying what to write instead.
 */
export function parseNetwork(text: string): Network {
	if (text.length > 64) throw new AddressError("an address has at most 64 characters");
	const slash = text.indexOf("/");
	const address = slash < 0 ? text : text.slice(0, slash);
	const v6 = address.includes(":");
	const words = v6 ? parse6(address) : parse4(address);
	const width = v6 ? 128 : 32;
	const prefix = slash < 0 ? width : parsePrefix(text.slice(slash + 1), width, text);
	if (words.some((word, index) => (word & ~mask(prefix, index)) !== 0)) {
		const network = { family: v6 ? 6 : 4, words: masked(words, prefix), prefix } as const;
		throw new AddressError(
			`${JSON.stringify(text)} has bits set after its prefix; write ${formatNetwork(network)}`,
		);
	}
	if (v6 && prefix >= 96 && words[0] === 0 && words[1] === 0 && words[2] === 0xffff) {
		return { family: 4, words: [words[3] ?? 0], prefix: prefix - 96 };
	}
	return { family: v6 ? 6 : 4, words, prefix };
}

/** Canonical text (RFC 5952 for IPv6), without a prefix for a single address. */
export function formatNetwork(network: Network): string {
	const address = network.family === 4 ? format4(network.words[0] ?? 0) : format6(network.words);
	return isSingle(network) ? address : `${address}/${network.prefix}`;
}

export function isSingle(network: Network): boolean {
	return network.prefix === (network.family === 4 ? 32 : 128);
}

export function overlaps(a: Network, b: Network): boolean {
	if (a.family !== b.family) return false;
	const prefix = Math.min(a.prefix, b.prefix);
	return a.words.every((word, index) => ((word ^ (b.words[index] ?? 0)) & mask(prefix, index)) === 0);
}

/** Is every address of `inner` in `outer`? */
export function contains(outer: Network, inner: Network): boolean {
	return outer.prefix <= inner.prefix && overlaps(outer, inner);
}

/** The same for an address lying in `bytes` (network order) as EventView has it; allocates nothing. */
export function containsBytes(outer: Network, family: number, bytes: Buffer, start: number): boolean {
	if (family !== (outer.family === 4 ? AF_INET : AF_INET6)) return false;
	const { words, prefix } = outer;
	for (let index = 0; index < words.length && index * 32 < prefix; index++) {
		const word = wordAt(bytes, start + index * 4);
		if (((word ^ (words[index] ?? 0)) & mask(prefix, index)) !== 0) return false;
	}
	return true;
}

/** Big-endian, signed. Buffer's own checks its argument by a call that takes longer than the reading. */
export function wordAt(bytes: Uint8Array, at: number): number {
	const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
	return (high << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
}

/** An address lying in `bytes` as a Network; undefined for a family that is not IP. */
export function networkFromBytes(family: number, bytes: Buffer, start: number): Network | undefined {
	if (family === AF_INET) return { family: 4, words: [bytes.readUInt32BE(start)], prefix: 32 };
	if (family !== AF_INET6) return undefined;
	return { family: 6, words: [0, 4, 8, 12].map((at) => bytes.readUInt32BE(start + at)), prefix: 128 };
}

/** Where IPv6 carries IPv4 (RFC 4291, 6052, 8215, 3056), and the bit at which it begins there. */
const carriers = [
	{ words: [0, 0, 0xffff, 0], prefix: 96, at: 96 },
	{ words: [0, 0, 0, 0], prefix: 96, at: 96 },
	{ words: [0x64ff9b, 0, 0, 0], prefix: 96, at: 96 },
	{ words: [0x64ff9b, 0x10000, 0, 0], prefix: 48, at: 96 },
	{ words: [0x20020000, 0, 0, 0], prefix: 16, at: 16 },
] as const;

/** The IPv4 networks reached through an IPv6 network by translation (NAT64) or tunnel (6to4); none for IPv4. */
export function carried4(network: Network): Network[] {
	if (network.family === 4) return [];
	return carriers
		.filter(({ words, prefix }) => overlaps({ family: 6, words, prefix }, network))
		.map((carrier) => {
			const prefix =
				network.prefix < carrier.prefix ? 0 : Math.min(32, Math.max(0, network.prefix - carrier.at));
			const [first = 0, second = 0, , last = 0] = network.words;
			const word = carrier.at === 96 ? last : (first << 16) | (second >>> 16);
			return { family: 4, words: [(word & mask(prefix, 0)) >>> 0], prefix };
		});
}

/** The bits of word `index` that belong to a prefix. */
function mask(prefix: number, index: number): number {
	const bits = Math.min(32, Math.max(0, prefix - index * 32));
	return bits === 0 ? 0 : (-1 << (32 - bits)) | 0;
}

function masked(words: readonly number[], prefix: number): number[] {
	return words.map((word, index) => (word & mask(prefix, index)) >>> 0);
}

function parsePrefix(text: string, width: number, whole: string): number {
	const prefix = /^(0|[1-9]\d{0,2})$/.test(text) ? Number(text) : -1;
	if (prefix < 0 || prefix > width) {
		throw new AddressError(`${JSON.stringify(whole)} needs a prefix length of 0 to ${width} after the slash`);
	}
	return prefix;
}

function parse4(text: string): number[] {
	const parts = text.split(".");
	if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) {
		throw new AddressError(
			`${JSON.stringify(text)} is not an IP address; write four decimal numbers of 0 to 255 without leading zeros, or IPv6`,
		);
	}
	return [parts.reduce((sum, part) => sum * 256 + Number(part), 0)];
}

function parse6(text: string): number[] {
	const wrong = () =>
		new AddressError(`${JSON.stringify(text)} is not an IPv6 address; write it like 2001:db8::1`);
	if (text.includes("%")) {
		throw new AddressError(
			`${JSON.stringify(text)} names an interface; write the address without the part after %`,
		);
	}
	const halves = text.split("::");
	if (halves.length > 2) throw wrong();
	const groups = halves.map((half, index) => parseGroups(half, index === halves.length - 1));
	const [head, tail] = groups;
	if (head === undefined || groups.includes(undefined)) throw wrong();
	const rest = tail ?? [];
	const missing = 8 - head.length - rest.length;
	if (halves.length === 1 ? missing !== 0 : missing < 1) throw wrong();
	const all = [...head, ...new Array<number>(missing).fill(0), ...rest];
	return [0, 2, 4, 6].map((at) => (all[at] ?? 0) * 0x10000 + (all[at + 1] ?? 0));
}

/** 16-bit groups of one side of "::"; the last may be written as a dotted IPv4 address. */
function parseGroups(text: string, last: boolean): number[] | undefined {
	if (text === "") return [];
	const parts = text.split(":");
	const groups: number[] = [];
	for (const [index, part] of parts.entries()) {
		if (last && index === parts.length - 1 && part.includes(".")) {
			const word = parse4(part)[0] ?? 0;
			groups.push(word >>> 16, word & 0xffff);
		} else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
			groups.push(Number.parseInt(part, 16));
		} else {
			return undefined;
		}
	}
	return groups;
}

function format4(word: number): string {
	return [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join(".");
}

function format6(words: readonly number[]): string {
	const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
	let best = { start: 0, length: 1 };
	for (let start = 0; start < groups.length; ) {
		let end = start;
		while (end < groups.length && groups[end] === 0) end++;
		if (end - start > best.length) best = { start, length: end - start };
		start = Math.max(end, start + 1);
	}
	const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
	if (best.length < 2) return hex(groups);
	return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}
