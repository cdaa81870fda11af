// Runs `picket` as a user does, on files of a folder that is removed afterwards.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll } from "vitest";

const root = new URL("../../../", import.meta.url).pathname;

/** Writes files and returns their folder, which is gone when the test file has run. */
export function folderOf(files: Readonly<Record<string, string>>): string {
	const folder = mkdtempSync(join(tmpdir(), "picket-rules-"));
	afterAll(() => rmSync(folder, { recursive: true, force: true }));
	for (const [name, text] of Object.entries(files)) {
		mkdirSync(dirname(join(folder, name)), { recursive: true });
		writeFileSync(join(folder, name), text);
	}
	return folder;
}

export interface Outcome {
	readonly status: number;
	readonly out: string;
	readonly err: string;
}

/** `picket` with these words, in `folder`, without a terminal. */
export function picket(folder: string, ...words: readonly string[]): Outcome {
	try {
		const out = execFileSync(process.execPath, [`${root}agent/main.mjs`, ...words], {
			cwd: folder,
			encoding: "utf8",
			stdio: ["ignore", "pipe", "pipe"],
		});
		return { status: 0, out, err: "" };
	} catch (error) {
		const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string };
		return { status, out: stdout, err: stderr };
	}
}

export function picketRules(folder: string, ...words: readonly string[]): Outcome {
	return picket(folder, "rules", ...words);
}
