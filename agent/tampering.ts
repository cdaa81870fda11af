// Which parts of the sensor are looked after, and with what: the one list of them. Also notices in passing, from the
// events that come anyway, what others do to it.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { addon, launcherPath, objectPath, refuseObjectPath } from "./capture/addon.ts";
import type { LiveCapture } from "./capture/live.ts";
import type { Config } from "./config/load.ts";
import { yamlFilesAt } from "./content.ts";
import { createTamper, type Sign, type TamperCheck, twice } from "./health/tamper.ts";
import { type GrowingFile, growingFiles, keptFiles, keptInode } from "./health/tamper-files.ts";
import { clockBack, environment, ownCgroup, tracer, watchPauses } from "./health/tamper-process.ts";
import { EventFlag, EventKind, type EventView } from "./model/event.ts";
import { bpfEvent, targetEvent } from "./model/layout.ts";
import { signalName } from "./model/number-names.ts";

export interface TamperingDeps {
	readonly config: Config;
	readonly capture: Pick<LiveCapture, "mendHooks" | "mendTable" | "tables" | "ids">;
	/** What of the second object is not as it was left. */
	refusalDamages(): readonly string[];
	/** Files of users that are in force, and what grows when they are read anew. */
	contentFiles(): readonly string[];
	contentGeneration(): unknown;
	/** Of cgroup2; "" where it is not mounted. */
	readonly cgroupMount: string;
	/** For people: who a process is. */
	processName(pid: number): string;
	alert(sign: Sign): void;
	readonly logger: Logger;
}

export interface Tampering {
	start(): void;
	/** For each event before it is judged; allocates nothing for one that is not about the sensor. */
	saw(event: EventView): void;
	look(): Promise<void>;
	problems(): string[];
	close(): void;
}

const agentFolder = new URL(".", import.meta.url).pathname;

/** The running program: Node, the addon, the BPF objects and our code. */
function programFiles(): string[] {
	const own = readdirSync(agentFolder, { withFileTypes: true, recursive: true })
		.filter((entry) => entry.isFile() && /\.(ts|mjs|js|yaml)$/.test(entry.name))
		.map((entry) => join(entry.parentPath, entry.name));
	return [
		process.execPath,
		objectPath.replace(/[^/]*$/, "picket.node"),
		objectPath,
		refuseObjectPath,
		launcherPath,
		...own,
	];
}

const PTRACE_ATTACH = 16;
const PTRACE_SEIZE = 0x4206;
/** SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU. */
const stopping: ReadonlySet<number> = new Set([19, 20, 21, 22]);
const opening: Readonly<Record<number, "programs" | "maps" | "links">> = {
	13: "programs",
	14: "maps",
	30: "links",
};
/** How long the kernel's numbers of our objects are believed, ms. */
const idsMs = 1000;

export function createTampering(deps: TamperingDeps): Tampering {
	const { config, capture, logger, processName } = deps;
	const everyMs = config.health.tamper_seconds * 1000;
	const note = (sign: Sign): void => {
		if (everyMs > 0) tamper.note(sign);
	};
	const { run, state } = config.paths;
	const checks: TamperCheck[] = [
		{ name: "hooks", look: () => hookSigns(capture, note) },
		...capture.tables.map((name) => ({ name: `table ${name}`, look: () => tableSigns(capture, name, note) })),
		{ name: "refusals", look: twice(() => refusalSigns(deps.refusalDamages())) },
		{ name: "tracer", look: tracer() },
		{ name: "environment", look: environment(process.env) },
		{ name: "cgroup", look: ownCgroup(deps.cgroupMount) },
		{ name: "clock", look: clockBack(() => addon().clocks(), note) },
		{
			name: "control socket",
			look: keptInode(join(run, "picket.sock"), "the control socket", "restart the sensor to have it back"),
		},
		{
			name: "records on disk",
			look: twice(
				growingFiles(() => [
					{ path: join(state, "audit.jsonl"), what: "the audit", changes: "grows" },
					{ path: join(state, "responses.ledger"), what: "the ledger of responses", changes: "rewritten" },
					...config.sinks.flatMap(({ file, keep }): GrowingFile[] =>
						file === undefined
							? []
							: [{ path: file, what: "the log", changes: keep === 0 ? "rewritten" : "rotates" }],
					),
				]),
			),
		},
		{
			name: "program",
			look: keptFiles({
				paths: programFiles,
				severity: "critical",
				remedy: "if this was an upgrade, restart the sensor; else install it anew and find out who did it",
			}),
		},
		{
			name: "configuration",
			look: keptFiles({
				paths: () => deps.contentFiles().flatMap(yamlFilesAt),
				generation: deps.contentGeneration,
				severity: "medium",
				remedy:
					"what it says now is not in force: if it was you, run `picket rules reload` or restart the sensor",
			}),
		},
	];
	const tamper = createTamper({
		checks,
		everyMs,
		alert(sign) {
			logger.error(`tampering: ${sign.seen}: ${sign.remedy}`);
			deps.alert(sign);
		},
		complain: (check, message) =>
			logger.warn({ check, message }, "the sensor cannot look after a part of it"),
		monotonic: () => performance.now(),
	});
	const pauses =
		everyMs > 0
			? watchPauses({
					monotonic: () => performance.now(),
					bootMs: () => addon().clocks().bootMs,
					note,
				})
			: undefined;
	let ids = capture.ids();
	let idsUntil = 0;

	const opened = (event: EventView, sort: "programs" | "maps" | "links"): void => {
		const now = performance.now();
		if (now >= idsUntil) {
			ids = capture.ids();
			idsUntil = now + idsMs;
		}
		if (!ids[sort].has(event.word(bpfEvent.id))) return;
		const who = processName(event.pid);
		// A tool that lists them takes hold of one after the other: that is one story, and a problem once a program.
		note({
			key: `opened ${sort} ${who.replace(/ \(pid \d+\)$/, "")}`,
			severity: "high",
			seen: `${who} has taken hold of the sensor's ${sort} in the kernel`,
			remedy:
				"an administrator's bpftool may do so to show it; anything else can switch the sensor off that way: find " +
				"out what it is",
		});
	};
	const aimed = (event: EventView): void => {
		if (event.result < 0 || (event.flags & EventFlag.kernelActor) !== 0) return;
		const request = event.word(targetEvent.request);
		let what = "";
		if (event.kind === EventKind.kill && stopping.has(request))
			what = `sent the sensor ${signalName(request)}`;
		else if (event.kind === EventKind.ptrace && (request === PTRACE_ATTACH || request === PTRACE_SEIZE))
			what = "took hold of the sensor as a debugger does";
		else if (event.kind === EventKind.vmWrite) what = "wrote into the sensor's memory";
		if (what === "") return;
		const who = processName(event.pid);
		note({
			key: `aimed ${what} ${who}`,
			severity: "critical",
			seen: `${who} ${what}`,
			remedy:
				"find out what that process is; restart the sensor: it may have been changed or blind meanwhile",
		});
	};
	return {
		start: () => {
			if (everyMs > 0) void tamper.look();
		},
		saw(event) {
			if ((event.flags & EventFlag.targetIsSensor) !== 0) aimed(event);
			else if (event.kind === EventKind.bpf) {
				const sort = opening[event.word(bpfEvent.command)];
				if (sort !== undefined && event.result >= 0) opened(event, sort);
			}
		},
		look: tamper.look,
		problems: tamper.problems,
		close() {
			pauses?.close();
			tamper.close();
		},
	};
}

function hookSigns(capture: TamperCapture, note: (sign: Sign) => void): Sign[] {
	const signs: Sign[] = [];
	for (const { name, problem, lost, mended } of capture.mendHooks()) {
		const sign: Sign = {
			key: `hook ${name}`,
			severity: "critical",
			seen: `the hook ${name} was taken off (${problem})`,
			remedy: mended
				? `it was hooked up anew; find out who did it: what happened meanwhile was not captured (${lost})`
				: `not captured since: ${lost}; restart the sensor and find out who did it`,
		};
		if (mended) note(sign);
		else signs.push(sign);
	}
	return signs;
}

type TamperCapture = TamperingDeps["capture"];

/** What was changed has been put right by the look itself. */
function tableSigns(capture: TamperCapture, name: string, note: (sign: Sign) => void): Sign[] {
	const what = capture.mendTable(name);
	if (what !== "") {
		note({
			key: `table ${name}`,
			severity: "critical",
			seen: `somebody has changed the sensor's table ${name} in the kernel (${what})`,
			remedy: "it was put right; find out who did it: what that hid meanwhile was not captured",
		});
	}
	return [];
}

function refusalSigns(damages: readonly string[]): Sign[] {
	return damages.map((seen) => ({
		key: `refusal ${seen}`,
		severity: "critical",
		seen: `of what the kernel refuses for the sensor ${seen}`,
		remedy: "restart the sensor, which puts it in force again, and find out who did it",
	}));
}
