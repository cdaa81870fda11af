// Every field a condition or an output may name, by name. Names and meanings are Falco's; those that no event of ours
// carries yet are in known-fields.ts.
import type { Field, Fields } from "./field.ts";
import { argumentFields, argumentFieldsWith } from "./fields-argument.ts";
import { containerFields, containerFieldsWith } from "./fields-container.ts";
import { eventFields, eventFieldsWith } from "./fields-event.ts";
import { fileFields } from "./fields-file.ts";
import { processFields, processFieldsWith } from "./fields-process.ts";
import { socketFields } from "./fields-socket.ts";

const withoutArgument: Fields = {
	...eventFields,
	...argumentFields,
	...fileFields,
	...socketFields,
	...processFields,
	...containerFields,
};
const withArgument: Readonly<Record<string, (argument: string | undefined) => Field | undefined>> = {
	...eventFieldsWith,
	...argumentFieldsWith,
	...processFieldsWith,
	...containerFieldsWith,
};
/** Those whose argument may also follow a dot: container.label.NAME. */
const dotted = /^(container\.label|thread\.cgroup|evt\.type\.is)\.(.+)$/;

/** The field of that name, undefined when no event of ours has it or its argument makes no sense. */
export function findField(name: string, argument: string | undefined): Field | undefined {
	if (argument === undefined && Object.hasOwn(withoutArgument, name)) return withoutArgument[name];
	if (Object.hasOwn(withArgument, name)) return withArgument[name]?.(argument);
	const [, prefix, rest] = (argument === undefined && dotted.exec(name)) || [];
	return prefix === undefined ? undefined : findField(prefix, rest);
}

/** All of them; those of `fieldsWithArgument` take, or want, an argument in brackets. */
export const fieldNames: readonly string[] = [
	...new Set([...Object.keys(withoutArgument), ...Object.keys(withArgument)]),
];
export const fieldsWithArgument: readonly string[] = Object.keys(withArgument);
