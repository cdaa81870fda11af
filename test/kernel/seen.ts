// An event as a plain object, for tests that look at a record's own members: the view itself is moved on.
import { type EventName, type EventView, eventName, Text } from "../../agent/model/event.ts";
import { structs } from "../../agent/model/structs.ts";

export interface Seen {
	readonly kind: EventName;
	readonly pid: number;
	readonly tid: number;
	readonly syscall: number;
	readonly flags: number;
	/** Members of 4 and 8 bytes by name, and arrays of words as "name0", "name1", … */
	readonly fields: Record<string, number>;
	readonly texts: Record<string, string>;
}

export function copyOf(event: EventView): Seen | undefined {
	const kind = eventName(event.kind);
	if (!kind) return undefined;
	const struct = structs[kind];
	const texts: Record<string, string> = {};
	const fields: Record<string, number> = {};
	const members = Object.entries(struct).filter(([name]) => name !== "bytes" && name !== "header");
	for (const [index, [name, at]] of members.entries()) {
		const bytes = (members[index + 1]?.[1] ?? struct.bytes) - at;
		if (name in Text) texts[name] = event.text(Text[name as keyof typeof Text]);
		else if (bytes === 4) fields[name] = event.word(at);
		else if (bytes === 8) fields[name] = event.long(at);
		else for (let i = 0; i < bytes / 4; i++) fields[`${name}${i}`] = event.word(at + 4 * i);
	}
	fields.result = event.result;
	const { pid, tid, syscall, flags } = event;
	return { kind, pid, tid, syscall, flags, fields, texts };
}
