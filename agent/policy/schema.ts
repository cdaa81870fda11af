// Every key of /etc/picket/policy.yaml, with its sentence. What the keys mean at work is in the engine.
import { z } from "zod";
import { parsePeer } from "./peer.ts";

const globs = (words: string, check = z.string().min(1)) => z.array(check).optional().describe(words);
// Captured paths are absolute: anything else would be a line that never matches.
const isPath = (text: string) => /^(\/|\*\*)/.test(text);
const file = z.string().refine(isPath, "must begin with / or **");
const executable = z
	.string()
	.min(1)
	.refine((text) => !text.includes("/") || isPath(text), "must begin with / or **, or be a name without /");
const ttlPattern = /^(\d+)(s|m|h|d)$/;
const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** "30m" or a number of seconds, as seconds; undefined for what is neither. */
export function ttlSeconds(ttl: string | number): number | undefined {
	if (typeof ttl === "number") return Number.isInteger(ttl) && ttl > 0 ? ttl : undefined;
	const match = ttlPattern.exec(ttl);
	const seconds = Number(match?.[1]) * unitSeconds[(match?.[2] ?? "s") as keyof typeof unitSeconds];
	return match !== null && seconds > 0 ? seconds : undefined;
}

const ttl = z
	.union([z.string(), z.number()])
	.refine((value) => ttlSeconds(value) !== undefined, "must be a time such as 30m, 2h or 1d")
	.describe("How long, such as 45s, 30m, 2h or 1d.");

const peers = z
	.array(
		z
			.union([z.string(), z.number()])
			.refine(
				isPeer,
				"must be an address, a network or a port: 10.0.0.0/8, 10.0.0.0/8:443, [2001:db8::/32]:443, 53",
			),
	)
	.optional()
	.describe(
		"Addresses or networks, with a port or without, or ports alone: 10.0.0.0/8:5432, 443, 8000-8100.",
	);

const selector = z.strictObject({
	image: z.string().min(1).optional().describe('Glob of the image as it was written, "nginx:*".'),
	name: z.string().min(1).optional().describe("Glob of the container's name."),
	labels: z.record(z.string(), z.string()).optional().describe("Labels the container has; values are globs."),
	compose_project: z.string().min(1).optional().describe("Glob of the Compose project."),
	compose_service: z.string().min(1).optional().describe("Glob of the Compose service."),
});

const scope = z.strictObject({
	name: z.string().min(1).optional().describe("Name of the scope in alerts; else its number."),
	scope: z
		.union([z.enum(["host", "containers"]), selector])
		.describe(
			"Where it applies: host, containers (all of them), or image, name, labels, compose_project, compose_service.",
		),
	user: z.string().min(1).optional().describe("Only processes of this user, by name or number."),
	severity: z
		.enum(["informational", "low", "medium", "high", "critical"])
		.default("medium")
		.describe("Severity of a violation: informational, low, medium, high or critical."),
	processes: z
		.strictObject({
			allow: globs(
				"Only these may be executed: globs of the path, or of the name when there is no / in it.",
				executable,
			),
			deny: globs(
				"These may not be executed: globs of the path, or of the name when there is no / in it.",
				executable,
			),
		})
		.optional()
		.describe("What may be executed."),
	files: z
		.strictObject({
			deny_read: globs("Files that may not be read.", file),
			deny_write: globs("Files that may not be written.", file),
			allow_read: globs("Only these files may be read.", file),
			allow_write: globs("Only these files may be written.", file),
		})
		.optional()
		.describe(
			"What may be opened: globs of paths; * stops at /, ** does not, a / at the end means all below.",
		),
	peers: z
		.strictObject({ allow: peers, deny: peers })
		.optional()
		.describe("Whom connections may be made to. Loopback is always allowed unless denied."),
	users: z
		.strictObject({
			allow: globs("Only these users may execute anything."),
			deny: globs("These users may not execute anything."),
		})
		.optional()
		.describe("Who may execute, by name or number of the effective user."),
});

const when = z.strictObject({
	rule: z
		.string()
		.min(1)
		.optional()
		.describe("Glob of the rule's name; violations are policy/<scope>/<list>."),
	severity: z
		.enum(["informational", "low", "medium", "high", "critical"])
		.optional()
		.describe("At least this severity."),
	technique: z
		.string()
		.regex(/^T\d{4}(\.\d{3})?$/, "must be an ATT&CK technique such as T1059 or T1059.004")
		.optional()
		.describe("ATT&CK technique; T1059 covers T1059.004."),
	tactic: z.string().min(1).optional().describe("ATT&CK tactic with dashes, credential-access."),
	tag: z.string().min(1).optional().describe("A tag of the rule."),
	scope: z
		.enum(["container", "host"])
		.optional()
		.describe("container: only inside containers. host: only outside."),
});

const response = z.strictObject({
	when: when.default({}).describe("All that is given has to hold; nothing given holds always."),
	do: z
		.array(
			z
				.union([
					z.enum(["alert", "block", "pause", "kill"]),
					z.strictObject({ block: z.strictObject({ ttl: ttl.optional() }).describe("Block the peer.") }),
				])
				.describe("One of alert, block, block: {ttl: 30m}, pause, kill."),
		)
		.min(1)
		.describe("What is done: alert, block, pause, kill. An alert is always sent."),
});

export const policySchema = z.strictObject({
	mode: z
		.enum(["observe", "enforce"])
		.optional()
		.describe(
			"observe keeps this policy from acting even when picket.yaml says enforce; it can never raise it.",
		),
	scopes: z.array(scope).default([]).describe("What is allowed where. Each scope decides for itself."),
	responses: z
		.array(response)
		.default([])
		.describe("What is done about an alert; the first that fits decides."),
	console: z
		.strictObject({
			may: z
				.array(z.enum(["block", "unblock", "pause", "resume", "kill", "apply_policy", "query_processes"]))
				.default(["block", "unblock", "pause", "resume", "kill", "apply_policy", "query_processes"])
				.describe("What a console may ask for at most."),
		})
		.prefault({})
		.describe("What is granted to consoles."),
});

export type PolicyFile = z.output<typeof policySchema>;

function isPeer(value: string | number): boolean {
	return parsePeer(String(value)) !== undefined;
}
