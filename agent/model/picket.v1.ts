// Generated from proto/ by `npm run generate`. Canonical proto3 JSON: 64-bit integers and times are
// strings, enums are names, fields at their default may be absent.

export interface Event {
	id?: string;
	process?: Process;
	container?: Container;
	syscall?: string;
	throughIoUring?: boolean;
	processUncertain?: boolean;
	exec?: Exec;
	fork?: Fork;
	exit?: Exit;
	open?: Open;
	connect?: Connect;
	cgroup?: Cgroup;
	execFailed?: ExecFailed;
	rename?: FileChange;
	unlink?: FileChange;
	rmdir?: FileChange;
	mkdir?: FileChange;
	mknod?: FileChange;
	link?: FileChange;
	symlink?: FileChange;
	chmod?: FileChange;
	chown?: FileChange;
	truncate?: FileChange;
	setxattr?: FileChange;
	accept?: Socket;
	bind?: Socket;
	listen?: Socket;
	send?: Socket;
	socket?: Socket;
	dup?: Socket;
	dns?: Dns;
	setuid?: IdentityChange;
	setgid?: IdentityChange;
	capset?: IdentityChange;
	unshare?: NamespaceChange;
	setns?: NamespaceChange;
	ptrace?: ProcessTarget;
	vmWrite?: ProcessTarget;
	kill?: ProcessTarget;
	mount?: Mount;
	umount?: Mount;
	pivotRoot?: FileChange;
	chroot?: FileChange;
	module?: ModuleLoad;
	bpf?: BpfCall;
	memfd?: FileChange;
	userfaultfd?: SystemCall;
	protect?: MemoryProtection;
	ioUring?: SystemCall;
}

export interface Process {
	pid?: number;
	tid?: number;
	startTime?: string;
	parentPid?: number;
	name?: string;
	executable?: string;
	args?: string[];
	workingDirectory?: string;
	uid?: number;
	gid?: number;
	euid?: number;
	egid?: number;
	loginUid?: number;
	sessionId?: number;
	user?: string;
	loginUser?: string;
	tty?: string;
	namespacePid?: number;
	cgroupId?: string;
	cgroup?: string;
	namespaces?: Namespaces;
	executableId?: FileId;
	capabilities?: string;
	argsTruncated?: boolean;
	argsBytes?: number;
	fromProc?: boolean;
	parentNamespacePid?: number;
	session?: number;
	processGroup?: number;
	startedBy?: StartedBy;
}

export interface StartedBy {
	kind?: string;
	execId?: string;
	clientPid?: number;
	clientStartTime?: string;
	clientExecutable?: string;
	clientArgs?: string[];
}

export interface Namespaces {
	mount?: number;
	pid?: number;
	network?: number;
	user?: number;
	uts?: number;
	ipc?: number;
	cgroup?: number;
}

export interface FileId {
	device?: number;
	inode?: string;
}

export interface Container {
	id?: string;
	name?: string;
	image?: string;
	imageId?: string;
	labels?: Record<string, string>;
	runtime?: string;
	privileged?: boolean;
	composeProject?: string;
	composeService?: string;
	created?: string;
	podName?: string;
	podNamespace?: string;
	podUid?: string;
}

export interface Exec {
	path?: string;
	rawPath?: string;
	interpreter?: string;
	fromMemfd?: boolean;
	previousExecutable?: string;
	unlinked?: boolean;
	fileMode?: number;
	fileUid?: number;
	fileGid?: number;
	fileChanged?: string;
	fileModified?: string;
	upperLayer?: boolean;
	writable?: boolean;
	permittedCapabilities?: string;
	inheritableCapabilities?: string;
	streams?: StandardStream[];
	environment?: string[];
	environmentTruncated?: boolean;
	environmentBytes?: number;
}

export interface StandardStream {
	type?: string;
	inode?: string;
	family?: string;
	remoteAddress?: string;
	remotePort?: number;
	localPort?: number;
}

export interface ExecFailed {
	path?: string;
	rawPath?: string;
	args?: string[];
	argsTruncated?: boolean;
	argsBytes?: number;
	workingDirectory?: string;
	result?: string;
	returnValue?: number;
}

export interface Fork {
	childPid?: number;
	childNamespacePid?: number;
	childStartTime?: string;
}

export interface Exit {
	code?: number;
	signal?: number;
	coreDumped?: boolean;
}

export interface Open {
	path?: string;
	rawPath?: string;
	flags?: string[];
	mode?: number;
	file?: FileId;
	result?: string;
	returnValue?: number;
	repeats?: number;
	created?: boolean;
	pathUnverified?: boolean;
}

export interface FileChange {
	path?: string;
	rawPath?: string;
	targetPath?: string;
	rawTargetPath?: string;
	name?: string;
	file?: FileId;
	mode?: number;
	newMode?: number;
	newUid?: number;
	newGid?: number;
	size?: string;
	flags?: string[];
	result?: string;
	returnValue?: number;
	pathUnverified?: boolean;
	targetUnverified?: boolean;
}

export interface Connect {
	family?: string;
	protocol?: string;
	sourceAddress?: string;
	sourcePort?: number;
	destinationAddress?: string;
	destinationPort?: number;
	path?: string;
	result?: string;
	returnValue?: number;
	destinationUnverified?: boolean;
	destinationName?: string;
}

export interface Socket {
	family?: string;
	type?: string;
	protocol?: string;
	localAddress?: string;
	localPort?: number;
	remoteAddress?: string;
	remotePort?: number;
	path?: string;
	descriptor?: number;
	newDescriptor?: number;
	backlog?: number;
	result?: string;
	returnValue?: number;
	addressUnverified?: boolean;
	remoteName?: string;
}

export interface Dns {
	response?: boolean;
	id?: number;
	code?: string;
	questions?: DnsQuestion[];
	answers?: DnsAnswer[];
	localAddress?: string;
	localPort?: number;
	serverAddress?: string;
	serverPort?: number;
	truncated?: boolean;
	bytes?: number;
}

export interface DnsQuestion {
	name?: string;
	type?: string;
}

export interface DnsAnswer {
	name?: string;
	type?: string;
	data?: string;
	ttlSeconds?: number;
}

export interface IdentityChange {
	asked?: string[];
	uid?: number;
	gid?: number;
	euid?: number;
	egid?: number;
	savedUid?: number;
	savedGid?: number;
	fileUid?: number;
	fileGid?: number;
	capabilities?: string;
	permittedCapabilities?: string;
	inheritableCapabilities?: string;
	result?: string;
	returnValue?: number;
}

export interface NamespaceChange {
	flags?: string[];
	namespaces?: Namespaces;
	result?: string;
	returnValue?: number;
}

export interface ProcessTarget {
	targetPid?: number;
	targetTid?: number;
	targetStartTime?: string;
	targetNamespacePid?: number;
	targetUid?: number;
	targetEuid?: number;
	request?: string;
	signal?: string;
	address?: string;
	size?: string;
	result?: string;
	returnValue?: number;
	targetUnverified?: boolean;
}

export interface Mount {
	path?: string;
	rawPath?: string;
	source?: string;
	filesystem?: string;
	options?: string;
	flags?: string[];
	device?: number;
	result?: string;
	returnValue?: number;
	pathUnverified?: boolean;
}

export interface ModuleLoad {
	operation?: ModuleLoadOperation;
	name?: string;
	path?: string;
	file?: FileId;
	args?: string;
	flags?: string[];
	result?: string;
	returnValue?: number;
}

export type ModuleLoadOperation =
	| "OPERATION_UNSPECIFIED"
	| "OPERATION_LOADED"
	| "OPERATION_REMOVED";

export interface BpfCall {
	command?: string;
	type?: string;
	name?: string;
	id?: number;
	result?: string;
	returnValue?: number;
}

export interface SystemCall {
	arguments?: string[];
	result?: string;
	returnValue?: number;
}

export interface MemoryProtection {
	address?: string;
	size?: string;
	protection?: string[];
	previousProtection?: string[];
	flags?: string[];
	path?: string;
	file?: FileId;
	written?: boolean;
	result?: string;
	returnValue?: number;
}

export interface Cgroup {
	operation?: CgroupOperation;
	id?: string;
	path?: string;
}

export type CgroupOperation =
	| "OPERATION_UNSPECIFIED"
	| "OPERATION_CREATED"
	| "OPERATION_REMOVED";

export interface CheckRequest {

}

export interface CheckResponse {
	state?: CheckResponseState;
	version?: string;
	sensors?: number;
}

export type CheckResponseState =
	| "STATE_UNSPECIFIED"
	| "STATE_SERVING"
	| "STATE_NOT_SERVING";

export interface OutputRecord {
	time?: string;
	host?: string;
	sequence?: string;
	event?: Event;
	alert?: Alert;
	incident?: Incident;
	action?: Action;
	gap?: Gap;
	status?: Status;
}

export type Severity =
	| "SEVERITY_UNSPECIFIED"
	| "SEVERITY_INFORMATIONAL"
	| "SEVERITY_LOW"
	| "SEVERITY_MEDIUM"
	| "SEVERITY_HIGH"
	| "SEVERITY_CRITICAL";

export type Origin =
	| "ORIGIN_UNSPECIFIED"
	| "ORIGIN_PICKET"
	| "ORIGIN_FALCO"
	| "ORIGIN_SIGMA"
	| "ORIGIN_POLICY";

export interface Alert {
	id?: string;
	rule?: string;
	origin?: Origin;
	severity?: Severity;
	priority?: string;
	summary?: string;
	description?: string;
	tactics?: string[];
	techniques?: string[];
	tags?: string[];
	event?: Event;
	ancestors?: Process[];
	fields?: Record<string, string>;
	dedupKey?: string;
	count?: number;
	responses?: string[];
	eventsLost?: string;
	ruleId?: string;
	author?: string;
	references?: string[];
	correlation?: Correlation;
	falsePositives?: string[];
}

export interface Correlation {
	type?: string;
	value?: number;
	matches?: number;
	eventIds?: string[];
	group?: Record<string, string>;
	first?: string;
	last?: string;
	rules?: string[];
}

export interface Incident {
	id?: string;
	severity?: Severity;
	summary?: string;
	alertIds?: string[];
}

export interface Action {
	id?: string;
	kind?: ActionKind;
	outcome?: ActionOutcome;
	target?: string;
	targetName?: string;
	reason?: string;
	requester?: string;
	alertId?: string;
	expires?: string;
	secondsToEffect?: number;
	steps?: string[];
	undo?: string;
	evidence?: string[];
}

export type ActionKind =
	| "KIND_UNSPECIFIED"
	| "KIND_BLOCK"
	| "KIND_UNBLOCK"
	| "KIND_PAUSE"
	| "KIND_RESUME"
	| "KIND_KILL"
	| "KIND_KILL_TREE"
	| "KIND_STOP"
	| "KIND_START"
	| "KIND_RESTART"
	| "KIND_REMOVE"
	| "KIND_DISCONNECT"
	| "KIND_RECONNECT"
	| "KIND_REFUSE_EGRESS"
	| "KIND_PERMIT_EGRESS"
	| "KIND_REFUSE_EXEC"
	| "KIND_PERMIT_EXEC"
	| "KIND_CUT"
	| "KIND_SET_MODE"
	| "KIND_TAKE_EVIDENCE"
	| "KIND_APPLY_CONTENT";

export type ActionOutcome =
	| "OUTCOME_UNSPECIFIED"
	| "OUTCOME_WOULD_ACT"
	| "OUTCOME_VERIFIED"
	| "OUTCOME_NO_EFFECT"
	| "OUTCOME_FAILED"
	| "OUTCOME_REFUSED"
	| "OUTCOME_UNCHANGED";

export interface Gap {
	from?: string;
	to?: string;
	where?: string;
	lost?: LossCount[];
}

export interface LossCount {
	class?: string;
	count?: string;
}

export interface Status {
	version?: string;
	started?: string;
	bootId?: string;
	kernel?: string;
	architecture?: string;
	mode?: string;
	pid?: number;
	capabilities?: Capability[];
	counters?: ClassCounters[];
	rules?: RuleTotals;
	sinks?: SinkStatus[];
	resources?: Resources;
	tables?: Table[];
	alerts?: string;
	actions?: string;
	problems?: string[];
	eventRate?: number;
	reload?: Reload;
	lagMs?: number;
	contentHashes?: Record<string, string>;
	canary?: Canary;
	spool?: Spool;
	uplink?: Uplink;
	delivered?: DeliveredContent[];
	captureOnly?: string;
}

export interface DeliveredContent {
	kind?: string;
	version?: string;
	previous?: string;
	highest?: string;
	author?: string;
	probationUntil?: string;
	problem?: string;
}

export interface Canary {
	time?: string;
	seen?: boolean;
	seconds?: number;
	problem?: string;
	sent?: string;
	missed?: string;
}

export interface Spool {
	records?: string;
	bytes?: string;
	capacityBytes?: string;
	dropped?: Record<string, string>;
	quarantined?: string;
	oldest?: string;
	problem?: string;
}

export interface Uplink {
	pid?: number;
	user?: string;
	residentBytes?: string;
	restarts?: number;
	confinement?: string[];
	problem?: string;
}

export interface Reload {
	time?: string;
	outcome?: ReloadOutcome;
	requester?: string;
	message?: string;
	came?: string[];
	went?: string[];
	changed?: string[];
	problems?: string[];
	kept?: string[];
	seconds?: number;
}

export type ReloadOutcome =
	| "OUTCOME_UNSPECIFIED"
	| "OUTCOME_APPLIED"
	| "OUTCOME_UNCHANGED"
	| "OUTCOME_REFUSED";

export interface Capability {
	name?: string;
	available?: boolean;
	tier?: string;
	lost?: string;
	remedy?: string;
}

export interface ClassCounters {
	class?: string;
	generated?: string;
	delivered?: string;
	lost?: string;
	suppressed?: string;
	pending?: string;
	limited?: string;
}

export interface RuleTotals {
	evaluable?: number;
	degraded?: number;
	notEvaluable?: number;
	error?: number;
	contentHash?: string;
	suspended?: string[];
	limited?: Record<string, string>;
}

export interface SinkStatus {
	name?: string;
	connected?: boolean;
	sent?: string;
	acknowledged?: string;
	queued?: string;
	lost?: string;
	problem?: string;
}

export interface Resources {
	cpuSeconds?: number;
	cpuShare?: number;
	residentBytes?: string;
}

export interface Table {
	name?: string;
	size?: string;
	capacity?: string;
	evicted?: string;
}

export interface EnrolRequest {
	token?: string;
	request?: string;
	hostId?: string;
	host?: string;
}

export interface EnrolResponse {
	certificate?: string;
	authorities?: string;
	addresses?: string[];
	serverName?: string;
}

export interface RenewRequest {
	request?: string;
}

export interface RenewResponse {
	certificate?: string;
	authorities?: string;
	revoked?: string;
}

export interface ConnectRequest {
	hello?: Hello;
	batch?: Batch;
	result?: CommandResult;
	heartbeat?: Heartbeat;
	farewell?: Farewell;
}

export interface ConnectResponse {
	welcome?: Welcome;
	acknowledgement?: Acknowledgement;
	command?: Command;
	heartbeat?: Heartbeat;
}

export interface Hello {
	hostId?: string;
	bootId?: string;
	host?: string;
	version?: string;
	kernel?: string;
	architecture?: string;
	capabilities?: Capability[];
	contentHashes?: Record<string, string>;
	mode?: string;
}

export interface Welcome {
	console?: string;
	lastSequence?: string;
}

export interface Batch {
	records?: OutputRecord[];
	bootId?: string;
	ahead?: boolean;
}

export interface Acknowledgement {
	lastSequence?: string;
	bootId?: string;
}

export interface Heartbeat {
	time?: string;
	status?: Status;
}

export interface Farewell {
	reason?: FarewellReason;
	message?: string;
}

export type FarewellReason =
	| "REASON_UNSPECIFIED"
	| "REASON_STOPPED"
	| "REASON_LOST";

export interface Command {
	id?: string;
	expires?: string;
	requester?: string;
	block?: Block;
	unblock?: Unblock;
	pause?: Pause;
	resume?: Resume;
	kill?: Kill;
	queryProcesses?: QueryProcesses;
	queryConnections?: QueryConnections;
	queryContainers?: QueryContainers;
	queryCounters?: QueryCounters;
	takeEvidence?: TakeEvidence;
	setMode?: SetMode;
	applyContent?: ApplyContent;
}

export interface Block {
	address?: string;
	ttlSeconds?: number;
	reason?: string;
}

export interface Unblock {
	address?: string;
}

export interface Pause {
	container?: string;
	reason?: string;
}

export interface Resume {
	container?: string;
}

export interface Kill {
	pid?: number;
	startTime?: string;
	reason?: string;
}

export interface QueryProcesses {
	contains?: string;
	limit?: number;
}

export interface QueryConnections {
	pid?: number;
	limit?: number;
}

export interface QueryContainers {
	contains?: string;
	limit?: number;
}

export interface QueryCounters {

}

export interface TakeEvidence {
	pid?: number;
	startTime?: string;
	reason?: string;
}

export interface SetMode {
	mode?: string;
	reason?: string;
}

export interface ApplyContent {
	content?: string;
	signature?: string;
}

export interface Content {
	kind?: string;
	version?: string;
	created?: string;
	author?: string;
	files?: ContentFile[];
}

export interface ContentFile {
	name?: string;
	text?: string;
}

export interface CommandResult {
	commandId?: string;
	accepted?: boolean;
	message?: string;
	action?: Action;
	processes?: Process[];
	connections?: Connection[];
	containers?: ContainerState[];
	status?: Status;
	evidence?: Evidence;
}

export interface Connection {
	protocol?: string;
	localAddress?: string;
	localPort?: number;
	remoteAddress?: string;
	remotePort?: number;
	state?: string;
	pid?: number;
	executable?: string;
	containerId?: string;
}

export interface ContainerState {
	container?: Container;
	processes?: number;
}

export interface Evidence {
	id?: string;
	path?: string;
	sha256?: string;
	content?: string;
	truncated?: boolean;
}
