// In the uplink: what speaks with the outside, one for each destination of the configuration, and the HTTP server for
// metrics. Made, changed and ended as the core's `configure` says.
import { isDeepStrictEqual } from "node:util";
import { addon } from "../capture/addon.ts";
import { renew } from "../enrol/renew.ts";
import type { FromUplink, OutletConfig, OutletState, ToUplink } from "../model/delivery.ts";
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "../report/errors.ts";
import { commandTrouble, createBudget } from "./frame-check.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { createFrameSource, type FrameSource } from "./source.ts";
import { createStream, type Stream } from "./stream.ts";
import { createSyslogOutlet } from "./syslog.ts";

type Log = (level: "info" | "warn" | "error", message: string) => void;

export interface Outlets {
	configure(message: Extract<ToUplink, { type: "configure" }>): void;
	records(outlet: number, records: Extract<ToUplink, { type: "records" }>["records"]): void;
	ahead(message: Extract<ToUplink, { type: "ahead" }>): void;
	result(outlet: number, result: wire.CommandResult): void;
	status(message: Extract<ToUplink, { type: "status" }>): void;
	renew(message: Extract<ToUplink, { type: "renew" }>): void;
	/** What is wrong and no outlet's. */
	problems(): string[];
	/** Takes leave of all and lets go; never rejects. */
	end(reason: "REASON_STOPPED" | "REASON_LOST"): Promise<void>;
}

interface Running {
	readonly source: FrameSource;
	config: OutletConfig;
	readonly stream?: Stream;
	readonly close: () => Promise<void>;
}

/** Below what the core bears, so that a console that floods harms nobody but itself. */
const commands = { burst: 50, perSecond: 5 };

export function createOutlets(send: (message: FromUplink) => void, log: Log): Outlets {
	const running = new Map<number, Running>();
	let hello: wire.Hello = {};
	let status: wire.Status | undefined;
	let policyHash = "";
	let metrics: Pick<Metrics, "close"> | undefined;
	let problem = "";

	const onState = (outlet: number) => (state: OutletState) =>
		send({
			type: "state",
			outlet,
			state: { ...state, address: state.address.slice(0, 500), problem: state.problem.slice(0, 2000) },
		});
	const consoleOutlet = (
		config: Extract<OutletConfig, { kind: "console" }>,
		source: FrameSource,
	): Running => {
		const { id: outlet, name } = config;
		const may = createBudget(commands.burst, commands.perSecond, () => performance.now());
		let told = 0;
		const onCommand = (command: wire.Command) => {
			const trouble =
				commandTrouble(command) ?? (may() ? undefined : "too many commands; send fewer a second");
			if (trouble === undefined) return send({ type: "command", outlet, command });
			if (told++ < 10) log("warn", `a command of console ${name} is refused: ${trouble}`);
			const commandId = (command.id ?? "").slice(0, 200);
			stream.result({ commandId, accepted: false, message: `refused: ${trouble}` });
		};
		const stream = createStream({
			config,
			source,
			hello: () => hello,
			status: () => status,
			onCommand,
			onState: onState(outlet),
			log: (level, text) => log(level, `console ${name}: ${text}`),
			clock: Date.now,
		});
		return { source, config, stream, close: async () => stream.close() };
	};
	const syslogOutlet = (config: Extract<OutletConfig, { kind: "syslog" }>, source: FrameSource): Running => {
		const outlet = createSyslogOutlet({
			config,
			source,
			onState: onState(config.id),
			log,
			unconfirmed: addon().socketUnconfirmed,
			// The messages are the sensor's.
			pid: process.ppid,
		});
		return { source, config, close: outlet.close };
	};
	/** Tries until the address can be had. */
	const serve = async (listen: string): Promise<void> => {
		if (metrics !== undefined || listen === "") return;
		metrics = { close: async () => {} };
		try {
			metrics = await createMetrics({ listen, status: () => status, policyHash: () => policyHash });
			problem = "";
		} catch (error) {
			const text = `metrics cannot be served: ${errorText(error)}`;
			if (text !== problem) log("error", text);
			problem = text;
			setTimeout(() => {
				metrics = undefined;
				void serve(listen);
			}, 10_000).unref();
		}
	};
	const open = (config: OutletConfig): void => {
		const source = createFrameSource(config.id, send);
		try {
			running.set(
				config.id,
				config.kind === "console" ? consoleOutlet(config, source) : syslogOutlet(config, source),
			);
			source.start();
		} catch (error) {
			const problem = errorText(error);
			log("error", `${config.kind} ${config.name} cannot be used: ${problem}`);
			onState(config.id)({ connected: false, address: "", sent: 0, acknowledged: 0, problem });
		}
	};

	/** What cannot work is told once; what was in force stays. */
	const change = (
		each: Running,
		stream: Stream,
		config: Extract<OutletConfig, { kind: "console" }>,
	): void => {
		each.config = config;
		try {
			stream.reconfigure(config);
			log("info", `console ${config.name} has other settings or certificates`);
		} catch (error) {
			log("error", `the new settings of console ${config.name} are not used: ${errorText(error)}`);
		}
	};

	return {
		configure(message) {
			const helloChanged = !isDeepStrictEqual(hello, message.hello);
			hello = message.hello;
			for (const [id, each] of running) {
				const config = message.outlets.find((outlet) => outlet.id === id);
				if (helloChanged) each.stream?.helloChanged();
				if (config !== undefined && isDeepStrictEqual(config, each.config)) continue;
				if (config?.kind === "console" && each.stream !== undefined) change(each, each.stream, config);
				else {
					running.delete(id);
					void each.close();
				}
			}
			for (const config of message.outlets) if (!running.has(config.id)) open(config);
			void serve(message.metrics);
		},
		records: (outlet, records) => running.get(outlet)?.source.records(records),
		ahead: ({ outlet, record }) => running.get(outlet)?.source.ahead(record),
		result: (outlet, result) => running.get(outlet)?.stream?.result(result),
		status(message) {
			({ status, policyHash } = message);
		},
		renew({ outlet, key, request }) {
			const config = running.get(outlet)?.config;
			if (config?.kind !== "console" || config.tls === undefined) return;
			const { addresses, tls } = config;
			void renew({ addresses, tls, key, request }).then((renewed) =>
				send({ type: "renewed", outlet, ...renewed }),
			);
		},
		problems: () => (problem === "" ? [] : [problem]),
		async end(reason) {
			const all = [...running.values()];
			await Promise.allSettled(all.map((each) => each.stream?.farewell(reason)));
			await Promise.allSettled(all.map((each) => each.close()));
		},
	};
}
