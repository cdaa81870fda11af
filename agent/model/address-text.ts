// Addresses out of an event's bytes, as text.

export function showIpv4(bytes: Uint8Array, start: number): string {
	return `${bytes[start]}.${bytes[start + 1]}.${bytes[start + 2]}.${bytes[start + 3]}`;
}

/** As in RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
export function showIpv6(bytes: Uint8Array, start: number): string {
	const groups: number[] = [];
	for (let index = start; index < start + 16; index += 2) {
		groups.push(((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0));
	}
	let runStart = 0;
	let runSize = 1;
	for (let index = 0; index < 8; index++) {
		let end = index;
		while (end < 8 && groups[end] === 0) end++;
		if (end - index > runSize) {
			runStart = index;
			runSize = end - index;
		}
		if (end > index) index = end;
	}
	const hex = (list: number[]): string => list.map((group) => group.toString(16)).join(":");
	if (runSize < 2) return hex(groups);
	return `${hex(groups.slice(0, runStart))}::${hex(groups.slice(runStart + runSize))}`;
}
