// How delivered content comes in force and out of it: signature, trial in a process of its own, the disk, the reload,
// five minutes of probation. One at a time; whatever fails leaves what was in force as it was.
import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { RuleFile } from "../detect/load.ts";
import { failureText } from "../failure.ts";
import type * as wire from "../model/picket.v1.ts";
import { type Bundle, type ContentGrant, type ContentKind, ContentRefusal, contentKinds } from "./model.ts";
import { createProbation, type Load, lookMs, probationMs } from "./probation.ts";
import { crashWindowMs, type Starts } from "./starts.ts";
import type { KindState, Store } from "./store.ts";
import type { Trial } from "./trial-run.ts";
import { verifyContent } from "./verify.ts";

export interface TakeoverDeps {
	readonly store: Store;
	readonly starts: Starts;
	/** Paths of public keys. */
	readonly trust: readonly string[];
	/** Rule files in force that were not delivered. */
	local(): { readonly own: readonly RuleFile[]; readonly local: readonly RuleFile[] };
	/** Why the local policy does not let a console deliver that; undefined when it does. */
	refused(grant: ContentGrant, requester: string): string | undefined;
	/** Puts what the store says in force; never rejects. */
	reload(): Promise<wire.Reload>;
	readonly trial: Trial;
	/** Write-ahead; throws when it could not. */
	audit(entry: { readonly stage: "intent" | "outcome"; readonly [field: string]: unknown }): void;
	alert(alert: wire.Alert): void;
	/** Something about it is other than it was: a status record. */
	changed(): void;
	/** Capture only has ended. */
	onAccepted(): void;
	load(): Omit<Load, "time" | "lagMs">;
	readonly logger: Logger;
	/** Unix ms. */
	readonly clock: () => number;
}

/** Who asked, for the audit. */
export interface Asked {
	/** "console:NAME", "cli". */
	readonly requester: string;
	readonly commandId: string;
}

export interface Takeover {
	/** What a console sent. Never rejects. */
	applyContent(bytes: Buffer, signature: Buffer, asked: Asked): Promise<wire.CommandResult>;
	/** Back to the version before, or to none. Never rejects. */
	rollback(kind: ContentKind, asked: Asked): Promise<wire.CommandResult>;
	/** An admin says that the crashes are over. */
	accept(): void;
	captureOnly(): string;
	/** Kinds of which there is, or was, something. */
	states(): wire.DeliveredContent[];
	problems(): string[];
	/** Judges what is on probation, every ten seconds by itself. */
	look(lagMs?: number): Promise<void>;
	/** `stopped`: on purpose. */
	close(stopped: boolean): void;
}

export function createTakeover(deps: TakeoverDeps): Takeover {
	const { store, starts, clock, logger } = deps;
	const probation = createProbation();
	let busy = false;
	const onProbation = (): ContentKind | undefined =>
		contentKinds
			.filter((kind) => store.state(kind).probationUntil > 0)
			.sort((a, b) => store.state(b).since - store.state(a).since)[0];

	const refuse = (text: string): wire.CommandResult => ({ accepted: false, message: `refused: ${text}` });
	/** One at a time; says why not as a result. */
	const alone = async (act: () => Promise<string>, asked: Asked): Promise<wire.CommandResult> => {
		if (busy) return refuse("other content is being taken over; try again in a minute");
		busy = true;
		let result: wire.CommandResult;
		try {
			result = { accepted: true, message: await act() };
		} catch (error) {
			if (!(error instanceof ContentRefusal)) logger.error({ err: error }, "content could not be taken over");
			result = refuse(failureText(error).message);
			tell({ stage: "outcome", content: "refused", ...asked, message: result.message });
			logger.error({ ...asked }, `delivered content was ${result.message}; what was in force stays`);
		} finally {
			busy = false;
		}
		return result;
	};
	/** What is over must not fail for want of a line about it. */
	const tell = (entry: Parameters<TakeoverDeps["audit"]>[0]): void => {
		try {
			deps.audit(entry);
		} catch (error) {
			logger.error({ err: error }, "the audit of delivered content cannot be written");
		}
	};

	const take = async (
		bundle: Bundle,
		bytes: Buffer,
		signature: Buffer,
		asked: Asked,
	): Promise<wire.Reload> => {
		const { kind, version } = bundle;
		deps.audit({ stage: "intent", content: kind, version, author: bundle.author, ...asked });
		const before = store.state(kind);
		store.save(bundle, bytes, signature);
		store.put(kind, {
			current: version,
			previous: before.current,
			highest: version,
			since: clock(),
			probationUntil: clock() + probationMs,
			problem: "",
		});
		starts.changed(store.describe());
		const reload = await deps.reload();
		if (reload.outcome !== "OUTCOME_REFUSED") return reload;
		const why = store.force(kind, before);
		starts.changed(store.describe());
		store.prune(kind);
		throw new ContentRefusal(
			`${reload.message}${why === "" ? "" : `; and the disk does not take it back: ${why}`}`,
		);
	};
	/** Never leaves the version in force that is to go, unless nothing can be put in force any more. */
	const back = async (kind: ContentKind, reason: string, asked: Asked): Promise<string> => {
		const { current, previous, highest } = store.state(kind);
		const next: KindState = {
			...{ current: previous, previous: 0, highest, since: clock(), probationUntil: 0 },
			problem: `version ${current} was taken back: ${reason}`.slice(0, 2000),
		};
		tell({ stage: "intent", content: kind, version: previous, rolledBack: current, reason, ...asked });
		const disk = store.force(kind, next);
		starts.changed(store.describe());
		const reload = await deps.reload();
		const to = previous === 0 ? "no delivered version is" : `version ${previous} is`;
		const failed = reload.outcome === "OUTCOME_REFUSED" ? `; it is still in force: ${reload.message}` : "";
		const lost = disk === "" ? "" : `; after a restart it would be in force again: ${disk}`;
		const text = `${kind} version ${current} was taken back: ${reason}; ${to} in force again${failed}${lost}`;
		tell({
			stage: "outcome",
			content: kind,
			version: previous,
			rolledBack: current,
			message: text,
			...asked,
		});
		if (!onProbation()) probation.end();
		return text;
	};
	const alarm = (kind: ContentKind, text: string): void => {
		logger.error(text);
		deps.alert({
			id: randomUUID(),
			rule: "picket/content",
			origin: "ORIGIN_PICKET",
			severity: "SEVERITY_HIGH",
			priority: "Error",
			summary: text,
			description:
				"Content that a console delivered did harm here and is not in force any more. Look at what the reason " +
				"names, and deliver a mended version under a higher number.",
			fields: { kind },
			dedupKey: `content ${kind} ${text}`,
		});
		deps.changed();
	};

	/** In time order. */
	let latest = performance.now();
	let lag = 0;
	const ticker = setInterval(() => {
		const now = performance.now();
		lag = Math.max(lag, now - latest - 1000);
		latest = now;
	}, 1000).unref();
	const look = async (lagMs = lag): Promise<void> => {
		lag = 0;
		if (starts.captureOnly() !== "" && clock() - started >= crashWindowMs)
			accept("the sensor has run for ten minutes");
		else if (!settled && clock() - started >= crashWindowMs) {
			settled = true;
			starts.accept();
		}
		const reason = probation.look({ ...deps.load(), time: clock(), lagMs });
		if (busy) return;
		const kind = onProbation();
		if (!kind) return;
		if (reason !== "") {
			busy = true;
			try {
				alarm(kind, await back(kind, reason, { requester: "probation", commandId: "" }));
			} finally {
				busy = false;
			}
			return;
		}
		for (const each of contentKinds) {
			const state = store.state(each);
			if (state.probationUntil === 0 || clock() < state.probationUntil) continue;
			store.force(each, { ...state, probationUntil: 0 });
			store.prune(each);
			logger.info(`delivered ${each} version ${state.current} have passed their probation`);
			if (!onProbation()) probation.end();
			deps.changed();
		}
	};
	const timer = setInterval(() => {
		void look().catch((error: unknown) => logger.error({ err: error }, "delivered content cannot be judged"));
	}, lookMs).unref();
	const started = clock();
	let settled = false;
	const accept = (who: string): void => {
		const was = starts.captureOnly();
		settled = true;
		starts.accept();
		if (was === "") return;
		logger.warn(`responses act again: ${who}`);
		deps.onAccepted();
		deps.changed();
	};
	if (onProbation()) probation.begin();

	return {
		applyContent: (bytes, signature, asked) =>
			alone(async () => {
				const refused = Object.fromEntries(
					contentKinds.flatMap((kind) => {
						const why = deps.refused(`apply_${kind}`, asked.requester);
						return why === undefined ? [] : [[kind, why]];
					}),
				);
				if (Object.keys(refused).length === contentKinds.length)
					throw new ContentRefusal(Object.values(refused).join("; "));
				const key = verifyContent(bytes, signature, deps.trust);
				const { intel, rules } = store.inForce();
				const { bundle, findings } = await deps.trial(bytes, {
					now: clock(),
					refused,
					above: highest(store),
					files: { ...deps.local(), intel, rules },
				});
				const { kind, version } = bundle;
				// The trial has said so already; it is not to be believed.
				const again = deps.refused(`apply_${kind}`, asked.requester);
				if (again !== undefined) throw new ContentRefusal(again);
				if (version <= store.state(kind).highest)
					throw new ContentRefusal(`version ${version} is not a new one`);
				const reload = await take(bundle, bytes, signature, asked);
				probation.begin();
				const { came = [], went = [], changed = [] } = reload;
				const text =
					`${kind} version ${version} by ${bundle.author || "nobody named"} are in force, on probation for ` +
					`${probationMs / 60_000} minutes: ${findings.join("; ")}; ${came.length} rules came, ${went.length} went, ` +
					`${changed.length} changed`;
				tell({ stage: "outcome", content: kind, version, key, message: text, ...asked });
				logger.info({ ...asked, key }, text);
				deps.changed();
				return text;
			}, asked),
		rollback: (kind, asked) =>
			alone(async () => {
				if (store.state(kind).current === 0) throw new ContentRefusal(`no delivered ${kind} are in force`);
				const text = await back(kind, `asked for by ${asked.requester}`, asked);
				logger.warn(text);
				deps.changed();
				return text;
			}, asked),
		accept: () => accept("an admin says that all is well"),
		captureOnly: starts.captureOnly,
		states: () => contentKinds.flatMap((kind) => describe(kind, store.state(kind), store.bundle(kind))),
		problems: () => [
			...store.problems(),
			...(starts.captureOnly() === ""
				? []
				: [
						`nothing acts: ${starts.captureOnly()}; responses act again once it has run for ten minutes, or at ` +
							"`picket content accept`: look for the cause first",
					]),
			...(starts.problem() === "" ? [] : [starts.problem()]),
			...contentKinds.flatMap((kind) => {
				const { problem } = store.state(kind);
				return problem === "" ? [] : [`delivered ${kind}: ${problem}`];
			}),
		],
		look,
		close(stopped) {
			clearInterval(timer);
			clearInterval(ticker);
			if (stopped) starts.ended();
		},
	};
}

function highest(store: Store): Record<ContentKind, number> {
	return {
		rules: store.state("rules").highest,
		policy: store.state("policy").highest,
		intel: store.state("intel").highest,
	};
}

function describe(kind: ContentKind, state: KindState, bundle: Bundle | undefined): wire.DeliveredContent[] {
	if (state.highest === 0) return [];
	return [
		{
			kind,
			version: String(state.current),
			previous: String(state.previous),
			highest: String(state.highest),
			author: bundle?.author ?? "",
			...(state.probationUntil > 0 && { probationUntil: new Date(state.probationUntil).toISOString() }),
			problem: state.problem,
		},
	];
}

/**
 * At a start, before anything is compiled: what the last starts died of goes back by a version. Returns what was done,
 * for the log; "" for nothing.
 */
export function afterCrashes(store: Store, starts: Starts, now: number): string {
	const content = store.describe();
	if (content === "" || !starts.blames(content)) return "";
	const [kind] = contentKinds
		.filter((each) => store.state(each).current > 0)
		.sort((a, b) => store.state(b).since - store.state(a).since);
	if (!kind) return "";
	const { current, previous, highest: most } = store.state(kind);
	const problem = `version ${current} was taken back: the sensor ended three times within ten minutes with ${content}`;
	const why = store.force(kind, {
		...{ current: previous, previous: 0, highest: most, since: now, probationUntil: 0 },
		problem,
	});
	return `delivered ${kind}: ${problem}${why === "" ? "" : `; the disk does not take it: ${why}`}`;
}
