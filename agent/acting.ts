// Everything with which a sensor acts, put together: the responder, what the kernel refuses by itself, and how both
// learn of containers and of the policy.
import type { Logger } from "pino";
import { addon } from "./capture/addon.ts";
import { LiveRefuser } from "./capture/refuser.ts";
import type { Config } from "./config/load.ts";
import type { DockerRuntime } from "./docker.ts";
import type { Enrichment } from "./enrichment.ts";
import { type EventView, EventKind as Kind } from "./model/event.ts";
import type * as wire from "./model/picket.v1.ts";
import type { Container } from "./model/process.ts";
import type { Finding } from "./model/verdict.ts";
import { refusalRules } from "./policy/kernel.ts";
import { consoleRefusal } from "./policy/load.ts";
import type { Policy } from "./policy/policy.ts";
import { createRefusalAlerts } from "./refusal-alerts.ts";
import { createRefusing, type Refusing } from "./refusing.ts";
import type { RecordBody } from "./report/record.ts";
import type { WireContext } from "./report/wire.ts";
import { breakerText } from "./respond/breakers.ts";
import { createResponder, type HostResponder } from "./respond/responder.ts";

/** Besides the time between two reads of events: to judge what was read. */
const slackMs = 50;

export interface ActingDeps {
	/** Where those in force listen. */
	readonly consoles: () => readonly string[];
	readonly config: Config;
	readonly logger: Logger;
	/** Unix ms. */
	readonly clock: () => number;
	readonly enrichment: Enrichment;
	readonly engines: readonly DockerRuntime[];
	readonly policy: () => Policy;
	readonly mode: () => "observe" | "enforce";
	/** Nothing is refused by the kernel either. */
	readonly captureOnly: () => boolean;
	readonly wire: WireContext;
	/** Programs to do without. */
	readonly off: readonly string[];
	/** Only looks on: leaves what an earlier sensor has in force as it is, and puts nothing in force by itself. */
	readonly passive: boolean;
	emit(body: RecordBody, time?: string): void;
	alert(alert: wire.Alert, time?: string): void;
	gap(gap: wire.Gap): void;
}

export interface Acting {
	readonly responder: HostResponder;
	readonly refuser: LiveRefuser;
	/** Looks what an earlier sensor left in force, and begins to keep the policy in the kernel. */
	start(): void;
	/** Another policy or mode. */
	changed(): void;
	/** A container runs, is known, has another state or is gone. */
	containers(id: string, running: boolean): void;
	/** For each event before it is judged: what acting has to know of it. Allocates nothing. */
	saw(event: EventView): void;
	/** The agent tells it by itself; `alertId` is "" when it is counted with an alert that was told before. */
	judged(finding: Finding, alertId: string, event: EventView): void;
	problems(): string[];
	/** What of the refusals in the kernel is not as it was left there, in words. */
	refusalDamages(): string[];
	/** Undoes what is in force when asked to; else it stays until its time. */
	close(release: boolean): Promise<wire.Action[]>;
}

export function createActing(deps: ActingDeps): Acting {
	const { config, logger, clock, enrichment, policy, mode } = deps;
	/** Ids of containers, paused ones included. */
	const running = new Set<string>();
	const refuser = new LiveRefuser({
		pins: config.paths.bpf,
		cgroupRoot: enrichment.cgroupMount || undefined,
		sensorPid: process.pid,
		off: deps.off,
		logger,
		clock,
	});
	const cgroupsOf = (id: string): readonly number[] => {
		const container = enrichment.containers.find(id);
		return (container && enrichment.cgroups.ofContainers().get(container)) ?? [];
	};
	const responder = createResponder({
		mode,
		stateDir: config.paths.state,
		logger,
		clock,
		runtimes: () => deps.engines,
		recall: (idOrName) => {
			const { containers } = enrichment;
			const known = containers.find(idOrName) ?? containers.findByName(idOrName);
			return known && { id: known.id, name: known.name, image: known.image, labels: known.labels };
		},
		processes: {
			open: (pid) => addon().pidfdOpen(pid),
			signal: (pidfd, signal) => addon().pidfdSignal(pidfd, signal),
			close: (pidfd) => addon().closeDescriptor(pidfd),
			exited: (pidfd) => addon().pidfdExited(pidfd),
		},
		descendants: (pid, start) => descendantsOf(enrichment, pid, start),
		refusals: { refuser, cgroupsOf },
		protectedExtra: () => ({
			...config.protect,
			addresses: [...config.protect.addresses, ...remoteHosts(config, deps.consoles())],
		}),
		settings: {
			ttlSeconds: config.respond.ttl_seconds,
			actionsPerMinute: config.limits.actions_per_minute,
		},
		permitted: (order, context) => consoleRefusal(policy(), context.requester, order.kind),
		onAction: (action) => deps.emit({ action }),
		runningContainers: () => running.size,
		containerPids: () => firstPids(enrichment),
		reconcile: {
			onRepair: (what) =>
				logger.warn({ what }, "our part of the firewall had been changed and was put right"),
			onProblem: (problem) => logger.error({ problem }, "our part of the firewall cannot be looked after"),
		},
		onBreaker: (breaker) => {
			deps.alert({
				id: `breaker-${clock()}`,
				rule: "picket/breaker",
				origin: "ORIGIN_PICKET",
				severity: "SEVERITY_HIGH",
				priority: "Error",
				summary: breakerText(breaker),
				description:
					"So many responses in so short a time are rather a rule that matches too much than that many attacks. " +
					"There are only alerts for 15 minutes. Look at the rule, and at what it wanted to act on.",
				dedupKey: `breaker ${breakerText(breaker)}`,
			});
		},
		onKillSwitch: () => changed(),
		...(!deps.passive && { keeper: { socket: config.docker.socket, leaveCgroup: true } }),
	});

	const alerts = createRefusalAlerts({
		wire: deps.wire,
		find: (pid) => enrichment.tree.get(pid),
		containerOf: (cgroupId) => enrichment.cgroups.lookup(cgroupId, 0)?.container,
		severityOf: (id) => policy().scopes.find(({ name }) => id.startsWith(`policy/${name}/`))?.severity,
		originOf: (id) => responder.active().find(({ actionId }) => actionId === id),
		means: refuser,
	});
	const refusing: Refusing = createRefusing({
		refuser,
		rules: () => {
			const cgroups = enrichment.cgroups.ofContainers();
			// Orders by hand about the whole host leave containers alone, too.
			refuser.containers([...cgroups.values()].flat());
			if (responder.disabledBy() !== undefined || deps.captureOnly()) return [];
			const running = [...cgroups].map(([container, ids]) => ({ container, cgroups: ids }));
			return refusalRules(policy(), running).rules;
		},
		mode,
		eventsWithinMs: config.capture.drain_ms + slackMs,
		told(refusal) {
			const { time, alert, action } = alerts.records(refusal);
			if (alert) deps.alert(alert, time);
			deps.emit({ action }, time);
		},
		lost: (count) => {
			const now = new Date(clock()).toISOString();
			deps.gap({ from: now, to: now, where: "refusals", lost: [{ class: "refusal", count: String(count) }] });
		},
		logger,
		clock,
	});
	const changed = (): void => {
		if (!deps.passive) refusing.changed();
	};
	enrichment.containers.onKnown(changed);
	enrichment.containers.onUnknown(changed);

	return {
		responder,
		refuser,
		changed,
		start() {
			if (deps.passive) return;
			changed();
			responder.recover().then(
				(actions) => {
					for (const action of actions) deps.emit({ action });
					return responder.reconcile("start");
				},
				(error) => logger.error({ err: error }, "what an earlier sensor left in force is not known"),
			);
		},
		containers(id, runs) {
			if (runs) running.add(id);
			else running.delete(id);
			changed();
		},
		saw(event) {
			// The runtime may have told of the container before there was anything to refuse it.
			if (event.kind === Kind.cgroup && event.cgroupOperation === 1) {
				if (enrichment.cgroups.lookup(event.targetCgroupId, 0)?.container) changed();
				return;
			}
			if (event.kind !== Kind.accept || event.result < 0) return;
			responder.inbound.count(event.family, event.bytes, event.remoteAddressStart, event.localPort);
		},
		judged(finding, alertId, { pid, start }) {
			if (refusing.standing === 0 || finding.origin !== "policy") return;
			const process = enrichment.tree.get(pid);
			if (process?.start === start) alerts.judged(finding.rule, process, alertId);
		},
		problems: () => [
			...responder.problems(),
			...(refusing.problem === ""
				? []
				: [`the kernel does not refuse what the policy says: ${refusing.problem}`]),
		],
		refusalDamages: () => refuser.damages((id) => enrichment.cgroups.lookup(id, 0) !== undefined),
		async close(release) {
			refusing.close();
			const undone = release ? await responder.release("shutdown") : [];
			await responder.close();
			if (release) refuser.release();
			refuser.close();
			return undone;
		},
	};
}

/** Deeper than any tree that is not made to hide in. */
const deepest = 256;

/** Those still running whose makers lead back to it, by whatever parents the kernel has given them since. */
function descendantsOf({ tree }: Enrichment, pid: number, start: number): { pid: number; start: number }[] {
	const found: { pid: number; start: number }[] = [];
	for (const each of tree.processes()) {
		if (each.exited > 0) continue;
		let maker = each.origin;
		for (let level = 0; maker && level < deepest; level++) {
			if (maker.pid === pid && maker.start === start) {
				found.push({ pid: each.pid, start: each.start });
				break;
			}
			maker = maker.origin;
		}
	}
	return found;
}

/** One process of each container, for a look into its network namespace. */
function firstPids({ tree }: Enrichment): number[] {
	const pids = new Map<Container, number>();
	for (const { cgroup, pid, exited } of tree.processes()) {
		const container = cgroup?.container;
		if (container && exited === 0 && !pids.has(container)) pids.set(container, pid);
	}
	return [...pids.values()];
}

/** Whom we report to must never be blocked. */
function remoteHosts({ sinks }: Config, consoles: readonly string[]): string[] {
	const syslogs = sinks.map(({ syslog = "" }) => syslog.replace(/^(udp|tcp|tls):/, ""));
	return [...consoles, ...syslogs]
		.filter((address) => address !== "" && !address.startsWith("unix:"))
		.map((address) => address.replace(/:\d+$/, "").replace(/^\[|\]$/g, ""));
}
