// How numbers are written for people: counts, rates, sizes, spans of time.

/** A counter from the wire, where 64-bit numbers are strings; 0 for anything that is none. */
export function counter(value: string | undefined): bigint {
	return value !== undefined && /^-?\d{1,20}$/.test(value) ? BigInt(value) : 0n;
}

/** "1,204". */
export function grouped(value: number | bigint): string {
	const digits = typeof value === "bigint" ? String(value) : String(Math.round(value));
	return digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Two significant digits below ten: "0.4", "12", "1,204". */
export function rate(value: number): string {
	if (!Number.isFinite(value) || value <= 0) return "0";
	return value < 9.95 ? value.toFixed(1) : grouped(value);
}

/** "82 MB", decimal units. */
export function size(bytes: number): string {
	const units = ["B", "kB", "MB", "GB", "TB"];
	let value = bytes;
	let unit = 0;
	while (value >= 999.5 && unit < units.length - 1) {
		value /= 1000;
		unit++;
	}
	return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** "1.8 %" of 0.018. */
export function percent(share: number): string {
	const value = share * 100;
	return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} %`;
}

/** Two largest units: "45s", "30m", "2h 13m", "3d 4h". Milliseconds in. */
export function span(ms: number): string {
	const seconds = Math.max(0, Math.round(ms / 1000));
	const steps: readonly [number, string, number, string][] = [
		[86_400, "d", 3600, "h"],
		[3600, "h", 60, "m"],
		[60, "m", 1, "s"],
	];
	for (const [large, largeName, small, smallName] of steps) {
		if (seconds < large) continue;
		const rest = Math.floor((seconds % large) / small);
		return `${Math.floor(seconds / large)}${largeName}${rest > 0 ? ` ${rest}${smallName}` : ""}`;
	}
	return `${seconds}s`;
}

/** "0.08 s", "12 s". */
export function seconds(value: number): string {
	return `${value < 9.95 ? value.toFixed(2) : Math.round(value)} s`;
}

/** Local time of day, "14:02:11"; "--:--:--" for no time. */
export function timeOfDay(ms: number): string {
	const date = new Date(ms);
	if (Number.isNaN(date.getTime())) return "--:--:--";
	return [date.getHours(), date.getMinutes(), date.getSeconds()]
		.map((part) => String(part).padStart(2, "0"))
		.join(":");
}

/** "1 alert", "2 alerts". */
export function counted(count: number | bigint, one: string, many = `${one}s`): string {
	return `${grouped(count)} ${BigInt(count) === 1n ? one : many}`;
}
