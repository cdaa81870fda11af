// Makes the alert record of a finding: the event, who is above it, and the key its repeats share.
import { createHash } from "node:crypto";
import { EventFlag, EventKind, type EventView, eventNames, type Observation, Text } from "../model/event.ts";
import { bpfEvent, identityEvent, namespaceEvent, targetEvent } from "../model/layout.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Process } from "../model/process.ts";
import type { Evidence, Finding, Severity } from "../model/verdict.ts";
import { largestCount } from "./record.ts";
import { showText } from "./shown.ts";
import { formatSince } from "./time.ts";
import { eventToWire, idOfEvent, processToWire, type WireContext } from "./wire.ts";

/** What all alerts of one event have in common: made once, and then only read. */
export interface Shown {
	readonly event: wire.Event;
	readonly ancestors: readonly wire.Process[];
	/** Digest of what was done, as the repeats of a story have it in common: captured names are long. */
	readonly object: string;
}

export interface AlertExtra {
	readonly context: WireContext;
	/** Made from the observation when left out. */
	readonly shown?: Shown;
	/** What the policy asks for, in its own words. */
	readonly responses: readonly string[];
	/** Events lost since the sensor started. */
	readonly eventsLost: number | bigint;
	/** Made from the event's id and the rule when left out, so a replay gives the same. */
	readonly id?: string;
}

export const severityNames: Readonly<Record<Severity, wire.Severity>> = {
	informational: "SEVERITY_INFORMATIONAL",
	low: "SEVERITY_LOW",
	medium: "SEVERITY_MEDIUM",
	high: "SEVERITY_HIGH",
	critical: "SEVERITY_CRITICAL",
};
const originNames: Readonly<Record<Finding["origin"], wire.Origin>> = {
	picket: "ORIGIN_PICKET",
	falco: "ORIGIN_FALCO",
	sigma: "ORIGIN_SIGMA",
	policy: "ORIGIN_POLICY",
};

const maxAncestors = 12;

/** `event` where it has been made already. */
export function show(
	observation: Observation,
	context: WireContext,
	event = eventToWire(observation, context),
): Shown {
	return { event, ancestors: ancestorsOf(observation.process, context), object: digest(objectOf(event)) };
}

export function findingToAlert(finding: Finding, observation: Observation, extra: AlertExtra): wire.Alert {
	const { event, ancestors, object } = extra.shown ?? show(observation, extra.context);
	const alert: wire.Alert = {
		id: extra.id ?? `${event.id}-${digest(finding.rule).slice(0, 8)}`,
		rule: finding.rule,
		origin: originNames[finding.origin],
		severity: severityNames[finding.severity],
		priority: finding.priority,
		summary: shownShort(finding.summary),
	};
	if (finding.description !== "") alert.description = finding.description;
	if (finding.tactics.length > 0) alert.tactics = [...finding.tactics];
	if (finding.techniques.length > 0) alert.techniques = [...finding.techniques];
	if (finding.tags.length > 0) alert.tags = [...finding.tags];
	const { credit } = finding;
	if (credit) {
		if (credit.id !== "") alert.ruleId = credit.id;
		if (credit.author !== "") alert.author = credit.author;
		if (credit.references.length > 0) alert.references = [...credit.references];
		if (credit.falsePositives.length > 0) alert.falsePositives = [...credit.falsePositives];
	}
	alert.event = event;
	if (ancestors.length > 0) alert.ancestors = [...ancestors];
	const fields = Object.entries(finding.fields);
	if (fields.length > 0) {
		alert.fields = Object.fromEntries(fields.map(([name, value]) => [name, shownShort(value)]));
	}
	alert.dedupKey =
		finding.evidence === undefined
			? dedupKey(finding.rule, event, object)
			: keyOf([finding.rule, finding.evidence.group, event.container?.id ?? ""]);
	// The kernel tells an open that is repeated once, with the number of the others.
	alert.count = Math.min(largestCount, 1 + observation.event.repeats);
	if (extra.responses.length > 0) alert.responses = [...extra.responses];
	alert.eventsLost = String(extra.eventsLost);
	if (finding.evidence !== undefined) alert.correlation = correlationToWire(finding.evidence, extra.context);
	return alert;
}

/** Bytes of a summary and of each field: who reads an alert wants no 50 kB of arguments there, and the event has them. */
const mostShown = 4096;

function shownShort(text: string): string {
	if (text.length <= mostShown) return showText(text);
	let end = mostShown;
	// Not within a character.
	while (end > mostShown - 4 && (text.charCodeAt(end) & 0xc0) === 0x80) end--;
	return `${showText(text.slice(0, end))}… (${text.length} bytes)`;
}

function correlationToWire(evidence: Evidence, context: WireContext): wire.Correlation {
	const group = Object.entries(evidence.group).map(([name, value]) => [name, showText(value)]);
	return {
		type: evidence.type,
		value: evidence.value,
		matches: Math.min(largestCount, evidence.matches),
		eventIds: evidence.events.map((number) => idOfEvent(number, context)),
		...(group.length > 0 && { group: Object.fromEntries(group) }),
		first: formatSince(context.bootTimeMs(), evidence.first),
		last: formatSince(context.bootTimeMs(), evidence.last),
		rules: [...evidence.rules],
	};
}

/** Who started whom, not who inherited whom: the parent of what an attacker has left to itself is an init. */
function ancestorsOf(process: Process | undefined, context: WireContext): wire.Process[] {
	const found: wire.Process[] = [];
	const seen = new Set<Process | undefined>([process]);
	let above = process?.origin;
	// A pid that was used again could in theory close a circle.
	while (above !== undefined && found.length < maxAncestors && !seen.has(above)) {
		seen.add(above);
		found.push(processToWire(above, context));
		above = above.origin;
	}
	return found;
}

/** What an alert would be about, before it is made, and cheap: the same only for the same dedupKey. */
export function storyOf({ rule, evidence }: Finding, { event, process }: Observation): string {
	// It counts by itself: only what it tells twice at the same size is a repeat.
	if (evidence !== undefined)
		return JSON.stringify([rule, evidence.group, String(Math.trunc(evidence.value)).length]);
	const who = `${rule}\0${process?.exe}\0${process?.cgroup?.container?.id}\0${event.kind}`;
	switch (event.kind) {
		case EventKind.exec:
			return `${who}\0${process?.args.join("\0")}`;
		case EventKind.open:
			return `${who}\0${event.text(Text.path)}\0${(event.flags & EventFlag.pathIsBase) !== 0 ? event.text(Text.raw) : ""}`;
		case EventKind.connect: {
			const start = event.remoteAddressStart;
			const address = event.bytes.toString("latin1", start, start + 16);
			return `${who}\0${event.text(Text.path)}\0${address}\0${event.remotePort}\0${event.protocol}`;
		}
		default:
			return `${who}\0${storyTexts.map((text) => event.text(text)).join("\0")}\0${numbersOf(event)}`;
	}
}

const storyTexts = [Text.path, Text.raw, Text.target, Text.targetRaw, Text.name, Text.source];

/** To whom it was done, and what, where texts do not say so. */
function numbersOf(event: EventView): string {
	if (event.family !== 0) {
		const [local, remote] = [event.localAddressStart, event.remoteAddressStart].map((start) =>
			event.bytes.toString("latin1", start, start + 16),
		);
		return `${event.family} ${local} ${event.localPort} ${remote} ${event.remotePort}`;
	}
	return (storyMembers[event.kind] ?? []).map((at) => event.word(at)).join(" ");
}
const { asked } = identityEvent;
const ids = [asked, asked + 4, asked + 8];
const { targetPid, targetNamespacePid, request } = targetEvent;
const target = [targetPid, targetNamespacePid, request];
const storyMembers: Partial<Record<EventKind, readonly number[]>> = {
	[EventKind.setuid]: ids,
	[EventKind.setgid]: ids,
	[EventKind.capset]: [identityEvent.capabilities, identityEvent.capabilities + 4],
	[EventKind.unshare]: [namespaceEvent.callFlags],
	[EventKind.setns]: [namespaceEvent.callFlags],
	[EventKind.ptrace]: target,
	[EventKind.vmWrite]: target,
	[EventKind.kill]: target,
	[EventKind.bpf]: [bpfEvent.command, bpfEvent.type],
};

/** Same rule, same image of the process, same object, same container: repeats of one story. */
export function dedupKey(rule: string, event: wire.Event, object = digest(objectOf(event))): string {
	return keyOf([rule, event.process?.executable ?? "", object, event.container?.id ?? ""]);
}

/** Hashed, since captured names are long; JSON keeps the parts apart whatever they hold. */
function keyOf(parts: readonly unknown[]): string {
	return digest(JSON.stringify(parts)).slice(0, 32);
}

function objectOf(event: wire.Event): string {
	// With its arguments: `sh -c A` and `sh -c B` are two stories.
	if (event.exec !== undefined) return `exec ${event.exec.path} ${JSON.stringify(event.process?.args ?? [])}`;
	if (event.open !== undefined) return `open ${event.open.path ?? event.open.rawPath}`;
	if (event.connect !== undefined) {
		const { path, destinationAddress, destinationPort, protocol } = event.connect;
		return `connect ${path ?? `${protocol} ${destinationAddress} ${destinationPort}`}`;
	}
	const kind = eventNames.find((name) => event[name] !== undefined);
	if (kind === undefined) return "";
	const act = event[kind] as Readonly<Record<string, unknown>>;
	return `${kind} ${JSON.stringify(objectKeys.flatMap((key) => act[key] ?? []))}`;
}

/** What of an act says to whom or what it was done; how it went, and by which call, makes no other story. */
const objectKeys = [
	"path",
	"targetPath",
	"rawTargetPath",
	"name",
	"source",
	"localPort",
	"remoteAddress",
	"questions",
	"asked",
	"flags",
	"targetPid",
	"targetNamespacePid",
	"request",
	"signal",
	"command",
	"type",
];

function digest(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}
