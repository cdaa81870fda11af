// What is not a tight loop on one core: both cores saturated, executions as fast as they go, a compile, a paced load,
// and nothing at all.
import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import {
	atMost,
	exactly,
	type Figure,
	type Found,
	mebibytes,
	median,
	percent,
	ratio,
	seconds,
} from "./figures.ts";
import { startFloor } from "./loops.ts";
import { atEnd, cores, output, type Programs, runLoad, temporaryFolder } from "./processes.ts";
import { countsText, Sensor, sumOf, type Use } from "./sensor.ts";

function balanced(what: string, { unbalanced }: Use): Figure {
	return exactly(`${what}: classes whose counts do not add up`, unbalanced.length, 0, unbalanced.join(", "));
}

/** Two loads of 500,000 opens, one a core. */
export async function measureSaturated(programs: Programs): Promise<Found> {
	const folder = temporaryFolder();
	const files = cores.map((_, index) => join(folder, String(index)));
	for (const file of files) writeFileSync(file, "");
	const figures: Figure[] = [];
	const details: string[] = [];
	for (const [kind, title] of [
		["create", "both cores saturated, opens of interest"],
		["read", "both cores saturated, opens of no interest"],
	] as const) {
		const sensor = await Sensor.start();
		const use = await sensor.during(() =>
			Promise.all(
				cores.map((core, index) =>
					runLoad(programs.load, [
						"-c",
						String(core),
						kind,
						"500000",
						`${files[index]}${kind === "create" ? "-new" : ""}`,
					]),
				),
			),
		);
		await sensor.stop();
		figures.push(atMost(`${title}: lost`, sumOf(use, "lost"), 0, String), balanced(title, use));
		details.push(
			`- ${title}, 2 × 500,000: ${seconds(use.cpuSeconds)} of CPU; ${countsText(use) || "no event"}`,
		);
	}
	return { figures, details: details.join("\n") };
}

/** 100,000 executions in two loops, in a cgroup of their own so that the number is exact on a busy host. */
export async function measureExecs(programs: Programs, cgroupRoot: string): Promise<Found> {
	const [name, path] = makeCgroup(cgroupRoot);
	const sensor = await Sensor.start("none", "--scope-cgroup", name);
	const enter = ["sh", "-c", `echo $$ > ${path}/cgroup.procs && exec "$@"`, "sh"];
	const use = await sensor.during(() =>
		Promise.all(
			cores.map((core) =>
				runLoad(programs.load, ["-c", String(core), "exec", "50000", programs.nothing], enter),
			),
		),
	);
	const { alive } = sensor;
	await sensor.stop();
	// The two loads themselves are executed in the cgroup, too.
	const generated = (use.counts.get("exec")?.generated ?? 0) - cores.length;
	return {
		figures: [
			exactly("100,000 execs in two loops: counted", generated, 100_000),
			atMost("100,000 execs in two loops: lost", sumOf(use, "lost"), 0, String),
			exactly("100,000 execs in two loops: sensors alive", Number(alive), 1),
			balanced("100,000 execs in two loops", use),
		],
		details: `- 100,000 execs: ${seconds(use.cpuSeconds)} of CPU in ${seconds(use.seconds)}; ${countsText(use)}`,
	};
}

/** Below the unified mount; its name there and its path. Gone at the end. */
export function makeCgroup(root: string): [string, string] {
	const name = `/picket-bench-${process.pid}-${performance.now().toFixed(0)}`;
	const path = `${root}${name}`;
	mkdirSync(path);
	atEnd(() => {
		// Whoever was in it has been killed, and leaves in its own time.
		for (let tries = 0; tries < 1000; tries++) {
			try {
				rmdirSync(path);
				return;
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== "EBUSY") return;
				Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
			}
		}
	});
	return [name, path];
}

const headers =
	"stdio stdlib string unistd fcntl errno signal time pthread netdb math ctype dirent poll".split(" ");

function makeProject(files: number): string {
	const folder = temporaryFolder();
	const includes = headers.map((name) => `#include <${name}.h>\n`).join("");
	for (let file = 0; file < files; file++) {
		const body = Array.from(
			{ length: 20 },
			(_, index) => `int f${file}_${index}(const char *text) { return printf("%s %d", text, ${index}); }\n`,
		);
		writeFileSync(join(folder, `file${file}.c`), includes + body.join(""));
	}
	const objects = "OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))\nall: $(OBJECTS)\nclean:\n\trm -f *.o\n";
	writeFileSync(join(folder, "Makefile"), `${objects}%.o: %.c\n\tcc -O1 -c -o $@ $<\n`);
	return folder;
}

export async function measureCompile(programs: Programs, rounds: number): Promise<Found> {
	const folder = makeProject(150);
	const compile = async (): Promise<number> => {
		await output(["make", "-s", "clean"], folder);
		const begin = performance.now();
		await output(["make", "-s", "-j2"], folder);
		return (performance.now() - begin) / 1000;
	};
	await compile();
	const endFloor = await startFloor(programs);
	await compile();
	const done = JSON.parse(await endFloor()) as { readonly opens: number; readonly execs: number };
	const bare: number[] = [];
	const watched: number[] = [];
	const uses: Use[] = [];
	for (let round = 0; round < rounds; round++) {
		const before = await compile();
		const sensor = await Sensor.start();
		let took = 0;
		uses.push(
			await sensor.during(async () => {
				took = await compile();
			}),
		);
		await sensor.stop();
		watched.push(took);
		bare.push((before + (await compile())) / 2);
	}
	const slower = median(watched.map((value, index) => value / (bare[index] ?? 1)));
	const title = "compile of a C project";
	const last = uses.at(-1);
	return {
		figures: [
			atMost(`${title}: sensor CPU`, median(uses.map((use) => use.cpuSeconds)), 0.15, seconds),
			{ name: `${title}: slowdown`, measured: ratio(slower) },
		],
		details:
			`- compile of 150 files: ${done.opens} opens, ${done.execs} execs (all of the host's in that time), ` +
			`${seconds(median(bare))} without and ${seconds(median(watched))} with the sensor; ${last ? countsText(last) : ""}`,
	};
}

export async function measureIdle(): Promise<Found> {
	const sensor = await Sensor.start();
	// What start-up left behind is dealt with when the first events come.
	await wait(5000);
	const use = await sensor.during(() => wait(60_000));
	const resident = sensor.residentSize();
	await sensor.stop();
	return {
		figures: [
			atMost("idle, 60 s: share of a core", use.cpuSeconds / use.seconds, 0.003, percent),
			atMost("idle, 60 s: resident memory", resident, 90, mebibytes),
		],
		details: `- idle: what happened on the host in the meantime: ${countsText(use) || "nothing"}; ${use.alerts} alerts`,
	};
}

/** A thousand write-opens and fifty executions a second. */
export async function measurePaced(programs: Programs): Promise<Found> {
	const file = join(temporaryFolder(), "plain");
	writeFileSync(file, "");
	const sensor = await Sensor.start();
	const use = await sensor.during(() =>
		Promise.all([
			runLoad(programs.load, ["-r", "1000", "-s", "20", "write", "0", file]),
			runLoad(programs.load, ["-r", "50", "-s", "20", "exec", "0", programs.nothing]),
		]),
	);
	await sensor.stop();
	const name = "paced, 1000 write-opens and 50 execs a second: share of a core";
	return {
		figures: [{ name, measured: percent(use.cpuSeconds / use.seconds) }],
		details: `- paced: ${countsText(use)}`,
	};
}
