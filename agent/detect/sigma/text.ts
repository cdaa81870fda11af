// A compiled condition, without what is the same for every event, and as text for people to read.
import type { Node, Term } from "../syntax.ts";

export const never: Node = { is: "or", nodes: [] };
export const always: Node = { is: "and", nodes: [] };

/** `always` and `never` are left only when they are all there is. */
export function simplified(node: Node): Node {
	if (node.is === "not") {
		const inner = simplified(node.node);
		if (isConstant(inner)) return inner.is === "and" ? never : always;
		return inner.is === "not" ? inner.node : { is: "not", node: inner };
	}
	if (node.is !== "and" && node.is !== "or") return node;
	const nodes: Node[] = [];
	for (const each of node.nodes.map(simplified)) {
		if (isConstant(each) && each.is !== node.is) return each;
		if (each.is === node.is) nodes.push(...each.nodes);
		else nodes.push(each);
	}
	return nodes.length === 1 ? (nodes[0] as Node) : { is: node.is, nodes };
}
function isConstant(node: Node): node is Extract<Node, { is: "and" | "or" }> {
	return (node.is === "and" || node.is === "or") && node.nodes.length === 0;
}

/** In the manner of the Falco language, with the operators that it does not have. */
export function textOf(node: Node): string {
	switch (node.is) {
		case "name":
			return node.name;
		case "not":
			return `not ${grouped(node.node)}`;
		case "and":
		case "or":
			if (node.nodes.length === 0) return node.is === "and" ? "always" : "never";
			return node.nodes.map(grouped).join(` ${node.is} `);
		case "check": {
			const left = termText(node.left);
			if (node.operator === "exists") return `${left} exists`;
			const values = node.right.map(termText);
			if (node.operator === "in") return `${left} in (${values.join(", ")})`;
			if (values.length === 1) return `${left} ${node.operator} ${values[0]}`;
			return `${left} ${node.operator} ${node.match}of (${values.join(", ")})`;
		}
	}
}

function grouped(node: Node): string {
	return node.is === "and" || node.is === "or" ? `(${textOf(node)})` : textOf(node);
}

function termText(term: Term): string {
	switch (term.is) {
		case "field": {
			const { name, argument } = term.field;
			return argument === undefined ? name : `${name}[${argument}]`;
		}
		case "text":
			return /^[\w./:@+-]+$/.test(term.text) ? term.text : JSON.stringify(term.text);
		case "call":
			return `${term.name}(${term.terms.map(termText).join(", ")})`;
	}
}
