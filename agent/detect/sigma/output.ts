// What an alert of a Sigma rule says: the rules have no output of their own.
import { falcoFieldOf, type LogSource } from "./taxonomy.ts";

const actor = "user=%user.name exe=%proc.exepath command=%proc.exeline parent=%proc.pexepath";

/** An output template; `fields` are those the rule wants shown. */
export function outputOf(title: string, { category, service }: LogSource, fields: readonly string[]): string {
	const object = category.startsWith("file_")
		? "file=%fs.path.changed "
		: category === "network_connection"
			? "connection=%fd.name "
			: service === "auditd"
				? "call=%evt.type "
				: "";
	const shown = `${object}${actor}`;
	const more = fields.flatMap((name) => {
		const field = falcoFieldOf(service === "auditd" ? service : category, name);
		if (!field) return [];
		const token = `%${field.name}${field.argument === undefined ? "" : `[${field.argument}]`}`;
		return shown.split(/[ =]/).includes(token) ? [] : [` ${name}=${token}`];
	});
	// A percent sign in the title begins no field.
	return `${title.replaceAll("%", "%%")} | ${shown}${[...new Set(more)].join("")}`;
}
