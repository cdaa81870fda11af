// Reads one record in place, straight out of the ring. Never throws, whatever the bytes are: move() refuses a
// record that is none, and a text that reaches outside its record is empty.
import { EventKind, eventNames, type ProcessEventView, Text } from "../model/event.ts";
import {
	cgroupEvent,
	eventHeader,
	execEvent,
	exitEvent,
	forkEvent,
	openEvent,
	standardStream,
} from "../model/layout.ts";
import type { Namespaces, StandardStream } from "../model/process.ts";
import { structs } from "../model/structs.ts";

const kinds = eventNames.length + 1;
const texts = Object.keys(Text).length;

/** Smallest size of a record of each kind, 0 for a kind that is none. */
const fixedBytes = new Uint16Array(kinds);
/** Where each kind keeps the place of each text, 0 for a text it does not have. */
const textAt = new Uint16Array(kinds * texts);
/** Where each kind keeps what several kinds have, 0 for one that does not. */
const resultAt = new Uint16Array(kinds);
const inodeAt = new Uint16Array(kinds);
const deviceAt = new Uint16Array(kinds);
const modeAt = new Uint16Array(kinds);
const familyAt = new Uint16Array(kinds);
const protocolAt = new Uint16Array(kinds);
const localPortAt = new Uint16Array(kinds);
const remotePortAt = new Uint16Array(kinds);
const localAddressAt = new Uint16Array(kinds);
const remoteAddressAt = new Uint16Array(kinds);
for (const name of eventNames) {
	const struct = structs[name];
	const kind = EventKind[name];
	fixedBytes[kind] = struct.bytes;
	for (const [text, index] of Object.entries(Text)) textAt[kind * texts + index] = struct[text] ?? 0;
	resultAt[kind] = struct.result ?? 0;
	inodeAt[kind] = struct.inode ?? 0;
	deviceAt[kind] = struct.device ?? 0;
	modeAt[kind] = struct.mode ?? 0;
	familyAt[kind] = struct.family ?? 0;
	protocolAt[kind] = struct.protocol ?? 0;
	localPortAt[kind] = struct.localPort ?? 0;
	remotePortAt[kind] = struct.remotePort ?? 0;
	localAddressAt[kind] = struct.localAddress ?? 0;
	remoteAddressAt[kind] = struct.remoteAddress ?? 0;
}

/** Rounding must not make 2^64 of what is below: no 64-bit field takes that. */
const largestLong = 2 ** 64 - 2 ** 11;

export class RecordView implements ProcessEventView {
	bytes: Buffer = Buffer.alloc(0);
	kind: EventKind = EventKind.exec;
	number = 0;
	#words = new Uint32Array(0);
	#halves = new Uint16Array(0);
	/** Of the record, in bytes; a multiple of 8, as the ring aligns records. */
	#at = 0;
	#size = 0;

	/** Names the memory records lie in; its size must be a multiple of 4. Bytes are little-endian. */
	attach(memory: ArrayBuffer): void {
		this.bytes = Buffer.from(memory);
		this.#words = new Uint32Array(memory);
		this.#halves = new Uint16Array(memory);
	}

	/**
	 * Moves to the record at `offset`, `size` bytes long. False when those bytes are no record: too short for
	 * their kind, of an unknown kind, or outside the memory.
	 */
	move(offset: number, size: number, number: number): boolean {
		if (offset % 8 !== 0 || offset + size > this.bytes.length || size < eventHeader.bytes) return false;
		const kind = this.#halves[(offset + eventHeader.kind) >> 1] as number;
		const least = kind < kinds ? (fixedBytes[kind] as number) : 0;
		if (least === 0 || size < least) return false;
		this.kind = kind as EventKind;
		this.number = number;
		this.#at = offset;
		this.#size = size;
		return true;
	}

	#word(offset: number): number {
		return this.#words[(this.#at + offset) >> 2] as number;
	}
	/** Exact up to 2^53: a time in ns since boot stays so for 104 days, and good enough to tell processes apart after. */
	#long(offset: number): number {
		const index = (this.#at + offset) >> 2;
		const value = (this.#words[index] as number) + (this.#words[index + 1] as number) * 0x1_0000_0000;
		return Math.min(value, largestLong);
	}
	#half(offset: number): number {
		return this.#halves[(this.#at + offset) >> 1] as number;
	}
	#exec(offset: number): number {
		return this.kind === EventKind.exec ? this.#word(offset) : 0;
	}
	#fork(offset: number): number {
		return this.kind === EventKind.fork ? this.#word(offset) : 0;
	}

	half(at: number): number {
		return this.#half(at);
	}
	word(at: number): number {
		return this.#word(at);
	}
	signed(at: number): number {
		return this.#word(at) | 0;
	}
	long(at: number): number {
		return this.#long(at);
	}
	big(at: number): bigint {
		return this.bytes.readBigUInt64LE(this.#at + at);
	}

	get time(): number {
		return this.#long(eventHeader.time);
	}
	get start(): number {
		return this.#long(eventHeader.start);
	}
	get cgroupId(): number {
		return this.#long(eventHeader.cgroupId);
	}
	get pid(): number {
		return this.#word(eventHeader.pid);
	}
	get tid(): number {
		return this.#word(eventHeader.tid);
	}
	get user(): number {
		return known(this.#word(eventHeader.user));
	}
	get effectiveUser(): number {
		return known(this.#word(eventHeader.effectiveUser));
	}
	get syscall(): number {
		return this.#half(eventHeader.syscall);
	}
	get flags(): number {
		return this.#word(eventHeader.flags);
	}

	textStart(field: Text): number {
		const at = textAt[this.kind * texts + field] as number;
		return at === 0 ? 0 : this.#at + this.#half(at);
	}
	textSize(field: Text): number {
		const at = textAt[this.kind * texts + field] as number;
		if (at === 0) return 0;
		const offset = this.#half(at);
		const size = this.#half(at + 2);
		return offset + size <= this.#size ? size : 0;
	}
	text(field: Text): string {
		const size = this.textSize(field);
		if (size === 0) return "";
		const start = this.textStart(field);
		return this.bytes.toString("latin1", start, start + size);
	}

	get repeats(): number {
		return this.kind === EventKind.open ? this.#word(openEvent.repeats) : 0;
	}
	get result(): number {
		const at = resultAt[this.kind] as number;
		return at === 0 ? 0 : this.#word(at) | 0;
	}
	get openFlags(): number {
		return this.kind === EventKind.open ? this.#word(openEvent.openFlags) : 0;
	}
	get mode(): number {
		const at = modeAt[this.kind] as number;
		return at === 0 ? 0 : this.#word(at);
	}
	get device(): number {
		const at = deviceAt[this.kind] as number;
		return at === 0 ? 0 : this.#word(at);
	}
	get inode(): number {
		const at = inodeAt[this.kind] as number;
		return at === 0 ? 0 : this.#long(at);
	}

	get family(): number {
		const at = familyAt[this.kind] as number;
		return at === 0 ? 0 : this.#half(at);
	}
	get protocol(): number {
		const at = protocolAt[this.kind] as number;
		return at === 0 ? 0 : this.#half(at);
	}
	get localPort(): number {
		const at = localPortAt[this.kind] as number;
		return at === 0 ? 0 : this.#half(at);
	}
	get remotePort(): number {
		const at = remotePortAt[this.kind] as number;
		return at === 0 ? 0 : this.#half(at);
	}
	get localAddressStart(): number {
		return this.#at + (localAddressAt[this.kind] as number);
	}
	get remoteAddressStart(): number {
		return this.#at + (remoteAddressAt[this.kind] as number);
	}

	get childPid(): number {
		return this.#fork(forkEvent.childPid);
	}
	get childStart(): number {
		return this.kind === EventKind.fork ? this.#long(forkEvent.childStart) : 0;
	}
	get childCgroupId(): number {
		return this.kind === EventKind.fork ? this.#long(forkEvent.childCgroupId) : 0;
	}
	get childNamespacePid(): number {
		return this.#fork(forkEvent.childNamespacePid);
	}
	get childParentPid(): number {
		return this.#fork(forkEvent.childParentPid);
	}
	get childPidNamespace(): number {
		return this.#fork(forkEvent.childPidNamespace);
	}

	get reaperPid(): number {
		return this.kind === EventKind.exit ? this.#word(exitEvent.reaperPid) : 0;
	}

	get cgroupOperation(): number {
		return this.kind === EventKind.cgroup ? this.#word(cgroupEvent.operation) : 0;
	}
	get targetCgroupId(): number {
		return this.kind === EventKind.cgroup ? this.#long(cgroupEvent.targetCgroupId) : 0;
	}

	get parentPid(): number {
		return this.#exec(execEvent.parentPid);
	}
	get parentStart(): number {
		return this.kind === EventKind.exec ? this.#long(execEvent.parentStart) : 0;
	}
	get namespacePid(): number {
		return this.#exec(execEvent.namespacePid);
	}
	get uid(): number {
		return this.#exec(execEvent.uid);
	}
	get gid(): number {
		return this.#exec(execEvent.gid);
	}
	get euid(): number {
		return this.#exec(execEvent.euid);
	}
	get egid(): number {
		return this.#exec(execEvent.egid);
	}
	get loginUid(): number {
		return this.#unset(execEvent.loginUid);
	}
	get sessionId(): number {
		return this.#unset(execEvent.sessionId);
	}
	#unset(offset: number): number {
		return known(this.#exec(offset));
	}
	get tty(): number {
		return this.#exec(execEvent.tty);
	}
	get argsBytes(): number {
		return this.#exec(execEvent.argsBytes);
	}
	get environmentBytes(): number {
		return this.#exec(execEvent.environmentBytes);
	}
	get capabilities(): bigint {
		return this.kind === EventKind.exec ? this.big(execEvent.capabilities) : 0n;
	}
	get capabilitiesPermitted(): bigint {
		return this.kind === EventKind.exec ? this.big(execEvent.permittedCapabilities) : 0n;
	}
	get capabilitiesInheritable(): bigint {
		return this.kind === EventKind.exec ? this.big(execEvent.inheritableCapabilities) : 0n;
	}
	get sessionLeader(): number {
		return this.#exec(execEvent.session);
	}
	get processGroup(): number {
		return this.#exec(execEvent.processGroup);
	}
	get fileMode(): number {
		return this.#exec(execEvent.fileMode);
	}
	get fileUid(): number {
		return this.#exec(execEvent.fileUid);
	}
	get fileGid(): number {
		return this.#exec(execEvent.fileGid);
	}
	get fileChanged(): number {
		return this.kind === EventKind.exec ? this.#long(execEvent.fileChanged) : 0;
	}
	get fileModified(): number {
		return this.kind === EventKind.exec ? this.#long(execEvent.fileModified) : 0;
	}
	streams(): StandardStream[] {
		if (this.kind !== EventKind.exec) return [];
		return [0, 1, 2].map((index) => this.#stream(execEvent.stream + index * standardStream.bytes));
	}
	#stream(at: number): StandardStream {
		const family = this.#half(at + standardStream.family);
		const start = this.#at + at + standardStream.remoteAddress;
		const size = family === 2 ? 4 : family === 10 ? 16 : 0;
		return {
			type: this.#half(at + standardStream.type),
			inode: this.#long(at + standardStream.inode),
			family,
			remotePort: this.#half(at + standardStream.remotePort),
			localPort: this.#half(at + standardStream.localPort),
			remoteAddress: size === 0 ? undefined : Buffer.from(this.bytes.subarray(start, start + size)),
		};
	}
	namespaces(): Namespaces {
		return {
			mount: this.#exec(execEvent.mountNamespace),
			pid: this.#exec(execEvent.pidNamespace),
			network: this.#exec(execEvent.networkNamespace),
			user: this.#exec(execEvent.userNamespace),
			uts: this.#exec(execEvent.utsNamespace),
			ipc: this.#exec(execEvent.ipcNamespace),
			cgroup: this.#exec(execEvent.cgroupNamespace),
		};
	}
}

/** All ones is the kernel's word for "none". */
function known(id: number): number {
	return id === 0xffff_ffff ? -1 : id;
}
