// How often a check is true, roughly. It decides only in which order a rule's checks are made, never what they say.
import type { Field } from "./field.ts";
import type { Operator } from "./syntax.ts";

/** Of these texts there are few different ones, and what rules name is what most events have. */
const ordinary = /^(fd\.(l4proto|typechar|type|sockfamily)|container\.(id|type)|evt\.)/;

/** 0 to 1, of a check with constant values. */
export function chanceOf(field: Field, name: string, operator: Operator): number {
	if (operator === "exists") return 0.9;
	if (operator === "!=") return 1 - chanceOf(field, name, "=");
	switch (field.type) {
		case "text":
			return ordinary.test(name) ? 0.6 : 0.1;
		case "number":
			// Nearly every open has succeeded.
			if (/^[<>]/.test(operator)) return name === "evt.rawres" ? 0.95 : 0.5;
			return 0.2;
		case "bool":
			return 0.5;
		case "address":
			return 0.1;
	}
}
