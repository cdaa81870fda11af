// What the kernel has to deliver so that this policy can decide; everything else may stay there.
import type { EventName } from "../model/event.ts";
import { type Interest, noInterest, type OpenInterest, type PathInterest } from "../model/interest.ts";
import type { Glob } from "./glob.ts";
import { type Lists, restricts, type Scope } from "./policy.ts";

/** Of the scopes that are judged. Containers' images and making are told with events that always come. */
export function interestOf(scopes: readonly Scope[]): Interest {
	const kinds = new Set<EventName>();
	const some = (has: (scope: Scope) => boolean) => scopes.some(has);
	const executes = ({ processes, users, capabilities, notFromImage }: Scope) =>
		[processes, users, capabilities].some((lists: Lists<unknown>) => restricts(lists)) ||
		notFromImage !== undefined;
	if (some(executes)) kinds.add("exec");
	const writeOpens = openInterest(scopes, ({ writes }) => writes);
	const readOpens = openInterest(scopes, ({ reads }) => reads);
	if (writeOpens !== "none" || readOpens !== "none") kinds.add("open");
	const connects = some(({ peers }) => restricts(peers));
	if (connects) kinds.add("connect");
	if (some(({ incoming }) => restricts(incoming))) kinds.add("accept");
	if (some(({ listening }) => restricts(listening))) {
		kinds.add("listen");
		kinds.add("bind");
	}
	// An open that the kernel refused is neither a read nor a write.
	return {
		...noInterest,
		kinds,
		writeOpens,
		readOpens,
		connects: connects ? { ip: "all", unix: false } : noInterest.connects,
	};
}

function openInterest(scopes: readonly Scope[], of: (scope: Scope) => Scope["reads"]): OpenInterest {
	// What is not allowed is forbidden: every file has to be looked at.
	if (scopes.some((scope) => of(scope).allow !== undefined)) return "all";
	const globs = scopes
		.flatMap((scope) => [...(of(scope).deny ?? []), ...(of(scope).alert ?? [])])
		.map((line) => line.match);
	if (globs.length === 0) return "none";
	const all = { exact: [], prefixes: [], names: [], suffixes: [] } as Record<keyof PathInterest, string[]>;
	for (const glob of globs) {
		const [kind, text] = boundOf(glob) ?? [];
		if (kind === undefined || text === undefined) return "all";
		if (!all[kind].includes(text)) all[kind].push(text);
	}
	return all;
}

/** The cheapest bound that surely covers the glob; undefined when there is none. */
function boundOf(glob: Glob): [keyof PathInterest, string] | undefined {
	if (glob.exact) return ["exact", glob.literal];
	const tail = /[^*?]*$/.exec(glob.text)?.[0] ?? "";
	const bytes = Buffer.from(tail, "utf8").toString("latin1");
	const slash = bytes.lastIndexOf("/");
	// A whole base name is rarer than a directory: "/home/**/.ssh/authorized_keys".
	if (slash >= 0 && slash < bytes.length - 1) return ["names", bytes.slice(slash + 1)];
	if (glob.literal.length > 1) return ["prefixes", glob.literal];
	return bytes !== "" && slash < 0 ? ["suffixes", bytes] : undefined;
}
