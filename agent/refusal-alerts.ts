// What the kernel refused by itself, as records: an alert, unless the agent's own judgement of the event has told it
// already, and an action that says by what it was refused.
import { randomUUID } from "node:crypto";
import { formatNetwork } from "./model/address.ts";
import type * as wire from "./model/picket.v1.ts";
import type { Container, Process } from "./model/process.ts";
import type { Refusal, Refuser } from "./model/refusal.ts";
import type { Severity } from "./model/verdict.ts";
import { showText } from "./report/shown.ts";
import { formatUnixMs } from "./report/time.ts";
import { containerToWire, processToWire, type WireContext } from "./report/wire.ts";
import { priorities } from "./self-alert.ts";

export interface RefusalAlertsDeps {
	readonly wire: WireContext;
	/** By pid, as the process tree has it. */
	find(pid: number): Process | undefined;
	/** Of a cgroup's id. */
	containerOf(cgroupId: number): Container | undefined;
	/** Of the policy's scope that a rule's id names; undefined when it is no policy's. */
	severityOf(ruleId: string): Severity | undefined;
	/** Reason and alert of the action that put a rule in force. */
	originOf(ruleId: string): { readonly reason: string; readonly alertId: string } | undefined;
	readonly means: Pick<Refuser, "exec" | "egress">;
}

export interface RefusalAlerts {
	/** The agent has told this itself, in the alert of this id; "" when it is counted with an earlier one. */
	judged(rule: string, process: Process, alertId: string): void;
	/** `alert` is absent when it was told already. */
	records(refusal: Refusal): {
		readonly time: string;
		readonly alert?: wire.Alert;
		readonly action: wire.Action;
	};
}

/** Judgements that wait for the kernel's word; it comes within a moment. */
const mostJudged = 1024;
const AF_TCP = 6;
const AF_UDP = 17;

export function createRefusalAlerts(deps: RefusalAlertsDeps): RefusalAlerts {
	const judged = new Map<string, { readonly alertId: string; readonly process: Process }>();
	const keyOf = (rule: string, pid: number, start: number) => `${pid} ${start} ${rule}`;

	return {
		judged(rule, process, alertId) {
			judged.set(keyOf(rule, process.pid, process.start), { alertId, process });
			if (judged.size <= mostJudged) return;
			for (const key of judged.keys()) {
				judged.delete(key);
				return;
			}
		},
		records(refusal) {
			const { id, pid, start } = refusal;
			const time = formatUnixMs(deps.wire.bootTimeMs() + refusal.time / 1e6);
			const judgement = judged.get(keyOf(id, pid, start));
			const known = deps.find(pid);
			// What was ended has left the tree by now.
			const process = known?.start === start ? known : judgement?.process;
			const container = process?.cgroup?.container ?? deps.containerOf(refusal.cgroupId);
			const who = { process, container };
			const origin = deps.originOf(id);
			const told = judgement?.alertId ?? (origin?.alertId || undefined);
			const alert = told === undefined ? alertOf(refusal, who, origin?.reason, deps) : undefined;
			const action = actionOf(refusal, who, told ?? alert?.id ?? "", origin?.reason, deps);
			return { time, action, ...(alert && { alert }) };
		},
	};
}

function objectOf({ kind, path, peer }: Refusal): string {
	if (kind === "exec") return showText(path) || "a program without a path";
	if (!peer) return "a packet";
	const address = formatNetwork(peer.network);
	return peer.network.family === 6 ? `[${address}]:${peer.port}` : `${address}:${peer.port}`;
}

interface Who {
	/** Unknown when it had ended before anybody looked, and of what is sent on nobody's behalf. */
	readonly process: Process | undefined;
	readonly container: Container | undefined;
}

function whoOf({ pid }: Refusal, { process, container }: Who): string {
	const where = container ? ` in container ${container.name || container.id.slice(0, 12)}` : "";
	if (process) return `${showText(process.comm)} (pid ${pid})${where}`;
	return `${pid === 0 ? "a process" : `process ${pid}`}${where}`;
}

function alertOf(
	refusal: Refusal,
	who: Who,
	reason: string | undefined,
	{ wire: context, severityOf }: RefusalAlertsDeps,
): wire.Alert {
	const { id, kind, refused, peer, count } = refusal;
	const severity = severityOf(id) ?? "medium";
	const verb = kind === "exec" ? "execute" : "send to";
	const event: wire.Event = { id: `${context.bootId}-refusal-${refusal.time}-${refusal.pid}` };
	const { process, container } = who;
	if (process) event.process = processToWire(process, context);
	if (container) event.container = containerToWire(container);
	const result = refused ? { result: "EPERM", returnValue: -1 } : {};
	if (kind === "exec") event.execFailed = { path: showText(refusal.path), ...result };
	else if (peer) {
		const protocol =
			peer.protocol === AF_TCP ? "tcp" : peer.protocol === AF_UDP ? "udp" : String(peer.protocol);
		event.connect = {
			family: peer.network.family === 4 ? "ipv4" : "ipv6",
			protocol,
			destinationAddress: formatNetwork(peer.network),
			destinationPort: peer.port,
			...result,
		};
	}
	const rule = reason === undefined ? id : `response to ${reason}`;
	return {
		id: randomUUID(),
		rule,
		origin: "ORIGIN_POLICY",
		severity: `SEVERITY_${severity.toUpperCase()}` as NonNullable<wire.Alert["severity"]>,
		priority: priorities[severity],
		summary: `${whoOf(refusal, who)} ${refused ? "was refused to" : "would have been refused to"} ${verb} ${objectOf(refusal)}`,
		description: refused ? "The kernel refused it." : "Observe mode: the kernel let it pass.",
		tags: ["policy", "refused_in_kernel"],
		event,
		count,
		dedupKey: `${rule} ${objectOf(refusal)} ${container?.id ?? ""}`,
	};
}

function actionOf(
	refusal: Refusal,
	who: Who,
	alertId: string,
	reason: string | undefined,
	{ means }: RefusalAlertsDeps,
): wire.Action {
	const { kind, refused, id, count } = refusal;
	const found = kind === "exec" ? means.exec : means.egress;
	const by = "by" in found ? found.by : "the kernel";
	const words = {
		lsm: "before it began (LSM)",
		kill: "before its first instruction (ended)",
		cgroup: "at its socket",
	};
	const how = words[by as keyof typeof words] ?? "";
	return {
		id: randomUUID(),
		kind: kind === "exec" ? "KIND_REFUSE_EXEC" : "KIND_REFUSE_EGRESS",
		outcome: refused ? "OUTCOME_VERIFIED" : "OUTCOME_WOULD_ACT",
		target: `${who.container?.id ?? "host"} ${objectOf(refusal)}`,
		targetName: `${objectOf(refusal)}, wanted by ${whoOf(refusal, who)}`,
		reason: reason ?? id,
		requester: "policy",
		alertId,
		secondsToEffect: 0,
		steps: [
			refused
				? `refused in the kernel ${how}${count > 1 ? `, ${count} times` : ""}`
				: "observe mode: let pass",
		],
		undo: "",
		evidence: [],
	};
}
