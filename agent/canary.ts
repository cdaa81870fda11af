// Puts the canary together: which program, whether it can be seen at all from here, and which events are its.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";
import { isAbsolute } from "node:path";
import type { LiveCapture } from "./capture/live.ts";
import type { Config } from "./config/load.ts";
import { type Canary, createCanary } from "./health/canary.ts";
import { canaryMarker } from "./model/canary.ts";
import { EventKind, type EventView, Text } from "./model/event.ts";
import type { Stages } from "./pipeline.ts";

export interface CanaryDeps {
	readonly config: Pick<Config, "health" | "scope">;
	readonly capture: Pick<LiveCapture, "pending" | "counters" | "capabilities">;
	/** Its events are reported like any other. */
	readonly shown: boolean;
	/** Some events are dropped on purpose. */
	readonly simulated: boolean;
	onMissed(inARow: number, problem: string): void;
	onBack(): void;
	/** Unix ms. */
	clock(): number;
	/** Of the program; found on this host when left out. */
	readonly program?: string;
}

const programs = ["/bin/true", "/usr/bin/true"];

/** Its argument: the marker and 32 digits. */
const markerLength = canaryMarker.length + 32;

/** Undefined when the configuration wants none. */
export function startableCanary(
	deps: CanaryDeps,
): (Canary & { readonly stage: NonNullable<Stages["canary"]> }) | undefined {
	const { config, capture, simulated, onMissed, onBack, clock } = deps;
	if (config.health.canary_seconds === 0) return undefined;
	const program = deps.program === undefined ? programs.find(isThere) : deps.program;
	/** As the kernel names it. */
	let executed = "";
	let child: ChildProcess | undefined;
	/** Of the one whose execution was seen. */
	let own = { pid: 0, start: 0 };

	const canary = createCanary({
		everyMs: config.health.canary_seconds * 1000,
		unable() {
			if (program === undefined) return `there is no ${programs.join(" or ")} to execute; install coreutils`;
			if (simulated) return "events are dropped on purpose (--simulate-loss)";
			const exec = capture.capabilities().find(({ name }) => name === "exec");
			if (!exec?.available) return "executions are not captured here; `picket doctor` says why";
			return outOfScope(config.scope);
		},
		start(marker, onError) {
			// Whatever it is that hangs there, it must not become more of them.
			child?.kill("SIGKILL");
			executed = realpathSync(program ?? "");
			const started = spawn(program ?? "", [marker], { stdio: "ignore", cwd: "/", env: {} });
			child = started;
			started.once("error", onError);
			started.once("exit", () => {
				if (child === started) child = undefined;
			});
			started.unref();
			return started.pid ?? 0;
		},
		pending: () => capture.pending(),
		lost: () => capture.counters().get("exec")?.lost ?? 0,
		onMissed,
		onBack,
		clock,
		monotonic: () => performance.now(),
	});
	const markerOf = (event: EventView): string => {
		const args = event.text(Text.args);
		const at = args.indexOf(canaryMarker);
		return at < 0 ? "" : args.slice(at, at + markerLength);
	};
	return Object.assign(canary, {
		stage: {
			own(event: EventView): boolean {
				switch (event.kind) {
					case EventKind.exec:
						// Another program that has read the argument somewhere must not pass for it.
						if (!canary.waiting || event.text(Text.path) !== executed) return false;
						if (!canary.mine(markerOf(event))) return false;
						own = { pid: event.pid, start: event.start };
						return true;
					case EventKind.fork:
						return event.pid === process.pid && event.childPid === canary.pid;
					case EventKind.exit:
						return event.pid === own.pid && event.start === own.start;
					default:
						return false;
				}
			},
			found: (event: EventView) => {
				if (event.pid === own.pid && event.start === own.start) canary.found(markerOf(event));
			},
			shown: deps.shown,
		},
	});
}

function isThere(path: string): boolean {
	try {
		return isAbsolute(realpathSync(path));
	} catch {
		return false;
	}
}

/** Why what this process starts is not watched; "" when it is. */
export function outOfScope({ pids, cgroups }: Config["scope"], pid = process.pid): string {
	if (pids.length > 0 && !ancestry(pid).some((each) => pids.includes(each)))
		return "the scope is set to other processes than the sensor's (scope.pids)";
	if (cgroups.length > 0) {
		const [, path = ""] = /^0::(.*)$/m.exec(read(`/proc/${pid}/cgroup`)) ?? [];
		if (!cgroups.some((each) => path === each || path.startsWith(`${each.replace(/\/$/, "")}/`)))
			return "the scope is set to other cgroups than the sensor's (scope.cgroups)";
	}
	return "";
}

/** A process and those above it. */
function ancestry(pid: number): number[] {
	const found: number[] = [];
	for (let at = pid; at > 0 && found.length < 256; ) {
		found.push(at);
		const stat = read(`/proc/${at}/stat`);
		at = Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0] ?? 0);
	}
	return found;
}

function read(path: string): string {
	try {
		return readFileSync(path, "latin1");
	} catch {
		return "";
	}
}
