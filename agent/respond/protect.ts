// What is never touched, whoever asks: the floor under every policy and every console. Each question is answered
// from the host as it is now, with the reason. On doubt the answer is "protected".
import type { Network } from "../model/address.ts";
import type { ProgramMatch } from "../model/refusal.ts";
import type { RunCommand } from "./command.ts";
import type { ContainerState } from "./containers.ts";
import type { Inbound } from "./inbound.ts";
import { hostRoot, type ProcessIdentity, readText } from "./procfs.ts";
import { createAddressFloor } from "./protected-addresses.ts";
import { createProcessFloor } from "./vital-processes.ts";
import { createVitalPrograms } from "./vital-programs.ts";
import { createBlockedShare } from "./width.ts";

/** What the configuration adds to the floor. Addresses may be host names and may carry a port. */
export interface ProtectedExtra {
	readonly addresses: readonly string[];
	/** Names or ids; a Compose project, or one service of it as PROJECT/SERVICE. */
	readonly containers: readonly string[];
	/** Names (comm) or paths of executables. */
	readonly processes: readonly string[];
}

/** Each gives the reason why the target is protected, or undefined. */
export interface Protection {
	/** For whatever touches an address. */
	address(network: Network): Promise<string | undefined>;
	/** For a block: as above, and what all blocks together would cover. */
	block(network: Network): Promise<string | undefined>;
	container(state: ContainerState): Promise<string | undefined>;
	process(identity: ProcessIdentity): string | undefined;
	/** For a refusal on the whole host; in a container anything may be refused. */
	program(match: ProgramMatch): string | undefined;
	/** To be told of every accepted connection. */
	readonly inbound: Inbound;
	/** To be called every half minute: who was logged in then is still known when the session has ended. */
	refresh(): Promise<void>;
}

export interface ProtectionDeps {
	/** "/" outside tests: where /proc, /etc and /run lie below. */
	readonly root: string;
	/** The sensor's pid. */
	readonly self: number;
	readonly extra: () => ProtectedExtra;
	/** Addresses of a host name; rejects when it cannot be resolved. */
	readonly resolve: (name: string) => Promise<readonly string[]>;
	/** For the tools that know routes and time servers; without it only files are read. */
	readonly run?: RunCommand;
	/** Networks that are blocked now, as canonical texts. */
	readonly blocked: () => Iterable<string>;
	readonly clock: () => number;
}

export function createProtection(deps: ProtectionDeps): Protection {
	const { root, self, extra, resolve, run, clock } = deps;
	const programs = createVitalPrograms({ host: hostRoot(root), own: [process.execPath], clock });
	const processes = createProcessFloor({ root, self, extra: () => extra().processes, programs });
	const addresses = createAddressFloor({
		root,
		extra: () => extra().addresses,
		resolve,
		run,
		programs,
		clock,
	});
	const tooMuch = createBlockedShare(deps.blocked, clock);
	return {
		address: addresses.why,
		block: async (network) => (await addresses.why(network)) ?? tooMuch(network),
		process: processes,
		program: programs.refused,
		inbound: addresses.inbound,
		refresh: addresses.refresh,

		async container(state) {
			if (state.self === true || (await isOwnContainer(root, state.id))) return "the sensor runs in it";
			const { labels = {} } = state;
			const label = protectedLabels.find((one) => labels[one] === "true");
			if (label !== undefined) return `it is labelled ${label}`;
			if (isPodSandbox(state.name, labels)) return "it holds the network of a Kubernetes pod";
			const names = namesOf(state);
			const listed = extra().containers.some(
				(name) => names.includes(name) || (name.length >= 12 && state.id.startsWith(name)),
			);
			return listed ? "it is protected by configuration" : undefined;
		},
	};
}

const protectedLabels = ["picket.protected", "io.picket.protected"];

/** cri-dockerd, containerd's CRI plug-in and CRI-O each mark the container that keeps a pod's namespaces. */
function isPodSandbox(name: string, labels: Readonly<Record<string, string>>): boolean {
	return (
		name.startsWith("k8s_POD_") ||
		labels["io.kubernetes.docker.type"] === "podsandbox" ||
		labels["io.cri-containerd.kind"] === "sandbox" ||
		labels["io.kubernetes.cri-o.ContainerType"] === "sandbox"
	);
}

/** Its own, and those of the Compose project and service it belongs to. */
function namesOf({ name, labels = {} }: ContainerState): string[] {
	const project = labels["com.docker.compose.project"];
	const service = labels["com.docker.compose.service"];
	if (project === undefined) return [name];
	return service === undefined ? [name, project] : [name, project, `${project}/${service}`];
}

/** The id of a container is in the cgroup path or, with a private cgroup namespace, in the mounts of its files. */
async function isOwnContainer(root: string, id: string): Promise<boolean> {
	if (id.length < 12) return false;
	const cgroup = (await readText(root, "proc/self/cgroup")) ?? "";
	if (cgroup.includes(id)) return true;
	const mounts = (await readText(root, "proc/self/mountinfo")) ?? "";
	return mounts.split("\n").some((line) => line.includes(`/containers/${id}/`) && line.includes("/etc/host"));
}
