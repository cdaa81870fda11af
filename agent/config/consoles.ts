// The `consoles:` list of picket.yaml: where the sensor reports to and takes commands from.
import { z } from "zod";
import { recordKinds } from "../model/delivery.ts";
import { severities } from "../model/verdict.ts";
import { isLocal, splitHostPort } from "./address.ts";

const file = (words: string) => z.string().default("").describe(words);
const isConsoleAddress = (text: string) => text.startsWith("unix:/") || splitHostPort(text) !== undefined;

const console = z
	.strictObject({
		name: z
			.string()
			.regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "must be 1 to 32 of a-z, 0-9 and -")
			.describe("What you call it; in status, policy and audit."),
		addresses: z
			.array(z.string().refine(isConsoleAddress, "must be host:port, [IPv6]:port or unix:/path"))
			.min(1)
			.max(8)
			.describe(
				'Where it listens, "host:port" or "unix:/path"; the next one is tried when one does not answer.',
			),
		ca: file("PEM file with the console's authority; empty for the system's own."),
		cert: file("PEM file with this sensor's certificate, for consoles that ask for one."),
		key: file("PEM file with the key of that certificate."),
		crl: file("PEM file with revoked certificates of consoles."),
		server_name: z
			.string()
			.default("")
			.describe("Name in the console's certificate when it is not the host above."),
		plaintext: z
			.boolean()
			.default(false)
			.describe("No encryption; allowed only to loopback addresses and unix sockets."),
		records: z
			.array(z.enum(recordKinds as [string, ...string[]]))
			.min(1)
			.default([...recordKinds])
			.describe(`Which records: ${recordKinds.join(", ")}.`),
		severity: z
			.enum(severities as [string, ...string[]])
			.default("informational")
			.describe("Of alerts and incidents those of at least this severity."),
	})
	.superRefine((given, context) => {
		const wrong = (key: string, message: string) =>
			context.addIssue({ code: "custom", path: [key], message });
		const remote = given.addresses.find((address) => !isLocal(address));
		if (given.plaintext && remote !== undefined)
			wrong(
				"plaintext",
				`must be false for ${remote}: what the sensor says would cross the network readable`,
			);
		if ((given.cert === "") !== (given.key === ""))
			wrong(given.cert === "" ? "cert" : "key", "certificate and key go together: give both or neither");
		const sockets = given.addresses.filter((address) => address.startsWith("unix:")).length;
		if (sockets > 0 && sockets < given.addresses.length)
			wrong("addresses", "must be all unix sockets or all host:port: only the latter are encrypted");
	});

export const consolesSchema = z
	.array(console)
	.max(8)
	.superRefine((list, context) => {
		for (const [index, { name }] of list.entries()) {
			if (list.findIndex((other) => other.name === name) < index)
				context.addIssue({
					code: "custom",
					path: [index, "name"],
					message: `must be another than "${name}", which a console above has`,
				});
		}
	})
	.default([])
	.describe(
		"Where to report, besides the local log and the consoles this host is enrolled with, each {name: hq, addresses: " +
			"[console.example:7443]}, with ca, cert, key, crl, records, severity and more.",
	);

export type ConsoleConfig = z.output<typeof console>;
