// What a process, peer or file would get from a policy, and by which lines: the question is made an event, and the engine
// itself answers. Nothing is captured and nothing done.
import { type EventView, EventKind as Kind, type Observation, Text } from "../model/event.ts";
import type { Container, Process } from "../model/process.ts";
import { AF_INET, AF_INET6 } from "../model/remote.ts";
import { type Finding, type Mode, responseText } from "../model/verdict.ts";
import { PolicyEngine } from "./engine.ts";
import { placeText, scopeWords } from "./explain.ts";
import { findingOf } from "./finding.ts";
import { isExecutable } from "./judge.ts";
import { whyAfterTheFact } from "./kernel.ts";
import { parsePeer } from "./peer.ts";
import { mostCautious, type Policy, type Ruling, type Scope } from "./policy.ts";
import { createResponses, type Responses } from "./responses.ts";

export interface Question {
	/** Path or name of the program. */
	readonly program: string;
	/** Of what executes it. */
	readonly by: string;
	readonly uid: number;
	readonly userName: string;
	/** Undefined: outside containers. */
	readonly container: Pick<Container, "name" | "image" | "labels"> | undefined;
	readonly act:
		| { readonly kind: "exec" }
		| { readonly kind: "file"; readonly path: string; readonly write: boolean }
		/** "address:port" or an address; of listen a port alone will do. */
		| { readonly kind: "peer" | "incoming" | "listen"; readonly endpoint: string };
}

export interface Answer {
	readonly scope: Scope;
	/** Undefined: nothing of this scope stands against it. */
	readonly ruling: Ruling | undefined;
	/** Sentences. */
	readonly words: readonly string[];
}

/** One answer for each scope that the process is in, and each list that decides. Throws Error for an address that is none. */
export function ask(policy: Policy, configured: Mode, question: Question): readonly Answer[] {
	const names = { userName: (uid: number) => (uid === question.uid ? question.userName : undefined) };
	const engine = new PolicyEngine(policy, names);
	const observation = observationOf(question);
	const { process } = observation;
	const answers: Answer[] = [];
	const responses = createResponses(policy);
	engine.rulings(observation, (scope, found) => {
		const ruling = inKernel(scope, found, process) ?? found;
		const finding = findingOf(scope, ruling, observation, process, names);
		const mode = mostCautious(configured, scope.mode);
		answers.push({ scope, ruling, words: wordsOf(scope, ruling, mode, finding, observation, responses) });
	});
	const silent = engine.scopesOf(process).filter((scope) => !answers.some((one) => one.scope === scope));
	return [
		...answers,
		...silent.map((scope) => ({ scope, ruling: undefined, words: ["nothing here stands against it"] })),
	];
}

/** Of the lines that deny a program, one that the kernel refuses by, if there is one. */
function inKernel(scope: Scope, ruling: Ruling, { exe, comm }: Process): Ruling | undefined {
	if (ruling.list !== "processes.deny") return undefined;
	const matching = (scope.processes.deny ?? []).filter(({ match }) => isExecutable(match, exe, comm));
	return matching.find((line) => whyAfterTheFact(scope, line) === undefined);
}

/** "web-user (policy.yaml:2): the host outside containers". */
export function scopeTitle(scope: Scope): string {
	return `${scope.name} (${placeText(scope.place)}): ${scopeWords(scope)}`;
}

function wordsOf(
	scope: Scope,
	ruling: Ruling,
	mode: "off" | Mode,
	finding: Finding,
	observation: Observation,
	responses: Responses,
): string[] {
	const { list, tier, text, place } = ruling;
	const at = placeText(place);
	if (tier === "alert")
		return [`permitted and told: ${list} holds ${text} (${at})`, "an alert, and nothing else"];
	const decided =
		tier === "deny"
			? `denied: ${list} holds ${text} (${at})`
			: `denied: not in ${list}, which holds ${text} (${at})`;
	const why = whyAfterTheFact(scope, ruling);
	const when =
		why !== undefined
			? `judged after the fact: ${why}`
			: mode === "enforce"
				? "refused in the kernel, before it happens"
				: "the kernel lets it pass and tells";
	const acts = responses.fitting(finding, observation).map((rule) => {
		const { counted } = rule;
		const often = counted ? `after ${counted.count} in ${counted.withinSeconds} s by ${counted.by}: ` : "";
		const held = rule.mode === "observe" && mode === "enforce" ? ", only told" : "";
		return `${often}${rule.responses.map(responseText).join(", ")} (${placeText(rule.place)}${held})`;
	});
	const rest = acts.length === 0 ? ["an alert: no response fits"] : acts;
	const held = mode === "enforce" ? [] : ["mode observe: what would be done is only told"];
	return [decided, when, ...rest, ...held];
}

const kinds = {
	exec: Kind.exec,
	file: Kind.open,
	peer: Kind.connect,
	incoming: Kind.accept,
	listen: Kind.listen,
};
const regularFile = 0x8000;
const writing = 1;

function observationOf(question: Question): Observation & { readonly process: Process } {
	const { act } = question;
	const path = Buffer.from(act.kind === "file" ? act.path : "", "utf8");
	const { family, address, port } =
		act.kind === "exec" || act.kind === "file" ? nowhere : endpointOf(act.endpoint);
	const bytes = Buffer.concat([path, address]);
	const event = {
		kind: kinds[act.kind],
		bytes,
		flags: 0,
		result: 0,
		time: 0,
		openFlags: act.kind === "file" && act.write ? writing : 0,
		mode: regularFile,
		family,
		protocol: 6,
		localPort: act.kind === "peer" ? 0 : port,
		remotePort: act.kind === "peer" ? port : 0,
		localAddressStart: path.length,
		remoteAddressStart: path.length,
		textStart: () => 0,
		textSize: (field: Text) => (field === Text.path ? path.length : 0),
		text: () => path.toString("latin1"),
	} as Partial<EventView> as EventView;
	return { event, process: processOf(question) };
}

const nowhere = { family: 0, address: Buffer.alloc(0), port: 0 };

function endpointOf(text: string): { family: number; address: Buffer; port: number } {
	const peer = parsePeer(text);
	const network = peer?.network ?? { family: 4, words: [0], prefix: 32 };
	const single = network.prefix === (network.family === 4 ? 32 : 128);
	if (peer === undefined || !single) throw new Error(`${text} is not one address, or one with a port`);
	const address = Buffer.alloc(network.words.length * 4);
	network.words.forEach((word, index) => {
		address.writeUInt32BE(word, index * 4);
	});
	return { family: network.family === 4 ? AF_INET : AF_INET6, address, port: peer.lowPort };
}

function processOf({ program, by, uid, container }: Question): Process {
	const latin1 = (text: string) => Buffer.from(text, "utf8").toString("latin1");
	const name = latin1(program.slice(program.lastIndexOf("/") + 1));
	const inside: Container | undefined = container && {
		...{ id: "0".repeat(64), runtime: "", imageId: "", podName: "", podNamespace: "", podUid: "" },
		...{ privileged: undefined, mounts: [], created: 0, known: true },
		...container,
	};
	return {
		...{ pid: 0, args: [], streams: [], capabilities: 0n, capabilitiesPermitted: 0n, upperLayer: false },
		...{ exe: latin1(program), comm: name.slice(0, 15), previousExe: latin1(by), uid, euid: uid },
		cgroup: { id: 0, path: "/", container: inside },
	} as Partial<Process> as Process;
}
