// Texts made of a process, made once a process and kept with it: conditions ask for them again and again.
import { capabilityNames } from "../model/capabilities.ts";
import type { Process } from "../model/process.ts";

interface Derived {
	arguments?: string;
	command?: string;
	whole?: string;
	capabilities?: string;
}
const cache = new WeakMap<Process, Derived>();

function derived(process: Process): Derived {
	const known = cache.get(process);
	if (known) return known;
	const made: Derived = {};
	cache.set(process, made);
	return made;
}

/** argv from 1 on, joined by spaces; "" when there is none. */
export function argumentLine(process: Process): string {
	const known = derived(process);
	known.arguments ??= process.args.slice(1).join(" ");
	return known.arguments;
}

/** comm and arguments: "sh -c id", never "/bin/sh -c id". */
export function commandLine(process: Process): string {
	const known = derived(process);
	if (known.command === undefined) {
		// An argument that is empty still has its space before it.
		known.command = process.args.length > 1 ? `${process.comm} ${argumentLine(process)}` : process.comm;
	}
	return known.command;
}

/** argv joined by spaces: "/bin/sh -c id". */
export function wholeLine(process: Process): string {
	const known = derived(process);
	known.whole ??= process.args.join(" ");
	return known.whole;
}

/** The same as `argumentLine` in pieces: of a process that is asked about once, no text is made. */
export function sayArgumentLine({ args }: Process, say: (piece: string) => void): void {
	for (let i = 1; i < args.length; i++) {
		if (i > 1) say(" ");
		say(args[i] as string);
	}
}
export function sayWholeLine({ args }: Process, say: (piece: string) => void): void {
	for (let i = 0; i < args.length; i++) {
		if (i > 0) say(" ");
		say(args[i] as string);
	}
}
export function sayCommandLine(process: Process, say: (piece: string) => void): void {
	say(process.comm);
	if (process.args.length > 1) say(" ");
	sayArgumentLine(process, say);
}

/** 0 is the process itself, 1 its parent. */
export function ancestor(process: Process, level: number): Process | undefined {
	let at: Process | undefined = process;
	for (let i = 0; i < level && at; i++) at = at.parent;
	return at;
}

export function effectiveCapabilities(process: Process): string {
	const known = derived(process);
	known.capabilities ??= capabilityNames(process.capabilities).join(" ");
	return known.capabilities;
}
