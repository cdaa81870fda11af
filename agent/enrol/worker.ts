// A child that does one piece of work of an enrolment, which its argument names, and ends: JSON in on stdin, JSON out on
// stdout. It gives away its rights before it reads a byte, so that a flaw in TLS, gRPC or certificates has nothing to take.
import { lookup } from "node:dns/promises";
import { createSecureContext } from "node:tls";
import { giveUpAll } from "../confine.ts";
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

type Work = (job: Job) => Promise<unknown>;

/** What is to be loaded from disk must be before: the checkout may be root's alone. */
async function prepare(kind: Job["job"]): Promise<Work> {
	switch (kind) {
		case "request": {
			const { makeKey, makeRequest } = await import("./certificates.ts");
			return async (job) => {
				const key = makeKey();
				return { key, request: await makeRequest(key, job.hostId) };
			};
		}
		case "exchange": {
			const { exchange } = await import("./exchange.ts");
			// What the runtime and the C library load when they first need it.
			createSecureContext();
			await lookup("localhost").catch(() => {});
			return async (job) => {
				if (job.job !== kind) throw new Error(`the work is ${job.job}`);
				return exchange(job.token, job, Date.now);
			};
		}
		case "inspect": {
			const { inspectCertificate } = await import("./inspect.ts");
			return async (job) => {
				if (job.job !== kind) throw new Error(`the work is ${job.job}`);
				return inspectCertificate({ ...job, now: Date.now() });
			};
		}
	}
}

async function work(kind: Job["job"]): Promise<Reply> {
	try {
		const run = await prepare(kind);
		giveUpAll();
		let text = "";
		for await (const chunk of process.stdin) text += chunk;
		return { result: await run(JSON.parse(text) as Job) };
	} catch (error) {
		const problem = error instanceof Error ? error.message : String(error);
		const remedy = error instanceof Error && "remedy" in error ? String(error.remedy) : "";
		return { problem: problem.slice(0, 2000), remedy: remedy.slice(0, 1000) };
	}
}

const reply = await work(process.argv[2] as Job["job"]);
process.stdout.write(JSON.stringify(reply), () => process.exit());
