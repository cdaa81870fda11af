// How a command ends that cannot do its work: what is wrong, what to do about it, and the exit status.
import type { Problem } from "./model/verdict.ts";
import { neutralise } from "./report/shown.ts";

/** 1: the work found errors. 2: the input or the host does not allow it. */
export type ExitStatus = 1 | 2;

export class CommandError extends Error {
	readonly remedy: string;
	readonly status: ExitStatus;
	constructor(message: string, remedy: string, status: ExitStatus = 2) {
		super(message);
		this.remedy = remedy;
		this.status = status;
	}
}

/** "file:line:column: error in rule X: message (remedy)"; place and remedy only as far as known. */
export function problemText(problem: Problem): string {
	const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
	const where = problem.where === "" ? "" : ` at ${problem.where}`;
	const remedy = problem.remedy === "" ? "" : ` (${problem.remedy})`;
	return neutralise(`${place}: ${problem.level}${where}: ${problem.message}${remedy}`);
}

/** Message and remedy of whatever was thrown. */
export function failureText(error: unknown): { message: string; remedy: string; status: number } {
	if (!(error instanceof Error)) return { message: String(error), remedy: "", status: 2 };
	const remedy = "remedy" in error && typeof error.remedy === "string" ? error.remedy : "";
	const status = error instanceof CommandError ? error.status : 2;
	return { message: error.message, remedy, status };
}
