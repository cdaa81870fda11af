// `picket policy check|show|explain|schema`: what is wrong with a policy, what is in force, and what somebody would get
// from it. Reads files only.
import { readFileSync } from "node:fs";
import { type CheckedPolicy, checkPolicyFile, readConfig } from "../content.ts";
import { CommandError } from "../failure.ts";
import type { Problem } from "../model/verdict.ts";
import { adviceOf } from "../policy/advice.ts";
import { ask, type Question, scopeTitle } from "../policy/ask.ts";
import { explainPolicy, placeText } from "../policy/explain.ts";
import type { Policy } from "../policy/policy.ts";
import { neutralise } from "../report/shown.ts";
import type { Page } from "./page.ts";
import { counted, type Outcome, problemsText } from "./rules.ts";

export interface PolicyCheckFlags {
	readonly json?: boolean;
	/** Warnings count as errors. */
	readonly strict?: boolean;
}

/** Loads each file as a sensor would. Status 1 on an error. Throws CommandError when one cannot be read. */
export function checkPolicies(paths: readonly string[], flags: PolicyCheckFlags, page: Page): Outcome {
	const checked = paths.map((path) => {
		const { loaded, problems, texts } = checkPolicyFile(path);
		const all = [...problems, ...(loaded ? adviceOf(loaded.policy) : [])];
		return { path, loaded, texts, problems: all };
	});
	const problems = checked.flatMap((each) => each.problems);
	const errors = problems.filter(({ level }) => level === "error").length;
	const warnings = problems.length - errors;
	const status = errors > 0 || (flags.strict === true && warnings > 0) ? 1 : 0;
	if (flags.json) return { text: JSON.stringify({ problems, errors, warnings }), status };
	const lines = checked.flatMap(({ path, loaded, texts, problems: own }) => [
		...problemsText(own, filesOf(texts), page),
		...(loaded ? [neutralise(`${path}: ${sizeOf(loaded.policy)}`)] : []),
	]);
	const totals = problems.length > 0 ? [`${counted(errors, "error")}, ${counted(warnings, "warning")}`] : [];
	return { text: [...lines, ...totals].join("\n"), status };
}

function filesOf(texts: CheckedPolicy["texts"]) {
	return [...texts].map(([path, text]) => ({ path, text, origin: "falco" as const }));
}

function sizeOf({ mode, scopes, responses }: Policy): string {
	const held = mode === undefined || mode === "enforce" ? "" : `, mode ${mode}`;
	return `${counted(scopes.length, "scope")}, ${counted(responses.length, "response")}${held}`;
}

export interface PolicyFlags {
	readonly config?: string;
	readonly policy?: string;
	readonly json?: boolean;
}

interface InForce {
	readonly policy: Policy;
	readonly configured: "observe" | "enforce";
	readonly problems: readonly Problem[];
}

/** The policy a sensor with these options would have. Throws CommandError. */
function inForce(flags: PolicyFlags, page: Page): InForce {
	const { config } = readConfig(flags.config);
	const path = flags.policy ?? config.policy;
	const { loaded, problems, texts } = checkPolicyFile(path);
	if (loaded) return { policy: loaded.policy, configured: config.mode, problems };
	const lines = problemsText(problems, filesOf(texts), page);
	throw new CommandError(
		`the policy ${path} has an error:\n${lines.join("\n")}`,
		"mend what is named above",
		1,
	);
}

/** The policy as it takes effect, with what it includes: each sentence with its place. */
export function showPolicy(flags: PolicyFlags, page: Page): Outcome {
	const { policy, configured } = inForce(flags, page);
	const sentences = explainPolicy(policy);
	if (flags.json) return { text: JSON.stringify({ mode: configured, sentences }), status: 0 };
	const places = sentences.map(({ place }) => (place === undefined ? policy.file : placeText(place)));
	const width = Math.max(0, ...places.map((place) => place.length));
	const lines = sentences.map(({ text }, index) => `${(places[index] ?? "").padEnd(width)}  ${text}`);
	const head = configured === "enforce" ? "" : "picket.yaml says mode: observe, so nothing is acted on.";
	return { text: [...(head === "" ? [] : [head]), ...lines].map(neutralise).join("\n"), status: 0 };
}

export interface ExplainPolicyFlags extends PolicyFlags {
	readonly process?: string;
	readonly by?: string;
	readonly user?: string;
	readonly container?: string;
	readonly image?: string;
	readonly label?: readonly string[];
	readonly peer?: string;
	readonly incoming?: string;
	readonly listen?: string;
	readonly file?: string;
	readonly write?: boolean;
}

/** In plain words what a process, peer or file would get, and by which lines. Throws CommandError. */
export function explainPolicies(flags: ExplainPolicyFlags, page: Page): Outcome {
	const questions = questionsOf(flags);
	if (questions.length === 0)
		throw new CommandError(
			"nothing is asked",
			"name a program, file, peer, incoming peer or port: picket policy explain --process /usr/bin/nc",
		);
	const { policy, configured } = inForce(flags, page);
	const answered = questions.map((question) => ({
		question,
		answers: answersTo(policy, configured, question),
	}));
	if (flags.json) {
		const json = answered.map(({ question, answers }) => ({
			...{
				act: question.act,
				answers: answers.map(({ scope, ruling, words }) => ({ scope: scope.name, ruling, words })),
			},
		}));
		return { text: JSON.stringify(json), status: 0 };
	}
	const lines = answered.flatMap(({ question, answers }) => [
		headline(question),
		...(answers.length === 0 ? ["  no scope speaks of it: it is permitted"] : []),
		...answers.flatMap(({ scope, words }) => [
			`  ${scopeTitle(scope)}`,
			...words.map((word) => `    ${word}`),
		]),
	]);
	return { text: lines.map(neutralise).join("\n"), status: 0 };
}

function answersTo(policy: Policy, configured: "observe" | "enforce", question: Question) {
	try {
		return ask(policy, configured, question);
	} catch (error) {
		throw new CommandError(
			error instanceof Error ? error.message : String(error),
			"write 192.0.2.1:443 or [2001:db8::1]:443",
		);
	}
}

function questionsOf(flags: ExplainPolicyFlags): Question[] {
	const { process: program = "", by = "", user = "root", container, image, label = [] } = flags;
	const { uid, name } = userOf(user);
	const labels = Object.fromEntries(label.map(labelOf));
	const inside = container !== undefined || image !== undefined || label.length > 0;
	const base = {
		...{ program, by, uid, userName: name },
		container: inside ? { name: container ?? "", image: image ?? "", labels } : undefined,
	};
	const acts: Question["act"][] = [];
	if (flags.file !== undefined) acts.push({ kind: "file", path: flags.file, write: flags.write === true });
	if (flags.peer !== undefined) acts.push({ kind: "peer", endpoint: flags.peer });
	if (flags.incoming !== undefined) acts.push({ kind: "incoming", endpoint: flags.incoming });
	if (flags.listen !== undefined) acts.push({ kind: "listen", endpoint: flags.listen });
	if (acts.length === 0 && program !== "") acts.push({ kind: "exec" });
	return acts.map((act) => ({ ...base, act }));
}

function labelOf(text: string): [string, string] {
	const at = text.indexOf("=");
	return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** By name or number, from the host's own list. */
function userOf(text: string): { uid: number; name: string } {
	const lines = passwd().map((line) => line.split(":"));
	const line = lines.find(([name, , uid]) => name === text || uid === text);
	if (line !== undefined) return { uid: Number(line[2]), name: line[0] ?? text };
	if (/^\d+$/.test(text)) return { uid: Number(text), name: text };
	throw new CommandError(
		`there is no user ${text} on this host`,
		"write its number, as containers have their own names",
	);
}

function passwd(): string[] {
	try {
		return readFileSync("/etc/passwd", "latin1").split("\n");
	} catch {
		return ["root:x:0:"];
	}
}

function headline({ program, by, userName, container, act }: Question): string {
	const words =
		container && [container.name, container.image && `image ${container.image}`].filter(Boolean).join(", ");
	const where = container === undefined ? "on the host" : `in a container (${words})`;
	const who = `${act.kind === "exec" ? by || "a process" : program || "a process"} of user ${userName} ${where}`;
	switch (act.kind) {
		case "exec":
			return `${who} executes ${program}:`;
		case "file":
			return `${who} opens ${act.path} for ${act.write ? "writing" : "reading"}:`;
		case "peer":
			return `${who} connects to ${act.endpoint}:`;
		case "incoming":
			return `${who} takes a connection from ${act.endpoint}:`;
		case "listen":
			return `${who} waits for others on ${act.endpoint}:`;
	}
}
