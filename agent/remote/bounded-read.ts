// Reading files that others shape: bounded in bytes and time, off the event loop. A read that hangs, as one of a process
// that waits for a file system in user space may, keeps a thread of the pool: there are few, so no others begin then.
import { type FileHandle, open } from "node:fs/promises";

export interface Read {
	readonly bytes: Buffer;
	readonly truncated: boolean;
}

/** Of the four threads that there are. */
const mostHanging = 2;
const chunkBytes = 64 * 1024;
let hanging = 0;

/** Why nothing more is read for now; undefined when there is no reason. */
function readersHang(): string | undefined {
	return hanging < mostHanging ? undefined : `${hanging} earlier reads hang in the kernel; try again later`;
}

/** Rejects with what the system says, or after `ms`. */
export async function readBounded(path: string, most: number, ms: number): Promise<Read> {
	return within(ms, path, async (given) => {
		const file = await open(path, "r");
		try {
			const chunks: Buffer[] = [];
			let read = 0;
			for (; read <= most && !given.up; ) {
				const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, most + 1 - read));
				const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
				if (bytesRead === 0) break;
				chunks.push(chunk.subarray(0, bytesRead));
				read += bytesRead;
			}
			const bytes = Buffer.concat(chunks);
			return { bytes: bytes.subarray(0, most), truncated: bytes.length > most };
		} finally {
			await file.close();
		}
	});
}

/** Opens and gives to `work`, which should stop once it was given up. */
export async function withFile<T>(
	path: string,
	ms: number,
	work: (file: FileHandle, given: { readonly up: boolean }) => Promise<T>,
): Promise<T> {
	return within(ms, path, async (given) => {
		const file = await open(path, "r");
		try {
			return await work(file, given);
		} finally {
			await file.close();
		}
	});
}

async function within<T>(ms: number, path: string, work: (given: { up: boolean }) => Promise<T>): Promise<T> {
	const why = readersHang();
	if (why !== undefined) throw new Error(why);
	const given = { up: false };
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => {
			given.up = true;
			hanging++;
			const settle = (): void => {
				hanging--;
			};
			running.then(settle, settle);
			reject(new Error(`${path} could not be read within ${ms / 1000} s`));
		}, ms);
	});
	const running = work(given);
	try {
		return await Promise.race([running, late]);
	} finally {
		clearTimeout(timer);
	}
}
