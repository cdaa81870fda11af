// What an alert of a Sigma rule says: the rules have no output of their own.
import type { LogSource } from "./taxonomy.ts";

const actor = "user=%user.name exe=%proc.exepath command=%proc.exeline parent=%proc.pexepath";

/** An output template. */
export function outputOf(title: string, { category, service }: LogSource): string {
	const object = category.startsWith("file_")
		? "file=%fs.path.changed "
		: category === "network_connection"
			? "connection=%fd.name "
			: service === "auditd"
				? "call=%evt.type "
				: "";
	// A percent sign in the title begins no field.
	return `${title.replace(/%(?=[a-zA-Z])/g, "% ")} | ${object}${actor}`;
}
