// `npm run bench:capture`: what the real sensor costs its host, with its default signatures, as a process of its own.
// Prints a table of figures with their goals, then the details. As root; nothing of it is left on the host.
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { findMounts } from "../../agent/enrich/cgroup-path.ts";
import { measureFlood, measureLong } from "./capture/endurance.ts";
import { type Found, figureTable } from "./capture/figures.ts";
import { loopNames, measureLoops } from "./capture/loops.ts";
import { buildPrograms, closeAll, type Programs } from "./capture/processes.ts";
import {
	measureCompile,
	measureExecs,
	measureIdle,
	measurePaced,
	measureSaturated,
} from "./capture/scenes.ts";

const usage = `node test/bench/capture.ts [--rounds N] [--only NAME,…] [--long [--minutes N]] [--flood [--seconds N]]
--only: ${[...loopNames, "saturated", "execs", "compile", "idle", "paced", "long", "flood"].join(", ")}
--long: memory under twelve loops of short-lived processes, 20 minutes
--flood: marked executions during a flood of bulk events, 60 seconds
`;

const { values } = parseArgs({
	options: {
		only: { type: "string" },
		rounds: { type: "string", default: "5" },
		long: { type: "boolean", default: false },
		minutes: { type: "string", default: "20" },
		flood: { type: "boolean", default: false },
		seconds: { type: "string", default: "60" },
		help: { type: "boolean", default: false },
	},
});
if (values.help) {
	process.stdout.write(usage);
	process.exit();
}
const only = values.only?.split(",");
const wants = (name: string): boolean => only?.includes(name) ?? true;
const asked = (name: string, flag: boolean): boolean => flag || only?.includes(name) === true;
const rounds = Number(values.rounds);
const progress = (text: string): void => void process.stderr.write(`${text}\n`);

for (const [signal, status] of [
	["SIGINT", 130],
	["SIGTERM", 143],
	["SIGHUP", 129],
] as const) {
	process.once(signal, () => {
		closeAll();
		process.exit(status);
	});
}

const found: Found[] = [];
async function part(name: string, wanted: boolean, measure: () => Promise<Found>): Promise<void> {
	if (!wanted) return;
	progress(name);
	try {
		found.push(await measure());
	} catch (error) {
		// The others are worth having all the same.
		const reason = error instanceof Error ? error.message : String(error);
		found.push({
			figures: [{ name, goal: "", measured: "failed", met: false }],
			details: `- ${name}: ${reason}`,
		});
		process.exitCode = 1;
	}
}

async function measureAll(programs: Programs): Promise<void> {
	const cgroups = findMounts(readFileSync("/proc/self/mountinfo", "utf8")).mount ?? "/sys/fs/cgroup";
	const loops = new Set(loopNames.filter(wants));
	await part("loops", loops.size > 0, () => measureLoops(programs, loops, rounds, progress));
	await part("saturated", wants("saturated"), () => measureSaturated(programs));
	await part("execs", wants("execs"), () => measureExecs(programs, cgroups));
	await part("compile", wants("compile"), () => measureCompile(programs, Math.min(rounds, 3)));
	await part("idle", wants("idle"), () => measureIdle());
	await part("paced", wants("paced"), () => measurePaced(programs));
	await part("long", asked("long", values.long), () =>
		measureLong(programs, cgroups, Number(values.minutes), progress),
	);
	await part("flood", asked("flood", values.flood), () =>
		measureFlood(programs, cgroups, Number(values.seconds)),
	);
}

try {
	await measureAll(buildPrograms());
} finally {
	closeAll();
}
const machine = `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${rounds} rounds`;
const details = found.map((one) => one.details).join("\n\n");
process.stdout.write(`${machine}\n\n${figureTable(found.flatMap((one) => one.figures))}\n\n${details}\n`);
