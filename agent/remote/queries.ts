// What a console may ask about this host: its processes and containers as the sensor knows them, without a look at
// anything else. In turns, and cut where a message ends.
import type { Enrichment } from "../enrichment.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Container, Process } from "../model/process.ts";
import { showText } from "../report/shown.ts";
import { containerToWire, processToWire, type WireContext } from "../report/wire.ts";
import { createTurns } from "./turns.ts";

export const mostListed = 10_000;

export interface Host {
	readonly enrichment: Enrichment;
	readonly wire: WireContext;
}

export async function findProcesses(
	{ enrichment, wire: context }: Host,
	{ contains, limit }: { readonly contains: string; readonly limit: number },
): Promise<wire.CommandResult> {
	const most = Math.min(limit || mostListed, mostListed);
	const wanted = latin1(contains);
	const turn = createTurns();
	const processes: wire.Process[] = [];
	let found = 0;
	// The tree changes between two turns.
	for (const process of [...enrichment.tree.processes()]) {
		await turn();
		if (wanted !== "" && !process.comm.includes(wanted) && !process.exe.includes(wanted)) continue;
		if (++found <= most) processes.push(processToWire(process, context));
	}
	return { accepted: true, message: cut(processes.length, found), processes };
}

export async function findContainers(
	{ enrichment }: Host,
	{ contains, limit }: { readonly contains: string; readonly limit: number },
): Promise<wire.CommandResult> {
	const most = Math.min(limit || mostListed, mostListed);
	const turn = createTurns();
	const counts = new Map<Container, number>();
	for (const { cgroup, exited } of [...enrichment.tree.processes()]) {
		await turn();
		if (cgroup?.container && exited === 0)
			counts.set(cgroup.container, (counts.get(cgroup.container) ?? 0) + 1);
	}
	const containers: wire.ContainerState[] = [];
	let found = 0;
	for (const container of [...enrichment.containers.values()]) {
		await turn();
		const { id, name, image } = container;
		if (![id, name, image].some((text) => text.includes(contains))) continue;
		if (++found <= most)
			containers.push({ container: containerToWire(container), processes: counts.get(container) ?? 0 });
	}
	return { accepted: true, message: cut(containers.length, found), containers };
}

/** For the list of connections. */
export function holderIn({
	enrichment,
}: Host): (pid: number) => { executable?: string; containerId?: string } {
	return (pid) => {
		const process: Process | undefined = enrichment.tree.get(pid);
		const container = process?.cgroup?.container?.id;
		return {
			...(process?.exe && { executable: showText(process.exe) }),
			...(container !== undefined && { containerId: container }),
		};
	};
}

export function cut(listed: number, found: number): string {
	return listed === found ? "" : `cut to ${listed} of ${found}: ask more narrowly, or for more`;
}

/** As captured text is kept, a character a byte. */
function latin1(text: string): string {
	return Buffer.from(text, "utf8").toString("latin1");
}
