// Who gets records off this host, from the configuration and the enrolments: names that stay, ids, filters, and the texts
// of their PEM files, read again when the files change. What cannot be read then leaves the last good text in force.
import { statSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { Config } from "./config/load.ts";
import type { EnrolledConsole, EnrolledConsoles } from "./enrol/store.ts";
import { CommandError } from "./failure.ts";
import type { OutletConfig, RecordFilter, RecordKind, TlsTexts } from "./model/delivery.ts";
import { type Severity, severities } from "./model/verdict.ts";
import { errorText } from "./report/errors.ts";
import { readTextFile } from "./rule-files.ts";

export interface Destination {
	readonly config: OutletConfig;
	readonly filter: RecordFilter;
	/** Of its place in the spool; stays over restarts. */
	readonly reader: string;
	/** Set for a console that the host is enrolled with. */
	readonly enrolled?: EnrolledConsole;
}

export interface Destinations {
	/** Another list of consoles: the result puts it in force. Throws CommandError for a PEM file that cannot be read. */
	prepare(consoles: Config["consoles"]): (() => void) | undefined;
	/** As they are on disk now. `strict`: throws CommandError for a PEM file that cannot be read. */
	read(strict: boolean): Destination[];
	/** What was wrong at the last reading. */
	problems(): string[];
}

type Files = { readonly [Key in "ca" | "cert" | "key" | "crl"]?: string };

const maxPemBytes = 1024 * 1024;

export function createDestinations(config: Config, enrolled: () => EnrolledConsoles): Destinations {
	const ids = new Map<string, number>();
	const pems = new Map<string, { readonly stamp: string; readonly text: string }>();
	let problems: string[] = [];
	let configured = config.consoles;

	const idOf = (reader: string): number => {
		const id = ids.get(reader) ?? ids.size;
		ids.set(reader, id);
		return id;
	};
	/** The text of a file; of one that is not readable any more, the last one. */
	const pem = (path: string, where: string, strict: boolean): string => {
		const before = pems.get(path);
		try {
			const { mtimeMs, ctimeMs, size, ino } = statSync(path);
			const stamp = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
			if (before?.stamp === stamp) return before.text;
			// A pipe in its place must not keep the sensor waiting for a writer.
			const text = readTextFile(path, maxPemBytes);
			if (text.trim() === "") throw new Error("it is empty");
			pems.set(path, { stamp, text });
			return text;
		} catch (error) {
			const problem = `${where}: ${path} cannot be used: ${errorText(error)}`;
			if (strict) throw new CommandError(problem, "correct the path in picket.yaml, or put the file there");
			problems.push(`${problem}; ${before ? "what it held before stays in force" : "put the file there"}`);
			return before?.text ?? "";
		}
	};
	const tlsOf = (files: Files, serverName: string, where: string, strict: boolean): TlsTexts => {
		const texts = Object.entries(files).flatMap(([key, path]) =>
			path === undefined || path === "" ? [] : [[key, pem(path, `${where}.${key}`, strict)]],
		);
		return { ...Object.fromEntries(texts), ...(serverName !== "" && { serverName }) };
	};
	const filterOf = (given: {
		readonly records: readonly string[];
		readonly severity: string;
	}): RecordFilter => ({
		kinds: given.records as readonly RecordKind[],
		severity: given.severity as Severity,
	});

	const consoles = (list: Config["consoles"], strict: boolean): Destination[] =>
		list.map((given, index) => {
			const { name, addresses, ca, cert, key, crl } = given;
			const plain = given.plaintext || addresses.every((address) => address.startsWith("unix:"));
			const tls = plain
				? undefined
				: tlsOf({ ca, cert, key, crl }, given.server_name, `consoles[${index}]`, strict);
			const reader = `console:${name}`;
			return {
				config: { id: idOf(reader), kind: "console", name, addresses, ...(tls && { tls }) },
				filter: filterOf(given),
				reader,
			};
		});
	const joined = (taken: ReadonlySet<string>): Destination[] => {
		const found = enrolled();
		problems.push(...found.problems);
		return found.consoles.flatMap((enrolled): Destination[] => {
			const { name, addresses, tls } = enrolled;
			const reader = `console:${name}`;
			if (taken.has(reader)) {
				problems.push(`console ${name} is in picket.yaml, too, which counts; give one of them another name`);
				return [];
			}
			return [
				{
					config: { id: idOf(reader), kind: "console", name, addresses, tls },
					filter: filterOf({
						records: ["event", "alert", "incident", "action", "gap", "status"],
						severity: severities[0] ?? "informational",
					}),
					reader,
					enrolled,
				},
			];
		});
	};
	const receivers = (strict: boolean): Destination[] => {
		const seen = new Map<string, number>();
		return config.sinks.flatMap((given, index): Destination[] => {
			const address = given.syslog ?? "";
			const again = (seen.get(address) ?? 0) + 1;
			seen.set(address, again);
			if (!isRemoteSyslog(given)) return [];
			const name = again === 1 ? address : `${address}#${again}`;
			const reader = `syslog:${name}`;
			const { ca, cert, key } = given;
			const tls = address.startsWith("tls:")
				? tlsOf({ ca, cert, key }, "", `sinks[${index}]`, strict)
				: undefined;
			return [
				{
					config: {
						id: idOf(reader),
						kind: "syslog",
						name,
						address,
						facility: given.facility,
						form: given.form,
						maxMessageBytes: given.max_message_bytes,
						...(tls && { tls }),
					},
					filter: filterOf(given),
					reader,
				},
			];
		});
	};

	return {
		prepare(list) {
			// Of an unchanged list a file may be away just now, as at any other time.
			if (isDeepStrictEqual(list, configured)) return undefined;
			consoles(list, true);
			return () => {
				configured = list;
			};
		},
		read(strict) {
			problems = [];
			const own = consoles(configured, strict);
			const names = new Set(own.map(({ reader }) => reader));
			return [...own, ...joined(names), ...receivers(strict)];
		},
		problems: () => [...problems],
	};
}

/** One that the uplink serves; files and sockets of this host are the core's own. */
export function isRemoteSyslog({ syslog = "" }: { readonly syslog?: string | undefined }): boolean {
	return syslog !== "" && !syslog.startsWith("unix:");
}
