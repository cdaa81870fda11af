// Decides every exec, open and connect against the policy. A deny line forbids what it matches; an allow list
// means "only these"; each scope decides for itself, deny before allow. Does nothing itself: it tells.
import { EventFlag, type EventView, EventKind as Kind, type Observation, Text } from "../model/event.ts";
import type { Interest } from "../model/interest.ts";
import type { Container, Process } from "../model/process.ts";
import { type Finding, type Response, severities } from "../model/verdict.ts";
import { type Decision, findingOf, type PolicyContext } from "./finding.ts";
import { type Glob, matchesBytes, matchesName, matchesText } from "./glob.ts";
import { interestOf } from "./interest.ts";
import type { Executable, Line, List, Policy, ResponseRule, Scope, Who } from "./load.ts";
import { isLoopback, type Peer, peerMatches } from "./peer.ts";

const onlyAlert: readonly Response[] = Object.freeze([{ act: "alert" }] as const);

const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_TRUNC = 0x200;
const O_PATH = 0x200000;
const S_IFMT = 0xf000;
const S_IFDIR = 0x4000;
const IPPROTO_UDP = 17;
const AF_INET = 2;
const AF_INET6 = 10;

export class PolicyEngine {
	readonly interest: Interest;
	readonly #policy: Policy;
	readonly #context: PolicyContext;
	readonly #hostScopes: readonly Scope[];
	readonly #containerScopes: readonly Scope[];
	/** Which scopes a container is in; decided again once its name and image are known. */
	readonly #ofContainer = new WeakMap<Container, { known: boolean; scopes: readonly Scope[] }>();

	constructor(policy: Policy, context: PolicyContext) {
		this.#policy = policy;
		this.#context = context;
		this.interest = interestOf(policy);
		this.#hostScopes = policy.scopes.filter((scope) => scope.where === "host");
		this.#containerScopes = policy.scopes.filter((scope) => scope.where === "containers");
	}

	/** Calls `onFinding` once for each scope that the act violates. Allocates nothing when it violates none. */
	violations(observation: Observation, onFinding: (finding: Finding) => void): void {
		const { event, process } = observation;
		if (process === undefined) return;
		const scopes = this.#scopesOf(process);
		for (let index = 0; index < scopes.length; index++) {
			const scope = scopes[index];
			if (scope === undefined) continue;
			if (scope.user !== undefined && !this.#isUser(scope.user, process.euid)) continue;
			const decision = this.#decide(scope, event, process);
			if (decision === undefined) continue;
			onFinding(findingOf(this.#policy.file, scope, decision, observation, process, this.#context));
		}
	}

	/** What the policy asks to be done about a finding: the first entry that fits. Always holds an alert. */
	responses(finding: Finding, observation: Observation): readonly Response[] {
		const inContainer = observation.process?.cgroup?.container !== undefined;
		const rule = this.#policy.responses.find((one) => fits(one, finding, inContainer));
		return rule?.responses ?? onlyAlert;
	}

	#scopesOf(process: Process): readonly Scope[] {
		const container = process.cgroup?.container;
		if (container === undefined) return this.#hostScopes;
		if (this.#containerScopes.length === 0) return this.#containerScopes;
		const cached = this.#ofContainer.get(container);
		if (cached !== undefined && cached.known === container.known) return cached.scopes;
		const scopes = this.#containerScopes.filter((scope) => isSelected(scope, container));
		this.#ofContainer.set(container, { known: container.known, scopes });
		return scopes;
	}

	#decide(scope: Scope, event: EventView, process: Process): Decision | undefined {
		switch (event.kind) {
			case Kind.exec:
				return decideExec(scope, process) ?? this.#decideUser(scope, process.euid);
			case Kind.open:
				return decideOpen(scope, event);
			case Kind.connect:
				return decideConnect(scope, event);
			default:
				return undefined;
		}
	}

	#decideUser(scope: Scope, uid: number): Decision | undefined {
		const { deny, allow } = scope.users;
		const line = this.#findUser(deny, uid);
		if (line !== undefined) return { list: "users.deny", line };
		if (allow !== undefined && this.#findUser(allow, uid) === undefined) return { list: "users.allow", line };
		return undefined;
	}

	#findUser(list: List<Who>, uid: number): Line<Who> | undefined {
		if (list === undefined) return undefined;
		for (const line of list) if (this.#isUser(line.match, uid)) return line;
		return undefined;
	}

	#isUser(who: Who, uid: number): boolean {
		return who.uid === undefined ? this.#context.userName(uid) === who.name : who.uid === uid;
	}
}

function decideExec(scope: Scope, process: Process): Decision | undefined {
	const { deny, allow } = scope.processes;
	const line = findExecutable(deny, process);
	if (line !== undefined) return { list: "processes.deny", line };
	// A path that could not be read decides nothing: on doubt an act is allowed.
	if (allow === undefined || process.exe === "" || findExecutable(allow, process) !== undefined)
		return undefined;
	return { list: "processes.allow", line: undefined };
}

function findExecutable(list: List<Executable>, process: Process): Line<Executable> | undefined {
	if (list === undefined) return undefined;
	for (const line of list) if (isExecutable(line.match, process)) return line;
	return undefined;
}

function isExecutable({ glob, byName }: Executable, { exe, comm }: Process): boolean {
	if (!byName) return matchesText(glob, exe);
	// comm is cut at 15 bytes and names the script, not its interpreter.
	return matchesText(glob, comm) || matchesText(glob, exe, exe.lastIndexOf("/") + 1);
}

function decideOpen(scope: Scope, event: EventView): Decision | undefined {
	const { result, openFlags } = event;
	if (result < 0 || (openFlags & O_PATH) !== 0) return undefined;
	const access = openFlags & O_ACCMODE;
	if (access !== 0 || (openFlags & O_TRUNC) !== 0) {
		const line = findPath(scope.writes.deny, event);
		if (line !== undefined) return { list: "files.deny_write", line };
		if (isLeftOut(scope.writes.allow, event)) return { list: "files.allow_write", line: undefined };
	}
	// Listing a directory is not reading a file.
	if (access !== O_WRONLY && (event.mode & S_IFMT) !== S_IFDIR) {
		const line = findPath(scope.reads.deny, event);
		if (line !== undefined) return { list: "files.deny_read", line };
		if (isLeftOut(scope.reads.allow, event)) return { list: "files.allow_read", line: undefined };
	}
	return undefined;
}

function isLeftOut(allow: List<Glob>, event: EventView): boolean {
	if (allow === undefined || event.textSize(Text.path) === 0) return false;
	const partial = event.flags & (EventFlag.pathIncomplete | EventFlag.pathTruncated);
	return partial === 0 && findPath(allow, event) === undefined;
}

function findPath(list: List<Glob>, event: EventView): Line<Glob> | undefined {
	if (list === undefined) return undefined;
	const size = event.textSize(Text.path);
	if (size === 0) return undefined;
	const start = event.textStart(Text.path);
	for (const line of list) if (matchesBytes(line.match, event.bytes, start, start + size)) return line;
	return undefined;
}

function decideConnect(scope: Scope, event: EventView): Decision | undefined {
	const { family, bytes, remoteAddressStart: start, remotePort: port } = event;
	if (family !== AF_INET && family !== AF_INET6) return undefined;
	// The resolver connects UDP sockets to port 0 only to learn which source address would be used.
	if (event.protocol === IPPROTO_UDP && port === 0) return undefined;
	const { deny, allow } = scope.peers;
	const line = findPeer(deny, family, bytes, start, port);
	if (line !== undefined) return { list: "peers.deny", line };
	if (allow === undefined || isLoopback(family, bytes, start)) return undefined;
	if (findPeer(allow, family, bytes, start, port) !== undefined) return undefined;
	return { list: "peers.allow", line: undefined };
}

function findPeer(
	list: List<Peer>,
	family: number,
	bytes: Buffer,
	start: number,
	port: number,
): Line<Peer> | undefined {
	if (list === undefined) return undefined;
	for (const line of list) if (peerMatches(line.match, family, bytes, start, port)) return line;
	return undefined;
}

function isSelected({ selector }: Scope, container: Container): boolean {
	const { image, name, labels } = selector;
	if (image !== undefined && !matchesName(image, container.image)) return false;
	if (name !== undefined && !matchesName(name, container.name)) return false;
	return labels.every(({ key, value }) => {
		const own = Object.hasOwn(container.labels, key) ? container.labels[key] : undefined;
		return own !== undefined && matchesName(value, own);
	});
}

function fits(rule: ResponseRule, finding: Finding, inContainer: boolean): boolean {
	const { severity, techniques, tactics, tag, scope } = rule;
	if (rule.rule !== undefined && !matchesName(rule.rule, finding.rule)) return false;
	if (severity !== undefined && severities.indexOf(finding.severity) < severities.indexOf(severity))
		return false;
	if (
		techniques !== undefined &&
		!finding.techniques.some((id) => techniques.some((each) => id === each || id.startsWith(`${each}.`)))
	)
		return false;
	if (tactics !== undefined && !finding.tactics.some((each) => tactics.includes(each))) return false;
	if (tag !== undefined && !finding.tags.includes(tag)) return false;
	return scope === undefined || (scope === "container") === inContainer;
}
