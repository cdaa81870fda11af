// The addon's contract. Every function is called on the main thread and does not block, but for the Sensor
// constructor, which loads and verifies the programs (some 0.1 s).

export interface LayoutMember {
	name: string;
	/** Bytes from the start of the struct. */
	offset: number;
	size: number;
}

export interface Layout {
	structs: { name: string; size: number; members: LayoutMember[] }[];
	enums: { name: string; values: Record<string, number> }[];
	/** 16 hex digits over all of the above. */
	hash: string;
}

/** Reads the event contract from a built object's own type information. Throws when it cannot be read. */
export function describeLayout(object: string): Layout;

export interface SensorOptions {
	/** Path of the compiled object. */
	object: string;
	/** Bytes, a power of two and a multiple of the page size. */
	ringBytes: number;
	/** Programs to load; the others stay out of the kernel. */
	programs: string[];
	/** Hash the caller's offsets were generated from; another one than the object's is refused. */
	layoutHash: string;
}

/** Error of this addon: `code` as listed, `program` set when one program was the cause. */
export interface NativeError extends Error {
	code: "LAYOUT" | "OPEN" | "LOAD" | "ATTACH" | "MAP" | "RING" | "SYSTEM";
	program?: string;
	errno?: number;
	/** What the kernel's verifier or libbpf said, last lines first come last. */
	log?: string;
}

export interface ProgramInfo {
	name: string;
	attached: boolean;
	/** Instructions the verifier walked. */
	verifiedInstructions: number;
	/** Runs the kernel skipped because the program was already running on that CPU. */
	missed: number;
}

/** A program in one place, as the kernel has it now. */
export interface HookState {
	program: string;
	/** As given to attach(), "" for none. */
	target: string;
	/** 0 when the kernel does not tell. */
	programId: number;
	/** 0 where the kernel has no link for it. */
	linkId: number;
	/** Why it does not run there; "" when it does. */
	problem: string;
}

export class Sensor {
	constructor(options: SensorOptions);
	/** The ring's data area, its beginning mapped behind it again so that no record wraps. Read-only: writing to it ends the process. */
	readonly ring: ArrayBuffer;
	/**
	 * Hooks one program up. `target`: of a program that is hooked up in several places which one, a tracepoint
	 * ("category/name") or the directory of a cgroup.
	 */
	attach(program: string, target?: string): void;
	/** Takes programs off again, all at once; they stay loaded. `target` as for attach(), "" for none. */
	detach(hooks: readonly { readonly program: string; readonly target: string }[]): void;
	/** Calls `ready` when the kernel wakes us, then every `drainMs` for as long as records come. */
	start(ready: () => void, drainMs: number): void;
	/**
	 * Fills `slots` with [offset, bytes] pairs of committed records in order and returns how many records.
	 * They stay valid until advance().
	 */
	read(slots: Uint32Array): number;
	/** Gives the space of everything read() returned back to the kernel. */
	advance(): void;
	/** Bytes waiting in the ring. */
	pending(): number;
	/** How often the ring made no sense and what was in it was skipped: an unknown number of records each time. */
	damages(): number;
	/** Writes the fields of struct class_counters for each kind 0..kinds-1, summed over CPUs. */
	counters(out: Float64Array): void;
	mapUpdate(map: string, key: Uint8Array, value: Uint8Array): void;
	/** False when there was no such key. */
	mapDelete(map: string, key: Uint8Array): boolean;
	programs(): ProgramInfo[];
	/** Asks the kernel about each hook; some microseconds each. */
	hookStates(): HookState[];
	/** The kernel's ids of the tables, by name. */
	mapIds(): Record<string, number>;
	/** Keys with their values, one behind the other, copied; not for tables with a value a CPU. */
	mapEntries(map: string): Uint8Array;
	/** Detaches everything; `ring` is empty afterwards. Idempotent. */
	close(): void;
}

export interface RefuserOptions {
	/** Path of the compiled second object. */
	object: string;
	layoutHash: string;
	/** Directory in a BPF file system for pins, which exists; "" to keep nothing longer than this process. */
	folder: string;
	/** Where cgroup2 is mounted. */
	cgroupRoot: string;
}

/**
 * The programs and maps that refuse. Nothing is in the kernel before load(). `cgroup`: the id of the cgroup a program
 * is hooked up to, 0 for the root, and for a program that is on no cgroup.
 */
export class Refuser {
	constructor(options: RefuserOptions);
	/** Takes over the maps that an earlier process has pinned; false when there are none. */
	adopt(): boolean;
	/** Loads what of these is not loaded yet. */
	load(programs: readonly string[]): void;
	/** Once more takes the place of the earlier without a gap. Throws with errno 2 when there is no such cgroup. */
	attach(program: string, cgroup: number): void;
	detach(program: string, cgroup: number): void;
	/** Asks the kernel whether it runs there. */
	attached(program: string, cgroup: number): boolean;
	mapUpdate(map: string, key: Uint8Array, value: Uint8Array): void;
	/** A key that is not there is none to delete. */
	mapDelete(map: string, key: Uint8Array): void;
	mapLookup(map: string, key: Uint8Array): Uint8Array | undefined;
	/** All keys, one behind the other. */
	mapKeys(map: string): Uint8Array;
	/** Records of refusals since the last call, copied. */
	read(): Uint8Array[];
	/** Lets go; what is pinned stays in force. Idempotent. */
	close(): void;
}

/** Opens a pidfd (close-on-exec). Throws with errno. */
export function pidfdOpen(pid: number): number;
export function pidfdSignal(pidfd: number, signal: number): void;
/** True once the process has ended. */
export function pidfdExited(pidfd: number): boolean;
export function closeDescriptor(descriptor: number): void;
/** Takes an exclusive lock on a file (made when missing) without waiting; -1 when another process has it. */
export function lockFile(path: string): number;
/** Sends a datagram to systemd's notify socket; false when there is none. */
export function notify(socket: string, text: string): boolean;
/** Who connected to the Unix socket behind this descriptor (SO_PEERCRED: effective ids at that moment). Throws with errno. */
export function peerCredentials(descriptor: number): { pid: number; uid: number; gid: number };
/** Bytes in a socket's send queue (SIOCOUTQ): over TCP those that the far kernel has not confirmed. Throws with errno. */
export function socketUnconfirmed(descriptor: number): number;
/** Gives memory that the C library keeps for later back to the kernel: loading the programs leaves some. */
export function trimMemory(): void;
/** CLOCK_BOOTTIME and CLOCK_REALTIME read together, ms. */
export function clocks(): { bootMs: number; realMs: number };
/** Of the calling thread, while it has the right to; false when it has not. */
export function dropBoundingSet(): boolean;
/**
 * Gives up for good what a network client does not need, for all threads (native/confine.cc). Afterwards what holds and
 * what could not be had, in words. Throws, and changes nothing, while a thread of the process has root's user or group.
 * `withParent`: it is ended when the one that started it is gone.
 */
export function confine(withParent: boolean): { holds: string[]; problems: string[] };
