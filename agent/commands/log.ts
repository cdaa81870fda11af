// Where the sensor's own messages go: a file, lines for a person, or JSON for a machine.
import { type Logger, pino } from "pino";
import type { Config } from "../config/load.ts";
import type { CaptureFlags } from "../settings.ts";

/**
 * Messages of the sensor itself: readable lines for a person, JSON for a machine. Never on stdout.
 * `quiet`: a live view has the terminal.
 */
export function createLogger(config: Config, flags: CaptureFlags, quiet: boolean): Logger {
	const { level, file } = config.log;
	if (file !== "") return pino({ level, base: null }, logTo({ dest: file, mkdir: true, sync: true }));
	if (quiet) return pino({ level: "silent" });
	if (flags.output === "json" || !process.stderr.isTTY) {
		return pino(
			{ level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
			logTo({ dest: 2, sync: true }),
		);
	}
	return pino({ level, base: null }, { write: (line: string) => void process.stderr.write(plainLine(line)) });
}

/** A full disk costs messages, not the sensor: without a listener writing one would throw where it was logged. */
function logTo(options: Parameters<typeof pino.destination>[0]): ReturnType<typeof pino.destination> {
	const destination = pino.destination(options);
	destination.on("error", () => {});
	return destination;
}

function plainLine(line: string): string {
	const entry = JSON.parse(line) as { level: number; msg?: string };
	const word = entry.level >= 50 ? "error" : entry.level >= 40 ? "warning" : "note";
	return `picket: ${word}: ${entry.msg ?? line}\n`;
}
