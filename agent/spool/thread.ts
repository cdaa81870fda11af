// A worker thread that answers requests in order. One that ended is started again with the next request.
import { Worker } from "node:worker_threads";

export interface Thread<Request, Answer> {
	/** Rejects when the thread cannot be started or ends before it has answered. */
	ask(request: Request, moved?: readonly ArrayBuffer[]): Promise<Answer>;
	/** Lets it finish what it was asked, for `patience` ms, then ends it. */
	stop(patience: number): Promise<void>;
}

export interface ThreadOptions<Request> {
	readonly data: Readonly<Record<string, unknown>>;
	/** Tells the thread to close its files and end. */
	readonly farewell: Request;
	/** ms without a request after which it is ended to give its memory back; 0 for never. */
	readonly idle: number;
}

interface Waiting<Answer> {
	readonly resolve: (answer: Answer) => void;
	readonly reject: (error: Error) => void;
}

/** Old and young generation, MiB: records are held outside of the heap. */
const limits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4, stackSizeMb: 2 };

export function createThread<Request, Answer>(options: ThreadOptions<Request>): Thread<Request, Answer> {
	let worker: Worker | undefined;
	let waiting: Waiting<Answer>[] = [];
	let idle: NodeJS.Timeout | undefined;

	function start(): Worker {
		const started = new Worker(new URL("./worker.ts", import.meta.url), {
			workerData: options.data,
			resourceLimits: limits,
			execArgv: [],
		});
		const ended = (error: Error): void => {
			if (worker !== started) return;
			worker = undefined;
			const abandoned = waiting;
			waiting = [];
			for (const { reject } of abandoned) reject(error);
		};
		started.on("message", (answer: Answer) => {
			waiting.shift()?.resolve(answer);
			rest();
		});
		started.on("error", (error) => {
			ended(error instanceof Error ? error : new Error(String(error)));
		});
		started.on("exit", (code) => ended(new Error(`the spool's thread ended with ${code}`)));
		return started;
	}
	function rest(): void {
		clearTimeout(idle);
		if (options.idle === 0 || waiting.length > 0) return;
		idle = setTimeout(() => {
			worker?.postMessage(options.farewell);
			worker = undefined;
		}, options.idle);
		idle.unref();
	}
	return {
		ask: (request, moved = []) =>
			new Promise((resolve, reject) => {
				clearTimeout(idle);
				try {
					worker ??= start();
					worker.postMessage(request, [...moved]);
					waiting.push({ resolve, reject });
				} catch (error) {
					reject(error instanceof Error ? error : new Error(String(error)));
				}
			}),
		async stop(patience) {
			clearTimeout(idle);
			const last = worker;
			if (last === undefined) return;
			const gone = new Promise<void>((resolve) => {
				last.once("exit", () => resolve());
			});
			last.postMessage(options.farewell);
			const timer = setTimeout(() => void last.terminate(), patience);
			// A thread that waits for a dead disk does not end, whatever one does: the process goes without it.
			const enough = setTimeout(() => last.unref(), patience + 1000);
			await Promise.race([
				gone,
				new Promise<void>((resolve) => setTimeout(resolve, patience + 1000).unref()),
			]);
			clearTimeout(timer);
			clearTimeout(enough);
		},
	};
}
