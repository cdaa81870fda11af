// Records in the few words the live view has room for. Text stays as it came: painting makes it safe.
import type * as wire from "../model/picket.v1.ts";
import { counter, grouped, seconds, span } from "./terminal-units.ts";

export type Level = "informational" | "low" | "medium" | "high" | "critical";
export const levels: readonly Level[] = ["informational", "low", "medium", "high", "critical"];

/** What an action came to: done, only said, or amiss. */
export type Tone = "done" | "said" | "amiss";

export interface ActionWords {
	readonly id: string;
	readonly text: string;
	readonly tone: Tone;
	/** How often it was told in the same words. */
	readonly count: number;
}

/** Characters kept of any one captured text; a line has fewer cells anyway. */
const maxText = 600;

export function short(text: string | undefined, length = maxText): string {
	if (text === undefined) return "";
	return text.length <= length ? text : `${text.slice(0, length)}…`;
}

export function levelOf(severity: wire.Severity | undefined): Level {
	const name = severity?.slice("SEVERITY_".length).toLowerCase();
	return levels.find((level) => level === name) ?? "informational";
}

/** Unix ms of a wire time, undefined when there is none. */
export function timeOf(text: string | undefined): number | undefined {
	const ms = text === undefined ? Number.NaN : Date.parse(text);
	return Number.isNaN(ms) ? undefined : ms;
}

function baseName(path: string): string {
	return path.slice(path.lastIndexOf("/") + 1) || path;
}

export function processName(process: wire.Process | undefined): string {
	if (process === undefined) return "?";
	return short(process.name || baseName(process.executable ?? "") || "?", 40);
}

/** From the eldest known ancestor down to the process that acted: "sshd(812)". */
export function treeOf(ancestors: readonly wire.Process[], process: wire.Process | undefined): string[] {
	// The nearest thirty and the eldest: a line can be as long as an attacker wants.
	const line = ancestors.slice(0, 30);
	const eldest = ancestors.at(-1);
	if (eldest !== undefined && ancestors.length > 30) line.push(eldest);
	line.reverse();
	if (process !== undefined) line.push(process);
	return line.map((one) => `${processName(one)}(${one.pid ?? "?"})`);
}

/** "web-1 (nginx:1.27)", empty outside containers. */
export function placeOf(container: wire.Container | undefined): string {
	if (container === undefined) return "";
	return container.image ? `${nameOf(container)} (${short(container.image, 80)})` : nameOf(container);
}

/** "web-1": its name, or the start of its id while the name is not known. */
export function nameOf(container: wire.Container | undefined): string {
	if (container === undefined) return "";
	return short(container.name, 60) || (container.id ?? "").slice(0, 12) || "container";
}

export function userOf(process: wire.Process | undefined): string {
	if (process === undefined) return "";
	const { user, uid, loginUser } = process;
	const name = user || (uid === undefined ? "root" : `uid ${uid}`);
	return loginUser && loginUser !== user
		? `${short(name, 40)} (login ${short(loginUser, 40)})`
		: short(name, 40);
}

const verbs: Readonly<Record<wire.ActionKind, readonly [string, string]>> = {
	KIND_UNSPECIFIED: ["act on", "acted on"],
	KIND_BLOCK: ["block", "blocked"],
	KIND_UNBLOCK: ["unblock", "unblocked"],
	KIND_PAUSE: ["pause", "paused"],
	KIND_RESUME: ["resume", "resumed"],
	KIND_KILL: ["kill", "killed"],
	KIND_KILL_TREE: ["kill with all it started", "killed with all it started"],
	KIND_STOP: ["stop", "stopped"],
	KIND_START: ["start", "started"],
	KIND_RESTART: ["restart", "restarted"],
	KIND_REMOVE: ["remove", "removed"],
	KIND_DISCONNECT: ["take off its networks", "took off its networks"],
	KIND_RECONNECT: ["put back on its networks", "put back on its networks"],
	KIND_REFUSE_EGRESS: ["refuse all that is sent by", "refused all that is sent by"],
	KIND_PERMIT_EGRESS: ["permit what is sent by", "permitted what is sent by"],
	KIND_REFUSE_EXEC: ["refuse executions of", "refused executions of"],
	KIND_PERMIT_EXEC: ["permit executions of", "permitted executions of"],
	KIND_CUT: ["cut the connections with", "cut the connections with"],
	KIND_SET_MODE: ["set the mode to", "set the mode to"],
	KIND_TAKE_EVIDENCE: ["take evidence of", "took evidence of"],
	KIND_APPLY_CONTENT: ["put in force", "put in force"],
};

/** One sentence of what was done, would have been done or went wrong. `time`: Unix ms of the record. */
export function actionWords(action: wire.Action, time: number): ActionWords {
	return { id: action.id ?? "", count: 1, ...sentence(action, time) };
}

function sentence(action: wire.Action, time: number): { text: string; tone: Tone } {
	const [verb, past] = verbs[action.kind ?? "KIND_UNSPECIFIED"];
	const target = short(action.targetName || action.target || "?", 120);
	const expires = timeOf(action.expires);
	const until = expires !== undefined && expires > time ? ` for ${span(expires - time)}` : "";
	// The last step says what the check saw; without steps there is only the reason for asking.
	const why = short(action.steps?.at(-1) || action.reason, 200);
	const because = why === "" ? "" : `: ${why}`;
	switch (action.outcome ?? "OUTCOME_UNSPECIFIED") {
		case "OUTCOME_WOULD_ACT":
			return { tone: "said", text: `would ${verb} ${target}${until} — observe mode` };
		case "OUTCOME_VERIFIED": {
			const took = action.secondsToEffect ?? 0;
			const proof = took > 0 ? `verified in ${seconds(took)}` : "verified";
			return { tone: "done", text: `${past} ${target}${until}, ${proof}` };
		}
		case "OUTCOME_NO_EFFECT":
			return { tone: "amiss", text: `tried to ${verb} ${target}, no effect seen${because}` };
		case "OUTCOME_FAILED":
			return { tone: "amiss", text: `could not ${verb} ${target}${because}` };
		case "OUTCOME_REFUSED":
			return { tone: "amiss", text: `refused to ${verb} ${target}${because}` };
		case "OUTCOME_UNCHANGED":
			return { tone: "said", text: `nothing to do: ${target} is ${past} already` };
		case "OUTCOME_UNSPECIFIED":
			return { tone: "said", text: `${verb} ${target}` };
	}
}

/** "1,204 open, 3 exec records lost between kernel and sensor". `losses`: records by class. */
export function gapWords(where: string, losses: ReadonlyMap<string, bigint>): string {
	const lost = [...losses].map(([name, count]) => `${grouped(count)} ${short(name, 20)}`);
	const place =
		where === "ring"
			? "between kernel and sensor"
			: where.startsWith("sink:")
				? `on the way to ${short(where.slice(5), 60)}`
				: short(where, 60);
	return `${lost.length > 0 ? lost.join(", ") : "unknown"} records lost ${place}`.trimEnd();
}

/** Records lost by class, added to what was lost before. */
export function lossesOf(
	gap: wire.Gap,
	before: ReadonlyMap<string, bigint> = new Map(),
): ReadonlyMap<string, bigint> {
	const losses = new Map(before);
	for (const { class: name = "?", count } of (gap.lost ?? []).slice(0, 16)) {
		losses.set(name, (losses.get(name) ?? 0n) + counter(count));
	}
	return losses;
}

export interface ActivityWords {
	readonly kind: "exec" | "conn";
	/** What stands in front: the user, or the place for a container. */
	readonly who: string;
	readonly text: string;
}

/** The events shown as they come: executions and connections. Undefined for the others. */
export function activityWords(event: wire.Event): ActivityWords | undefined {
	const who = event.container?.name || event.container?.id?.slice(0, 12) || userOf(event.process);
	if (event.exec !== undefined) {
		const args = event.process?.args ?? [];
		const [, ...rest] = args;
		const name = baseName(event.exec.path ?? "") || processName(event.process);
		const before = baseName(event.exec.previousExecutable ?? "");
		let line = name;
		for (const argument of rest) {
			if (line.length > maxText) break;
			line += ` ${argument}`;
		}
		const from = before !== "" && before !== name ? `${short(before, 40)} → ` : "";
		return { kind: "exec", who: short(who, 40), text: short(from + line) };
	}
	if (event.connect !== undefined) {
		const { family, destinationAddress = "", destinationPort, protocol = "", path, result } = event.connect;
		const bare = family === "ipv6" ? `[${destinationAddress}]` : destinationAddress;
		const to = family === "unix" ? (path ?? "") : `${bare}:${destinationPort ?? 0} ${protocol}`;
		const outcome =
			result === undefined || result === "" || result === "SUCCESS" || result === "EINPROGRESS"
				? ""
				: ` ${result}`;
		const text = `${processName(event.process)} → ${short(to)}${outcome}`;
		return { kind: "conn", who: short(who, 40), text: text.trimEnd() };
	}
	return undefined;
}
