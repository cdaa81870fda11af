// Rules and policy read again while the sensor runs: a candidate is made aside and takes over as a whole, or what is in
// force stays. One reload at a time; requests that come meanwhile share the next one.
import type { Logger } from "pino";
import type { Config } from "./config/load.ts";
import type { LoadedPolicy } from "./content.ts";
import { type Delivered, joinPolicies, nothingDelivered } from "./delivered/join.ts";
import { compareForms, type RuleChanges } from "./detect/compare.ts";
import type { RuleFile, RuleSet } from "./detect/load.ts";
import { finishInTurns } from "./detect/steps.ts";
import type { Content, Detection } from "./detection.ts";
import { CommandError, failureText, problemText } from "./failure.ts";
import type * as wire from "./model/picket.v1.ts";
import type { Problem } from "./model/verdict.ts";
import { readAgain } from "./rule-files.ts";

/** What a sensor was started from, and how to read it again. */
export interface Sources {
	/** Besides rules and policy: the configuration's own. */
	readonly files: readonly string[];
	/** The configuration with the command line's word on top. Throws CommandError. */
	config(): Config;
	/** Throws CommandError. */
	policy(config: Config): LoadedPolicy;
	/** The signatures that come with the sensor: part of the program, so never read again. */
	readonly own: readonly RuleFile[];
	/** What consoles delivered and is in force. */
	delivered?(): Delivered;
}

export interface ReloaderOptions {
	readonly sources: Sources;
	/** What is in force at the start. */
	readonly start: {
		readonly config: Config;
		/** With what was delivered. */
		readonly files: readonly RuleFile[];
		/** The local one alone. */
		readonly policy: LoadedPolicy;
		/** What is wrong on disk and therefore not in force. */
		readonly problems: readonly Problem[];
	};
	readonly detection: Pick<Detection, "current" | "compile" | "change">;
	/** Puts a candidate in force between two events; when it throws, the old content stays. */
	adopt(content: Content): void;
	/** Consoles other than those in force: the result puts them there. Throws CommandError when they cannot be used. */
	consoles?(wanted: Config): (() => void) | undefined;
	/** Told of every reload that was not in vain. */
	onReload(reload: wire.Reload): void;
	readonly logger: Logger;
	/** Unix ms. */
	clock(): number;
}

export type Requester = "signal" | "files" | "cli" | "console";

export interface Reloader {
	/** Never rejects. */
	reload(requester: Requester): Promise<wire.Reload>;
	/** Only what was delivered is another: the local files are taken as they are in force, whatever lies on disk. */
	deliver(): Promise<wire.Reload>;
	/** Rule files in force that were not delivered. */
	local(): { readonly own: readonly RuleFile[]; readonly local: readonly RuleFile[] };
	/** The newest one that changed something or was refused. */
	last(): wire.Reload | undefined;
	/** Grows with each look at what lies on disk, whatever came of it: what is wrong with it is told from then on. */
	looks(): number;
	/** What is wrong on disk and therefore not in force, until it is mended. */
	problems(): readonly string[];
	/** Files and folders whose change asks for a reload. */
	watched(): readonly string[];
}

/** Names or problems told at most. */
const mostShown = 100;
/** Errors of rules told at most for as long as they stand. */
const mostStanding = 5;

/** Nothing of it can be put in force. */
class Refusal extends Error {
	readonly problems: readonly string[];
	constructor(message: string, problems: readonly string[]) {
		super(message);
		this.problems = problems;
	}
}

export function createReloader(options: ReloaderOptions): Reloader {
	const { sources, detection, adopt, onReload, logger, clock } = options;
	let { files } = options.start;
	let localPolicy = options.start.policy;
	const delivered = (): Delivered => sources.delivered?.() ?? nothingDelivered;
	/** As last put together from the files. */
	let policyRead = joinPolicies(localPolicy, delivered().policy).hash;
	let deliveredFiles = new Set(delivered().files.map(({ path }) => path));
	const isDelivered = ({ path }: RuleFile): boolean => deliveredFiles.has(path);
	const isOwn = ({ origin }: RuleFile): boolean => origin === "picket";
	const { config: started } = options.start;
	const watchedOf = ({ rules, policy }: Config) =>
		rules.watch ? [...sources.files, ...rules.files, policy] : [];
	let watched = watchedOf(started);
	let last: wire.Reload | undefined;
	let looks = 0;
	let standing: readonly string[] = shown(options.start.problems.map(problemText));
	let running: Promise<wire.Reload> | undefined;
	let next: Promise<wire.Reload> | undefined;

	const load = async (requester: Requester): Promise<wire.Reload> => {
		const begun = performance.now();
		const time = new Date(clock()).toISOString();
		const told = (rest: Omit<wire.Reload, "time" | "requester" | "seconds">): wire.Reload => ({
			time,
			requester,
			...rest,
			seconds: Math.round(performance.now() - begun) / 1000,
		});
		const { own, local, policyFile, reading, restart, useConsoles } = await parts(requester);
		const arrived = delivered();
		const candidate = [...own, ...arrived.files, ...local];
		const policy = joinPolicies(policyFile, arrived.policy);
		const before = detection.current();
		const sameRules = sameFiles(files, candidate);
		const samePolicy = policy.hash === policyRead;
		const onDisk = reading ? shown([...reading.problems, ...restart].map(problemText)) : standing;
		// Who asks for a reload wants what is suspended tried again, even if it is what it was.
		const retry = requester !== "files" && before.suspended.size > 0;
		if (sameRules && samePolicy && !retry) {
			standing = onDisk;
			useConsoles?.();
			const problems = shown([...onDisk, ...errorsOf(before.rules)]);
			const kept = reading?.kept ?? [];
			const outcome = useConsoles ? "OUTCOME_APPLIED" : "OUTCOME_UNCHANGED";
			if (kept.length === 0) return told({ outcome, problems });
			const message = "the files that have changed cannot be used";
			return told({ outcome: "OUTCOME_REFUSED", message, problems, kept: [...kept] });
		}
		const rules = sameRules ? before.rules : await detection.compile(candidate);
		const errors = errorsOf(rules);
		if (able(rules) === 0 && able(before.rules) > 0)
			throw new Refusal("no rule would be left that can fire here", [...onDisk, ...errors]);
		const content = await detection.change(
			() => ({
				rules,
				...(samePolicy ? {} : { policy }),
				// The rule may be another one now.
				...(sameRules && !retry ? {} : { suspended: new Set<string>() }),
			}),
			adopt,
		);
		useConsoles?.();
		files = candidate;
		deliveredFiles = new Set(arrived.files.map(({ path }) => path));
		localPolicy = policyFile;
		policyRead = policy.hash;
		standing = onDisk;
		return told({
			outcome: "OUTCOME_APPLIED",
			...shownChanges(compareForms(before.forms, content.forms)),
			problems: shown([...onDisk, ...policy.problems.map(problemText), ...errors]),
			kept: [...(reading?.kept ?? [])],
		});
	};
	/** What is local of a candidate: read again, or as it is in force. */
	const parts = async (requester: Requester) => {
		if (requester === "console") {
			const own = files.filter(isOwn);
			const local = files.filter((file) => !isOwn(file) && !isDelivered(file));
			const nothing = { reading: undefined, restart: [], useConsoles: undefined };
			return { own, local, policyFile: localPolicy, ...nothing };
		}
		const wanted = sources.config();
		watched = watchedOf(wanted);
		const useConsoles = options.consoles?.(wanted);
		const policyFile = sources.policy(wanted);
		const reading = await finishInTurns(readAgain(wanted.rules.files, files));
		const own = wanted.rules.default ? sources.own : [];
		const restart = restartNeeded(started, wanted);
		return { own, local: reading.files, policyFile, reading, restart, useConsoles };
	};

	const run = async (requester: Requester): Promise<wire.Reload> => {
		let reload: wire.Reload;
		const time = new Date(clock()).toISOString();
		try {
			reload = await load(requester);
		} catch (error) {
			const { message, remedy } = failureText(error);
			const problems = error instanceof Refusal ? shown(error.problems) : [];
			if (!(error instanceof Refusal) && !(error instanceof CommandError))
				logger.error({ err: error }, "a reload failed");
			const text = remedy === "" ? message : `${message} (${remedy})`;
			// Whoever delivered it is told; on disk nothing is wrong.
			if (requester === "console")
				return { time, requester, outcome: "OUTCOME_REFUSED", message: text, problems };
			standing = [
				`the change of ${time} was refused: ${text}; what was in force stays in force`,
				...problems,
			];
			reload = { time, requester, outcome: "OUTCOME_REFUSED", message: text, problems };
		}
		if (requester !== "console") looks++;
		// Nobody needs to hear again and again that a file is broken, but everybody that it has been mended.
		const news = reload.outcome === "OUTCOME_UNCHANGED" ? isComplaint(last) : !isSameComplaint(last, reload);
		if (!news) return reload;
		log(reload, logger);
		last = reload;
		onReload(reload);
		return reload;
	};
	const begin = (requester: Requester): Promise<wire.Reload> => {
		running = run(requester).finally(() => {
			running = undefined;
		});
		return running;
	};
	return {
		async deliver() {
			// Another reload may have begun while this one waited for its turn.
			while (running) await running;
			return begin("console");
		},
		local: () => ({
			own: files.filter(isOwn),
			local: files.filter((file) => !isOwn(file) && !isDelivered(file)),
		}),
		reload(requester) {
			if (!running) return begin(requester);
			// What is being read now may be older than this request.
			next ??= running.then(async () => {
				next = undefined;
				while (running) await running;
				return begin(requester);
			});
			return next;
		},
		last: () => last,
		looks: () => looks,
		problems: () => [...standing, ...shown(errorsOf(detection.current().rules), mostStanding)],
		watched: () => watched,
	};
}

function sameFiles(a: readonly RuleFile[], b: readonly RuleFile[]): boolean {
	return (
		a.length === b.length && a.every(({ path, text }, at) => path === b[at]?.path && text === b[at]?.text)
	);
}

/** Rules that can fire. */
function able(set: RuleSet): number {
	return set.rules.filter((rule) => rule.enabled).length;
}

/** Of rules that are left out because of them. */
function errorsOf({ problems }: RuleSet): string[] {
	return problems.filter(({ level }) => level === "error").map(problemText);
}

/** Only these can change while the sensor runs. */
const changeable: ReadonlySet<string> = new Set(["rules", "policy", "consoles"] satisfies (keyof Config)[]);

/** What of the configuration is not in force. */
function restartNeeded(started: Config, wanted: Config): Problem[] {
	const differs = (key: keyof Config) => JSON.stringify(started[key]) !== JSON.stringify(wanted[key]);
	const keys = (Object.keys(wanted) as (keyof Config)[]).filter(
		(key) => !changeable.has(key) && differs(key),
	);
	if (keys.length === 0) return [];
	return [
		{
			file: "the configuration",
			line: 0,
			column: 0,
			where: keys.join(", "),
			message: "has changed and is not in force",
			remedy: "restart the sensor: only rules, policy and consoles are taken over while it runs",
			level: "warning",
		},
	];
}

function isComplaint(reload: wire.Reload | undefined): boolean {
	return reload?.outcome === "OUTCOME_REFUSED" || (reload?.kept?.length ?? 0) > 0;
}

function isSameComplaint(a: wire.Reload | undefined, b: wire.Reload): boolean {
	return (
		b.outcome === "OUTCOME_REFUSED" &&
		a?.outcome === b.outcome &&
		a.message === b.message &&
		String(a.problems) === String(b.problems)
	);
}

/** Of a long list the beginning, and how much more there is. */
function shown(list: readonly string[], most = mostShown): string[] {
	return list.length <= most ? [...list] : [...list.slice(0, most), `and ${list.length - most} more`];
}

function shownChanges({ came, went, changed }: RuleChanges): Pick<wire.Reload, "came" | "went" | "changed"> {
	return { came: shown(came), went: shown(went), changed: shown(changed) };
}

function log(reload: wire.Reload, logger: Logger): void {
	const { outcome, requester, message, came = [], went = [], changed = [], problems = [] } = reload;
	for (const problem of problems) logger.error(problem);
	if (outcome === "OUTCOME_REFUSED")
		logger.error({ requester }, `rules and policy were not changed: ${message}; what was in force stays`);
	else if (outcome === "OUTCOME_UNCHANGED") logger.info({ requester }, "what is on disk is in force again");
	else
		logger.info(
			{ requester, came, went, changed },
			`rules reloaded: ${came.length} came, ${went.length} went, ${changed.length} changed`,
		);
}
