// Taking a container off all its networks and putting it back as it was: names, aliases, addresses. What it was
// stays in the ledger, which is the only one to know it then.
import { type Act, type ActDeps, entryOf, freshUntil, type Origin, outcomes } from "./act.ts";
import { commonOf, engineOf, entryFor, findOrRemembered, goneAct } from "./acts-container.ts";
import {
	type Attachment,
	actMs,
	answered,
	attempt,
	type ContainerRuntime,
	type ContainerState,
	engineCode,
	findContainer,
	lookMs,
} from "./containers.ts";
import { RespondError } from "./failure.ts";
import type { Entry, Membership } from "./ledger.ts";
import { readTable } from "./procfs.ts";

export async function prepareDisconnect(
	deps: ActDeps,
	container: string,
	ttlSeconds: number,
	origin: Origin,
): Promise<Act> {
	const { ledger, clock } = deps;
	const found = await findContainer(deps.containers, container);
	const { state } = found;
	const runtime = engineOf(found);
	const networks = networksOf(state);
	const ours = () => ledger.find("disconnect", state.id);
	const fresh = () => freshUntil(ours(), ttlSeconds, clock());
	const expiry = () =>
		networks.length === 0 ? (ours()?.expires ?? 0) : (fresh() ?? clock() + ttlSeconds * 1000);
	return {
		...commonOf(found),
		undo: `picket reconnect ${state.name || state.id}`,
		takesBack: false,
		expires: expiry,
		description: `disconnect container ${state.name} from ${networks.map(({ network }) => network).join(", ")}`,
		protectedBecause: () => deps.protection.container(state),
		async unchanged(steps) {
			if (networks.length > 0) return false;
			steps.push("check: it is in no network");
			return true;
		},
		async run(steps) {
			const before = ours();
			// Somebody may have put it into one more since we took it off the others.
			const known = attachmentsOf(before).filter(
				({ networkId }) => !networks.some((one) => one.networkId === networkId),
			);
			const entry = entryOf("disconnect", state.id, state.name, origin, clock(), expiry());
			const all = [...networks, ...known];
			ledger.put({ ...entry, detail: JSON.stringify(all), networks: all.map(membershipOf) });
			const tried = networks.map(({ network, networkId }) => {
				return attempt(
					() => runtime.disconnect(state.id, networkId),
					"disconnect from",
					network,
					actMs,
					steps,
				);
			});
			const failures = (await Promise.all(tried)).filter((failure) => failure !== undefined);
			const left = await stillConnected(deps, runtime, state, steps);
			if (!left) return { outcome: outcomes.done, seenAt: clock() };
			if (failures.length === networks.length && before === undefined) ledger.remove("disconnect", state.id);
			if (failures.length > 0) throw failures[0];
			return { outcome: outcomes["no effect"], seenAt: clock() };
		},
	};
}

export async function prepareReconnect(deps: ActDeps, container: string): Promise<Act> {
	const { ledger, clock } = deps;
	const entry = entryFor(ledger, "disconnect", container);
	const found = await findOrRemembered(deps, entry, container);
	if (found === undefined) return goneAct(deps, entry as Entry, "reconnect");
	const { state } = found;
	const remembered = ledger.find("disconnect", state.id);
	if (remembered === undefined) {
		throw new RespondError(
			"PICKET_TARGET_UNKNOWN",
			`container ${state.name} was not disconnected by picket`,
			"connect it by hand: docker network connect",
		);
	}
	const runtime = engineOf(found);
	const missing = attachmentsOf(remembered).filter(({ networkId }) => !isIn(state, networkId));
	return {
		...commonOf(found),
		undo: `picket disconnect ${state.name || state.id}`,
		takesBack: true,
		expires: () => 0,
		description: `reconnect container ${state.name}`,
		protectedBecause: async () => undefined,
		async unchanged(steps) {
			if (missing.length > 0) return false;
			steps.push("check: it is in all its networks again");
			ledger.remove("disconnect", state.id);
			return true;
		},
		async run(steps) {
			const gone: string[] = [];
			let failed: unknown;
			// One after the other: the first gets the first interface.
			for (const attachment of missing) {
				const failure = await connect(runtime, state, attachment, steps);
				if (engineCode(failure) === "DOCKER_NOT_FOUND") gone.push(attachment.networkId);
				else failed ??= failure;
			}
			const after = await answered(runtime.state(state.id), "looking again", lookMs);
			const back = missing.filter(({ networkId }) => after !== undefined && isIn(after, networkId));
			steps.push(`verify: it is in ${back.length} of ${missing.length} networks again`);
			if (back.length + gone.length === missing.length) ledger.remove("disconnect", state.id);
			else if (failed !== undefined) throw failed;
			return { outcome: outcomes[back.length === missing.length ? "done" : "no effect"], seenAt: clock() };
		},
	};
}

/** For whoever reconnects it with the engine's own command. */
function membershipOf({ networkId, configured }: Attachment): Membership {
	const { IPAMConfig, Aliases } = configured as {
		IPAMConfig?: { IPv4Address?: string; IPv6Address?: string } | null;
		Aliases?: readonly string[] | null;
	};
	const { IPv4Address = "", IPv6Address = "" } = IPAMConfig ?? {};
	return { network: networkId, ipv4: IPv4Address, ipv6: IPv6Address, aliases: Aliases ?? [] };
}

/**
 * The engine mostly gives a container the address it had, the lowest that is free. Where it does not, the address is
 * asked for by name, which no network without a subnet of the user's allows.
 */
async function connect(
	runtime: ContainerRuntime,
	state: ContainerState,
	attachment: Attachment,
	steps: string[],
): Promise<unknown> {
	const { network, networkId, address } = attachment;
	const join = (how: Attachment, verb: string) =>
		attempt(() => runtime.connect(state.id, how), verb, network, actMs, steps);
	const failure = await join(attachment, "connect to");
	if (failure !== undefined || address === "" || attachment.configured.IPAMConfig != null) return failure;
	const after = await answered(runtime.state(state.id), "looking at its address", lookMs);
	const got = after?.networks?.find((one) => one.networkId === networkId)?.address ?? "";
	if (got === address || got === "") return undefined;
	await attempt(
		() => runtime.disconnect(state.id, networkId),
		`${got} instead of ${address}: disconnect from`,
		network,
		actMs,
		steps,
	);
	const same = {
		...attachment,
		configured: { ...attachment.configured, IPAMConfig: { IPv4Address: address } },
	};
	if ((await join(same, `with ${address} connect to`)) === undefined) return undefined;
	return join(attachment, "with another address connect to");
}

/** In the order in which to join them again. Throws RespondError when its network is not its own. */
function networksOf(state: ContainerState): Attachment[] {
	const mode = state.networkMode ?? "";
	const shared = mode === "host" ? "the host" : mode.startsWith("container:") ? mode.replace(":", " ") : "";
	if (shared !== "") {
		throw new RespondError(
			"PICKET_ORDER_INVALID",
			`container ${state.name} has no network of its own: it uses that of ${shared}`,
			"pause it instead",
		);
	}
	return (state.networks ?? []).filter(({ network }) => network !== "none");
}

function isIn(state: ContainerState, networkId: string): boolean {
	return state.networks?.some((one) => one.networkId === networkId) === true;
}

/** Is there a way out of it, by the routes in its namespace, or, when it does not run, by the engine's word? */
async function stillConnected(
	{ containers }: ActDeps,
	runtime: ContainerRuntime,
	state: ContainerState,
	steps: string[],
): Promise<boolean> {
	const net = `proc/${state.pid ?? 0}/net`;
	const devices = await readTable(containers.root, `${net}/dev`);
	if (state.running && devices.length > 0) {
		const v4 = (await readTable(containers.root, `${net}/route`)).slice(1).map(([device]) => device);
		const v6 = (await readTable(containers.root, `${net}/ipv6_route`)).map((fields) => fields.at(-1));
		const ways = new Set([...v4, ...v6].filter((device) => device !== "lo"));
		steps.push(`verify: routes in its network namespace: ${[...ways].join(", ") || "none"}`);
		return ways.size > 0;
	}
	const after = await answered(runtime.state(state.id), "looking again", lookMs);
	const left = after === undefined ? [] : networksOf(after);
	steps.push(`verify: networks left: ${left.map(({ network }) => network).join(", ") || "none"}`);
	return left.length > 0;
}

/** What `prepareDisconnect` wrote; none when it was damaged. */
function attachmentsOf(entry: Entry | undefined): Attachment[] {
	try {
		const parsed: unknown = JSON.parse(entry?.detail ?? "[]");
		return Array.isArray(parsed) ? parsed.filter(isAttachment) : [];
	} catch {
		return [];
	}
}

function isAttachment(value: unknown): value is Attachment {
	if (typeof value !== "object" || value === null) return false;
	const { network, networkId, address, configured } = value as Record<string, unknown>;
	const texts = [network, networkId, address].every((text) => typeof text === "string");
	return texts && typeof configured === "object" && configured !== null;
}
