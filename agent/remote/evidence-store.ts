// Where evidence is kept: a JSON file each in <state>/evidence, for root only, bounded in size and number. The oldest
// goes first.
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";

export interface EvidenceStore {
	/** On the disk when it resolves, with how many older ones had to go. Rejects with what the system says. */
	keep(id: string, content: Buffer): Promise<{ readonly path: string; readonly removed: number }>;
}

export interface EvidenceBounds {
	/** 100 files and 64 MiB by default. */
	readonly maxFiles?: number;
	readonly maxBytes?: number;
}

const pattern = /^[0-9TZ]+-\d+-[0-9a-f]{8}\.json$/;

/** "20260102T030405Z-4711-0a1b2c3d": in the order of time. */
export function evidenceId(time: number, pid: number): string {
	const stamp = new Date(time).toISOString().replace(/[-:]|\.\d+/g, "");
	return `${stamp}-${pid}-${randomBytes(4).toString("hex")}`;
}

export function createEvidenceStore(stateDir: string, bounds: EvidenceBounds = {}): EvidenceStore {
	const { maxFiles = 100, maxBytes = 64 * 1024 * 1024 } = bounds;
	const folder = join(stateDir, "evidence");

	/** Room for one more of that size. Never throws: what stays in the way is found by the write. */
	const makeRoom = async (size: number): Promise<number> => {
		const files = (await readdir(folder)).filter((name) => pattern.test(name)).sort();
		const sizes = await Promise.all(
			files.map((name) =>
				lstat(join(folder, name)).then(
					({ size }) => size,
					() => 0,
				),
			),
		);
		let bytes = sizes.reduce((sum, one) => sum + one, size);
		let left = files.length;
		let removed = 0;
		for (const [index, name] of files.entries()) {
			if (left < maxFiles && bytes <= maxBytes) break;
			await rm(join(folder, name), { force: true });
			bytes -= sizes[index] ?? 0;
			left--;
			removed++;
		}
		return removed;
	};

	return {
		async keep(id, content) {
			await mkdir(folder, { recursive: true, mode: 0o700 });
			if (!(await stat(folder)).isDirectory()) throw new Error(`${folder} is no folder`);
			const removed = await makeRoom(content.length);
			const path = join(folder, `${id}.json`);
			const fresh = `${path}.new`;
			const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
			const file = await open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
			try {
				await file.writeFile(content);
				await file.sync();
			} catch (error) {
				await rm(fresh, { force: true });
				throw error;
			} finally {
				await file.close();
			}
			await rename(fresh, path);
			const parent = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
			await parent.sync().finally(() => parent.close());
			return { path, removed };
		},
	};
}
