// `npm run bench:capture`: what the real sensor costs its host, with its default signatures, as a process of its own.
// Prints a table of figures with their goals, then the details. As root; nothing of it is left on the host.
import { cpus, loadavg, release } from "node:os";
import { parseArgs } from "node:util";
import { type Figure, type Found, figureTable } from "./capture/figures.ts";
import { loopNames, measureLoops } from "./capture/loops.ts";
import { buildPrograms, closeAll } from "./capture/processes.ts";

const { values } = parseArgs({
	options: {
		only: { type: "string" },
		rounds: { type: "string", default: "5" },
	},
});
const rounds = Number(values.rounds);
const only = new Set(values.only?.split(",") ?? loopNames);
const progress = (text: string): void => void process.stderr.write(`${text}\n`);
for (const [signal, status] of [
	["SIGINT", 130],
	["SIGTERM", 143],
] as const) {
	process.once(signal, () => {
		closeAll();
		process.exit(status);
	});
}

const found: Found[] = [];
try {
	const programs = buildPrograms();
	found.push(await measureLoops(programs, only, rounds, progress));
} finally {
	closeAll();
}
const figures: Figure[] = found.flatMap((one) => one.figures);
process.stdout.write(
	`Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model}, load ${loadavg()[0]?.toFixed(1)}, ${rounds} rounds\n\n`,
);
process.stdout.write(`${figureTable(figures)}\n\n${found.map((one) => one.details).join("\n\n")}\n`);
