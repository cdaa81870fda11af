// May a process write the file it runs from? Then whoever takes it over owns every later run of that file, too.
import { dacOverride } from "./capabilities.ts";
import type { Process } from "./process.ts";

/**
 * By the file's permissions and the process's own ids, as the kernel decides, leaving out supplementary groups and access
 * lists. Undefined when the file is not known.
 */
export function mayWriteExecutable(process: Process): boolean | undefined {
	const { fileMode, fileUid, fileGid, euid, egid, capabilities } = process;
	if (fileMode === 0) return undefined;
	if ((capabilities & dacOverride) !== 0n) return true;
	const allowed = euid === fileUid ? fileMode >> 6 : egid === fileGid ? fileMode >> 3 : fileMode;
	return (allowed & 2) !== 0;
}
