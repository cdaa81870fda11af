// Everything between the sensor and those off this host: records go into the spool, the uplink reads it for each
// destination. Runs only when somebody is to get something, and starts once a host is enrolled.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import type { Config } from "./config/load.ts";
import { createDestinations, type Destination } from "./delivery-outlets.ts";
import { createRenewals } from "./enrol/renewal.ts";
import { readEnrolled } from "./enrol/store.ts";
import { runJob } from "./enrol/unprivileged.ts";
import type { RecordFilter, RecordKind, Spool, SpoolReader } from "./model/delivery.ts";
import type * as wire from "./model/picket.v1.ts";
import { type Severity, severities } from "./model/verdict.ts";
import { type CommandDesk, createCommandDesk } from "./report/commands.ts";
import { errorText } from "./report/errors.ts";
import { createLosses } from "./report/losses.ts";
import { messageLimit, recordCodec } from "./report/protojson.ts";
import { recordKind } from "./report/record.ts";
import type { Sink } from "./report/sinks.ts";
import { createUplink, type UplinkHost, type UplinkOptions } from "./uplink-host.ts";
import { uplinkIdentity } from "./uplink-user.ts";

export interface DeliveryOptions {
	readonly config: Config;
	readonly bootId: string;
	readonly hello: () => wire.Hello;
	readonly status: () => wire.Status;
	readonly policyHash: () => string;
	/** Of a console, by its name. */
	readonly onCommand: (name: string, command: wire.Command) => Promise<wire.CommandResult>;
	/** Output.gap. */
	readonly gap: (gap: wire.Gap) => void;
	readonly createSpool: (options: {
		readonly path: string;
		readonly maxBytes: number;
		readonly clock: () => number;
		readonly logger: Logger;
		readonly gap: (gap: wire.Gap) => void;
	}) => Spool;
	/** Unix ms. */
	readonly clock: () => number;
	readonly logger: Logger;
	readonly uplink?: Pick<UplinkOptions, "times" | "random">;
}

export interface Delivery {
	/** For the output: what all destinations get. */
	readonly sink: Sink;
	status(): Pick<wire.Status, "spool" | "uplink">;
	problems(): string[];
	/** Of the consoles it reports to, as configured: "host:port". */
	addresses(): string[];
	/** Another list of consoles: the result puts it in force. Throws CommandError for a PEM file that cannot be read. */
	prepare(consoles: Config["consoles"]): (() => void) | undefined;
	/** Reads enrolments and certificates again, now. */
	refresh(): void;
}

const pollMs = 5000;
/** Leaves room for what surrounds a record in a message. */
const recordLimit = messageLimit - 256;

/** Throws CommandError when a file or user that the configuration names cannot be used. */
export function createDelivery(options: DeliveryOptions): Delivery {
	const { config, logger, clock } = options;
	const identity = uplinkIdentity(config.uplink.user);
	const destinations = createDestinations(config, () => readEnrolled(config.paths.state));
	const losses = createLosses({ where: "spool", clock, report: options.gap });
	const readers = new Map<string, SpoolReader>();
	const filters = new Map<string, RecordFilter>();
	const desks = new Map<string, CommandDesk>();
	let current: Destination[] = destinations.read(true);
	let kinds: ReadonlySet<RecordKind> = new Set();
	/** Made for the first destination: for metrics alone there is none. */
	let spool: Spool | undefined;
	let uplink: UplinkHost | undefined;
	let problem = "";
	let closing: Promise<void> | undefined;
	const renewals = createRenewals({
		stateDir: config.paths.state,
		send: (frame) => uplink?.renew(frame) === true,
		changed: () => refresh(),
		runJob,
		clock,
		random: Math.random,
		logger,
	});
	const watchCertificates = (): void =>
		renewals.set(
			current.flatMap(({ config, enrolled }) => (enrolled ? [{ outlet: config.id, enrolled }] : [])),
		);

	const deskOf = (name: string): CommandDesk => {
		const desk =
			desks.get(name) ??
			createCommandDesk({
				onCommand: (command) => options.onCommand(name, command),
				send: (result) => uplink?.result(name, result) === true,
			});
		desks.set(name, desk);
		return desk;
	};
	const flushResults = (): void => {
		for (const [name, desk] of desks) for (const result of desk.pending()) uplink?.result(name, result);
	};
	/** In the turn in which the spool is made, so that it keeps records for all of them. */
	const adopt = (spool: Spool): void => {
		kinds = new Set(current.flatMap(({ filter }) => filter.kinds));
		for (const { reader, filter } of current) {
			const before = readers.get(reader);
			if (before !== undefined && isDeepStrictEqual(filters.get(reader), filter)) continue;
			// With another filter it keeps its place, and whoever reads from it.
			const place = spool.reader(reader, filter);
			readers.set(reader, before ?? place);
			filters.set(reader, filter);
		}
		// An enrolment that cannot be read just now keeps its place.
		const kept = [...current.map(({ reader }) => reader), ...enrolledNames(config.paths.state)];
		for (const reader of readers.keys()) if (!kept.includes(reader)) readers.delete(reader);
		spool.retain(kept);
	};
	const start = (): void => {
		if (current.length > 0)
			spool ??= options.createSpool({
				path: join(config.paths.state, "spool.db"),
				maxBytes: config.spool.max_bytes,
				clock,
				logger,
				gap: options.gap,
			});
		if (spool !== undefined) adopt(spool);
		if (uplink !== undefined) {
			uplink.changed();
			return;
		}
		if (spool === undefined && config.metrics.listen === "") return;
		uplink = createUplink({
			...options.uplink,
			identity,
			outlets: () =>
				current.flatMap(({ config, reader }) => {
					const from = readers.get(reader);
					return from === undefined ? [] : [{ config, reader: from }];
				}),
			metrics: config.metrics.listen,
			hello: options.hello,
			status: options.status,
			policyHash: options.policyHash,
			onCommand: (name, command) => deskOf(name).take(command),
			onReady: flushResults,
			onRenewed: (frame) => void renewals.renewed(frame),
			logger,
		});
	};
	const refresh = (): void => {
		if (closing !== undefined) return;
		current = destinations.read(false);
		start();
		watchCertificates();
	};
	const states = (): Pick<wire.Status, "spool" | "uplink"> => ({
		...(spool && { spool: spool.status() }),
		...(uplink && { uplink: uplink.status() }),
	});
	const close = async (): Promise<void> => {
		clearInterval(timer);
		renewals.close();
		losses.close();
		await spool?.flush();
		await uplink?.close();
		await spool?.close();
	};

	start();
	watchCertificates();
	const timer = setInterval(refresh, pollMs).unref();
	return {
		sink: {
			name: "spool",
			push(record) {
				const kind = recordKind(record);
				if (spool === undefined || closing !== undefined || kind === undefined || !kinds.has(kind)) return;
				try {
					const payload = recordCodec.encode(record);
					if (payload.length > recordLimit) return losses.count(kind);
					spool.push({
						bootId: options.bootId,
						sequence: Number(record.sequence),
						kind,
						severity: severityOf(record),
						payload,
					});
				} catch (error) {
					losses.count(kind);
					problem = `a record of kind ${kind} cannot be encoded: ${errorText(error)}`;
				}
			},
			status: () => ({ name: "spool", connected: true, lost: String(losses.total), problem }),
			statuses: () => uplink?.sinks() ?? [],
			close() {
				closing ??= close();
				return closing;
			},
		},
		status: states,
		problems() {
			const { spool, uplink } = states();
			return [
				...destinations.problems(),
				...renewals.problems(),
				...(problem === "" ? [] : [problem]),
				...(spool?.problem ? [`spool: ${spool.problem}`] : []),
				...(uplink?.problem ? [`uplink: ${uplink.problem}`] : []),
			];
		},
		addresses: () => current.flatMap(({ config }) => (config.kind === "console" ? config.addresses : [])),
		prepare(consoles) {
			const put = destinations.prepare(consoles);
			return (
				put &&
				(() => {
					put();
					refresh();
					logger.info(
						`reports to these consoles now: ${consoles.map(({ name }) => name).join(", ") || "none"}`,
					);
				})
			);
		},
		refresh,
	};
}

/** Whose folder is there, whatever is in it. */
function enrolledNames(stateDir: string): string[] {
	try {
		const names = readdirSync(join(stateDir, "consoles"));
		return names.filter((name) => !name.startsWith(".")).map((name) => `console:${name}`);
	} catch {
		return [];
	}
}

/** What is of no known severity is not held back. */
function severityOf({ alert, incident }: wire.OutputRecord): Severity {
	const word = (alert ?? incident)?.severity;
	if (word === undefined) return alert || incident ? "critical" : "informational";
	return severities.find((each) => word === `SEVERITY_${each.toUpperCase()}`) ?? "critical";
}
