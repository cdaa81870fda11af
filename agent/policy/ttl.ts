// Times as they are written in a policy.

const pattern = /^(\d+)(s|m|h|d)$/;
const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** "30m" or a number of seconds, as seconds; undefined for what is neither. */
export function ttlSeconds(ttl: string | number): number | undefined {
	if (typeof ttl === "number") return Number.isInteger(ttl) && ttl > 0 ? ttl : undefined;
	const match = pattern.exec(ttl);
	const seconds = Number(match?.[1]) * unitSeconds[(match?.[2] ?? "s") as keyof typeof unitSeconds];
	return match !== null && seconds > 0 ? seconds : undefined;
}
