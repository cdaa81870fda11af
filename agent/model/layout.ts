// Generated from the built BPF object's own type information by `npm run setup`: byte offsets of every
// struct of bpf/event.h, and its constants. Not edited by hand.

export const layoutHash = "070b66ed89be632f";

export const cgroupEvent = {
	bytes: 56,
	header: 0,
	targetCgroupId: 40,
	operation: 48,
	path: 52,
} as const;

export const classCounters = {
	bytes: 40,
	generated: 0,
	submitted: 8,
	lost: 16,
	limited: 24,
	repeated: 32,
} as const;

export const connectEvent = {
	bytes: 88,
	header: 0,
	localAddress: 40,
	remoteAddress: 56,
	family: 72,
	protocol: 74,
	localPort: 76,
	remotePort: 78,
	result: 80,
	path: 84,
} as const;

export const eventHeader = {
	bytes: 40,
	time: 0,
	start: 8,
	cgroupId: 16,
	pid: 24,
	tid: 28,
	kind: 32,
	flags: 36,
} as const;

export const execEvent = {
	bytes: 160,
	header: 0,
	parentStart: 40,
	inode: 48,
	capabilities: 56,
	parentPid: 64,
	namespacePid: 68,
	device: 72,
	uid: 76,
	gid: 80,
	euid: 84,
	egid: 88,
	loginUid: 92,
	sessionId: 96,
	tty: 100,
	mountNamespace: 104,
	pidNamespace: 108,
	networkNamespace: 112,
	userNamespace: 116,
	utsNamespace: 120,
	ipcNamespace: 124,
	cgroupNamespace: 128,
	argsBytes: 132,
	comm: 136,
	path: 140,
	raw: 144,
	interpreter: 148,
	args: 152,
	cwd: 156,
} as const;

export const exitEvent = {
	bytes: 48,
	header: 0,
	result: 40,
	reaperPid: 44,
} as const;

export const forkEvent = {
	bytes: 72,
	header: 0,
	childStart: 40,
	childCgroupId: 48,
	childPid: 56,
	childNamespacePid: 60,
	childParentPid: 64,
	childPidNamespace: 68,
} as const;

export const nameKey = {
	bytes: 64,
	text: 0,
} as const;

export const openEvent = {
	bytes: 80,
	header: 0,
	inode: 40,
	device: 48,
	openFlags: 52,
	mode: 56,
	result: 60,
	repeats: 64,
	reserved: 68,
	path: 72,
	raw: 76,
} as const;

export const pathKey = {
	bytes: 132,
	prefixBits: 0,
	text: 4,
} as const;

export const settings = {
	bytes: 64,
	seed: 0,
	repeatWindow: 8,
	bulkBurst: 16,
	bulkRate: 24,
	eventMask: 28,
	wakeMask: 32,
	openMask: 36,
	connectMask: 40,
	scope: 44,
	sensorPid: 48,
	bulkLimit: 52,
	wakeLimit: 56,
	simulateLoss: 60,
} as const;

export const suffixKey = {
	bytes: 36,
	prefixBits: 0,
	text: 4,
} as const;

export const text = {
	bytes: 4,
	offset: 0,
	size: 2,
} as const;

export const connectInterest = {
	CONNECT_IP: 1,
	CONNECT_PORTS: 2,
	CONNECT_UNIX: 4,
} as const;

export const eventFlag = {
	FLAG_PATH_TRUNCATED: 1,
	FLAG_PATH_INCOMPLETE: 2,
	FLAG_RAW_UNREADABLE: 4,
	FLAG_ARGS_TRUNCATED: 8,
	FLAG_ARGS_UNREADABLE: 16,
	FLAG_PATH_IS_BASE: 32,
	FLAG_FROM_MEMFD: 64,
	FLAG_UNLINKED: 128,
	FLAG_PEER_FROM_USER: 256,
	FLAG_CWD_TRUNCATED: 512,
} as const;

export const eventKind = {
	EVENT_EXEC: 1,
	EVENT_FORK: 2,
	EVENT_EXIT: 3,
	EVENT_OPEN: 4,
	EVENT_CONNECT: 5,
	EVENT_CGROUP: 6,
	EVENT_KINDS: 7,
} as const;

export const openInterest = {
	OPEN_WRITE: 1,
	OPEN_READ: 2,
	OPEN_FAILED: 4,
	OPEN_PATHS: 8,
} as const;

export const scope = {
	SCOPE_PIDS: 1,
	SCOPE_CGROUPS: 2,
	SCOPE_PATHS: 4,
} as const;
