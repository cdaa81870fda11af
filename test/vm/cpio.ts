// Writes cpio archives in the format "newc", the one that Linux unpacks into its first root file system
// (Documentation/driver-api/early-userspace/buffer-format.rst).
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";

const kinds = { directory: 0o040000, file: 0o100000, link: 0o120000 };

/** Owned by root; directories above an entry are made when they are missing. */
export class Archive {
	readonly #file: number;
	readonly #seen = new Set<string>([""]);
	#inode = 1;

	constructor(path: string) {
		this.#file = openSync(path, "w");
	}

	#entry(path: string, mode: number, mtimeMs: number, content: Uint8Array): void {
		const name = Buffer.from(`${path}\0`);
		const numbers = [
			this.#inode++,
			mode,
			0, // uid
			0, // gid
			1, // links
			Math.floor(mtimeMs / 1000),
			content.length,
			0, // device the file lies on: major, minor
			0,
			0, // device the file is: major, minor
			0,
			name.length,
			0, // check sum, unused in this format
		];
		const header = `070701${numbers.map((each) => each.toString(16).padStart(8, "0")).join("")}`;
		this.#write(Buffer.concat([Buffer.from(header), name]));
		this.#write(content);
	}

	/** Padded to a multiple of four, as every part of an entry is. */
	#write(part: Uint8Array): void {
		for (let at = 0; at < part.length; ) at += writeSync(this.#file, part, at);
		if (part.length % 4 > 0) writeSync(this.#file, Buffer.alloc(4 - (part.length % 4)));
	}

	directory(path: string): void {
		if (this.#seen.has(path)) return;
		this.#parents(path);
		this.#seen.add(path);
		this.#entry(path, kinds.directory | 0o755, Date.now(), Buffer.alloc(0));
	}

	#parents(path: string): void {
		const above = dirname(path);
		if (above !== ".") this.directory(above);
	}

	link(path: string, target: string): void {
		if (this.#seen.has(path)) return;
		this.#parents(path);
		this.#seen.add(path);
		this.#entry(path, kinds.link | 0o777, Date.now(), Buffer.from(target));
	}

	file(path: string, content: Uint8Array, executable = false, mtimeMs = Date.now()): void {
		if (this.#seen.has(path)) return;
		this.#parents(path);
		this.#seen.add(path);
		this.#entry(path, kinds.file | (executable ? 0o755 : 0o644), mtimeMs, content);
	}

	/** A file of this machine. */
	copy(path: string, source: string): void {
		const { mode, mtimeMs } = lstatSync(source);
		this.file(path, readFileSync(source), (mode & 0o100) !== 0, mtimeMs);
	}

	/** A folder of this machine, the files that `wanted` takes. */
	tree(path: string, source: string, wanted: (name: string) => boolean): void {
		for (const entry of readdirSync(source, { withFileTypes: true })) {
			const from = join(source, entry.name);
			if (entry.isDirectory()) this.tree(join(path, entry.name), from, wanted);
			else if (entry.isSymbolicLink()) this.link(join(path, entry.name), readlinkSync(from));
			else if (entry.isFile() && wanted(entry.name)) this.copy(join(path, entry.name), from);
		}
	}

	close(): void {
		this.#inode = 0;
		this.#entry("TRAILER!!!", 0, 0, Buffer.alloc(0));
		closeSync(this.#file);
	}
}
