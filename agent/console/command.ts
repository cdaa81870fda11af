// `picket console`: the reference console on a terminal or in a pipe. Records go to the output as text or JSON
// lines; an operator's commands come from the input.
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { Logger } from "pino";
import { renderStatus } from "../health/status.ts";
import type * as wire from "../model/picket.v1.ts";
import { errorText, ReportError } from "../report/errors.ts";
import { createStreamSink } from "../report/lines.ts";
import { recordLine } from "../report/record.ts";
import { neutralise, recordText } from "../report/text.ts";
import type { ServerTls } from "../tls.ts";
import type { AuthorityService } from "./authority-service.ts";
import { type RunningConsole, startConsole } from "./console.ts";
import { helpText, readOperatorLine } from "./operator.ts";
import type { SensorInfo } from "./sensor.ts";

export interface ConsoleCommandOptions {
	/** "127.0.0.1:7443" by default. */
	readonly listen?: string;
	/** Paths of PEM files. */
	readonly tlsCert?: string;
	readonly tlsKey?: string;
	readonly tlsClientCa?: string;
	/** Directory of an authority of the console's own, in place of the files above. */
	readonly authority?: string;
	/** Names and addresses in the certificate that it gives itself; this machine's name by default. */
	readonly name?: readonly string[];
	readonly store?: string;
	readonly output?: "text" | "json";
	readonly colour?: boolean;
	readonly version?: string;
	readonly logger: Logger;
	/** Operator commands, a line each. */
	readonly input: Readable;
	/** Records; with text also the answers to commands. */
	readonly stdout: Writable;
	/** With JSON the answers to commands, so that `stdout` stays JSON lines. */
	readonly stderr: Writable;
	/** Ends the console. */
	readonly signal?: AbortSignal;
	/** Told once it listens. */
	readonly onListening?: (address: string) => void;
}

/** Runs until `quit`, the signal, or until nobody reads `stdout`. Throws ReportError when it cannot start. */
export async function runConsole(options: ConsoleCommandOptions): Promise<void> {
	const json = options.output === "json";
	const answers = json ? options.stderr : options.stdout;
	const say = (text: string): void => {
		answers.write(`${text}\n`);
	};
	let stop: () => void = () => {};
	const stopped = new Promise<void>((resolve) => {
		stop = resolve;
	});
	options.signal?.addEventListener("abort", stop);
	const style = { colour: options.colour === true };
	const screen = createStreamSink(
		{ name: "stdout", stream: options.stdout, onGone: stop },
		{
			clock: Date.now,
			logger: options.logger,
			report: (gap) => options.logger.warn({ gap }, "records not shown: the output is too slow"),
			format: json ? recordLine : (record) => recordText(record, style),
		},
	);
	const tls = await readTls(options);
	const authority = await startAuthority(options);
	const running = await startConsole({
		listen: options.listen ?? "127.0.0.1:7443",
		...(tls === undefined ? {} : { tls }),
		...(authority === undefined ? {} : { authority }),
		...(options.store === undefined ? {} : { store: options.store }),
		...(options.version === undefined ? {} : { version: options.version }),
		logger: options.logger,
		onRecord: (record) => screen.push(record),
		onSensor: (sensor, connected) =>
			say(`sensor ${sensorName(sensor)} ${connected ? "connected" : endingOf(sensor)}`),
		onSilent: (sensor) =>
			say(
				`sensor ${sensorName(sensor)} SILENT: it went without a farewell and has not come back; look at its host`,
			),
	}).catch((error) => {
		authority?.close();
		throw error;
	});
	authority?.listensOn(running.address);
	say(`console listens on ${running.address}; "help" lists the commands`);
	options.onListening?.(running.address);
	const lines = createInterface({ input: options.input, terminal: false });
	lines.on("line", (line) => {
		void obey(line, running, say, stop);
	});
	if (options.signal?.aborted === true) stop();
	await stopped;
	lines.close();
	options.signal?.removeEventListener("abort", stop);
	await running.close();
	authority?.close();
	await screen.close();
}

/** The X.509 library is loaded for an authority only. */
async function startAuthority(options: ConsoleCommandOptions): Promise<AuthorityService | undefined> {
	if (options.authority === undefined) return undefined;
	if (options.tlsCert !== undefined || options.tlsKey !== undefined || options.tlsClientCa !== undefined) {
		throw new ReportError(
			"CERTIFICATE",
			"give either --authority or certificates of your own (--tls-…), not both",
		);
	}
	const [{ openAuthority }, { startAuthorityService }] = await Promise.all([
		import("./authority.ts"),
		import("./authority-service.ts"),
	]);
	return startAuthorityService({
		authority: await openAuthority(options.authority, Date.now()),
		names: options.name ?? [hostname()],
		logger: options.logger,
		clock: Date.now,
	});
}

async function readTls(options: ConsoleCommandOptions): Promise<ServerTls | undefined> {
	const { tlsCert, tlsKey, tlsClientCa } = options;
	if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return undefined;
	if (tlsCert === undefined || tlsKey === undefined) {
		throw new ReportError("CERTIFICATE", "TLS needs both --tls-cert and --tls-key");
	}
	const read = (path: string): Promise<Buffer> =>
		readFile(path).catch((error) => {
			throw new ReportError("CERTIFICATE", `${path} cannot be read: ${errorText(error)}`, error);
		});
	return {
		cert: await read(tlsCert),
		key: await read(tlsKey),
		...(tlsClientCa === undefined ? {} : { clientCa: await read(tlsClientCa) }),
	};
}

async function obey(
	line: string,
	running: RunningConsole,
	say: (text: string) => void,
	stop: () => void,
): Promise<void> {
	const read = await readOperatorLine(line);
	switch (read.kind) {
		case "nothing":
			return;
		case "help":
			return say(helpText);
		case "quit":
			return stop();
		case "mistake":
			return say(neutralise(read.message));
		case "sensors":
			return say(sensorTable(running.sensors()));
		case "command": {
			const sensor = findSensor(running.sensors(), read.host);
			if (typeof sensor === "string") return say(sensor);
			try {
				const command = { requester: "operator", ...read.command };
				say(resultText(sensor, await running.send(sensor.hostId, command)));
			} catch (error) {
				say(neutralise(errorText(error)));
			}
		}
	}
}

/** The sensor meant, or why it is not clear which. */
function findSensor(sensors: readonly SensorInfo[], wanted: string): SensorInfo | string {
	const found = sensors.filter((sensor) => sensor.hostId === wanted);
	if (found.length === 0) found.push(...sensors.filter((sensor) => sensor.host === wanted));
	const [first] = found;
	const shown = neutralise(wanted);
	if (first === undefined) return `no sensor "${shown}" is connected; "sensors" lists them`;
	return found.length === 1 ? first : `${found.length} sensors are called "${shown}": use the host id`;
}

function endingOf({ farewell }: SensorInfo): string {
	if (farewell === undefined) return "disconnected";
	const message = neutralise((farewell.message ?? "").slice(0, 200));
	const why = message === "" ? "" : `: ${message}`;
	return farewell.reason === "REASON_LOST" ? `LOST: the sensor was killed or crashed${why}` : `stopped${why}`;
}

function sensorName(sensor: SensorInfo): string {
	return neutralise(`${sensor.host || "?"} (${sensor.hostId})`);
}

function sensorTable(sensors: readonly SensorInfo[]): string {
	if (sensors.length === 0) return "no sensor is connected";
	return sensors
		.map((sensor) => {
			const { version, kernel, architecture, mode, peer, records } = sensor;
			return neutralise(
				`${sensor.host || "?"}  ${sensor.hostId}  picket ${version}  ${mode}  ${kernel} ${architecture}  ` +
					`${peer}  ${records} records`,
			);
		})
		.join("\n");
}

function resultText(sensor: SensorInfo, result: wire.CommandResult): string {
	const verdict = result.accepted === true ? "accepted" : "not accepted";
	const lines = [`${sensor.host || sensor.hostId}: ${verdict}: ${result.message ?? ""}`];
	const { processes = [], connections = [], containers = [], status, evidence } = result;
	for (const process of processes) {
		const command = process.args?.join(" ") || process.executable || process.name;
		lines.push(`${process.pid}  ${process.startTime}  ${process.user ?? process.uid}  ${command}`);
	}
	for (const one of connections) {
		const local = endpoint(one.localAddress, one.localPort);
		const remote = endpoint(one.remoteAddress, one.remotePort);
		const holder = one.pid ? `${one.pid} ${one.executable ?? "?"}` : "nobody found";
		const inside = one.containerId ? `  container ${one.containerId.slice(0, 12)}` : "";
		lines.push(`${one.protocol}  ${local}  ${remote}  ${one.state}  ${holder}${inside}`);
	}
	for (const { container, processes: count } of containers) {
		const { id = "?", name, image } = container ?? {};
		lines.push(`${id.slice(0, 12)}  ${name ?? "?"}  ${image ?? "?"}  ${count ?? 0} processes`);
	}
	if (evidence !== undefined) {
		lines.push(`${evidence.id}  ${evidence.path || "not kept on the host"}  SHA-256 ${evidence.sha256}`);
		lines.push(...(evidence.content ?? "").split("\n"));
		if (evidence.truncated === true) lines.push("cut here: the whole lies on the host");
	}
	const shown = lines.map(neutralise);
	if (result.action !== undefined) shown.splice(1, 0, recordText({ action: result.action }));
	if (status !== undefined) shown.push(renderStatus(status, { now: Date.now() }));
	return shown.join("\n");
}

/** "192.0.2.1:443" or "[2001:db8::1]:443". */
function endpoint(address = "?", port = 0): string {
	return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
