// Fields as texts, to group by and to count: Falco's by their names, Sigma's by what they mean on the kind of event.
import { EventKind, type EventName, eventNames } from "../../model/event.ts";
import { findField } from "../fields.ts";
import { isKnownField } from "../known-fields.ts";
import { textOf } from "../output.ts";
import { falcoFieldOf } from "../sigma/taxonomy.ts";
import type { Getter } from "./runtime.ts";

/** Log sources of Sigma whose names an event of that kind has; of the rest those of a process. */
const categories: Partial<Record<EventName, string>> = {
	exit: "process_termination",
	open: "file_event",
	rename: "file_rename",
	unlink: "file_delete",
	connect: "network_connection",
	send: "network_connection",
	accept: "network_connection",
	module: "driver_load",
};

export type FoundField =
	| { readonly is: "found"; readonly get: Getter }
	/** Of the language, but no event here has it. */
	| { readonly is: "missing" }
	| { readonly is: "unknown" };

/** `name`: "proc.pid", "proc.aname[2]", "Image". */
export function findText(name: string): FoundField {
	const [, plain = "", argument] = /^([^[\]]+)(?:\[([^\]]*)\])?$/.exec(name) ?? [];
	if (findField(plain, argument)) {
		const get = textOf(plain, argument);
		if (get) return { is: "found", get };
	}
	if (plain.includes(".")) return { is: isKnownField(plain) ? "missing" : "unknown" };
	const byKind = new Map<EventKind, Getter>();
	for (const kind of eventNames) {
		const own = categories[kind] ?? "process_creation";
		const field = falcoFieldOf(own, name) ?? falcoFieldOf("auditd", name);
		const get = field && textOf(field.name, field.argument);
		if (get) byKind.set(EventKind[kind], get);
	}
	if (byKind.size === 0) return { is: "unknown" };
	return {
		is: "found",
		get: (observation, context) => byKind.get(observation.event.kind)?.(observation, context),
	};
}
