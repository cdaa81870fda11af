// A child that does one piece of work of an enrolment and ends: JSON in on stdin, JSON out on stdout. It gives away its
// rights before it reads a byte that came from outside, so that a flaw in TLS, gRPC or certificates has nothing to take.
import type { Exchanged } from "./exchange.ts";
import type { Inspected } from "./inspect.ts";
import type { Token } from "./token.ts";

export type Job =
	/** A key and its signing request; nothing from outside is read. */
	| { readonly job: "request"; readonly hostId: string }
	| {
			readonly job: "exchange";
			readonly token: Token;
			readonly request: string;
			readonly hostId: string;
			readonly host: string;
	  }
	| {
			readonly job: "inspect";
			readonly certificate: string;
			readonly authorities: string;
			readonly key: string;
			readonly hostId: string;
	  };

export interface Results {
	readonly request: { readonly key: string; readonly request: string };
	readonly exchange: Exchanged;
	readonly inspect: Inspected;
}

export type Reply = { readonly result: unknown } | { readonly problem: string; readonly remedy: string };

/** nobody, by number: that is the same everywhere. */
const nobody = 65_534;

/** What is to be loaded from disk must be before: the checkout may be root's alone. */
async function prepare(job: Job): Promise<() => Promise<unknown>> {
	switch (job.job) {
		case "request": {
			const { makeKey, makeRequest } = await import("./certificates.ts");
			return async () => {
				const key = makeKey();
				return { key, request: await makeRequest(key, job.hostId) };
			};
		}
		case "exchange": {
			const { exchange } = await import("./exchange.ts");
			return () => exchange(job.token, job, Date.now);
		}
		case "inspect": {
			const { inspectCertificate } = await import("./inspect.ts");
			return async () => inspectCertificate({ ...job, now: Date.now() });
		}
	}
}

function giveUpRights(): void {
	if (process.getuid?.() !== 0) return;
	process.setgroups?.([]);
	process.setgid?.(nobody);
	process.setuid?.(nobody);
	if (process.getuid?.() !== nobody) throw new Error("the child could not give up its rights");
}

async function work(): Promise<Reply> {
	try {
		let text = "";
		for await (const chunk of process.stdin) text += chunk;
		const run = await prepare(JSON.parse(text) as Job);
		giveUpRights();
		return { result: await run() };
	} catch (error) {
		const problem = error instanceof Error ? error.message : String(error);
		const remedy = error instanceof Error && "remedy" in error ? String(error.remedy) : "";
		return { problem: problem.slice(0, 2000), remedy: remedy.slice(0, 1000) };
	}
}

const reply = await work();
process.stdout.write(JSON.stringify(reply), () => process.exit());
