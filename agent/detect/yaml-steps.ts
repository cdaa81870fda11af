// YAML read in steps: a file of thousands of lines takes longer than events of a running sensor should wait.
import { Composer, type Document, Lexer, LineCounter, Parser } from "yaml";

/** Lexemes a step: some milliseconds. */
const lexemesPerStep = 2000;

export interface YamlFile {
	readonly documents: readonly Document.Parsed[];
	readonly lines: LineCounter;
}

/** What parseAllDocuments() says of the text, but for the errors' messages, which do not repeat their places. */
export function* parseYaml(text: string, uniqueKeys: boolean): Generator<void, YamlFile> {
	const lines = new LineCounter();
	const parser = new Parser(lines.addNewLine);
	const composer = new Composer({ schema: "failsafe", uniqueKeys });
	const documents: Document.Parsed[] = [];
	lines.addNewLine(0);
	let left = lexemesPerStep;
	for (const lexeme of new Lexer().lex(text)) {
		for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
		if (--left > 0) continue;
		left = lexemesPerStep;
		yield;
	}
	for (const token of parser.end()) documents.push(...composer.next(token));
	yield;
	documents.push(...composer.end());
	return { documents, lines };
}
