// A picture of a terminal for the documentation: coloured text in, SVG out.
//   tmux capture-pane -e -p | node test/terminal-picture.ts [TITLE] > picture.svg
import { readFileSync } from "node:fs";
import { characterWidth } from "../agent/report/terminal-text.ts";

const cellWidth = 8.4;
const cellHeight = 18;
const padding = 16;
const bar = 34;
const ground = "#14171c";
const ink = "#d7dae0";

interface Look {
	ink: string | undefined;
	ground: string | undefined;
	bold: boolean;
	dim: boolean;
	reverse: boolean;
	underline: boolean;
}
interface Run extends Look {
	readonly column: number;
	cells: number;
	text: string;
}

const base = [
	"#2b3038",
	"#e06c75",
	"#8fc07a",
	"#e0c46c",
	"#6ca8e0",
	"#b98fd8",
	"#6cc0c4",
	"#c8ccd4",
	"#6b7280",
	"#ff7b86",
	"#a8d98f",
	"#f5d97a",
	"#85bdf5",
	"#d0a8ee",
	"#85d8dc",
	"#f3f4f6",
]; // prettier than the defaults, in their order

/** Colour of an index of the 256-colour palette (the first 16 are the theme's). */
function indexed(index: number): string {
	if (index < 16) return base[index] ?? ink;
	if (index >= 232) return grey(8 + (index - 232) * 10);
	const level = (step: number): number => (step === 0 ? 0 : 55 + step * 40);
	const cube = index - 16;
	return hex([level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)]);
}
const grey = (value: number): string => hex([value, value, value]);
const hex = (parts: readonly number[]): string =>
	`#${parts.map((part) => Math.max(0, Math.min(255, part)).toString(16).padStart(2, "0")).join("")}`;

const plain = (): Look => ({
	ink: undefined,
	ground: undefined,
	bold: false,
	dim: false,
	reverse: false,
	underline: false,
});

/** Applies the parameters of one SGR sequence (ECMA-48 8.3.117). */
function applyStyle(look: Look, parameters: readonly number[]): void {
	for (let at = 0; at < parameters.length; at++) {
		const code = parameters[at] ?? 0;
		if (code === 0) Object.assign(look, plain());
		else if (code === 1) look.bold = true;
		else if (code === 2) look.dim = true;
		else if (code === 4) look.underline = true;
		else if (code === 7) look.reverse = true;
		else if (code === 22) look.bold = look.dim = false;
		else if (code === 24) look.underline = false;
		else if (code === 27) look.reverse = false;
		else if (code >= 30 && code <= 37) look.ink = indexed(code - 30);
		else if (code === 39) look.ink = undefined;
		else if (code >= 40 && code <= 47) look.ground = indexed(code - 40);
		else if (code === 49) look.ground = undefined;
		else if (code >= 90 && code <= 97) look.ink = indexed(code - 82);
		else if (code >= 100 && code <= 107) look.ground = indexed(code - 92);
		else if (code === 38 || code === 48) {
			const rgb = parameters[at + 1] === 2;
			const colour = rgb ? hex(parameters.slice(at + 2, at + 5)) : indexed(parameters[at + 2] ?? 0);
			at += rgb ? 4 : 2;
			if (code === 38) look.ink = colour;
			else look.ground = colour;
		}
	}
}

/** A line cut into runs of one look; sequences other than SGR are left out. */
function runsOf(line: string, look: Look): Run[] {
	const runs: Run[] = [];
	let column = 0;
	// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences start with one
	for (const [piece] of line.matchAll(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b[^[]|[^\x1b]+/gu)) {
		if (piece.startsWith("\x1b")) {
			if (piece.endsWith("m")) applyStyle(look, piece.slice(2, -1).split(/[;:]/).map(Number));
			continue;
		}
		for (const character of piece) {
			if (character < " ") continue;
			const cells = characterWidth(character);
			const last = runs.at(-1);
			// A wide character gets a run of its own: its glyph's true width is the font's business.
			if (last !== undefined && sameLook(last, look) && cells < 2 && last.cells === [...last.text].length) {
				last.text += character;
				last.cells += cells;
			} else if (cells === 0 && last !== undefined) last.text += character;
			else runs.push({ ...look, column, cells, text: character });
			column += cells;
		}
	}
	return runs;
}

function sameLook(a: Look, b: Look): boolean {
	return (
		a.ink === b.ink &&
		a.ground === b.ground &&
		a.bold === b.bold &&
		a.dim === b.dim &&
		a.reverse === b.reverse &&
		a.underline === b.underline
	);
}

function xml(text: string): string {
	const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
	return text.replace(/[&<>"]/g, (character) => names[character] ?? character);
}

const round = (value: number): string => String(Math.round(value * 100) / 100);

function drawRun(run: Run, row: number): string {
	const x = padding + run.column * cellWidth;
	const y = bar + padding + row * cellHeight;
	const front = run.reverse ? (run.ground ?? ground) : (run.ink ?? ink);
	const back = run.reverse ? (run.ink ?? ink) : run.ground;
	const width = round(run.cells * cellWidth);
	let drawn = "";
	if (back !== undefined) {
		drawn += `<rect x="${round(x)}" y="${round(y)}" width="${width}" height="${cellHeight}" fill="${back}"/>`;
	}
	if (run.text.trim() === "") return drawn;
	const traits =
		(run.bold ? ' font-weight="700"' : "") +
		(run.dim ? ' opacity="0.6"' : "") +
		(run.underline ? ' text-decoration="underline"' : "");
	// The length keeps the columns straight whatever font the reader has.
	return (
		`${drawn}<text x="${round(x)}" y="${round(y + cellHeight * 0.74)}" fill="${front}"${traits} ` +
		`textLength="${width}" lengthAdjust="spacingAndGlyphs" xml:space="preserve">${xml(run.text)}</text>`
	);
}

/** Draws a captured screen as a window with a title. */
export function terminalPicture(screen: string, title: string): string {
	const look = plain();
	const rows = screen
		.replace(/\n+$/, "")
		.split("\n")
		.map((line) => runsOf(line, look));
	const columns = Math.max(40, ...rows.flat().map((run) => run.column + run.cells));
	const width = Math.ceil(padding * 2 + columns * cellWidth);
	const height = bar + padding * 2 + rows.length * cellHeight;
	const lights = ["#ed6a5e", "#f4bf4f", "#61c554"]
		.map((fill, index) => `<circle cx="${20 + index * 20}" cy="17" r="6" fill="${fill}"/>`)
		.join("");
	const body = rows
		.flatMap((runs, row) => runs.map((run) => drawRun(run, row)))
		.filter((part) => part !== "");
	return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${xml(title)}">
<rect width="${width}" height="${height}" rx="10" fill="${ground}"/>
<path d="M0 ${bar}V10a10 10 0 0 1 10-10H${width - 10}a10 10 0 0 1 10 10V${bar}z" fill="#20242b"/>
${lights}
<text x="${width / 2}" y="22" fill="#8b929e" font-family="system-ui,sans-serif" font-size="13" text-anchor="middle">${xml(title)}</text>
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14">
${body.join("\n")}
</g>
</svg>
`;
}

if (import.meta.main) {
	process.stdout.write(terminalPicture(readFileSync(0, "utf8"), process.argv[2] ?? "picket"));
}
