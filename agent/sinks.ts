// The sinks that the configuration asks for.
import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import type { SinkConfig } from "./config/sinks.ts";
import { isRemoteSyslog } from "./delivery-outlets.ts";
import { CommandError } from "./failure.ts";
import type * as wire from "./model/picket.v1.ts";
import { parseSyslogAddress } from "./model/syslog.ts";
import type { Severity } from "./model/verdict.ts";
import { filtered } from "./report/filtered.ts";
import { createFileSink } from "./report/lines.ts";
import type { Sink } from "./report/sinks.ts";
import { createSyslogSink } from "./report/syslog-sink.ts";

export interface SinkParts {
	/** Output.gap. */
	readonly report: (gap: wire.Gap) => void;
	readonly unixDatagram: (path: string, text: string) => boolean;
	/** Unix ms. */
	readonly clock: () => number;
	readonly logger: Logger;
}

/** Throws CommandError for a certificate that cannot be read; where a sink leads to may come later. */
export function configuredSinks(configs: readonly SinkConfig[], parts: SinkParts): Sink[] {
	const names = new Map<string, number>();
	return configs.flatMap((config) => {
		if (isRemoteSyslog(config)) return [];
		const kind = config.file ?? config.syslog ?? "";
		const again = names.get(kind) ?? 0;
		names.set(kind, again + 1);
		const label = config.file === undefined ? `syslog:${kind}` : `file:${kind}`;
		const name = again === 0 ? label : `${label}#${again + 1}`;
		const filter = { kinds: new Set(config.records), severity: config.severity as Severity };
		return [filtered(sinkOf(config, name, parts), filter)];
	});
}

function sinkOf(config: SinkConfig, name: string, parts: SinkParts): Sink {
	if (config.file !== undefined) {
		const rotate = { bytes: config.max_bytes, keep: config.keep };
		return createFileSink({ name, path: config.file, rotate }, parts);
	}
	const address = parseSyslogAddress(config.syslog ?? "");
	if (!address) throw new Error(`${config.syslog} passed the schema and is no address`);
	const tls = () => ({
		...(config.ca !== "" && { ca: readPem(config.ca) }),
		...(config.cert !== "" && { cert: readPem(config.cert), key: readPem(config.key) }),
	});
	if (address.over === "tls") tls();
	const { facility, form, max_message_bytes: maxMessageBytes } = config;
	return createSyslogSink({ ...parts, name, address, facility, form, maxMessageBytes, tls });
}

function readPem(path: string): Buffer {
	try {
		return readFileSync(path);
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw new CommandError(
			`cannot read ${path}: ${reason}`,
			"mend ca, cert or key of the sink in picket.yaml",
		);
	}
}
