// Every key of /etc/picket/picket.yaml: its type, its default and the sentence that documents it. The example
// file and the error messages are made from here.
import { z } from "zod";
import { parseNetwork } from "../model/address.ts";
import { eventNames } from "../model/event.ts";
import { isLocal, splitHostPort } from "./address.ts";
import { consolesSchema } from "./consoles.ts";
import { sinksSchema } from "./sinks.ts";

const path = (words: string) => z.string().regex(/^\//, "must be an absolute path").describe(words);
const list = (words: string) => z.array(z.string().min(1)).default([]).describe(words);
const between = (low: number, high: number) => z.number().int().min(low).max(high);
const isPowerOfTwo = (value: number) => Number.isInteger(Math.log2(value));

export const configSchema = z.strictObject({
	mode: z
		.enum(["observe", "enforce"])
		.default("observe")
		.describe("observe: say what would be done about an attack. enforce: do it."),
	paths: z
		.strictObject({
			run: path("Directory of the control socket.").default("/run/picket"),
			state: path("Directory of everything that outlives a restart.").default("/var/lib/picket"),
			bpf: path("Directory in a BPF file system: what the kernel refuses outlives a restart there.").default(
				"/sys/fs/bpf/picket",
			),
		})
		.prefault({})
		.describe("Where the sensor keeps its files."),
	rules: z
		.strictObject({
			default: z.boolean().default(true).describe("Load the signatures that come with the sensor."),
			files: list("More rule files or folders, in the Falco language, such as /etc/picket/rules.d."),
			watch: z
				.boolean()
				.default(true)
				.describe(
					"Take rules and policy over as soon as their files change; false: on SIGHUP and `picket rules reload` only.",
				),
		})
		.prefault({})
		.describe("What to detect."),
	policy: path("The local policy: what is allowed here, and what is done about what is not.").default(
		"/etc/picket/policy.yaml",
	),
	capture: z
		.strictObject({
			ring_bytes: between(262_144, 268_435_456)
				.refine(isPowerOfTwo, "must be a power of two")
				.default(4_194_304)
				.describe("Size of the buffer between kernel and sensor, a power of two, 262144 to 268435456."),
			drain_ms: between(1, 1000)
				.default(10)
				.describe("How often events that are not urgent are read, in ms."),
			repeat_window_ms: between(0, 60_000)
				.default(1000)
				.describe(
					"The same open by the same thread is reported once in this time, then with a count; 0 reports each.",
				),
			bulk_rate: between(0, 100_000_000)
				.default(50_000)
				.describe(
					"Opens and connections one cgroup may send a second, once its burst is used up; 0 for no limit.",
				),
			bulk_burst: between(1, 1_000_000_000)
				.default(1_000_000)
				.describe("Opens and connections one cgroup may send beyond that before the limit holds."),
			environment_bytes: between(0, 8191)
				.default(0)
				.describe(
					"Of each execution's environment variables so many bytes are captured; 0 for none. They often hold secrets.",
				),
			dns: z
				.boolean()
				.default(true)
				.describe(
					"Names that programs look up are captured, so that connections carry them; costs about a quarter of a microsecond a packet.",
				),
		})
		.prefault({})
		.describe("How events come out of the kernel."),
	scope: z
		.strictObject({
			pids: z
				.array(between(1, 4_194_304))
				.default([])
				.describe("Only these processes and all that they start; empty for all."),
			cgroups: z
				.array(path("A cgroup."))
				.default([])
				.describe("Only processes in these cgroups and below; empty for all."),
			paths: z
				.array(path("A file or directory."))
				.default([])
				.describe("Of opened files only those at or below these paths; empty for all."),
		})
		.prefault({})
		.describe("What to look at. Everything else stays in the kernel."),
	docker: z
		.strictObject({
			socket: path("Socket of the Docker engine.").default("/var/run/docker.sock"),
			enabled: z
				.boolean()
				.default(true)
				.describe("Ask Docker for the names of containers and let it pause them."),
		})
		.prefault({})
		.describe("Where containers are looked up."),
	content: z
		.strictObject({
			trust: z
				.array(path("PEM file of a public key."))
				.max(16)
				.default([])
				.describe(
					"PEM files of the Ed25519 public keys whose rules, policies and intelligence a console may deliver; empty for none.",
				),
		})
		.prefault({})
		.describe("Signed content that comes through consoles."),
	consoles: consolesSchema,
	spool: z
		.strictObject({
			max_bytes: between(4_194_304, 68_719_476_736)
				.default(536_870_912)
				.describe(
					"Size on the disk, in the state directory. When it is full the oldest of the least severe go first.",
				),
		})
		.prefault({})
		.describe("What waits for consoles and for syslog receivers on the network."),
	uplink: z
		.strictObject({
			user: z
				.string()
				.regex(/^([a-z_][a-z0-9_-]{0,31})?$/, "must be the name of a user")
				.default("")
				.describe("Runs as this user; empty for picket-uplink when there is one, else nobody. Never root."),
		})
		.prefault({})
		.describe("The process without rights that speaks with consoles and receivers, and serves the metrics."),
	sinks: sinksSchema,
	metrics: z
		.strictObject({
			listen: z
				.string()
				.refine((text) => text === "" || (splitHostPort(text) !== undefined && isLocal(text)), {
					message: "must be HOST:PORT of a loopback address",
				})
				.default("")
				.describe("Address for /metrics (Prometheus) and /healthz, such as 127.0.0.1:9469; empty for none."),
		})
		.prefault({})
		.describe("The sensor's account of itself over HTTP."),
	health: z
		.strictObject({
			canary_seconds: between(0, 3600)
				.default(30)
				.describe(
					"How often a program of the sensor's own (`true`) is executed and has to be seen; 0 for never.",
				),
			tamper_seconds: between(0, 3600)
				.default(30)
				.describe(
					"How often the sensor looks whether its hooks, tables, files and process are as it left them; 0 for never.",
				),
			status_seconds: between(0, 3600)
				.default(60)
				.describe("How often its status goes to the sinks that want records of that kind; 0 for never."),
		})
		.prefault({})
		.describe("How the sensor watches itself."),
	output: z
		.strictObject({
			events: z
				.union([z.enum(["none", "all"]), z.array(z.enum(eventNames))])
				.default("none")
				.describe(`Events to report besides alerts: none, all, or a list of ${eventNames.join(", ")}.`),
		})
		.prefault({})
		.describe("What is reported."),
	log: z
		.strictObject({
			level: z
				.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
				.default("info")
				.describe(
					"The least important message that is written: trace, debug, info, warn, error, fatal or silent.",
				),
			file: z.string().default("").describe("File for the sensor's own messages; empty for standard error."),
		})
		.prefault({})
		.describe("The sensor's own messages."),
	limits: z
		.strictObject({
			processes: between(1024, 4_194_304)
				.default(65_536)
				.describe("Processes remembered; the oldest ended go first."),
			containers: between(16, 65_536).default(4096).describe("Containers remembered."),
			alerts_per_minute: between(1, 100_000)
				.default(600)
				.describe("Alerts reported in a minute; more are counted."),
			rule_alerts_per_minute: between(1, 100_000)
				.default(100)
				.describe("Of them alerts of one rule, ten times as many of a critical one; more are counted."),
			rule_cpu_percent: between(1, 100)
				.default(10)
				.describe(
					"Of one core, over a minute: a rule that costs more is suspended for a while, and tried again.",
				),
			actions_per_minute: between(1, 1000)
				.default(60)
				.describe("Targets acted on in a minute; where rules want more, there are only alerts for a while."),
		})
		.prefault({})
		.describe("Bounds on memory and on haste."),
	respond: z
		.strictObject({
			ttl_seconds: between(1, 86_400)
				.default(3600)
				.describe("How long a response lasts when nobody says how long, in seconds."),
		})
		.prefault({})
		.describe("How the sensor acts."),
	protect: z
		.strictObject({
			addresses: z
				.array(z.string().min(1).refine(isHostOrNetwork, "must be an address, a network or a host name"))
				.default([])
				.describe("Addresses, networks and host names that are never blocked."),
			containers: list("Names or ids of containers that are never paused."),
			processes: list("Names or executables of processes that are never killed."),
		})
		.prefault({})
		.describe(
			"What is never touched, besides this host's own addresses, routers, name servers and SSH sessions.",
		),
});

export type Config = z.output<typeof configSchema>;

function isHostOrNetwork(text: string): boolean {
	// What looks like an address has to be one: a mistyped 10.0.0.1/8 must not pass for a host name.
	if (!/^[0-9./]+$|[:/]/.test(text))
		return /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?\.?$/.test(text);
	try {
		parseNetwork(text);
		return true;
	} catch {
		return false;
	}
}
