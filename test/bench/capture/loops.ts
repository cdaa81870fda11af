// Tight loops on one core: how much slower they get with the sensor, what it uses for a million operations, and what
// it loses. In each round a loop runs bare, beside the floor, with the sensor and bare again, close together, since
// the speed of a machine drifts; ratios are those of one round, and their median counts.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atMost, type Figure, type Found, median, ratio, seconds, table } from "./figures.ts";
import { cores, type Programs, runLoad, start, temporaryFolder } from "./processes.ts";
import { countsText, Sensor, sumOf, type Use } from "./sensor.ts";

interface Loop {
	readonly name: string;
	readonly title: string;
	readonly kind: string;
	readonly count: number;
	readonly argument?: string;
	/** At most so many times slower. */
	readonly slowdown?: number;
	/** CPU seconds per million at most. */
	readonly cpu?: number;
	/** All of it is asked for by a rule. */
	readonly wanted?: boolean;
}

export const loopNames = ["getppid", "read", "write", "writes", "create", "exec", "connect"] as const;

/** `folder` holds as many files as `writes` opens. */
function loopsIn(folder: string, nothing: string): Loop[] {
	const plain = join(folder, "plain");
	const many = 100_000;
	return [
		{ name: "getppid", title: "getppid", kind: "getppid", count: 5_000_000, slowdown: 1.17 },
		{
			...{ name: "read", title: "open+close, file of no interest", kind: "read", count: 1_000_000 },
			...{ argument: plain, slowdown: 1.2, cpu: 0.05 },
		},
		{
			...{ name: "write", title: "write-open+close, the same file", kind: "write", count: 500_000 },
			...{ argument: plain, slowdown: 1.6, cpu: 0.6, wanted: true },
		},
		{
			...{ name: "writes", title: "write-open+close, another file each time", kind: "writes", count: many },
			...{ argument: folder, slowdown: 1.6, cpu: 0.6, wanted: true },
		},
		{
			...{ name: "create", title: "create+unlink", kind: "create", count: 200_000 },
			...{ argument: join(folder, "new"), wanted: true },
		},
		{
			...{ name: "exec", title: "exec", kind: "exec", count: 20_000, argument: nothing },
			...{ slowdown: 1.08, cpu: 4, wanted: true },
		},
		{
			name: "connect",
			title: "connect",
			kind: "connect",
			count: 50_000,
			slowdown: 1.08,
			cpu: 2,
			wanted: true,
		},
	];
}

/** Of one operation, ns. */
interface Cost {
	readonly time: number;
	readonly cpu: number;
}

interface Round {
	readonly bare: Cost;
	readonly floor: Cost;
	readonly watched: Cost;
	/** Cores that others kept busy while the loop ran bare. */
	readonly others: number;
	readonly use: Use;
}

/** The floor's programs, hooked up until the function returned is called. */
export async function startFloor({ floor, floorObject }: Programs): Promise<() => Promise<string>> {
	const child = start([floor, floorObject], { stdio: ["pipe", "pipe", "inherit"] });
	let text = "";
	const ready = new Promise<void>((resolve, reject) => {
		child.stdout?.setEncoding("utf8").on("data", (part: string) => {
			text += part;
			if (text.includes("ready")) resolve();
		});
		child.ended.then(() => reject(new Error("the floor did not start")), reject);
	});
	await ready;
	return async () => {
		child.stdin?.end();
		await child.ended;
		return text.slice(text.indexOf("\n") + 1);
	};
}

/** Seconds that all cores were busy since boot. */
function busySeconds(): number {
	const [line = ""] = readFileSync("/proc/stat", "latin1").split("\n", 1);
	const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).map(Number);
	return (user + nice + system + irq + softirq) / 100;
}

async function oneRound(programs: Programs, loop: Loop): Promise<Round> {
	const arguments_ = loop.argument === undefined ? [] : [loop.argument];
	const times = async (count: number): Promise<Cost> => {
		const args = ["-c", String(cores[0]), loop.kind, String(count), ...arguments_];
		const { ns, cpu, operations } = await runLoad(programs.load, args);
		return { time: ns / operations, cpu: cpu / operations };
	};
	await times(loop.count / 10);
	const busy = busySeconds();
	const begin = performance.now();
	const before = await times(loop.count);
	const took = (performance.now() - begin) / 1000;
	const others = Math.max(0, busySeconds() - busy - (before.cpu * loop.count) / 1e9) / took;

	const endFloor = await startFloor(programs);
	const floor = await times(loop.count);
	await endFloor();

	const sensor = await Sensor.start();
	await times(loop.count / 10);
	let watched = before;
	const use = await sensor.during(async () => {
		watched = await times(loop.count);
	});
	await sensor.stop();
	const after = await times(loop.count);
	const bare = { time: (before.time + after.time) / 2, cpu: (before.cpu + after.cpu) / 2 };
	return { bare, floor, watched, others, use };
}

function figuresOf(loop: Loop, rounds: readonly Round[]): Figure[] {
	const slower = median(rounds.map(({ watched, bare }) => watched.time / bare.time));
	const cpu = median(rounds.map(({ use }) => (use.cpuSeconds / loop.count) * 1e6));
	const lost = rounds.reduce((sum, { use }) => sum + sumOf(use, "lost"), 0);
	const { title } = loop;
	const figures: Figure[] = [
		loop.slowdown === undefined
			? { name: `${title}: slowdown`, measured: ratio(slower) }
			: atMost(`${title}: slowdown`, slower, loop.slowdown, ratio),
	];
	if (loop.cpu !== undefined) figures.push(atMost(`${title}: sensor CPU a million`, cpu, loop.cpu, seconds));
	else if (loop.wanted) figures.push({ name: `${title}: sensor CPU a million`, measured: seconds(cpu) });
	if (loop.wanted) figures.push(atMost(`${title}: lost`, lost, 0, String));
	return figures;
}

function detailsOf(loop: Loop, rounds: readonly Round[]): string[] {
	const of = (pick: (round: Round) => number) => rounds.map(pick);
	const slower = of((one) => one.watched.time / one.bare.time);
	return [
		loop.title,
		median(of((one) => one.bare.time)).toFixed(0),
		median(of((one) => one.floor.time / one.bare.time)).toFixed(2),
		median(slower).toFixed(2),
		`${Math.min(...slower).toFixed(2)}–${Math.max(...slower).toFixed(2)}`,
		median(of((one) => one.floor.cpu / one.bare.cpu)).toFixed(2),
		median(of((one) => one.watched.cpu / one.bare.cpu)).toFixed(2),
		median(of((one) => (one.use.cpuSeconds / loop.count) * 1e6)).toFixed(3),
		String(of((one) => sumOf(one.use, "lost")).reduce((a, b) => a + b, 0)),
		String(Math.max(...of((one) => one.use.alerts))),
		median(of((one) => one.others)).toFixed(2),
	];
}

/** `progress` is told what goes on. */
export async function measureLoops(
	programs: Programs,
	names: ReadonlySet<string>,
	rounds: number,
	progress: (text: string) => void,
): Promise<Found> {
	const folder = temporaryFolder();
	writeFileSync(join(folder, "plain"), "");
	const loops = loopsIn(folder, programs.nothing).filter((loop) => names.has(loop.name));
	for (const loop of loops) {
		if (loop.kind === "writes") await runLoad(programs.load, ["make", String(loop.count), folder]);
	}
	const figures: Figure[] = [];
	const rows: string[][] = [];
	const counts: string[] = [];
	for (const loop of loops) {
		const done: Round[] = [];
		for (let round = 1; round <= rounds; round++) {
			progress(`${loop.title}, round ${round} of ${rounds}`);
			done.push(await oneRound(programs, loop));
		}
		figures.push(...figuresOf(loop, done));
		rows.push(detailsOf(loop, done));
		const last = done.at(-1);
		if (last) {
			const unbalanced = last.use.unbalanced.length > 0 ? `; DOES NOT ADD UP: ${last.use.unbalanced}` : "";
			counts.push(`- ${loop.title}, ${loop.count} times: ${countsText(last.use) || "no event"}${unbalanced}`);
		}
	}
	const ratios = ["floor ×", "sensor ×", "range", "floor × of CPU", "sensor × of CPU"];
	const head = ["loop", "bare ns", ...ratios, "CPU s/M", "lost", "alerts", "others"];
	const explained =
		"`others`: cores that other processes kept busy while the loop ran bare. Where that is not near 0, the ratios of " +
		"time are theirs, too, and those of the loop's own CPU time say more.";
	return {
		figures,
		details: [table(head, rows), "", explained, "", "Last round's counts:", ...counts].join("\n"),
	};
}
