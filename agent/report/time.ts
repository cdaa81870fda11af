// Times as canonical proto3 JSON wants them: RFC 3339 in UTC with 0, 3, 6 or 9 digits of a second.

/** Seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the range of google.protobuf.Timestamp. */
export const firstSecond = -62_135_596_800;
export const lastSecond = 253_402_300_799;

/** Unix seconds and nanoseconds 0..999,999,999. Throws RangeError outside the years 1 to 9999. */
export function formatTime(seconds: number, nanos: number): string {
	if (!(seconds >= firstSecond && seconds <= lastSecond && nanos >= 0 && nanos <= 999_999_999)) {
		throw new RangeError(`time ${seconds} s ${nanos} ns lies outside the years 1 to 9999`);
	}
	const text = new Date(seconds * 1000).toISOString().slice(0, 19);
	return `${text}${fraction(nanos)}Z`;
}

function fraction(nanos: number): string {
	if (nanos === 0) return "";
	const digits = String(nanos).padStart(9, "0");
	if (nanos % 1_000_000 === 0) return `.${digits.slice(0, 3)}`;
	if (nanos % 1000 === 0) return `.${digits.slice(0, 6)}`;
	return `.${digits}`;
}

/** Unix ms, fractions allowed. */
export function formatUnixMs(ms: number): string {
	return formatSince(ms, 0);
}

/**
 * The moment `ns` nanoseconds after `originMs` (Unix ms). Kept apart until the end: the sum in nanoseconds
 * would not fit a double.
 */
export function formatSince(originMs: number, ns: number): string {
	const originSeconds = Math.floor(originMs / 1000);
	const passedSeconds = Math.floor(ns / 1e9);
	const nanos = Math.round((originMs - originSeconds * 1000) * 1e6) + Math.floor(ns - passedSeconds * 1e9);
	const carry = Math.floor(nanos / 1e9);
	return formatTime(originSeconds + passedSeconds + carry, nanos - carry * 1e9);
}

const pattern = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Reads RFC 3339 with any offset; undefined for anything else, also for days that do not exist. */
export function parseTime(text: string): { seconds: number; nanos: number } | undefined {
	const match = pattern.exec(text);
	if (match === null) return undefined;
	const [, year, month, day, hour, minute, second, digits = "", sign, offsetHour = "0", offsetMinute = "0"] =
		match;
	// Read as text so that the years 1 to 99 are not taken for 1901 to 1999.
	const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
	if (Number.isNaN(ms) || new Date(ms).getUTCDate() !== Number(day) || Number(hour) > 23) return undefined;
	if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) return undefined;
	const offset = (Number(offsetHour) * 60 + Number(offsetMinute)) * 60 * (sign === "-" ? -1 : 1);
	const seconds = ms / 1000 - offset;
	if (seconds < firstSecond || seconds > lastSecond) return undefined;
	return { seconds, nanos: Number(digits.padEnd(9, "0")) };
}

/** Unix ms of an RFC 3339 text, undefined when it is none. */
export function parseUnixMs(text: string): number | undefined {
	const time = parseTime(text);
	return time === undefined ? undefined : time.seconds * 1000 + time.nanos / 1e6;
}
