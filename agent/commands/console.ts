// `picket console`: the reference console in the foreground.
import { pino } from "pino";
import { runConsole } from "../console/command.ts";
import { version } from "../version.ts";

export interface ConsoleFlags {
	readonly listen: string;
	readonly tlsCert?: string;
	readonly tlsKey?: string;
	readonly tlsClientCa?: string;
	readonly authority?: string;
	readonly name?: string[];
	readonly store?: string;
	readonly output?: "text" | "json";
}

export async function console(flags: ConsoleFlags): Promise<void> {
	const stop = new AbortController();
	for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
	await runConsole({
		...flags,
		colour: process.stdout.isTTY && process.env.NO_COLOR === undefined,
		version,
		logger: pino({ level: "warn", base: null }, pino.destination({ dest: 2, sync: true })),
		input: process.stdin,
		stdout: process.stdout,
		stderr: process.stderr,
		signal: stop.signal,
	});
}
