// `picket content`: keys and bundles for those who write content; what is in force of it, and its way back, on a host.
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { readConfig, readRuleFiles } from "../content.ts";
import { callControl } from "../control/client.ts";
import { readEnvelope, writeBundle, writeEnvelope } from "../delivered/bundle.ts";
import { bytesOf, type ContentKind, ContentRefusal } from "../delivered/model.ts";
import { runTrial } from "../delivered/trial-run.ts";
import { makeKeys, signContent, verifyContent } from "../delivered/verify.ts";
import { CommandError, failureText } from "../failure.ts";
import type * as wire from "../model/picket.v1.ts";
import { neutralise } from "../report/shown.ts";
import { readTextFile, rulePaths } from "../rule-files.ts";
import type { SocketFlags } from "./inspect.ts";
import type { Outcome } from "./rules.ts";

/** Beside the events the trial and the compiling take their time. */
const timeoutMs = 120_000;

function cannot(what: string, path: string, error: unknown): CommandError {
	const reason = error instanceof Error && "code" in error ? String(error.code) : failureText(error).message;
	return new CommandError(
		`cannot ${what} ${path}: ${reason}`,
		"check the path, its permissions and what is in it",
	);
}

function write(path: string, data: string | Buffer, mode: number): void {
	try {
		writeFileSync(path, data, { mode, flag: mode === 0o600 ? "wx" : "w" });
	} catch (error) {
		throw cannot("write", path, error);
	}
}

/** Never overwrites a private key. Throws CommandError. */
export function keygen(name: string): Outcome {
	const { privateKey, publicKey } = makeKeys();
	write(`${name}.key`, privateKey, 0o600);
	write(`${name}.pub`, publicKey, 0o644);
	const text =
		`${name}.key signs content: keep it away from consoles and hosts.\n` +
		`${name}.pub goes to the hosts, and its path there into content.trust of their picket.yaml.`;
	return { text, status: 0 };
}

export interface SignFlags {
	readonly key: string;
	readonly kind: ContentKind;
	readonly contentVersion: number;
	readonly out: string;
	readonly author: string;
}

/** Throws CommandError. */
export function sign(paths: readonly string[], flags: SignFlags): Outcome {
	const { key, kind, contentVersion: version, out, author } = flags;
	const files = paths.flatMap(yamlAt).map((path) => {
		try {
			return { name: basename(path), text: readTextFile(path) };
		} catch (error) {
			throw cannot("read", path, error);
		}
	});
	let envelope: Buffer;
	try {
		const bytes = writeBundle({ kind, version, created: Date.now(), author, files });
		envelope = writeEnvelope(bytes, signContent(bytes, readTextFile(key)));
	} catch (error) {
		if (error instanceof ContentRefusal)
			throw new CommandError(`no host would take this: ${error.message}`, "mend what is named above", 1);
		throw cannot("sign with", key, error);
	}
	write(out, envelope, 0o644);
	const text = `${kind} version ${version} with ${files.length} files are in ${out}; at the console: content HOST ${out}`;
	return { text: neutralise(text), status: 0 };
}

function yamlAt(path: string): string[] {
	try {
		return rulePaths(path);
	} catch (error) {
		throw cannot("read", path, error);
	}
}

/** Status 1 when a host such as this would refuse it. Throws CommandError. */
export async function check(
	file: string,
	flags: { readonly trust?: readonly string[]; readonly config?: string },
): Promise<Outcome> {
	const { config } = readConfig(flags.config);
	let envelope: wire.ApplyContent;
	try {
		envelope = readEnvelope(readFileSync(file));
	} catch (error) {
		throw cannot("read", file, error);
	}
	const [bytes, signature] = bytesOf(envelope);
	const trust = flags.trust ?? config.content.trust;
	const all = readRuleFiles(config.rules.files, config.rules.default);
	const question = {
		now: Date.now(),
		refused: {},
		above: { rules: 0, policy: 0, intel: 0 },
		files: {
			own: all.filter(({ origin }) => origin === "picket"),
			local: all.filter(({ origin }) => origin !== "picket"),
			intel: [],
			rules: [],
		},
	};
	try {
		const signed = trust.length === 0 ? "its signature was not checked: give --trust" : "";
		if (signed === "") verifyContent(bytes, signature, trust);
		const { bundle, findings } = await runTrial(bytes, question);
		const { kind, version, files } = bundle;
		const words = [
			`${kind} version ${version} with ${files.length} files would be taken`,
			...findings,
			signed,
		];
		return {
			text: words
				.filter((line) => line !== "")
				.map(neutralise)
				.join("\n"),
			status: 0,
		};
	} catch (error) {
		if (!(error instanceof ContentRefusal)) throw error;
		return { text: neutralise(`it would be refused: ${error.message}`), status: 1 };
	}
}

interface Shown {
	readonly captureOnly: string;
	readonly delivered: readonly wire.DeliveredContent[];
}

export async function show({ socket, json }: SocketFlags): Promise<Outcome> {
	const found = (await callControl(socket, "content", {}, timeoutMs)) as Shown;
	if (json) return { text: JSON.stringify(found), status: 0 };
	const { captureOnly, delivered } = found;
	const lines = delivered.map(({ kind, version, previous, highest, author, probationUntil, problem }) =>
		[
			`${kind}: ${version === "0" ? "none in force" : `version ${version} in force`}`,
			author ? `by ${author}` : "",
			probationUntil ? `on probation until ${probationUntil}` : "",
			previous === "0" ? "" : `before it ${previous}`,
			`highest seen ${highest}`,
			problem ?? "",
		]
			.filter((part) => part !== "")
			.join("; "),
	);
	if (captureOnly !== "") lines.unshift(`nothing acts: ${captureOnly}; \`picket content accept\` ends that`);
	return { text: lines.map(neutralise).join("\n") || "no console has delivered anything", status: 0 };
}

export async function rollback(kind: string, { socket, json }: SocketFlags): Promise<Outcome> {
	const result = (await callControl(socket, "rollbackContent", { kind }, timeoutMs)) as wire.CommandResult;
	const text = json ? JSON.stringify(result) : neutralise(result.message ?? "");
	return { text, status: result.accepted ? 0 : 1 };
}

export async function accept({ socket, json }: SocketFlags): Promise<Outcome> {
	const { was } = (await callControl(socket, "acceptContent", {}, timeoutMs)) as { was: string };
	const text = was === "" ? "responses were not held back" : "responses act again, as mode and policy say";
	return { text: json ? JSON.stringify({ was }) : text, status: 0 };
}
