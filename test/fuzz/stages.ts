// Everything an event goes through from the decoder to the terminal, with nothing of the host: as `picket replay`
// puts it together, with every kind of output beside it. Exceptions of a stage are gathered, none is swallowed.
import type { Logger } from "pino";
import { RecordView } from "../../agent/decode/view.ts";
import { Engine } from "../../agent/detect/engine.ts";
import { fieldNames, findField } from "../../agent/detect/fields.ts";
import type { RuleSet } from "../../agent/detect/load.ts";
import type { Range } from "../../agent/detect/text.ts";
import { createEnrichment, type Enrichment } from "../../agent/enrichment.ts";
import { EventKind, eventNames, type Observation, Text } from "../../agent/model/event.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { createPeerNames } from "../../agent/peer-names.ts";
import { Pipeline } from "../../agent/pipeline.ts";
import { PolicyEngine } from "../../agent/policy/engine.ts";
import { loadPolicy } from "../../agent/policy/load.ts";
import { createFolder } from "../../agent/report/dedup.ts";
import { renderFrame } from "../../agent/report/live-frame.ts";
import { applyRecord, createModel } from "../../agent/report/live-model.ts";
import { recordCodec } from "../../agent/report/protojson.ts";
import { type RecordBody, recordLine } from "../../agent/report/record.ts";
import { createTheme } from "../../agent/report/terminal-theme.ts";
import { recordText } from "../../agent/report/text.ts";
import { sizesOf, structs } from "../unit/decode/bytes.ts";
import { context } from "../unit/detect/rig.ts";

// Observed only: in force it would deny this project itself, wherever that lies.
const policyText = `
scopes:
  - name: host
    scope: host
    mode: observe
    processes: {allow: [/usr/**, bash], deny: [nc, "/tmp/**"]}
    files: {deny_read: [/etc/shadow, "/**/.ssh/"], deny_write: ["/etc/**", "/usr/*/x"]}
    peers: {allow: [10.0.0.0/8], deny: ["[2001:db8::/32]:1-65535", 4444]}
    users: {deny: [nobody]}
  - name: containers
    scope: containers
    processes: {allow: [sh]}
responses:
  - when: {severity: critical}
    do: [kill, pause, {block: {ttl: 10m}}]
  - when: {tactic: command-and-control}
    do: [block]
`;

/** Control characters other than those a colour needs. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]/;

const getters = Object.entries(Object.getOwnPropertyDescriptors(RecordView.prototype))
	.filter(([, { get }]) => get !== undefined)
	.map(([name]) => name as keyof RecordView);
const fields = fieldNames.flatMap((name) => {
	const found = [undefined, "0", "1", "7"].map((argument) => findField(name, argument));
	return found.filter((field) => field !== undefined);
});

const members = new Map(eventNames.map((kind) => [EventKind[kind], sizesOf(structs[kind])]));
const texts = Object.values(Text);

function insist(holds: boolean, what: string): void {
	if (!holds) throw new Error(what);
}

/** Every accessor there is: a number is a number and a text lies in the memory, whatever the bytes are. */
function readEverything(view: RecordView): void {
	for (const name of getters) {
		const value = view[name];
		insist(typeof value !== "number" || Number.isSafeInteger(value) || value >= 2 ** 53, `${name}: ${value}`);
		insist(value !== undefined, `${name} is undefined`);
	}
	for (const [name, value] of Object.entries(view.namespaces())) {
		insist(Number.isSafeInteger(value), `${name}: ${value}`);
	}
	for (const text of texts) {
		const size = view.textSize(text);
		const start = view.textStart(text);
		insist(
			size >= 0 && (size === 0 || start + size <= view.bytes.length),
			`text ${text} at ${start}, ${size}`,
		);
		insist(view.text(text).length === size, `text ${text} is not as long as it says`);
	}
	for (const [name, at, size] of members.get(view.kind) ?? []) {
		const value = size === 2 ? view.half(at) : size === 4 ? view.word(at) + view.signed(at) : view.long(at);
		insist(Number.isFinite(value), `${view.kind} ${name}: ${value}`);
		if (size === 8) insist(view.big(at) >= 0n, `${view.kind} ${name}`);
	}
}

/** Every field of the rule language, in every way it can be got at. */
function askEveryField(observation: Observation): void {
	const range: Range = { bytes: observation.event.bytes, start: 0, size: 0 };
	for (const field of fields) {
		if (field.type === "address" || field.kinds?.includes(observation.event.kind) === false) continue;
		field.get(observation, context);
		if (field.type !== "text") continue;
		field.range?.(observation, range);
		field.some?.(observation, () => false);
		field.pieces?.(observation, () => {});
	}
}

export interface Fuzzed {
	readonly pipeline: Pipeline;
	readonly enrichment: Enrichment;
	readonly engine: Engine;
	/** Rules that were found to match and correlations that were completed. */
	readonly found: ReadonlySet<string>;
	/** What stages threw, each once. */
	readonly thrown: string[];
	readonly sent: { events: number; alerts: number; actions: number; bytes: number };
	/** Draws the live view. */
	draw(): void;
	close(): void;
}

export function createStages(rules: RuleSet): Fuzzed {
	const thrown: string[] = [];
	const found = new Set<string>();
	const sent = { events: 0, alerts: 0, actions: 0, bytes: 0 };
	const model = createModel(createTheme(8));
	const enrichment = createEnrichment({
		...{ processes: 1024, containers: 64, clock: Date.now, onFact: () => {}, live: false },
	});
	const peerNames = createPeerNames();
	const engine = new Engine(rules, { ...context, peerName: peerNames.name });
	const { policy, problems } = loadPolicy(policyText, "policy.yaml");
	if (!policy) throw new Error(JSON.stringify(problems));
	const policyEngine = new PolicyEngine(policy, context);

	let sequence = 0;
	const emit = (body: RecordBody, time?: string): void => {
		sequence++;
		const record: wire.OutputRecord = { host: "h", sequence: String(sequence), ...body };
		if (time !== undefined) record.time = time;
		if (body.alert) sent.alerts++;
		else if (body.action) sent.actions++;
		else sent.events++;
		for (const line of [recordLine(record), recordText(record)]) {
			insist(!control.test(line), `a line with control characters: ${JSON.stringify(line)}`);
		}
		// What follows shows and sends the same once more: on some of them is enough, or a soak takes an hour.
		if (sequence % 4 !== 0) return;
		recordText(record, { colour: true });
		sent.bytes += recordCodec.encode(record).length;
		applyRecord(model, record, Date.now());
	};
	const folder = createFolder({ emit: (alert, time) => emit({ alert }, time), maxStories: 256 });
	const pipeline = new Pipeline({
		tree: enrichment.tree,
		cgroups: enrichment.cgroups,
		peerNames,
		detectors: [
			{
				evaluate: (seen, onFinding) =>
					engine.evaluate(seen, (finding) => {
						found.add(finding.rule);
						onFinding(finding);
					}),
			},
			{ evaluate: (seen, onFinding) => policyEngine.violations(seen, onFinding) },
			{ evaluate: (seen) => readEverything(seen.event as RecordView) },
			{ evaluate: askEveryField },
		],
		responses: (finding, seen) => policyEngine.responses(finding, seen),
		responder: {
			alertOnly: () => false,
			order: async (order, { reason }) =>
				({ kind: `KIND_${order.kind.toUpperCase()}`, reason }) as wire.Action,
		},
		emit,
		folder,
		wire: {
			bootTimeMs: () => 1.7e12,
			userName: context.userName,
			bootId: "00000000-fuzz",
			dnsMessage: peerNames.message,
			peerName: peerNames.name,
		},
		eventKinds: new Set(eventNames),
		activity: (_kind, make) => applyRecord(model, make(), Date.now()),
		eventsLost: () => 0,
		tap: undefined,
		logger: { error: ({ error }: { error: string }) => thrown.push(error) } as unknown as Logger,
	});
	return {
		...{ pipeline, enrichment, engine, found, thrown, sent },
		draw() {
			for (const line of renderFrame(model, 120, 40, Date.now())) insist(!line.includes("\n"), "two lines");
		},
		close: () => folder.close(),
	};
}
