// A little network of namespaces for the firewall tests: a host, two peers beside it and one machine behind it
// (the host routes). Nothing here touches the namespace the test itself runs in, apart from the names.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";

export const names = ["host", "near", "other", "inner"] as const;
export type Name = (typeof names)[number];

export interface Addresses {
	readonly v4: string;
	readonly v6: string;
}

export interface Network {
	/** Real name of a namespace, for `ip netns exec`. */
	name(of: Name): string;
	/** Prefix of a command that is to run in it. */
	inside(of: Name): string[];
	run(of: Name, file: string, ...args: string[]): string;
	/** Can `from` make a TCP connection to `address`? To the port where every machine answers, unless told. */
	connects(from: Name, address: string, port?: number): Promise<boolean>;
	/** Which of its source addresses can make a connection to `address`, one try each. */
	connectsFrom(from: Name, sources: readonly string[], address: string, port?: number): Promise<string[]>;
	/** An open connection that echoes. */
	open(from: Name, address: string, port?: number, source?: string): Promise<Connection>;
	destroy(): Promise<void>;
}

export interface Connection {
	/** Resolves true when the echo of a new line comes back within `ms`. */
	echoes(ms: number): Promise<boolean>;
	close(): Promise<void>;
}

export const port = 7077;
/** Address of each machine as seen by the others; the host is reached at its side of near's cable. */
export const addresses: Record<Name, Addresses> = {
	host: { v4: "10.77.1.1", v6: "fd77:1::1" },
	near: { v4: "10.77.1.2", v6: "fd77:1::2" },
	other: { v4: "10.77.2.2", v6: "fd77:2::2" },
	inner: { v4: "10.77.3.2", v6: "fd77:3::2" },
};

const server = `
require("node:net").createServer((s) => { s.on("error", () => {}); s.pipe(s); })
	.listen(${port}, "::", () => console.log("ready"));`;
const client = `
const s = require("node:net").connect(Number(process.argv[3]), process.argv[1]);
s.setTimeout(Number(process.argv[2]), () => process.exit(1));
s.on("error", () => process.exit(1)).on("connect", () => process.exit(0));`;
const prober = `
const [host, port] = process.argv.slice(1);
const sources = require("node:fs").readFileSync(0, "utf8").split("\\n").filter(Boolean);
const lane = async () => {
	for (let localAddress; (localAddress = sources.pop()) !== undefined; ) {
		await new Promise((done) => {
			const s = require("node:net").connect({ port: Number(port), host, localAddress });
			s.setTimeout(1500, () => s.destroy()).on("error", () => {}).on("close", done);
			s.on("connect", () => { console.log(localAddress); s.resetAndDestroy(); });
		});
	}
};
Promise.all(Array.from({ length: 400 }, lane));`;
const talker = `
const s = require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]), localAddress: process.argv[3] });
s.on("error", () => {}).on("close", () => console.log("closed")).on("connect", () => console.log("ready"));
s.on("data", (data) => process.stdout.write(data));
process.stdin.on("data", (data) => s.write(data));`;

export async function createNetwork(): Promise<Network> {
	const id = randomBytes(3).toString("hex");
	const made: string[] = [];
	const children: ChildProcess[] = [];
	const name = (of: Name) => `pk${id}-${of}`;
	const inside = (of: Name) => ["ip", "netns", "exec", name(of)];
	const ip = (...args: string[]) => execFileSync("ip", args, { encoding: "utf8", stdio: "pipe" });
	const run = (of: Name, file: string, ...args: string[]) =>
		execFileSync("ip", ["netns", "exec", name(of), file, ...args], { encoding: "utf8", stdio: "pipe" });

	function start(of: Name, script: string, ...args: string[]): ChildProcess {
		const [program = "ip", ...rest] = inside(of);
		const child = spawn(program, [...rest, process.execPath, "-e", script, ...args], {
			stdio: ["pipe", "pipe", "ignore"],
		});
		children.push(child);
		return child;
	}

	async function destroy(): Promise<void> {
		await Promise.all(children.map(ended));
		for (const one of made) ip("netns", "del", one);
	}

	function cable(peer: Exclude<Name, "host">, net: number): void {
		const end = `v${net}`;
		ip("-n", name("host"), "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name(peer));
		const ends = [
			[name("host"), end, 1],
			[name(peer), "eth0", 2],
		] as const;
		for (const [space, link, last] of ends) {
			ip("-n", space, "addr", "add", `10.77.${net}.${last}/24`, "dev", link);
			ip("-n", space, "addr", "add", `fd77:${net}::${last}/64`, "dev", link, "nodad");
			ip("-n", space, "link", "set", link, "up");
		}
		ip("-n", name(peer), "route", "add", "default", "via", `10.77.${net}.1`);
		ip("-n", name(peer), "-6", "route", "add", "default", "via", `fd77:${net}::1`);
	}

	try {
		for (const one of names) {
			ip("netns", "add", name(one));
			made.push(name(one));
			ip("-n", name(one), "link", "set", "lo", "up");
		}
		cable("near", 1);
		cable("other", 2);
		cable("inner", 3);
		run("host", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
		await Promise.all(names.map((one) => line(start(one, server), "ready")));
	} catch (error) {
		await destroy();
		throw error;
	}

	return {
		name,
		inside,
		run,
		connects: (from, address, to = port) =>
			new Promise((resolve) =>
				start(from, client, address, "600", String(to)).on("exit", (code) => resolve(code === 0)),
			),
		connectsFrom(from, sources, address, to = port) {
			const child = start(from, prober, address, String(to));
			child.stdin?.end(sources.join("\n"));
			let said = "";
			child.stdout?.on("data", (data) => {
				said += data;
			});
			return new Promise((resolve) =>
				child.on("close", () => resolve(said.split("\n").filter((line) => line !== ""))),
			);
		},
		async open(from, address, to = port, source = undefined) {
			const child = start(from, talker, address, String(to), ...(source === undefined ? [] : [source]));
			await line(child, "ready");
			let count = 0;
			return {
				close: () => ended(child),
				echoes(ms) {
					const word = `line ${++count}`;
					child.stdin?.write(`${word}\n`);
					return Promise.race([
						line(child, word).then(
							() => true,
							() => false,
						),
						new Promise<boolean>((resolve) => setTimeout(resolve, ms, false)),
					]);
				},
			};
		},
		destroy,
	};
}

/** Resolves when the child prints `wanted`; rejects when it ends before. */
function line(child: ChildProcess, wanted: string): Promise<void> {
	return new Promise((resolve, reject) => {
		if (child.stdout === null) return reject(new Error("no output"));
		const lines = createInterface(child.stdout);
		const end = () => reject(new Error(`ended before it said ${wanted}`));
		child.once("exit", end);
		lines.on("line", (text) => {
			if (text !== wanted) return;
			child.off("exit", end);
			lines.removeAllListeners();
			resolve();
		});
	});
}

function ended(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
	return new Promise((resolve) => {
		child.once("exit", () => resolve());
		child.kill("SIGKILL");
	});
}
