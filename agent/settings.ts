// What the command line adds to the configuration, for every command that captures.
import { InvalidArgumentError } from "commander";
import { stringify } from "yaml";
import { isLocal } from "./config/address.ts";
import { type Config, loadConfig } from "./config/load.ts";
import { CommandError } from "./failure.ts";
import { type EventName, eventNames } from "./model/event.ts";

/** Options of `picket run`, `start` and `record` as commander gives them. */
export interface CaptureFlags {
	readonly config?: string;
	readonly rules?: string[];
	readonly policy?: string;
	readonly defaultRules: boolean;
	readonly output?: "text" | "json";
	readonly events?: "none" | "all" | EventName[];
	readonly mode?: Config["mode"];
	readonly scopePid?: number[];
	readonly scopeCgroup?: string[];
	readonly scopePath?: string[];
	readonly simulateLoss?: number;
	readonly off?: string[];
	readonly runDir?: string;
	readonly stateDir?: string;
	readonly console?: string;
	readonly duration?: number;
}

export function wholeNumber(text: string): number {
	const number = Number(text);
	if (!/^\d+$/.test(text) || !Number.isSafeInteger(number))
		throw new InvalidArgumentError("a whole number is needed");
	return number;
}

/** For a timer, which takes 24.8 days at most and fires at once when given more. */
export function timerMs(seconds: number): number {
	return Math.min(seconds * 1000, 0x7fff_ffff);
}

export function eventList(text: string): "none" | "all" | EventName[] {
	if (text === "none" || text === "all") return text;
	return text.split(",").map((word) => {
		const name = eventNames.find((each) => each === word.trim());
		if (!name)
			throw new InvalidArgumentError(`${word} is no event; known: ${eventNames.join(", ")}, none, all`);
		return name;
	});
}

export function append<T>(convert: (text: string) => T): (text: string, before: T[] | undefined) => T[] {
	return (text, before) => [...(before ?? []), convert(text)];
}

/** The configuration with the command line's word on top. Throws CommandError. */
export function mergeFlags(config: Config, flags: CaptureFlags): Config {
	if (flags.mode === "enforce" && config.mode === "observe" && flags.config !== undefined) {
		throw new CommandError(
			`${flags.config} says mode: observe, --mode says enforce`,
			"say enforce in the configuration; the command line may only hold back",
		);
	}
	return {
		...config,
		mode: flags.mode ?? config.mode,
		paths: {
			...config.paths,
			run: flags.runDir ?? config.paths.run,
			state: flags.stateDir ?? config.paths.state,
		},
		rules: {
			...config.rules,
			default: config.rules.default && flags.defaultRules,
			files: [...config.rules.files, ...(flags.rules ?? [])],
		},
		policy: flags.policy ?? config.policy,
		scope: {
			...config.scope,
			pids: [...config.scope.pids, ...(flags.scopePid ?? [])],
			cgroups: [...config.scope.cgroups, ...(flags.scopeCgroup ?? [])],
			paths: [...config.scope.paths, ...(flags.scopePath ?? [])],
		},
		consoles: flags.console === undefined ? config.consoles : consolesWith(config, flags.console),
		output: { events: flags.events ?? config.output.events },
	};
}

/** The command line's console: with the settings of the only one configured, or without encryption on this host. */
function consolesWith({ consoles }: Config, address: string): Config["consoles"] {
	const [only] = consoles;
	const like = consoles.length === 1 && only !== undefined ? only : { name: "console" };
	const plaintext = consoles.length !== 1 && isLocal(address);
	const text = stringify({ consoles: [{ plaintext, ...like, addresses: [address] }] });
	const { config, problems } = loadConfig(text, "--console");
	if (config === undefined)
		throw new CommandError(
			`--console ${address}: ${problems[0]?.message ?? "no address"}`,
			problems[0]?.remedy ?? "",
		);
	return config.consoles;
}

/** Which events leave as records: in JSON all that are captured, unless somebody has said otherwise. */
export function eventKindsOf(config: Config, flags: CaptureFlags): ReadonlySet<EventName> {
	const { events } = config.output;
	if (flags.events === undefined && events === "none" && flags.output === "json") return new Set(eventNames);
	if (events === "none") return new Set();
	return new Set(events === "all" ? eventNames : events);
}
