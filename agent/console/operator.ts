// What an operator types at the reference console, read into commands. Parsing only; nothing is sent here.
import { readFile } from "node:fs/promises";
import { readEnvelope } from "../delivered/bundle.ts";
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "../report/errors.ts";
import { parseTime } from "../report/time.ts";

export type OperatorLine =
	| { readonly kind: "nothing" }
	| { readonly kind: "help" }
	| { readonly kind: "quit" }
	| { readonly kind: "sensors" }
	| { readonly kind: "command"; readonly host: string; readonly command: wire.Command }
	/** What is wrong and how it is written. */
	| { readonly kind: "mistake"; readonly message: string };

const usage: Readonly<Record<string, string>> = {
	sensors: "sensors                      who is connected",
	block: "block HOST ADDRESS [TTL]     block an address or network; TTL as 90s, 10m, 2h",
	unblock: "unblock HOST ADDRESS         lift a block",
	pause: "pause HOST CONTAINER         freeze a container",
	resume: "resume HOST CONTAINER        let it run again",
	kill: "kill HOST PID START          kill a process; START as `ps` shows it",
	ps: "ps HOST [TEXT]               processes, all or those with TEXT in name or path",
	connections: "connections HOST [PID]       connections and who holds them, all or those of a process",
	containers: "containers HOST [TEXT]       containers, all or those with TEXT in name, id or image",
	counters: "counters HOST                how the sensor fares: what it saw and lost, its problems",
	evidence: "evidence HOST PID START      keep and show what is known of a process; START as `ps` shows it",
	mode: "mode HOST observe|enforce    take enforcing back, or give back what was taken",
	content: "content HOST FILE            deliver a signed bundle of rules, a policy or intelligence",
	help: "help                         this list",
	quit: "quit                         end the console",
};

export const helpText = `${Object.values(usage).join("\n")}\nHOST is a sensor's host name or host id.`;

const listLimit = 500;

/** Never throws. */
export async function readOperatorLine(line: string): Promise<OperatorLine> {
	const [word = "", ...rest] = line.trim().split(/\s+/);
	const [host = "", first = "", second = ""] = rest;
	switch (word) {
		case "":
			return { kind: "nothing" };
		case "help":
		case "quit":
		case "sensors":
			return rest.length === 0 ? { kind: word } : wrong(word, "takes nothing after it");
		case "ps": {
			if (host === "") return wrong(word, "needs a host");
			const queryProcesses = { contains: rest.slice(1).join(" "), limit: listLimit };
			return { kind: "command", host, command: { queryProcesses } };
		}
		case "content": {
			if (rest.length !== 2) return wrong(word, "needs a host and a file");
			const applyContent = await readContentFile(first);
			if (typeof applyContent === "string") return { kind: "mistake", message: applyContent };
			return { kind: "command", host, command: { applyContent } };
		}
		case "block": {
			if (rest.length < 2 || rest.length > 3) return wrong(word, "needs a host and an address");
			const ttlSeconds = second === "" ? 0 : readSeconds(second);
			if (ttlSeconds === undefined) return wrong(word, `"${second}" is no time span`);
			const block = { address: first, ttlSeconds, reason: "by hand at the console" };
			return { kind: "command", host, command: { block } };
		}
		case "unblock":
			if (rest.length !== 2) return wrong(word, "needs a host and an address");
			return { kind: "command", host, command: { unblock: { address: first } } };
		case "pause":
			if (rest.length !== 2) return wrong(word, "needs a host and a container");
			return {
				kind: "command",
				host,
				command: { pause: { container: first, reason: "by hand at the console" } },
			};
		case "resume":
			if (rest.length !== 2) return wrong(word, "needs a host and a container");
			return { kind: "command", host, command: { resume: { container: first } } };
		case "kill":
		case "evidence": {
			if (rest.length !== 3) return wrong(word, "needs a host, a pid and the start time of the process");
			const pid = readPid(first);
			if (pid === undefined) return wrong(word, `"${first}" is no pid`);
			if (parseTime(second) === undefined) return wrong(word, `"${second}" is no start time`);
			const of = { pid, startTime: second, reason: "by hand at the console" };
			return { kind: "command", host, command: word === "kill" ? { kill: of } : { takeEvidence: of } };
		}
		case "connections": {
			if (rest.length < 1 || rest.length > 2) return wrong(word, "needs a host, and a pid or nothing");
			const pid = first === "" ? 0 : readPid(first);
			if (pid === undefined) return wrong(word, `"${first}" is no pid`);
			return { kind: "command", host, command: { queryConnections: { pid, limit: listLimit } } };
		}
		case "containers": {
			if (host === "") return wrong(word, "needs a host");
			const queryContainers = { contains: rest.slice(1).join(" "), limit: listLimit };
			return { kind: "command", host, command: { queryContainers } };
		}
		case "counters":
			if (rest.length !== 1) return wrong(word, "needs a host");
			return { kind: "command", host, command: { queryCounters: {} } };
		case "mode": {
			if (rest.length !== 2 || (first !== "observe" && first !== "enforce"))
				return wrong(word, "needs a host, and observe or enforce");
			const setMode = { mode: first, reason: "by hand at the console" };
			return { kind: "command", host, command: { setMode } };
		}
		default:
			return { kind: "mistake", message: `"${word}" is no command; "help" lists them` };
	}
}

/** A bundle as `picket content sign` writes it, or why there is none. */
async function readContentFile(path: string): Promise<wire.ApplyContent | string> {
	try {
		return readEnvelope(await readFile(path));
	} catch (error) {
		return `${path} is no bundle that can be read: ${errorText(error)}`;
	}
}

function wrong(word: string, why: string): OperatorLine {
	return { kind: "mistake", message: `${word}: ${why}. Usage: ${usage[word]?.replace(/\s{2,}/, "   ")}` };
}

function readPid(text: string): number | undefined {
	const pid = Number(text);
	return /^\d+$/.test(text) && pid >= 1 && pid <= 0x7fff_ffff ? pid : undefined;
}

/** "90", "90s", "10m", "2h", "1d" in seconds. */
function readSeconds(text: string): number | undefined {
	const match = /^(\d{1,9})([smhd]?)$/.exec(text);
	if (match === null) return undefined;
	const unit = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 }[match[2] ?? ""] ?? 1;
	const seconds = Number(match[1]) * unit;
	return seconds > 0 && seconds <= 0xffff_ffff ? seconds : undefined;
}
