// The `sinks:` list of picket.yaml: places on and off this host that get records besides the consoles.
import { z } from "zod";
import { type Facility, facilities, parseSyslogAddress } from "../model/syslog.ts";
import { severities } from "../model/verdict.ts";

const recordKinds = ["event", "alert", "incident", "action", "gap", "status"] as const;
const facilityNames = Object.keys(facilities) as [Facility, ...Facility[]];
const file = (words: string) => z.string().default("").describe(words);

const sink = z
	.strictObject({
		file: z
			.string()
			.regex(/^\//, "must be an absolute path")
			.optional()
			.describe("Append the records to this file, a JSON object a line."),
		max_bytes: z
			.number()
			.int()
			.min(65_536)
			.default(104_857_600)
			.describe("Of the file: then it becomes FILE.1, and a new one is begun."),
		keep: z.number().int().min(0).max(100).default(5).describe("So many older files are kept."),
		syslog: z
			.string()
			.refine(
				(text) => parseSyslogAddress(text) !== undefined,
				"must be unix:/dev/log, udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT",
			)
			.optional()
			.describe("Send them as syslog messages (RFC 5424) there."),
		facility: z.enum(facilityNames).default("authpriv").describe("Facility of the messages."),
		form: z
			.enum(["text", "json"])
			.default("text")
			.describe("text: a readable line. json: the record as everywhere, in ASCII."),
		max_message_bytes: z
			.number()
			.int()
			.min(480)
			.max(1_048_576)
			.default(8192)
			.describe("Of a message; a longer record is sent without its details."),
		ca: file("PEM file with the receiver's authority; empty for the system's own."),
		cert: file("PEM file with this sensor's certificate, for receivers that ask for one."),
		key: file("PEM file with the key of that certificate."),
		records: z
			.array(z.enum(recordKinds))
			.min(1)
			.default(["alert", "incident", "action", "gap"])
			.describe(`Which records: ${recordKinds.join(", ")}.`),
		severity: z
			.enum(severities as [string, ...string[]])
			.default("informational")
			.describe("Of alerts and incidents those of at least this severity."),
	})
	.superRefine((given, context) => {
		const wrong = (key: string, message: string) =>
			context.addIssue({ code: "custom", path: [key], message });
		if ((given.file === undefined) === (given.syslog === undefined))
			wrong(given.file === undefined ? "file" : "syslog", "give either file or syslog");
		if ((given.cert === "") !== (given.key === ""))
			wrong(given.cert === "" ? "cert" : "key", "certificate and key go together: give both or neither");
		const tls = given.syslog?.startsWith("tls:") === true;
		if (!tls && (given.ca !== "" || given.cert !== ""))
			wrong(given.ca !== "" ? "ca" : "cert", "is for syslog over tls: only");
	});

export const sinksSchema = z
	.array(sink)
	.max(16)
	.default([])
	.describe(
		"More places for records, each {file: /var/log/picket/alerts.jsonl} or {syslog: unix:/dev/log}, with " +
			"records, severity and more.",
	);

export type SinkConfig = z.output<typeof sink>;
