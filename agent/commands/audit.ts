// `picket audit verify`: walks the hash chain of the audit. Needs no sensor, only the right to read the file.
import { join } from "node:path";
import { readConfig } from "../content.ts";
import { CommandError } from "../failure.ts";
import { type AuditCheck, verifyAuditFile } from "../respond/audit-read.ts";
import type { Outcome } from "./rules.ts";

export interface AuditFlags {
	readonly config?: string;
	readonly stateDir?: string;
	readonly json?: boolean;
}

/** Exit status 1 when the chain does not hold. Throws CommandError when the file cannot be read. */
export async function verify(given: string | undefined, flags: AuditFlags): Promise<Outcome> {
	const file = given ?? join(flags.stateDir ?? readConfig(flags.config).config.paths.state, "audit.jsonl");
	let check: AuditCheck;
	try {
		check = await verifyAuditFile(file);
	} catch (error) {
		const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
		if (missing) throw new CommandError(`there is no audit ${file}`, "a sensor that never acted has none");
		const reason = error instanceof Error ? error.message : String(error);
		throw new CommandError(`the audit cannot be read: ${reason}`, "run this as root, or name another file");
	}
	const status = check.broken === undefined ? 0 : 1;
	return { text: flags.json ? JSON.stringify({ file, ...check }) : textOf(file, check), status };
}

function textOf(file: string, { entries, torn, broken, last }: AuditCheck): string {
	const lines = torn.map((line) => `line ${line} was torn by a crash, which the line after it tells`);
	if (broken === undefined) {
		lines.push(`${file}: the chain of ${entries} entries holds`);
		if (entries > 0)
			lines.push(`last hash ${last}; kept elsewhere, it shows later whether lines were cut off`);
	} else {
		lines.push(`${file}:${broken.line}: the chain is broken: this line ${broken.reason}`);
		lines.push(`the ${entries} entries before it hold; what comes after may have been written by anybody`);
	}
	return lines.join("\n");
}
