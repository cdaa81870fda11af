// What takes its time and is measured only when asked for: memory under short-lived processes, and executions during
// a flood of bulk events.
import { createReadStream, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { atMost, exactly, type Found, mebibytes, median, percent, seconds, table } from "./figures.ts";
import { type Programs, runLoad, temporaryFolder } from "./processes.ts";
import { makeCgroup } from "./scenes.ts";
import { countsText, Sensor, sumOf } from "./sensor.ts";

const loops = 12;
/** Growth from the first quarter's end to the last quarter that counts as flat, MiB. */
const flat = 10;

/** Twelve loops of short-lived processes, and a cgroup made and removed twice a second, as containers come and go. */
export async function measureLong(
	programs: Programs,
	cgroupRoot: string,
	minutes: number,
	progress: (text: string) => void,
): Promise<Found> {
	const [, cgroup] = makeCgroup(cgroupRoot);
	const sensor = await Sensor.start();
	const sizes: number[] = [];
	let over = false;
	const containers = async (): Promise<void> => {
		for (let number = 0; !over; number++) {
			mkdirSync(`${cgroup}/${number}`);
			await wait(250);
			rmdirSync(`${cgroup}/${number}`);
			await wait(250);
		}
	};
	const watch = async (): Promise<void> => {
		while (!over) {
			sizes.push(sensor.residentSize());
			progress(`12 loops: ${mebibytes(sizes.at(-1) ?? 0)} after ${sizes.length * 10 - 10} s`);
			for (let tenths = 0; tenths < 100 && !over; tenths++) await wait(100);
		}
	};
	const args = ["-s", String(minutes * 60), "exec", "0", programs.nothing];
	const use = await sensor.during(async () => {
		const beside = [containers(), watch()];
		await Promise.all(Array.from({ length: loops }, () => runLoad(programs.load, args)));
		over = true;
		await Promise.all(beside);
	});
	await sensor.stop();
	const quarter = Math.ceil(sizes.length / 4);
	const growth = median(sizes.slice(-quarter)) - median(sizes.slice(quarter, 2 * quarter));
	const title = `${loops} loops of short-lived processes, ${minutes} min`;
	const rows = sizes.map((size, index) => [String(index * 10), size.toFixed(1)]);
	return {
		figures: [
			atMost(`${title}: largest resident memory`, Math.max(...sizes), 150, mebibytes),
			atMost(`${title}: growth, second quarter to last`, growth, flat, mebibytes),
			{ name: `${title}: lost`, measured: String(sumOf(use, "lost")) },
		],
		details: [
			`- ${title}: ${percent(use.cpuSeconds / use.seconds)} of a core; ${countsText(use)}`,
			"",
			table(["s", "MiB"], rows),
		].join("\n"),
	};
}

/** Bulk events from one cgroup as fast as they go; executions outside, each marked, must all be seen. */
export async function measureFlood(programs: Programs, cgroupRoot: string, duration: number): Promise<Found> {
	const [, cgroup] = makeCgroup(cgroupRoot);
	const file = join(temporaryFolder(), "plain");
	writeFileSync(file, "");
	const sensor = await Sensor.start("exec");
	const enter = ["sh", "-c", `echo $$ > ${cgroup}/cgroup.procs && exec "$@"`, "sh"];
	const time = ["-s", String(duration)];
	const marks = Array.from({ length: 100 }, (_, index) => `mark-${process.pid}-${index}-end`);
	const markAll = async (): Promise<void> => {
		for (const mark of marks) {
			await runLoad(programs.load, ["exec", "1", programs.nothing, mark]);
			await wait((duration * 1000) / marks.length);
		}
	};
	const use = await sensor.during(() =>
		Promise.all([
			runLoad(programs.load, [...time, "write", "0", file], enter),
			runLoad(programs.load, [...time, "connect", "0"], enter),
			markAll(),
		]),
	);
	await sensor.stop();
	const seen = new Set<string>();
	for await (const line of createInterface({ input: createReadStream(sensor.outputFile) })) {
		const { event } = JSON.parse(line) as { event?: { process?: { args?: string[] }; exec?: object } };
		const mark = event?.exec && event.process?.args?.[1];
		if (mark !== undefined && marks.includes(mark)) seen.add(mark);
	}
	const title = `${duration} s flood of bulk events from one cgroup`;
	const others = ["exec", "fork", "exit"].reduce((sum, kind) => sum + (use.counts.get(kind)?.lost ?? 0), 0);
	return {
		figures: [
			exactly(`${title}: marked execs elsewhere seen, of 100`, seen.size, marks.length),
			atMost(`${title}: execs, forks and exits lost`, others, 0, String),
		],
		details: `- ${title}: ${seconds(use.cpuSeconds)} of CPU in ${seconds(use.seconds)}; ${countsText(use)}`,
	};
}
