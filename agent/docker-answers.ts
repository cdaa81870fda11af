// Reads the Docker engine's JSON into facts. Nothing in an answer is trusted: a field of the wrong type is
// left out and named to `complain`, sizes are capped. Text becomes latin1 (a character a byte) like all
// captured text, so that a rule compares the same bytes wherever they came from.
import { type Attachment, readNetworks } from "./docker-networks.ts";
import type { Container, ContainerExec, ContainerFacts } from "./model/process.ts";

export type ContainerState = "created" | "running" | "paused" | "stopped" | "removed";

/** A container's life as `watch` tells it. `time` is Unix ms, the engine's clock. */
export interface StateChange {
	readonly id: string;
	readonly state: ContainerState;
	readonly time: number;
}

export interface InspectedState {
	readonly id: string;
	readonly name: string;
	readonly image: string;
	readonly running: boolean;
	readonly paused: boolean;
	readonly labels: Readonly<Record<string, string>>;
	/** Of its first process in the engine's pid namespace, 0 when it does not run. */
	readonly pid: number;
	readonly networkMode: string;
	readonly networks: readonly Attachment[];
	/** As the engine writes it; changes with every start. */
	readonly startedAt: string;
}

export type Complain = (field: string) => void;
type Json = Readonly<Record<string, unknown>>;

/** The actions that `watch` asks the engine for. */
export const actions = ["create", "start", "die", "destroy", "rename", "update", "pause", "unpause"] as const;
export type Action = (typeof actions)[number];
/** Asked for too; comes as "exec_start: <the command>". */
export const execAction = "exec_start";

export interface DockerEvent {
	readonly action: Action;
	readonly id: string;
	readonly time: number;
	readonly facts: ContainerFacts | undefined;
}

// Caps: what one container may cost the agent in memory, whatever an image author wrote into it.
const maxLabels = 512;
const maxMounts = 256;
const maxText = 4096;

const containerId = /^[0-9a-f]{64}$/;
const execId = /^[0-9a-f]{64}$/;

/** GET /containers/<id>/json. Undefined when the answer is not a container's. */
export function readInspected(
	answer: unknown,
	complain: Complain,
	runtime = "docker",
): ContainerFacts | undefined {
	const top = object(answer);
	const id = idOf(top?.Id, complain);
	if (top === undefined || id === undefined) return undefined;
	const config = object(top.Config);
	const privileged = object(top.HostConfig)?.Privileged;
	const created = typeof top.Created === "string" ? Date.parse(top.Created) : Number.NaN;
	return compact({
		id,
		runtime,
		name: text(top.Name, "Name", complain)?.replace(/^\//, ""),
		image: text(config?.Image, "Config.Image", complain),
		imageId: text(top.Image, "Image", complain),
		labels: labels(config?.Labels, [], complain),
		privileged: typeof privileged === "boolean" ? privileged : wrong("HostConfig.Privileged", complain),
		mounts: mounts(top.Mounts, complain),
		created: created > 0 ? created : wrong("Created", complain),
	});
}

/** GET /containers/<id>/json, only what an act on it has to know. */
export function readState(answer: unknown, complain: Complain): InspectedState | undefined {
	const facts = readInspected(answer, complain);
	const top = object(answer);
	const state = object(top?.State);
	if (facts === undefined || typeof state?.Running !== "boolean" || typeof state.Paused !== "boolean") {
		return wrong("State", complain);
	}
	const mode = object(top?.HostConfig)?.NetworkMode;
	const networkMode = typeof mode === "string" ? mode : "";
	return {
		id: facts.id,
		name: facts.name ?? "",
		image: facts.image ?? "",
		running: state.Running,
		paused: state.Paused,
		labels: facts.labels ?? {},
		pid: pidOf(state.Pid),
		networkMode,
		networks: readNetworks(object(top?.NetworkSettings)?.Networks, facts.id, networkMode, complain),
		startedAt: text(state.StartedAt ?? "", "State.StartedAt", complain) ?? "",
	};
}

/** One element of GET /containers/json (running containers), which tells all but `privileged`. */
export function readListed(
	answer: unknown,
	complain: Complain,
): { facts: ContainerFacts; state: ContainerState } | undefined {
	const top = object(answer);
	const id = idOf(top?.Id, complain);
	if (top === undefined || id === undefined) return undefined;
	// Links add names with a second slash ("/web/db"); the container's own has one.
	const names = Array.isArray(top.Names) ? top.Names : [];
	const own = names.find((name) => typeof name === "string" && name.lastIndexOf("/") === 0);
	const facts = compact({
		id,
		runtime: "docker",
		name: text(own, "Names", complain)?.replace(/^\//, ""),
		image: text(top.Image, "Image", complain),
		imageId: text(top.ImageID, "ImageID", complain),
		labels: labels(top.Labels, [], complain),
		mounts: mounts(top.Mounts, complain),
		created: typeof top.Created === "number" ? top.Created * 1000 : wrong("Created", complain),
	});
	return { facts, state: top.State === "paused" ? "paused" : "running" };
}

/** One line of GET /events. Undefined for what we did not ask for or cannot read. */
export function readEvent(answer: unknown, now: number, complain: Complain): DockerEvent | undefined {
	const top = object(answer);
	const actor = object(top?.Actor);
	if (top === undefined || top.Type !== "container") return undefined;
	const action = actions.find((known) => known === top.Action);
	const id = idOf(actor?.ID, complain);
	if (action === undefined || id === undefined) return undefined;
	const time = typeof top.timeNano === "number" && top.timeNano > 0 ? Math.floor(top.timeNano / 1e6) : now;
	return { action, id, time, facts: eventFacts(action, id, time, object(actor?.Attributes), complain) };
}

/** One line of GET /events that tells of a process about to start in a running container. */
export function readExecStart(answer: unknown, complain: Complain): ContainerExec | undefined {
	const top = object(answer);
	const announced = `${execAction}: `;
	if (top?.Type !== "container" || typeof top.Action !== "string") return undefined;
	if (!top.Action.startsWith(announced)) return undefined;
	const command = top.Action.slice(announced.length);
	const actor = object(top.Actor);
	const id = idOf(actor?.ID, complain);
	const exec = object(actor?.Attributes)?.execID;
	if (id === undefined) return undefined;
	if (typeof exec !== "string" || !execId.test(exec)) return wrong("Actor.Attributes.execID", complain);
	return { containerId: id, execId: exec, command: latin1(command.slice(0, maxText)).trimEnd(), pid: 0 };
}

/** GET /exec/<id>/json: the pid of its process, 0 until there is one. */
export function readExecPid(answer: unknown): number {
	return pidOf(object(answer)?.Pid);
}

function pidOf(pid: unknown): number {
	return typeof pid === "number" && Number.isInteger(pid) && pid > 0 ? pid : 0;
}

// The attributes are the labels with "image" and "name" written over them. Only create and start add nothing
// else; die adds exitCode, rename adds oldName, which would pass for labels.
function eventFacts(
	action: Action,
	id: string,
	time: number,
	attributes: Json | undefined,
	complain: Complain,
): ContainerFacts | undefined {
	if (attributes === undefined) return wrong("Actor.Attributes", complain);
	const name = text(attributes.name, "Actor.Attributes.name", complain);
	if (action === "rename") return compact({ id, runtime: "docker", name });
	if (action !== "create" && action !== "start") return undefined;
	return compact({
		id,
		runtime: "docker",
		name,
		image: text(attributes.image, "Actor.Attributes.image", complain),
		labels: labels(attributes, ["image", "name"], complain),
		created: action === "create" ? time : undefined,
	});
}

function labels(
	value: unknown,
	without: readonly string[],
	complain: Complain,
): Container["labels"] | undefined {
	if (value === null) return {};
	const from = object(value);
	if (from === undefined) return wrong("Labels", complain);
	const pairs: [string, string][] = [];
	for (const [key, label] of Object.entries(from)) {
		if (without.includes(key)) continue;
		if (typeof label !== "string" || key.length > maxText || pairs.length === maxLabels) {
			complain("Labels");
			continue;
		}
		pairs.push([latin1(key), latin1(label).slice(0, maxText)]);
	}
	// fromEntries defines properties: a label "__proto__" becomes a label, not a prototype.
	return Object.fromEntries(pairs);
}

function mounts(value: unknown, complain: Complain): Container["mounts"] | undefined {
	if (value === null) return [];
	if (!Array.isArray(value)) return wrong("Mounts", complain);
	if (value.length > maxMounts) complain("Mounts");
	return value.slice(0, maxMounts).flatMap((entry: unknown) => {
		const mount = object(entry);
		const source = text(mount?.Source ?? "", "Mounts.Source", complain);
		const destination = text(mount?.Destination, "Mounts.Destination", complain);
		// A tmpfs mount has no source: nothing of the host is in it.
		if (source === undefined || source === "" || destination === undefined) return [];
		return [{ source, destination, writable: mount?.RW !== false }];
	});
}

function text(value: unknown, field: string, complain: Complain): string | undefined {
	return typeof value === "string" && value.length <= maxText ? latin1(value) : wrong(field, complain);
}

function latin1(value: string): string {
	return Buffer.from(value, "utf8").toString("latin1");
}

function idOf(value: unknown, complain: Complain): string | undefined {
	return typeof value === "string" && containerId.test(value) ? value : wrong("Id", complain);
}

function object(value: unknown): Json | undefined {
	return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function wrong(field: string, complain: Complain): undefined {
	complain(field);
	return undefined;
}

type Optional<T> = { [K in keyof T]: T[K] | undefined };

/** Leaves out what is undefined: a fact not told must not wipe one known before. */
function compact(
	facts: Pick<ContainerFacts, "id" | "runtime"> & Optional<Omit<ContainerFacts, "id" | "runtime">>,
): ContainerFacts {
	const told = Object.entries(facts).filter(([, value]) => value !== undefined);
	return Object.fromEntries(told) as unknown as ContainerFacts;
}
