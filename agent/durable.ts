// Files that are whole or not there at all, also after a power cut.
import { closeSync, constants, fsyncSync, linkSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** A new file of mode 0600, on the disk when this returns. Throws as fs does, EEXIST when it is there. */
export function writeNewFile(path: string, text: string, mode = 0o600): void {
	const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
	const fd = openSync(path, flags, mode);
	try {
		const bytes = Buffer.from(text);
		for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}

/** Puts `text` in the place of what is at `path`, in one step. */
export function replaceFile(path: string, text: string, mode = 0o600): void {
	const temporary = `${path}.${process.pid}.new`;
	rmSync(temporary, { force: true });
	try {
		writeNewFile(temporary, text, mode);
		renameSync(temporary, path);
	} finally {
		rmSync(temporary, { force: true });
	}
	syncFolder(dirname(path));
}

/** False when `path` is there already, whoever made it at the same moment. */
export function claimFile(path: string, text: string): boolean {
	const temporary = `${path}.${process.pid}.new`;
	rmSync(temporary, { force: true });
	try {
		writeNewFile(temporary, text);
		linkSync(temporary, path);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	} finally {
		rmSync(temporary, { force: true });
	}
	syncFolder(dirname(path));
	return true;
}

export function syncFolder(path: string): void {
	const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
	try {
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}
