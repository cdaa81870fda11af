// The page of metrics as Prometheus' own client library reads it.
import { execFileSync } from "node:child_process";

export interface ReadSample {
	readonly family: string;
	readonly type: string;
	readonly help: string;
	readonly name: string;
	readonly labels: Readonly<Record<string, string>>;
	readonly value: number;
}

const script = new URL("prometheus.py", import.meta.url).pathname;

/** Throws with the library's words when one is no such page, or when the library is missing. */
export function readPages(pages: readonly string[]): ReadSample[][] {
	// Debian's Python, whose package the set-up installs, whatever other Python comes first.
	const out = execFileSync("/usr/bin/python3", [script], {
		input: JSON.stringify(pages),
		stdio: ["pipe", "pipe", "pipe"],
		maxBuffer: 64 * 1024 * 1024,
	});
	const read = JSON.parse(out.toString()) as [
		string,
		string,
		string,
		string,
		Record<string, string>,
		number,
	][][];
	return read.map((page) =>
		page.map(([family, type, help, name, labels, value]) => ({ family, type, help, name, labels, value })),
	);
}

export function readPage(page: string): ReadSample[] {
	return readPages([page])[0] ?? [];
}
