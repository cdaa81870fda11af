// Services of others that the host and its containers use: time servers, and name servers that are not in the host's
// own resolv.conf. From configuration files and from the daemons themselves; read now and then, not at each order.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { RunCommand } from "./command.ts";
import { atMost } from "./host-names.ts";
import { readText } from "./procfs.ts";

export interface Service {
	/** An address, or a host name still to be resolved. */
	readonly name: string;
	readonly why: string;
}

const timeServer = "a time server of this host";
const nameServer = "a name server of this host's containers";

/** "server NAME", also "pool", "peer" and OpenNTPD's "servers". */
const ntpFiles = [
	"etc/chrony.conf",
	"etc/chrony/chrony.conf",
	"etc/chrony.d",
	"etc/chrony/conf.d",
	"etc/chrony/sources.d",
	"run/chrony-dhcp",
	"etc/ntp.conf",
	"etc/ntpsec/ntp.conf",
	"etc/ntpsec/ntp.d",
	"etc/ntpd.conf",
	"etc/openntpd/ntpd.conf",
];
/** "NTP=NAME…" and "FallbackNTP=NAME…". */
const timesyncFiles = [
	"etc/systemd/timesyncd.conf",
	"etc/systemd/timesyncd.conf.d",
	"run/systemd/timesyncd.conf.d",
	"usr/lib/systemd/timesyncd.conf.d",
	"run/systemd/netif/links",
	"run/systemd/netif/state",
];
const containerFolder = "var/lib/docker/containers";
const maxFiles = 1000;
const toolWithinMs = 1000;

/** `host`: where the host's /etc and /run lie below; `root`: the same for /proc. */
export async function readServices(
	root: string,
	host: string,
	run: RunCommand | undefined,
): Promise<Service[]> {
	const parts = await Promise.all([
		ntpServers(host),
		timesyncServers(host),
		dockerResolvers(host),
		...(run === undefined ? [] : [toldByChrony(host, run), toldByTimesync(host, run), routersOf(root, run)]),
	]);
	return parts.flat();
}

async function ntpServers(host: string): Promise<Service[]> {
	const texts = await textsOf(host, ntpFiles);
	const lines = texts.flatMap((text) => [...text.matchAll(/^\s*(?:servers?|pool|peer)\s+(\S+)/gim)]);
	return lines.map(([, name = ""]) => ({ name, why: timeServer }));
}

async function timesyncServers(host: string): Promise<Service[]> {
	const texts = await textsOf(host, timesyncFiles);
	const lines = texts.flatMap((text) => [...text.matchAll(/^\s*(?:Fallback)?NTP\s*=(.*)$/gm)]);
	const names = lines.flatMap(([, list = ""]) => list.trim().split(/\s+/));
	return names.filter((name) => name !== "").map((name) => ({ name, why: timeServer }));
}

/** Docker's own resolver in a container asks the servers of its resolv.conf, some of them only in a comment. */
async function dockerResolvers(host: string): Promise<Service[]> {
	const configured = await readText(host, "etc/docker/daemon.json");
	const ids = await namesIn(host, containerFolder);
	const texts = await textsOf(
		host,
		ids.map((id) => `${containerFolder}/${id}/resolv.conf`),
	);
	const names = texts.flatMap((text) => [
		...[...text.matchAll(/^nameserver\s+(\S+)/gm)].map(([, name = ""]) => name),
		...[...text.matchAll(/^# ExtServers: \[(.*)\]/gm)].flatMap(([, list = ""]) =>
			list.split(/\s+/).map((name) => name.replace(/^host\((.*)\)$/, "$1")),
		),
	]);
	return [...dnsOf(configured ?? "{}"), ...names].map((name) => ({ name, why: nameServer }));
}

function dnsOf(json: string): string[] {
	try {
		const { dns } = JSON.parse(json) as { dns?: unknown };
		return Array.isArray(dns) ? dns.map(String) : [];
	} catch {
		return [];
	}
}

/** Lines such as "^,*,192.0.2.1,2,6,377,…" (chronyc(1), -c). */
async function toldByChrony(host: string, run: RunCommand): Promise<Service[]> {
	if ((await namesIn(host, "run/chrony")).length === 0) return [];
	const lines = (await told(run, "chronyc", "-n", "-c", "sources")).split("\n");
	return lines.flatMap((line) => {
		const [mode, , name = ""] = line.split(",");
		return mode === "^" || mode === "=" ? [{ name, why: timeServer }] : [];
	});
}

async function toldByTimesync(host: string, run: RunCommand): Promise<Service[]> {
	if ((await namesIn(host, "run/systemd/timesync")).length === 0) return [];
	const name = (
		await told(run, "timedatectl", "show-timesync", "--property=ServerAddress", "--value")
	).trim();
	return name === "" ? [] : [{ name, why: timeServer }];
}

/** /proc has the routes of one table only, and of several next hops the first. */
async function routersOf(root: string, run: RunCommand): Promise<Service[]> {
	// Without any route there is nothing to ask for.
	if (!((await readText(root, "proc/net/route")) ?? "").includes("\t")) return [];
	const families = ["-4", "-6"].map((family) => told(run, "ip", family, "route", "show", "table", "all"));
	const text = (await Promise.all(families)).join("\n");
	return [...text.matchAll(/\bvia (?:inet6? )?(\S+)/g)].map(([, name = ""]) => ({
		name,
		why: "a router of this host",
	}));
}

/** What a tool prints; nothing when it is missing, fails or hangs: it is one source among several. */
async function told(run: RunCommand, file: string, ...args: string[]): Promise<string> {
	let text = "";
	const asked = run(file, args).then(
		({ code, stdout }) => {
			if (code === 0) text = stdout;
		},
		() => {},
	);
	await atMost(asked, toolWithinMs);
	return text;
}

/** Of files, and of the files in folders. */
async function textsOf(host: string, paths: readonly string[]): Promise<string[]> {
	const texts: string[] = [];
	for (const path of paths) {
		const inside = await namesIn(host, path);
		const files = inside.length === 0 ? [path] : inside.map((name) => `${path}/${name}`);
		for (const file of files) texts.push((await readText(host, file)) ?? "");
	}
	return texts;
}

/** None when it is no folder. */
async function namesIn(host: string, folder: string): Promise<string[]> {
	const names = await readdir(join(host, folder)).catch(() => []);
	return names.slice(0, maxFiles);
}
