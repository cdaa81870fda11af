// Every key of /etc/picket/policy.yaml, with its sentence. What the keys mean at work is in the engine.
import { z } from "zod";
import { capabilityBit } from "../model/capabilities.ts";
import { grants, queries } from "../model/grants.ts";
import { parsePeer } from "./peer.ts";
import { ttlSeconds } from "./ttl.ts";

/** In a template an entry may be "$name", which stands for what `with:` gives. */
export const isParameter = (text: string): boolean => /^\$[a-z_]+$/.test(text);

// Captured paths are absolute: anything else would be a line that never matches.
const isPath = (text: string) => /^(\/|\*\*)/.test(text) || isParameter(text);
const file = z.string().refine(isPath, "must begin with / or **");
const executable = z
	.string()
	.min(1)
	.refine((text) => !text.includes("/") || isPath(text), "must begin with / or **, or be a name without /");
const glob = z.string().min(1);
const name = z.string().min(1);
const peer = z
	.union([z.string(), z.number()])
	.refine(
		(value) => isParameter(String(value)) || parsePeer(String(value)) !== undefined,
		"must be an address, a network or a port: 10.0.0.0/8, 10.0.0.0/8:443, [2001:db8::/32]:443, 53",
	);
const capability = z
	.string()
	.refine((text) => capabilityBit(text) >= 0 || isParameter(text), "must be a capability such as SYS_ADMIN");

const oneOrMany = <T extends z.ZodType>(one: T) => z.union([one, z.array(one).min(1)]).optional();

/** The three lists there are of everything. */
function lists<T extends z.ZodType>(entry: T, allow: string, alert: string, deny: string) {
	const list = (words: string) => z.array(entry).optional().describe(words);
	return { allow: list(allow), alert: list(alert), deny: list(deny) };
}

const modes = ["off", "observe", "enforce"] as const;
const severity = z.enum(["informational", "low", "medium", "high", "critical"]);
const scopeMode = z
	.enum(modes)
	.optional()
	.describe("off: not judged. observe: judged, and nothing acted on. It can only hold back.");
const flag = (words: string) => z.enum(["alert", "deny"]).optional().describe(words);

const selector = z.strictObject({
	image: glob.optional().describe('Glob of the image as it was written, "nginx:*".'),
	name: glob.optional().describe("Glob of the container's name."),
	labels: z.record(z.string(), z.string()).optional().describe("Labels the container has; values are globs."),
	compose_project: glob.optional().describe("Glob of the Compose project."),
	compose_service: glob.optional().describe("Glob of the Compose service."),
});
const where = z
	.union([z.enum(["host", "containers"]), selector])
	.describe(
		"Where it applies: host, containers (all of them), or image, name, labels, compose_project, compose_service.",
	);

const globWords = "globs of the path, or of the name when there is no / in it.";
const peerWords =
	"Addresses or networks, with a port or without, or ports alone: 10.0.0.0/8:5432, 443, 8000-8100.";

/** What a scope says; a template says the same without a place. */
const judgements = {
	user: oneOrMany(name).describe("Only processes of this user, by name or number."),
	program: oneOrMany(executable).describe(`Only what processes of these programs do: ${globWords}`),
	severity: severity
		.default("medium")
		.describe("Severity of a violation: informational, low, medium, high or critical."),
	mode: scopeMode,
	processes: z
		.strictObject({
			...lists(
				executable,
				`Only these may be executed: ${globWords}`,
				`These may be executed and are told: ${globWords}`,
				`These may not be executed: ${globWords}`,
			),
			not_from_image: flag("Files written since the container was made, executed: alert or deny."),
		})
		.optional()
		.describe("What may be executed."),
	files: z
		.strictObject({
			deny_read: z.array(file).optional().describe("Files that may not be read."),
			deny_write: z.array(file).optional().describe("Files that may not be written."),
			alert_read: z.array(file).optional().describe("Files that may be read, which is told."),
			alert_write: z.array(file).optional().describe("Files that may be written, which is told."),
			allow_read: z.array(file).optional().describe("Only these files may be read."),
			allow_write: z.array(file).optional().describe("Only these files may be written."),
		})
		.optional()
		.describe(
			"What may be opened: globs of paths; * stops at /, ** does not, a / at the end means all below.",
		),
	peers: z
		.strictObject(lists(peer, peerWords, peerWords, peerWords))
		.optional()
		.describe("Whom connections may be made to. Loopback is always allowed unless denied."),
	incoming: z
		.strictObject(lists(peer, peerWords, peerWords, peerWords))
		.optional()
		.describe("From whom connections are taken, and on which ports of this side."),
	listening: z
		.strictObject(lists(peer, peerWords, peerWords, peerWords))
		.optional()
		.describe("On which addresses and ports of its own a process may wait for others."),
	users: z
		.strictObject(
			lists(
				name,
				"Only these users may execute anything.",
				"What these users execute is told.",
				"These users may not execute anything.",
			),
		)
		.optional()
		.describe("Who may execute, by name or number of the effective user."),
	capabilities: z
		.strictObject(
			lists(
				capability,
				"Only these capabilities may a program be executed with.",
				"Programs executed with these capabilities are told.",
				"No program may be executed with these capabilities.",
			),
		)
		.optional()
		.describe("Effective and permitted capabilities of what is executed: SYS_ADMIN, CAP_SYS_PTRACE."),
	images: z
		.strictObject(
			lists(
				glob,
				"Only containers of these images may run: globs.",
				"Containers of these images are told: globs.",
				"No container of these images may run: globs.",
			),
		)
		.optional()
		.describe("Images of the containers in the scope, judged once for each."),
	mounts: z
		.strictObject(
			lists(
				file,
				"Only these paths of the host may be mounted into containers.",
				"Paths of the host that are told when mounted into a container.",
				"Paths of the host that may not be mounted into containers.",
			),
		)
		.optional()
		.describe("What of the host is mounted into the containers in the scope, judged once for each."),
	container: z
		.strictObject({
			privileged: flag("Privileged containers: alert or deny."),
			host_namespaces: flag("Containers in the host's process, network or IPC namespace: alert or deny."),
		})
		.optional()
		.describe("How containers in the scope were made, judged once for each."),
};

const scope = z.strictObject({
	name: name.optional().describe("Name of the scope in alerts; else its number."),
	scope: where,
	...judgements,
});

const parameters = z.record(z.string(), z.array(z.union([z.string(), z.number()])));
const include = z.union([
	z.string().min(1),
	z.strictObject({
		template: z.string().min(1).describe("A template that comes with the sensor, such as no-shells."),
		name: name.optional().describe("Name of its scope in alerts; else the template's."),
		scope: where.optional(),
		user: oneOrMany(name).describe("Only processes of this user, by name or number."),
		severity: severity.optional().describe("Severity of a violation; else the template's."),
		mode: scopeMode,
		with: parameters.optional().describe("The template's parameters: {ports: [80, 443]}."),
	}),
	z.strictObject({
		file: z.string().min(1).describe("Another policy file, relative to this one."),
		mode: scopeMode,
	}),
]);

const technique = z.string().regex(/^T\d{4}(\.\d{3})?$/, "must be an ATT&CK technique such as T1059.004");
const when = z.strictObject({
	rule: oneOrMany(glob).describe("Glob of the rule's name; violations are policy/<scope>/<list>."),
	severity: oneOrMany(severity).describe("At least this severity; of several, one of them."),
	technique: oneOrMany(technique).describe(
		"ATT&CK technique such as T1059 or T1059.004; T1059 covers T1059.004.",
	),
	tactic: oneOrMany(name).describe("ATT&CK tactic with dashes, credential-access."),
	tag: oneOrMany(name).describe("A tag of the rule."),
	scope: oneOrMany(z.enum(["container", "host"])).describe(
		"container: only inside containers. host: only outside.",
	),
	count: z.int().min(1).max(1000).optional().describe("Only when so many came within the time, up to 1000."),
	within: z
		.union([z.string(), z.number()])
		.refine((value) => ttlSeconds(value) !== undefined, "must be a time such as 10m")
		.optional()
		.describe("The time for count, such as 10m; 10 minutes when not given."),
	by: z
		.enum(["host", "container", "source", "rule"])
		.optional()
		.describe(
			"What is counted apart: host, container, source (the peer) or rule; else what the target of the first act is.",
		),
});

const ttl = z
	.union([z.string(), z.number()])
	.refine((value) => ttlSeconds(value) !== undefined, "must be a time such as 30m, 2h or 1d")
	.optional()
	.describe("How long, such as 45s, 30m, 2h or 1d.");
const lasting = z.strictObject({ ttl });
const acts = [
	...["alert", "block", "pause", "disconnect", "refuse_egress", "refuse_exec"],
	...["stop", "restart", "remove", "kill", "kill_tree"],
] as const;
const act = z
	.union([
		z.enum(acts),
		z.strictObject({
			block: z
				.strictObject({
					ttl,
					direction: z.enum(["in", "out", "both"]).optional().describe("Which packets: in, out or both."),
				})
				.describe("Block the peer."),
		}),
		z.strictObject({ pause: lasting.describe("Pause the container.") }),
		z.strictObject({ disconnect: lasting.describe("Take the container from its networks.") }),
		z.strictObject({ refuse_egress: lasting.describe("Let the container connect to nobody.") }),
		z.strictObject({ refuse_exec: lasting.describe("Refuse the program in that container.") }),
	])
	.describe(`One of ${acts.join(", ")}; those that end by themselves with a time: block: {ttl: 30m}.`);

const response = z.strictObject({
	when: when.default({}).describe("All that is given has to hold; nothing given holds always."),
	do: z
		.array(act)
		.min(1)
		.describe(`What is done: ${acts.join(", ")}. An alert is always sent.`),
	mode: z
		.enum(modes)
		.optional()
		.describe("off: as if it were not there. observe: only told what would be done. It can only hold back."),
});

const isUpToADay = (seconds: number | undefined) => seconds !== undefined && seconds <= 86_400;
const granted = z.array(z.enum(grants));
const longest = z
	.union([z.string(), z.number()])
	.refine((value) => isUpToADay(ttlSeconds(value)), "must be a time up to 1d, such as 30m or 2h")
	.optional()
	.describe("The longest time a console's block or pause may last, such as 30m or 2h; a day when not given.");

export const policySchema = z.strictObject({
	mode: z
		.enum(modes)
		.optional()
		.describe(
			"observe keeps this policy from acting even when picket.yaml says enforce, off from judging; it can never raise it.",
		),
	include: z
		.array(include)
		.default([])
		.describe(
			"Templates that come with the sensor, by name, and other files, by path: [no-shells, ./more.yaml].",
		),
	scopes: z.array(scope).default([]).describe("What is allowed where. Each scope decides for itself."),
	responses: z
		.array(response)
		.default([])
		.describe("What is done about an alert; the first that fits decides."),
	console: z
		.strictObject({
			may: granted
				.default([...queries])
				.describe(
					"What a console may ask for at most. Whatever acts has to be granted; without this line only queries are: block, pause, kill, take_evidence, set_mode, apply_rules, apply_policy, apply_intel and the like.",
				),
			ttl: longest,
			names: z
				.record(
					z.string().min(1),
					z.strictObject({
						may: granted
							.optional()
							.describe("What this console may ask for, instead of what the others may."),
						ttl: longest,
					}),
				)
				.default({})
				.describe("Consoles that may ask for something else, by their names."),
		})
		.prefault({})
		.describe("What is granted to consoles."),
});

export const templateSchema = z.strictObject({
	description: z.string().min(1).describe("What it is for, in a sentence."),
	parameters: z
		.record(z.string(), z.string())
		.default({})
		.describe("Name and meaning of what `with:` has to give; an entry $name stands for it."),
	scopes: z.array(z.strictObject({ name, ...judgements })).min(1),
});

export type PolicyFile = z.output<typeof policySchema>;
export type TemplateFile = z.output<typeof templateSchema>;
export type ScopeFile = PolicyFile["scopes"][number];
export type Judgements = Omit<ScopeFile, "scope" | "name">;
export type IncludeFile = PolicyFile["include"][number];
export type ResponseFile = PolicyFile["responses"][number];

/** The JSON schema of the policy file, draft 7, which editors know best. */
export function policyJsonSchema(): Record<string, unknown> {
	const { $schema, ...rest } = z.toJSONSchema(policySchema, {
		target: "draft-7",
		io: "input",
		reused: "inline",
		unrepresentable: "any",
	});
	return { $schema, title: "Picket policy: /etc/picket/policy.yaml", ...rest };
}
