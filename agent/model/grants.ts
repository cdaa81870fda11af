// What a console may ask a host for, in the words of the policy.

/** Apply: content from the console, by what it is. */
export const grants = [
	"query_processes",
	"query_connections",
	"query_containers",
	"query_counters",
	"block",
	"unblock",
	"pause",
	"resume",
	"kill",
	"take_evidence",
	"set_mode",
	"apply_rules",
	"apply_policy",
	"apply_intel",
] as const;
export type Grant = (typeof grants)[number];

/** They change nothing and cost little. Everything else a host's policy has to grant. */
export const queries: readonly Grant[] = [
	"query_processes",
	"query_connections",
	"query_containers",
	"query_counters",
];
