// Random policies and acts for property tests; the same seed makes the same ones.
import type { Observation } from "../../../agent/model/event.ts";
import type { Container } from "../../../agent/model/process.ts";
import { connect, container, exec, open, process, socket } from "./rig.ts";

export class Random {
	#state: number;
	constructor(seed: number) {
		this.#state = seed >>> 0;
	}
	below(limit: number): number {
		this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
		return Math.floor((this.#state / 2 ** 32) * limit);
	}
	pick<T>(from: readonly T[]): T {
		return from[this.below(from.length)] as T;
	}
	some<T>(from: readonly T[], most: number): T[] {
		return Array.from({ length: this.below(most + 1) }, () => this.pick(from));
	}
}

const programs = ["nginx", "sh", "b*", "/usr/bin/*", "/usr/bin/nginx", "/opt/**", "/tmp/", "**/sh", "*"];
const paths = ["/etc/shadow", "/etc/", "/srv/**", "**/key", "/home/*/x"];
const peers = [
	"10.0.0.0/8",
	"10.0.0.0/8:443",
	"443",
	"8000-8100",
	"203.0.113.7",
	"2001:db8::/32",
	"127.0.0.1",
];
const entries: Readonly<Record<string, readonly string[]>> = {
	processes: programs,
	peers,
	incoming: peers,
	listening: peers,
	users: ["root", "www-data", "33", "1000"],
	capabilities: ["SYS_ADMIN", "CHOWN", "BPF", "NET_RAW"],
	images: ["nginx:*", "*", "shop/*"],
	mounts: ["/", "/etc", "/srv/", "**/docker.sock"],
};
/** Entries that nearly everything fits. */
const broad: Readonly<Record<string, string>> = {
	...{ processes: "*", peers: "0.0.0.0/0", incoming: "0.0.0.0/0", listening: "1-65535", users: "33" },
	...{ images: "*", mounts: "/**", files: "/**" },
};
const places = [
	"host",
	"containers",
	"containers",
	{ image: "nginx:*" },
	{ name: "web-*" },
	{ labels: { tier: "front" } },
];

export type Section = Record<string, string[]>;
export interface RandomScope {
	[section: string]: unknown;
}

/** Scopes as a file has them. Only observed, so that nothing vital is refused. */
export function randomScopes(random: Random): RandomScope[] {
	return Array.from({ length: 1 + random.below(4) }, (_, index) => {
		const scope: RandomScope = { name: `s${index}`, scope: random.pick(places), mode: "observe" };
		if (random.below(6) === 0) scope.user = random.pick(["root", "www-data"]);
		if (random.below(6) === 0) scope.program = random.pick(programs);
		for (const [section, from] of Object.entries(entries)) {
			if (random.below(2) > 0) continue;
			scope[section] = listsOf(random, ["allow", "alert", "deny"], from);
		}
		if (random.below(2) === 0) {
			const keys = ["allow", "alert", "deny"].flatMap((tier) => [`${tier}_read`, `${tier}_write`]);
			scope.files = listsOf(random, keys, paths);
		}
		return scope;
	});
}

function listsOf(random: Random, keys: readonly string[], from: readonly string[]): Section {
	return Object.fromEntries(
		keys.filter(() => random.below(4) > 0).map((key) => [key, random.some(from, 3)] as const),
	);
}

/** An entry that some allow list did not have before; undefined when there is no such list. */
export function addAllow(random: Random, scopes: readonly RandomScope[]) {
	const lists = scopes.flatMap((scope) =>
		[...Object.keys(entries), "files"].flatMap((section) =>
			Object.keys((scope[section] as Section | undefined) ?? {})
				.filter((key) => key.startsWith("allow"))
				.map((key) => ({ scope, section, key })),
		),
	);
	if (lists.length === 0) return undefined;
	const { scope, section, key } = random.pick(lists);
	const more = structuredClone(scopes) as RandomScope[];
	const list = (more[scopes.indexOf(scope)]?.[section] as Section | undefined)?.[key];
	const entry =
		(random.below(2) === 0 ? broad[section] : undefined) ?? random.pick(entries[section] ?? paths);
	list?.splice(random.below(list.length + 1), 0, entry);
	return { scopes: more, section, rule: `policy/${scope.name}/${section}.${key}` };
}

export function randomContainer(random: Random): Container {
	return container({
		image: random.pick(["nginx:1", "shop/web:2", "redis:7"]),
		name: random.pick(["web-1", "db"]),
		labels: random.pick<Container["labels"]>([{}, { tier: "front" }]),
		mounts: random.some(
			["/", "/etc", "/srv/x", "/run/docker.sock"].map((source) => ({
				source,
				destination: "/m",
				writable: true,
			})),
			2,
		),
	});
}

/** Kinds of acts by what they are judged on; the rest is judged on executions. */
const kinds = ["peers", "incoming", "listening", "files"];

/** `section`: what the act is about, more often than not. */
export function randomAct(random: Random, box: Container | undefined, section?: string): Observation {
	const exe = random.pick(["/usr/bin/nginx", "/usr/bin/sh", "/opt/a/b", "/tmp/x", ""]);
	const capability = () => (random.below(2) === 0 ? 0n : 1n << BigInt(random.pick([0, 13, 21, 39])));
	const actor = process(
		{
			...{ exe, comm: exe.slice(exe.lastIndexOf("/") + 1), euid: random.pick([0, 33, 1000]) },
			...{ capabilities: capability(), capabilitiesPermitted: capability() },
			previousExe: random.pick(["/usr/bin/nginx", "/usr/bin/sh", ""]),
		},
		box,
	);
	const address = random.pick([
		[10, 1, 2, 3],
		[203, 0, 113, 7],
		[8, 8, 8, 8],
		[127, 0, 0, 1],
	]);
	const port = random.pick([443, 8080, 22]);
	const wanted = section === undefined || random.below(4) === 0 ? random.below(6) : kinds.indexOf(section);
	switch (wanted) {
		case 0:
			return { ...connect(address, port), process: actor };
		case 1:
			return socket("accept", { remote: address.join("."), localPort: port }, actor);
		case 2:
			return socket(
				"listen",
				{ local: random.pick(["0.0.0.0", "127.0.0.1", "10.0.0.1"]), localPort: port },
				actor,
			);
		case 3:
			return open(
				random.pick(["/etc/shadow", "/srv/key", "/home/a/x", "/var/x"]),
				random.pick([0, 1, 2, 0x200]),
				actor,
			);
		default:
			return exec(actor);
	}
}
