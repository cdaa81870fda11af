// What patterns that are meant to explode cost on 100 kB of text, the worst of several: at most 5 ms each, and what
// would take longer is refused when its rule is read. `node test/bench/patterns.ts`; some seconds.
import { matcher } from "../../agent/detect/matcher.ts";
import { hostileGlobs, hostilePaths, hostileRegexes, hostileTexts, longTexts } from "./hostile.ts";

const size = 100_000;
const texts = longTexts(size);

/** CPU time of this thread, whatever else the machine does; on some kernels in steps of 4 ms. */
function cpuMs(times: number, act: () => void): number {
	const begun = process.threadCpuUsage();
	for (let i = 0; i < times; i++) act();
	const { user, system } = process.threadCpuUsage(begun);
	return (user + system) / 1000 / times;
}

for (const [operator, values] of [
	["regex", hostileRegexes],
	["search", hostileRegexes],
	["glob", hostileGlobs],
	["iglob", hostileGlobs],
	["pmatch", hostilePaths],
	["contains", hostileTexts],
	["icontains", hostileTexts],
] as const) {
	let slowest = { ms: 0, value: "" };
	let first = 0;
	for (const value of values) {
		const { onString } = matcher(operator, [value]);
		first = Math.max(first, cpuMs(1, () => texts.forEach(onString)) / texts.length);
		for (const text of texts) {
			const ms = cpuMs(20, () => onString(text));
			if (ms > slowest.ms) slowest = { ms, value };
		}
	}
	const shown = slowest.value.length > 40 ? `${slowest.value.slice(0, 40)}…` : slowest.value;
	process.stdout.write(
		`${operator.padEnd(10)} ${values.length} patterns on ${size / 1000} kB: ${slowest.ms.toFixed(2)} ms at worst (${shown}), ${first.toFixed(1)} ms a text the first time\n`,
	);
}
