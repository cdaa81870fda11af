// Starting a process when the system has nothing left: spawn() then throws for some errors, tells others by an event, and
// for two (EMFILE, ENFILE) gives back a child without streams. Whoever uses one as if it had them would end the sensor.
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";

/** A child with all the streams that `options.stdio` asks for. Throws when there is none; "error" may still come. */
export function startProcess(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
	const child = spawn(command, args, options);
	// Typed as if it were always there.
	if ((child.stdio as unknown) !== undefined) return child;
	child.on("error", () => {});
	throw new Error(`${command} could not be started: too many open files`);
}
