// What no policy in force may keep the host from: its shell, container runtime, init, sshd, dynamic loader, libc and the
// sensor itself, and loopback. Told when a policy is loaded, with the line; the floor under every act is respond's.
import { existsSync, realpathSync } from "node:fs";
import { contains, parseNetwork } from "../model/address.ts";
import type { Problem } from "../model/verdict.ts";
import { type Glob, matchesText } from "./glob.ts";
import type { Peer } from "./peer.ts";
import type { Executable, Line, Scope } from "./policy.ts";

export interface HostFiles {
	/** Undefined when there is no such file; else its path with links followed. */
	real(path: string): string | undefined;
	/** The program that the sensor runs as. */
	readonly self: string;
}

export const thisHost: HostFiles = {
	real: (path) => (existsSync(path) ? realpathSync(path) : undefined),
	self: process.execPath,
};

const bins = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/"];
const inBins = (...names: readonly string[]) => names.flatMap((name) => bins.map((bin) => bin + name));
const programs: Readonly<Record<string, readonly string[]>> = {
	"its shell": inBins("sh", "bash", "dash"),
	"the container runtime": [
		...inBins("dockerd", "docker-proxy", "docker-init", "containerd", "runc", "crun", "podman", "conmon"),
		...inBins("containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2"),
		...["/usr/libexec/docker/docker-proxy", "/usr/libexec/podman/conmon"],
	],
	init: [...inBins("init"), "/lib/systemd/systemd", "/usr/lib/systemd/systemd"],
	sshd: [...inBins("sshd"), ...["sshd-session", "sshd-auth"].map((name) => `/usr/lib/openssh/${name}`)],
};
const libraryFolders = ["/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"];
const multiarch = ["x86_64-linux-gnu/", "aarch64-linux-gnu/", ""];
const libraryNames = [
	...["libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"],
	...["ld-musl-x86_64.so.1", "ld-musl-aarch64.so.1"],
];
const libraries = libraryFolders.flatMap((folder) =>
	multiarch.flatMap((below) => libraryNames.map((name) => folder + below + name)),
);

/** Of scopes that could act on the host itself. */
export function vitalProblems(scopes: readonly Scope[], host: HostFiles): Problem[] {
	const acting = scopes.filter(({ where, mode }) => where === "host" && mode === "enforce");
	if (acting.length === 0) return [];
	const vital = { ...programs, "Picket itself": [host.self] };
	const found = Object.entries(vital).map(([what, paths]) => ({ what, ...resolved(paths, host) }));
	const files = resolved(libraries, host);
	return acting.flatMap((scope) => [
		...programProblems(scope, [...found, { what: "the dynamic loader", ...files }]),
		...libraryProblems(scope, files),
		...loopbackProblems(scope),
	]);
}

interface Resolved {
	/** All there could be, as they are named and as links lead to. */
	readonly named: readonly string[];
	/** Those that are there, links followed: what an event names. */
	readonly present: readonly string[];
}

function resolved(paths: readonly string[], host: HostFiles): Resolved {
	const present = [...new Set(paths.flatMap((path) => host.real(path) ?? []))];
	return { named: [...new Set([...paths, ...present])], present };
}

function programProblems(scope: Scope, vital: readonly (Resolved & { what: string })[]): Problem[] {
	if (scope.onlyUsers?.every(({ uid }) => uid !== 0)) return [];
	const { deny, alert, allow, leftOut } = scope.processes;
	// Narrowed to programs, it is theirs alone, unless init or a shell are among them.
	const all = vital.flatMap(({ named }) => named);
	if (scope.onlyPrograms && !scope.onlyPrograms.some((each) => all.some((path) => isProgram(each, path))))
		return [];
	const denied = (deny ?? []).flatMap((line) => {
		const hit = vital.find(({ named }) => named.some((path) => isProgram(line.match, path)));
		return hit === undefined ? [] : [problemOf(scope, line, `denies the host ${hit.what}`)];
	});
	if (leftOut === undefined) return denied;
	const permitted = [...(alert ?? []), ...(allow ?? [])];
	const missing = vital.flatMap(({ what, present }) =>
		present
			.filter((path) => !permitted.some(({ match }) => isProgram(match, path)))
			.map((path) => `${path} (${what})`),
	);
	if (missing.length === 0) return denied;
	const names =
		missing.slice(0, 4).join(", ") + (missing.length > 4 ? `, and ${missing.length - 4} more` : "");
	return [...denied, problemOf(scope, leftOut, `leaves out what the host needs: ${names}`)];
}

function isProgram({ glob, byName }: Executable, path: string): boolean {
	return byName ? matchesText(glob, path, path.lastIndexOf("/") + 1) : matchesText(glob, path);
}

function libraryProblems(scope: Scope, { named, present }: Resolved): Problem[] {
	if (scope.onlyUsers?.every(({ uid }) => uid !== 0) || scope.onlyPrograms) return [];
	const { deny, alert, allow, leftOut } = scope.reads;
	const matches = (line: Line<Glob>, path: string) => matchesText(line.match, path);
	const denied = (deny ?? [])
		.filter((line) => named.some((path) => matches(line, path)))
		.map((line) => problemOf(scope, line, "keeps the host from reading libc or the dynamic loader"));
	const permitted = [...(alert ?? []), ...(allow ?? [])];
	const missing = leftOut && present.find((path) => !permitted.some((line) => matches(line, path)));
	if (leftOut === undefined || missing === undefined) return denied;
	return [...denied, problemOf(scope, leftOut, `leaves out what every program reads: ${missing}`)];
}

const loopbacks = ["127.0.0.1", "::1"].map((text) => parseNetwork(text));

function loopbackProblems(scope: Scope): Problem[] {
	const cuts = ({ network, lowPort, highPort }: Peer) =>
		lowPort <= 1 &&
		highPort === 65_535 &&
		(network === undefined || loopbacks.some((loopback) => contains(network, loopback)));
	return [scope.peers, scope.incoming].flatMap(({ deny }) =>
		(deny ?? [])
			.filter(({ match }) => cuts(match))
			.map((line) => problemOf(scope, line, "cuts the host off from itself (loopback)")),
	);
}

function problemOf(
	scope: Scope,
	line: Pick<Line<unknown>, "text" | "list" | "place" | "tier">,
	what: string,
): Problem {
	const subject =
		line.tier === "allow"
			? `${line.list} of "${scope.name}"`
			: `${line.text} in ${line.list} of "${scope.name}"`;
	return {
		...line.place,
		where: line.list,
		message: `${subject} ${what}`,
		remedy:
			line.tier === "allow"
				? "add it to the list, narrow the scope to a user or to containers, or set mode: observe on the scope"
				: "name less, narrow the scope to a user or to containers, or set mode: observe on the scope",
		level: "error",
	};
}
