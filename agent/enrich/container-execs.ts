// Who had a process started in a running container: `docker exec` leaves the kernel a chain that ends at the
// container's shim. Puts together what the engine's events say (which command, in which container), which processes
// had connected to the engine shortly before, and what then appears in the container. Says nothing when in doubt.
import type { ContainerExec, Process, StartedBy } from "../model/process.ts";

export interface ContainerExecs {
	/** This process has connected to the engine's socket. */
	connected(process: Process): void;
	/** This process has executed a program: it may be the first one of an exec. */
	executed(process: Process): void;
	/** Told twice for each: as it is asked for, and when its pid is known. */
	told(exec: ContainerExec): void;
}

export interface ContainerExecsOptions {
	/** Unix ms. */
	readonly clock: () => number;
	find(pid: number): Process | undefined;
	/** `undefined` takes back what an earlier call has said. */
	assign(process: Process, by: StartedBy | undefined): void;
}

interface Pending {
	readonly exec: ContainerExec;
	readonly until: number;
	process: Process | undefined;
}

/** ms from a client's connection to the start of its exec, and from there to the first instruction. */
const clientTime = 5000;
const startTime = 10_000;
const maxClients = 64;
const maxPending = 256;

export function createContainerExecs(options: ContainerExecsOptions): ContainerExecs {
	const { clock, find, assign } = options;
	const clients = new Map<string, { process: Process; at: number }>();
	const pending = new Map<string, Pending>();
	/** By pid, those that could not be told apart: they may have ended when their pid is told. */
	const undecided = new Map<number, Process>();

	return {
		connected(process) {
			const key = `${process.pid} ${process.start}`;
			clients.delete(key);
			clients.set(key, { process, at: clock() });
			if (clients.size > maxClients) dropFirst(clients);
		},
		executed(process) {
			if (pending.size === 0) return;
			const container = process.cgroup?.container;
			// What a process of the container starts itself has its parent there.
			if (!container || process.startedBy || process.parent?.cgroup?.container === container) return;
			forgetOld();
			const command = process.args.join(" ");
			const fits = [...pending.values()].filter(
				(each) => !each.process && each.exec.containerId === container.id && each.exec.command === command,
			);
			const [only] = fits;
			if (only && fits.length === 1) {
				start(only, process);
				return;
			}
			undecided.set(process.pid, process);
			if (undecided.size > maxPending) dropFirst(undecided);
		},
		told(exec) {
			forgetOld();
			const known = pending.get(exec.execId);
			const entry = known ?? { exec, until: clock() + startTime, process: undefined };
			if (!known) {
				pending.set(exec.execId, entry);
				if (pending.size > maxPending) dropFirst(pending);
			}
			if (exec.pid === 0) return;
			const process = find(exec.pid) ?? undecided.get(exec.pid);
			if (entry.process && entry.process.pid !== exec.pid) {
				assign(entry.process, undefined);
				entry.process = undefined;
			}
			// An engine in a pid namespace of its own counts otherwise: the container must be the one it said.
			if (entry.process || process?.cgroup?.container?.id !== exec.containerId) return;
			// By its command alone another may have been taken for it: that one waits for its own pid.
			for (const each of pending.values()) if (each.process === process) each.process = undefined;
			start(entry, process);
		},
	};

	function start(entry: Pending, process: Process): void {
		entry.process = process;
		const { execId, command } = entry.exec;
		assign(process, { kind: "docker exec", execId, client: clientOf(command) });
	}

	/**
	 * Connected lately and was given this very command. That it connected is not enough: the engine runs health checks
	 * by itself, and whoever else asks it something at that moment did not start them.
	 */
	function clientOf(command: string): Process | undefined {
		const since = clock() - clientTime;
		const fits = [...clients.values()].filter(
			({ process, at }) => at >= since && process.args.join(" ").endsWith(` ${command}`),
		);
		return fits.length === 1 ? fits[0]?.process : undefined;
	}

	function forgetOld(): void {
		const now = clock();
		if (pending.size === 0) undecided.clear();
		for (const [id, { until }] of pending) {
			if (until > now) return;
			pending.delete(id);
		}
	}
}

function dropFirst<K>(map: Map<K, unknown>): void {
	for (const key of map.keys()) {
		map.delete(key);
		return;
	}
}
