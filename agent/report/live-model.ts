// What the live view knows: the last alerts, a sample of the activity, the sensor's state, and where the user
// stands in it. Bounded in every part; live-frame.ts draws it, live-keys.ts moves in it.
import type * as wire from "../model/picket.v1.ts";
import { type Activity, createActivity } from "./live-activity.ts";
import { createTally, type Tally } from "./live-tally.ts";
import {
	type ActionWords,
	actionWords,
	activityWords,
	gapWords,
	type Level,
	levelOf,
	levels,
	lossesOf,
	nameOf,
	placeOf,
	short,
	timeOf,
	treeOf,
	userOf,
} from "./live-words.ts";
import type { Theme } from "./terminal-theme.ts";
import { counter } from "./terminal-units.ts";

export const maxEntries = 500;
const maxActionsShown = 4;
const maxAlertIds = 16;
const maxRates = 64;
/** ms: a repeat after a longer silence is a new entry. */
const foldMs = 5 * 60_000;
/** A repeat of an entry among the newest so many stays where it is; of an older one it moves to the end. */
const foldInPlace = 8;

/** One thing that happened. Never changed: a repeat replaces it. */
export interface Entry {
	readonly what: "alert" | "incident" | "action" | "gap";
	/** Equal for repeats of one story. */
	readonly key: string;
	/** Unix ms of the last and of the first time. */
	readonly time: number;
	readonly firstTime: number;
	readonly level: Level;
	readonly title: string;
	/** Container with its image; `container` is its name alone. */
	readonly place: string;
	readonly container: string;
	readonly user: string;
	readonly tree: readonly string[];
	readonly summary: string;
	readonly count: number;
	/** Alert.count of the last record. */
	readonly windowCount: number;
	readonly alertIds: readonly string[];
	readonly actions: readonly ActionWords[];
	/** Of an action without its alert. */
	readonly tone?: ActionWords["tone"];
	/** Of a gap: records by class. */
	readonly losses?: ReadonlyMap<string, bigint>;
}

export interface LiveModel {
	readonly theme: Theme;
	readonly activity: Activity;
	readonly tally: Tally;
	/** Oldest first. */
	entries: Entry[];
	status: wire.Status | undefined;
	host: string;
	/** Events a second, one a status, newest last. */
	rates: number[];
	/** Records that could not reach this view. */
	missed: number;
	/** Key of the lowest entry that is shown; undefined follows the newest. */
	anchor: Entry | undefined;
	/** What stood still when the user paused. */
	frozen: { readonly entries: readonly Entry[]; readonly activity: Activity; arrived: number } | undefined;
	showActivity: boolean;
	minimum: Level;
	help: boolean;
}

export function createModel(theme: Theme): LiveModel {
	return {
		theme,
		activity: createActivity(),
		tally: createTally(),
		entries: [],
		status: undefined,
		host: "",
		rates: [],
		missed: 0,
		anchor: undefined,
		frozen: undefined,
		showActivity: true,
		minimum: "informational",
		help: false,
	};
}

/** Takes a record in. `now`: Unix ms, used where the record has no time. */
export function applyRecord(model: LiveModel, record: wire.OutputRecord, now: number): void {
	const time = timeOf(record.time) ?? now;
	if (record.host) model.host = short(record.host, 100);
	if (record.event !== undefined) {
		model.tally.events++;
		const words = activityWords(record.event);
		if (words !== undefined) model.activity.add(words, time, now);
	} else if (record.alert !== undefined) addAlert(model, record.alert, time);
	else if (record.action !== undefined) addAction(model, record.action, time);
	else if (record.gap !== undefined) addGap(model, record.gap, time);
	else if (record.incident !== undefined) {
		const { id = "", severity, summary, alertIds = [] } = record.incident;
		addEntry(model, {
			...blank("incident", `incident ${id}`, time),
			level: levelOf(severity),
			title: "Incident",
			summary: `${short(summary)} (${alertIds.length} alerts)`,
		});
	} else if (record.status !== undefined) applyStatus(model, record.status);
}

export function applyStatus(model: LiveModel, status: wire.Status): void {
	model.status = status;
	model.rates.push(status.eventRate ?? 0);
	if (model.rates.length > maxRates) model.rates.shift();
}

/** The entries to show, oldest first: those on hold when paused, and none below the minimum. */
export function shownEntries(model: LiveModel): readonly Entry[] {
	const entries = model.frozen?.entries ?? model.entries;
	const least = levels.indexOf(model.minimum);
	if (least === 0) return entries;
	return entries.filter(
		(entry) => (entry.what !== "alert" && entry.what !== "incident") || levels.indexOf(entry.level) >= least,
	);
}

/** Stops and starts the panes; the header goes on. */
export function togglePause(model: LiveModel): void {
	model.frozen =
		model.frozen === undefined
			? { entries: [...model.entries], activity: model.activity.copy(), arrived: 0 }
			: undefined;
}

function blank(what: Entry["what"], key: string, time: number): Entry {
	return {
		what,
		key,
		time,
		firstTime: time,
		level: "informational",
		title: "",
		place: "",
		container: "",
		user: "",
		tree: [],
		summary: "",
		count: 1,
		windowCount: 1,
		alertIds: [],
		actions: [],
	};
}

function addAlert(model: LiveModel, alert: wire.Alert, time: number): void {
	const { event, ancestors = [], rule = "?", count = 1, id = "" } = alert;
	const entry: Entry = {
		...blank("alert", `alert ${short(alert.dedupKey || `${rule} ${id}`, 300)}`, time),
		level: levelOf(alert.severity),
		title: short(rule, 200),
		place: placeOf(event?.container),
		container: nameOf(event?.container),
		user: userOf(event?.process),
		tree: treeOf(ancestors, event?.process),
		summary: short(alert.summary),
		windowCount: Math.max(1, count),
		count: Math.max(1, count),
		alertIds: id === "" ? [] : [id],
	};
	const before = addEntry(model, entry);
	model.tally.alert(entry.title, entry.level, before);
}

function addAction(model: LiveModel, action: wire.Action, time: number): void {
	const words = actionWords(action, time);
	model.tally.action(action.outcome ?? "OUTCOME_UNSPECIFIED");
	const { alertId } = action;
	const index = alertId ? model.entries.findLastIndex((entry) => entry.alertIds.includes(alertId)) : -1;
	const entry = model.entries[index];
	if (entry === undefined) {
		const user = action.requester ? `by ${short(action.requester, 60)}` : "";
		const key = `action ${words.id || model.tally.events}`;
		addEntry(model, { ...blank("action", key, time), title: words.text, user, tone: words.tone });
		return;
	}
	// A later record of the same action replaces it; another action in the same words is counted.
	const others = entry.actions.filter((one) => one.id === "" || one.id !== words.id);
	const same = others.find((one) => one.text === words.text);
	const actions = same
		? others.map((one) => (one === same ? { ...words, count: one.count + 1 } : one))
		: [...others, words];
	replace(model, index, { ...entry, actions: actions.slice(-maxActionsShown) });
}

function addGap(model: LiveModel, gap: wire.Gap, time: number): void {
	const { where = "" } = gap;
	const key = `gap ${short(where, 60)}`;
	// Losses come as a run; each is added to the one it follows, so that the entry holds their sum.
	const last = model.entries.at(-1);
	const losses = lossesOf(gap, last?.key === key && time - last.time <= foldMs ? last.losses : undefined);
	const title = gapWords(where, losses);
	const entry: Entry = { ...blank("gap", key, time), level: "medium", title, losses };
	if (last?.key !== key) {
		// An older gap stays what it is.
		push(model, entry);
	} else addEntry(model, entry);
}

function push(model: LiveModel, entry: Entry): void {
	model.entries.push(entry);
	if (model.entries.length > maxEntries) model.entries.shift();
	if (model.frozen !== undefined) model.frozen.arrived++;
}

/** Adds an entry or folds it into the one it repeats. Gives by how many occurrences the total grew. */
function addEntry(model: LiveModel, entry: Entry): number {
	const { entries } = model;
	const index = entries.findLastIndex((one) => one.key === entry.key);
	const old = entries[index];
	if (old === undefined || entry.time - old.time > foldMs) {
		push(model, entry);
		return entry.count;
	}
	if (model.frozen !== undefined) model.frozen.arrived++;
	// A count above the last one continues its window, any other starts a new window.
	const more = entry.windowCount > old.windowCount ? entry.windowCount - old.windowCount : entry.windowCount;
	const folded: Entry = {
		...entry,
		firstTime: old.firstTime,
		time: Math.max(old.time, entry.time),
		// A gap or an action that goes on is still one.
		count: entry.what === "alert" ? old.count + more : 1,
		alertIds: [...old.alertIds, ...entry.alertIds].slice(-maxAlertIds),
		actions: old.actions,
	};
	if (index >= entries.length - foldInPlace) replace(model, index, folded);
	else {
		if (model.anchor === old && model.frozen === undefined) model.anchor = entries[index + 1];
		entries.splice(index, 1);
		entries.push(folded);
	}
	return more;
}

function replace(model: LiveModel, index: number, entry: Entry): void {
	const old = model.entries[index];
	model.entries[index] = entry;
	if (model.anchor === old && model.frozen === undefined) model.anchor = entry;
}

/** Events lost between kernel and sensor, over all classes. */
export function lostEvents(status: wire.Status | undefined): bigint {
	return (status?.counters ?? []).reduce((sum, one) => sum + counter(one.lost), 0n);
}
