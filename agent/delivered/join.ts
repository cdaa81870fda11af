// Delivered content beside what lies on the host, as one: rules are added in front of the local files, which may change
// them; a delivered policy is added behind the local one, which keeps the last word. Nothing local goes by it.
import { createHash } from "node:crypto";
import { checkPolicy, type LoadedPolicy } from "../content.ts";
import type { RuleFile } from "../detect/load.ts";
import { problemText } from "../failure.ts";
import { mostCautious, type PolicyMode } from "../policy/policy.ts";
import { type BundleFile, ContentRefusal } from "./model.ts";

/** What is in force of what was delivered. */
export interface Delivered {
	/** Lists that rules refer to. */
	readonly intel: readonly RuleFile[];
	readonly rules: readonly RuleFile[];
	/** Both, in the order in which they are loaded. */
	readonly files: readonly RuleFile[];
	readonly policy: LoadedPolicy | undefined;
}

export const nothingDelivered: Delivered = { intel: [], rules: [], files: [], policy: undefined };

/** `folder`: where they lie, or would. */
export function ruleFilesOf(files: readonly BundleFile[], folder: string): RuleFile[] {
	return files.map(({ name, text }) => ({ path: `${folder}/${name}`, text, origin: "falco" }));
}

/**
 * The policy of a bundle: its only file, or the one called policy.yaml, which may include the others and templates,
 * never a file of the host. Throws ContentRefusal with its errors.
 */
export function policyOf(files: readonly BundleFile[], folder: string): LoadedPolicy {
	const main =
		files.find(({ name }) => name === "policy.yaml") ?? (files.length === 1 ? files[0] : undefined);
	if (!main) throw new ContentRefusal("of several files of a policy one has to be called policy.yaml");
	const texts = new Map(files.map(({ name, text }) => [`${folder}/${name}`, text]));
	const { loaded, problems } = checkPolicy(main.text, `${folder}/${main.name}`, (path) => {
		const text = texts.get(path);
		if (text === undefined) throw Object.assign(new Error("ENOENT"), { code: "it is not in the bundle" });
		return text;
	});
	if (loaded) return loaded;
	const errors = problems.filter(({ level }) => level === "error").map(problemText);
	const more = errors.length > 5 ? `; and ${errors.length - 5} more` : "";
	throw new ContentRefusal(`the policy has errors: ${errors.slice(0, 5).join("; ")}${more}`);
}

/**
 * Scopes judge each for itself, so more of them permit nothing that the local ones forbid. Of responses the first that
 * fits decides: the local ones come first. What consoles may ask for is the local policy's alone, and its mode holds
 * back both.
 */
export function joinPolicies(local: LoadedPolicy, delivered: LoadedPolicy | undefined): LoadedPolicy {
	if (!delivered) return local;
	const { mode } = local.policy;
	const held = <T extends { readonly mode: PolicyMode }>(each: T): T => ({
		...each,
		mode: mostCautious(each.mode, mode),
	});
	return {
		policy: {
			...local.policy,
			scopes: [...local.policy.scopes, ...delivered.policy.scopes.map(held)],
			responses: [...local.policy.responses, ...delivered.policy.responses.map(held)],
		},
		problems: [...local.problems, ...delivered.problems],
		hash: createHash("sha256").update(`${local.hash}\0${delivered.hash}`).digest("hex"),
	};
}
