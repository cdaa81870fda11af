// A real rsyslog for one test: in the foreground, with a configuration, sockets and files of its own below a temporary
// folder. It writes what it understood as a JSON object a line, so that a test sees what a receiver sees.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pair } from "../report/certificates.ts";

/** As rsyslog has taken it apart. */
export interface Received {
	readonly pri: string;
	readonly facility: string;
	readonly severity: string;
	readonly host: string;
	readonly app: string;
	readonly pid: string;
	readonly id: string;
	readonly data: string;
	readonly time: string;
	readonly message: string;
}

export interface Rsyslog {
	readonly port: number;
	readonly tlsPort: number;
	/** As syslog daemons have it: the special parser of local messages. */
	readonly socket: string;
	/** With the parser of RFC 5424. */
	readonly plainSocket: string;
	received(): Received[];
	/** Lines of its output, unparsed. */
	lines(): string[];
	start(): Promise<void>;
	/** By SIGTERM, or another signal. */
	stop(signal?: NodeJS.Signals): Promise<void>;
	remove(): Promise<void>;
}

const program = "/usr/sbin/rsyslogd";

export async function makeRsyslog(tls?: Pair & { readonly ca: string }): Promise<Rsyslog> {
	if (!existsSync(program))
		throw new Error(`there is no ${program}: sh packaging/setup.sh --test installs it`);
	const folder = mkdtempSync(join(tmpdir(), "picket-rsyslog-"));
	const path = (name: string): string => join(folder, name);
	const [port, tlsPort] = [await freePort(), await freePort()];
	if (tls) for (const name of ["ca", "cert", "key"] as const) writeFileSync(path(name), tls[name]);
	writeFileSync(path("conf"), configuration(folder, port, tls ? tlsPort : 0));
	execFileSync(program, ["-N1", "-f", path("conf")], { stdio: ["ignore", "ignore", "pipe"] });
	let child: ChildProcess | undefined;
	let messages = "";
	const lines = (): string[] =>
		existsSync(path("out")) ? readFileSync(path("out"), "utf8").split("\n").slice(0, -1) : [];

	const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
		const ended = child;
		child = undefined;
		if (ended === undefined || ended.exitCode !== null || ended.signalCode !== null) return;
		const gone = new Promise((resolve) => ended.once("close", resolve));
		ended.kill(signal);
		const late = setTimeout(() => ended.kill("SIGKILL"), 10_000);
		await gone;
		clearTimeout(late);
	};
	return {
		port,
		tlsPort,
		socket: path("log"),
		plainSocket: path("plain"),
		lines,
		received: () => lines().map((line) => JSON.parse(line) as Received),
		async start() {
			const made = spawn(program, ["-n", "-f", path("conf"), "-i", path("pid")], {
				stdio: ["ignore", "ignore", "pipe"],
			});
			child = made;
			made.stderr?.setEncoding("utf8").on("data", (text: string) => {
				messages += text;
			});
			for (const end = Date.now() + 20_000; !existsSync(path("plain")) || !(await listens(port)); ) {
				if (Date.now() > end || made.exitCode !== null) throw new Error(`rsyslog did not start: ${messages}`);
				await new Promise((resolve) => setTimeout(resolve, 20));
			}
		},
		stop: async (signal) => {
			await stop(signal);
			rmSync(path("plain"), { force: true });
		},
		async remove() {
			await stop("SIGKILL");
			rmSync(folder, { recursive: true, force: true });
		},
	};
}

const properties: Readonly<Record<keyof Received, string>> = {
	pri: "pri",
	facility: "syslogfacility-text",
	severity: "syslogseverity-text",
	host: "hostname",
	app: "app-name",
	pid: "procid",
	id: "msgid",
	data: "structured-data",
	time: "timereported",
	message: "msg",
};

/** Nothing is escaped on the way in: what a name smuggles in is to be seen. */
function configuration(folder: string, port: number, tlsPort: number): string {
	const members = Object.entries(properties).map(
		([outname, name]) =>
			`property(outname="${outname}" name="${name}" format="jsonf"${name === "timereported" ? ' dateFormat="rfc3339"' : ""})`,
	);
	const files = ["CA", "Cert", "Key"].map(
		(name) => `defaultNetstreamDriver${name}File="${folder}/${name.toLowerCase()}"`,
	);
	return [
		`global(workDirectory="${folder}" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off"`,
		`${tlsPort > 0 ? files.join(" ") : ""})`,
		'module(load="imtcp")',
		'module(load="imudp")',
		'module(load="imuxsock" SysSock.Use="off")',
		`template(name="json" type="list" option.jsonf="on") {\n${members.join("\n")}\n}`,
		`ruleset(name="all") { action(type="omfile" file="${folder}/out" template="json" flushOnTXEnd="on") }`,
		`input(type="imtcp" port="${port}" address="127.0.0.1" ruleset="all")`,
		`input(type="imudp" port="${port}" address="127.0.0.1" ruleset="all")`,
		`input(type="imuxsock" socket="${folder}/log" ruleset="all")`,
		`input(type="imuxsock" socket="${folder}/plain" useSpecialParser="off" ignoreTimestamp="off" ruleset="all")`,
		tlsPort > 0
			? `input(type="imtcp" port="${tlsPort}" address="127.0.0.1" ruleset="all"
				streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")`
			: "",
		"",
	].join("\n");
}

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as { port: number };
	await new Promise((resolve) => server.close(resolve));
	return port;
}

/** By the kernel's own table: a connection made to try it would be one more in the log. */
async function listens(port: number): Promise<boolean> {
	const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
	return readFileSync("/proc/net/tcp", "utf8")
		.split("\n")
		.some((line) => line.includes(` ${local} `) && / 0A /.test(line));
}
