// Names of the system calls that carry events, from the numbers bpf/event.h gives them on either architecture.
import type { Architecture } from "./kernel-names.ts";
import { syscallArm64, syscallX8664 } from "./layout.ts";

function namesOf(numbers: Readonly<Record<string, number>>, prefix: string): ReadonlyMap<number, string> {
	return new Map(
		Object.entries(numbers).map(([name, number]) => [number, name.slice(prefix.length).toLowerCase()]),
	);
}

const names: Readonly<Record<Architecture, ReadonlyMap<number, string>>> = {
	x64: namesOf(syscallX8664, "X86_64_"),
	arm64: namesOf(syscallArm64, "ARM64_"),
};

/** "openat"; undefined for 0, which is none, and for a call that carries no events. */
export function syscallName(number: number, architecture: Architecture): string | undefined {
	return number === 0 ? undefined : names[architecture].get(number);
}

/** Its number; undefined where the architecture does not have it. */
export function syscallNumber(name: string, architecture: Architecture): number | undefined {
	const numbers: Readonly<Record<string, number>> = architecture === "x64" ? syscallX8664 : syscallArm64;
	return numbers[`${architecture === "x64" ? "X86_64_" : "ARM64_"}${name.toUpperCase()}`];
}
