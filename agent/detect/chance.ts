// How often a check is true, roughly. It decides only in which order a rule's checks are made, never what they say.
import type { Field } from "./field.ts";
import type { Operator } from "./syntax.ts";

/** Of these texts there are few different ones, and what rules name is what most events have. */
const ordinary = /^(fd\.(l4proto|typechar|type|sockfamily)|container\.(id|type)|evt\.)/;

/** Ports of servers, and which part of the connections of an ordinary host goes there. */
const everyday: Readonly<Record<string, number>> = {
	443: 0.35,
	80: 0.15,
	53: 0.15,
	5432: 0.08,
	3306: 0.08,
	6379: 0.08,
};
const portOfServer = /^fd\.(sport|rport|port)$/;

/** 0 to 1, of a check with constant values. */
export function chanceOf(
	field: Field,
	name: string,
	operator: Operator,
	values: readonly string[] = [],
): number {
	if (operator === "exists") return 0.9;
	if (operator === "!=") return 1 - chanceOf(field, name, "=", values);
	switch (field.type) {
		case "text":
			return ordinary.test(name) ? 0.6 : 0.1;
		case "number":
			// Nearly every open has succeeded.
			if (/^[<>]/.test(operator)) return name === "evt.rawres" ? 0.95 : 0.5;
			if (portOfServer.test(name))
				return values.reduce((sum, value) => sum + (everyday[value] ?? 0.002), 0.01);
			return 0.2;
		case "bool":
			return 0.5;
		case "address":
			return 0.1;
	}
}
