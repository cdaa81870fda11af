// The container engines of this host: who they are, what they say of containers, and what happens to those.
import { existsSync } from "node:fs";
import type { Logger } from "pino";
import { createContainerLookup } from "./container-lookup.ts";
import { createDocker, type DockerRuntime } from "./docker.ts";
import type { Enrichment } from "./enrichment.ts";

export interface Engines {
	readonly docker: DockerRuntime | undefined;
	/** Those that may be asked to act. */
	readonly all: readonly DockerRuntime[];
	/** From now on follows Docker's events; `changed` is told which container runs. */
	watch(changed: (id: string, running: boolean) => void): void;
	close(): void;
}

const podmanSocket = "/run/podman/podman.sock";

/** `socket`: Docker's; "" for no engine at all. Containers that the kernel shows first are looked up here. */
export function createEngines(options: {
	readonly socket: string;
	readonly enrichment: Enrichment;
	readonly logger: Logger;
	readonly clock: () => number;
}): Engines {
	const { socket, enrichment, logger, clock } = options;
	const docker = socket !== "" ? createDocker({ socketPath: socket, logger, clock }) : undefined;
	const podman =
		socket !== "" && existsSync(podmanSocket)
			? createDocker({ socketPath: podmanSocket, runtime: "podman", logger, clock })
			: undefined;
	const lookup = createContainerLookup({
		runtimes: {
			...(docker && { docker: { inspect: docker.inspect, always: false } }),
			// Its files do not have the labels.
			...(podman && { podman: { inspect: podman.inspect, always: true } }),
		},
		onFacts: enrichment.containerFacts,
	});
	for (const container of enrichment.containers.values()) lookup.ask(container);
	enrichment.containers.onUnknown(lookup.ask);
	let watching: ReturnType<DockerRuntime["watch"]> | undefined;
	return {
		docker,
		all: [docker, podman].filter((engine) => engine !== undefined),
		watch(changed) {
			watching = docker?.watch(
				enrichment.containerFacts,
				({ id, state }) => {
					changed(id, state === "running" || state === "paused");
					if (state === "removed") enrichment.containers.destroyed(id);
				},
				enrichment.containerExec,
			);
		},
		close() {
			watching?.close();
			lookup.close();
		},
	};
}
