// Generated from the built BPF object's own type information by `npm run setup`: byte offsets of every
// struct of bpf/refusal.h, and its constants. Not edited by hand.

export const layoutHash = "2412c7f65d9be397";

export const refusalCounters = {
	bytes: 48,
	refused: 0,
	observed: 8,
	told: 16,
	repeated: 24,
	lost: 32,
	unchecked: 40,
} as const;

export const refusalEvent = {
	bytes: 80,
	time: 0,
	start: 8,
	cgroupId: 16,
	count: 24,
	rule: 32,
	generation: 36,
	pid: 40,
	kind: 44,
	refused: 48,
	family: 52,
	port: 54,
	protocol: 56,
	reserved: 60,
	address: 64,
} as const;

export const refusalInodeKey = {
	bytes: 16,
	inode: 0,
	device: 8,
	rule: 12,
} as const;

export const refusalNameKey = {
	bytes: 64,
	rule: 0,
	text: 4,
} as const;

export const refusalNetworkKey = {
	bytes: 28,
	prefixBits: 0,
	rule: 4,
	family: 8,
	address: 12,
} as const;

export const refusalPathKey = {
	bytes: 260,
	prefixBits: 0,
	rule: 4,
	text: 8,
} as const;

export const refusalPorts = {
	bytes: 64,
	count: 0,
	ranges: 4,
} as const;

export const refusalRule = {
	bytes: 296,
	deadline: 0,
	generation: 8,
	kind: 12,
	flags: 16,
	reserved: 20,
	owner: 24,
	id: 88,
} as const;

export const refusalScope = {
	bytes: 64,
	count: 0,
	rules: 4,
} as const;

export const refusalScopeKey = {
	bytes: 16,
	cgroup: 0,
	kind: 8,
	reserved: 12,
} as const;

export const refusalSettings = {
	bytes: 16,
	sensorStart: 0,
	sensorPid: 8,
	reserved: 12,
} as const;

export const refusalFlag = {
	REFUSAL_OBSERVE: 1,
	REFUSAL_ALLOW_ONLY: 2,
	REFUSAL_PATHS: 4,
	REFUSAL_NAMES: 8,
	REFUSAL_INODES: 16,
	REFUSAL_NOT_FROM_IMAGE: 32,
	REFUSAL_ANY: 64,
} as const;

export const refusalKind = {
	REFUSAL_EXEC: 1,
	REFUSAL_EGRESS: 2,
	REFUSAL_ISOLATE: 3,
} as const;
