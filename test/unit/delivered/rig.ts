// Bundles signed with a key of the test's own, and a takeover whose trial runs in this process.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { defaultConfig } from "../../../agent/config/load.ts";
import { checkPolicy, type LoadedPolicy } from "../../../agent/content.ts";
import { writeBundle } from "../../../agent/delivered/bundle.ts";
import { examine, type Question, readCorpus } from "../../../agent/delivered/examine.ts";
import type { ContentKind } from "../../../agent/delivered/model.ts";
import type { Load } from "../../../agent/delivered/probation.ts";
import { openStarts } from "../../../agent/delivered/starts.ts";
import { contentFolder, openStore, type Store } from "../../../agent/delivered/store.ts";
import { createTakeover } from "../../../agent/delivered/takeover.ts";
import type { Trial } from "../../../agent/delivered/trial-run.ts";
import { makeKeys, signContent } from "../../../agent/delivered/verify.ts";
import type { RuleFile } from "../../../agent/detect/load.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { createReloader } from "../../../agent/reload.ts";
import { detectionOf, rule } from "../reload/rig.ts";

export { rule };
export const noon = Date.UTC(2026, 0, 1, 12);
export const keys = makeKeys();
export const corpus = readCorpus();
export const question: Question = {
	now: noon,
	refused: {},
	above: { rules: 0, policy: 0, intel: 0 },
	files: { own: [], intel: [], rules: [], local: [] },
};

export function bundleOf(
	kind: ContentKind,
	version: number,
	text: string | Readonly<Record<string, string>>,
): { readonly bytes: Buffer; readonly signature: Buffer } {
	const given = typeof text === "string" ? { [`${kind}.yaml`]: text } : text;
	const files = Object.entries(given).map(([name, each]) => ({ name, text: each }));
	const bytes = writeBundle({ kind, version, created: noon, author: "test", files });
	return { bytes, signature: signContent(bytes, keys.privateKey) };
}

export interface Rig {
	readonly folder: string;
	readonly trust: readonly string[];
	readonly alerts: wire.Alert[];
	readonly audit: unknown[];
	readonly load: { cpuSeconds: number; events: number; matches: number };
	now: number;
	granted: readonly string[];
	store: Store;
}

/** A state folder with a trusted key. The caller removes it. */
export function stateOf(): { folder: string; trust: string[] } {
	const folder = mkdtempSync(join(tmpdir(), "picket-delivered-"));
	writeFileSync(join(folder, "team.pub"), keys.publicKey);
	return { folder, trust: [join(folder, "team.pub")] };
}

export const local: RuleFile = {
	path: "/local.yaml",
	text: rule("Local", "proc.name = local"),
	origin: "falco",
};

export function takeoverRig(trial: Trial = async (bytes, asked) => examine(bytes, asked, corpus)) {
	const state = stateOf();
	const rig: Rig = {
		...state,
		...{ alerts: [], audit: [], now: noon, granted: ["apply_rules", "apply_policy", "apply_intel"] },
		load: { cpuSeconds: 0, events: 0, matches: 0 },
		store: openStore(contentFolder(state.folder), state.trust),
	};
	const { store } = rig;
	const clock = () => rig.now;
	const logger = pino({ level: "silent" });
	const detection = detectionOf(local);
	const policy = checkPolicy("scopes: []\n", "/policy.yaml").loaded as LoadedPolicy;
	let adopting: (() => void) | undefined;
	const reloader = createReloader({
		sources: { files: [], own: [], config: defaultConfig, policy: () => policy, delivered: store.inForce },
		start: { config: defaultConfig(), files: [local], policy, problems: [] },
		detection,
		adopt(content) {
			adopting?.();
			detection.adopt(content);
		},
		onReload: () => {},
		logger,
		clock,
	});
	const starts = openStarts(state.folder, clock);
	starts.begun(store.describe());
	const takeover = createTakeover({
		...{ store, starts, logger, clock, trial },
		trust: state.trust,
		local: reloader.local,
		refused: (grant) => (rig.granted.includes(grant) ? undefined : `${grant} is not granted`),
		reload: reloader.deliver,
		audit: (entry) => rig.audit.push(entry),
		alert: (alert) => rig.alerts.push(alert),
		changed: () => {},
		onAccepted: () => {},
		load: (): Omit<Load, "time" | "lagMs"> => rig.load,
	});
	const asked = { requester: "console:test", commandId: "1" };
	return {
		...{ rig, takeover, detection, reloader, starts },
		apply: (content: { bytes: Buffer; signature: Buffer }) =>
			takeover.applyContent(content.bytes, content.signature, asked),
		rules: () => detection.current().rules.rules.map(({ name }) => name),
		onAdopt: (act: (() => void) | undefined) => {
			adopting = act;
		},
		/** Ten seconds pass in which this was done. */
		async pass(cpu: number, events: number, matches: number, lagMs = 1) {
			rig.now += 10_000;
			rig.load.cpuSeconds += cpu;
			rig.load.events += events;
			rig.load.matches += matches;
			await takeover.look(lagMs);
		},
	};
}
