// Plain values out of a YAML document, with its aliases written out: bounded, since a few lines of aliases can stand for
// any number of values. What the values mean is decided by whoever reads them.
import {
	isAlias,
	isMap,
	isScalar,
	isSeq,
	type Node,
	type Scalar,
	visit,
	type Document as YamlDocument,
} from "yaml";

/** Plain data: text, lists, maps; null only in Sigma documents, where it is not the text "null". */
export type Value = string | null | readonly Value[] | { readonly [key: string]: Value };

export function asText(value: Value | undefined): string {
	return typeof value === "string" ? value : "";
}
/** One value is a list of one, nothing is an empty list. */
export function asList(value: Value | undefined): readonly Value[] {
	if (Array.isArray(value)) return value;
	return value === undefined || value === null || value === "" ? [] : [value];
}
export function asMap(value: Value | undefined): Readonly<Record<string, Value>> {
	return typeof value === "object" && value !== null && !Array.isArray(value)
		? (value as Record<string, Value>)
		: {};
}

/** Behind the first mistakes the rest mostly follows from them, and there may be one at each sign. */
const mostErrors = 10;

/** What is wrong with a document as YAML; the place of each is told apart from it, so not in its words. */
export function yamlErrors({ errors }: Pick<YamlDocument, "errors">): {
	readonly offset: number;
	readonly message: string;
	readonly remedy: string;
}[] {
	return errors.slice(0, mostErrors).map(({ message, pos: [offset] }) => {
		const [first = message] = message.split("\n");
		return {
			offset,
			message: first.replace(/ at line \d+, column \d+:?$/, ""),
			remedy: "mend the YAML; check indentation and quotes",
		};
	});
}

/** Values that may come out of aliases, in one document. */
const mostAliased = 20_000;
const deepest = 50;

/** A mistake in the YAML as such. */
export class YamlRefusal extends Error {
	readonly node: unknown;
	readonly remedy: string;
	constructor(message: string, node: unknown, remedy: string) {
		super(message);
		this.node = node;
		this.remedy = remedy;
	}
}

interface Anchor {
	readonly at: number;
	readonly node: Node;
}

export class YamlReader {
	readonly #anchors = new Map<string, Anchor[]>();
	readonly #scalar: (scalar: Scalar) => Value;
	readonly #repeated: (key: Node, name: string) => void;
	#left = mostAliased;

	/** `repeated` is told of a key that a map has twice: the first one counts. */
	constructor(
		document: YamlDocument,
		scalar: (scalar: Scalar) => Value,
		repeated: (key: Node, name: string) => void,
	) {
		this.#scalar = scalar;
		this.#repeated = repeated;
		visit(document, {
			Node: (_, node) => {
				if (isAlias(node) || node.anchor === undefined || !node.range) return;
				const all = this.#anchors.get(node.anchor) ?? [];
				this.#anchors.set(node.anchor, [...all, { at: node.range[0], node }]);
			},
		});
	}

	/** Throws YamlRefusal. */
	plain(node: unknown, aliased = false, depth = 0): Value {
		if (aliased && --this.#left < 0)
			throw new YamlRefusal(
				`more than ${mostAliased} values through aliases`,
				node,
				"write fewer, and no alias of an alias",
			);
		if (depth > deepest) throw new YamlRefusal("nested too deeply", node, `use at most ${deepest} levels`);
		if (isAlias(node)) return this.plain(this.target(node), true, depth + 1);
		if (isScalar(node)) return this.#scalar(node);
		if (isSeq(node)) return node.items.map((each) => this.plain(each, aliased, depth + 1));
		if (!isMap(node)) return this.#scalar({ value: null } as Scalar);
		const values = new Map<string, Value>();
		for (const { key, value } of node.items) {
			const name = asText(this.plain(key, aliased, depth + 1));
			if (name === "<<")
				throw new YamlRefusal("<< is not read", key, "write out the keys that it would put in");
			if (!values.has(name)) values.set(name, this.plain(value, aliased, depth + 1));
			else if (!aliased) this.#repeated(key as Node, name);
		}
		return Object.fromEntries(values);
	}

	/** What an alias stands for; any other node is itself. Throws YamlRefusal. */
	target(node: unknown): unknown {
		if (!isAlias(node)) return node;
		const at = node.range?.[0] ?? 0;
		const found = this.#anchors.get(node.source)?.findLast((anchor) => anchor.at < at);
		if (found) return found.node;
		throw new YamlRefusal(
			`*${node.source} refers to nothing`,
			node,
			`write &${node.source} at what it means`,
		);
	}
}
