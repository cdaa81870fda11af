// What a benchmark run has found, as a table: a figure, what it should be, what it is.

export interface Figure {
	readonly name: string;
	/** Absent: measured for its own sake. */
	readonly goal?: string;
	readonly measured: string;
	readonly met?: boolean;
}

/** A figure that must not exceed `limit`. */
export function atMost(name: string, value: number, limit: number, text: (value: number) => string): Figure {
	if (limit === 0) return exactly(name, value, 0);
	return { name, goal: `≤ ${text(limit)}`, measured: text(value), met: value <= limit };
}

/** A figure that must be exactly that. */
export function exactly(name: string, value: number, wanted: number, words = ""): Figure {
	const measured = words === "" ? String(value) : `${value} (${words})`;
	return { name, goal: String(wanted), measured, met: value === wanted };
}

export const ratio = (value: number): string => `${value.toFixed(2)} ×`;
export const seconds = (value: number): string => `${value.toFixed(value < 1 ? 3 : 2)} s`;
export const percent = (value: number): string => `${(value * 100).toFixed(2)} %`;
export const mebibytes = (value: number): string => `${value.toFixed(1)} MiB`;

export function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length / 2;
	const [low = 0, high = low] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
	return (low + high) / 2;
}

/** Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
	const widths = head.map((title, column) =>
		Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
	);
	const line = (cells: readonly string[]) =>
		`| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
	return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

export function figureTable(figures: readonly Figure[]): string {
	const metText = ({ met }: Figure) => (met === undefined ? "" : met ? "yes" : "NO");
	const rows = figures.map((one) => [one.name, one.goal ?? "", one.measured, metText(one)]);
	return table(["figure", "goal", "measured", "met"], rows);
}

/** What a part of the benchmark gives back. */
export interface Found {
	readonly figures: readonly Figure[];
	/** Markdown. */
	readonly details: string;
}
