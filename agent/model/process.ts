// A process as the agent remembers it, and the container around it.

/** What is known of one container. One object per container, filled in as facts arrive. */
export interface Container {
	/** Full id, 64 hex digits for Docker. */
	readonly id: string;
	runtime: string;
	/** Empty until the runtime has told. */
	name: string;
	/** As the user wrote it, "nginx:1.27". */
	image: string;
	imageId: string;
	labels: Readonly<Record<string, string>>;
	/** Of the Kubernetes pod it belongs to; empty outside pods and until known. */
	podName: string;
	podNamespace: string;
	podUid: string;
	privileged: boolean | undefined;
	/** Host paths mounted into it. */
	mounts: readonly { source: string; destination: string; writable: boolean }[];
	/** Unix ms; 0 when unknown. */
	created: number;
	/** True once the runtime's answer is in. */
	known: boolean;
}

export interface Cgroup {
	readonly id: number;
	readonly path: string;
	/** Undefined outside containers. */
	readonly container: Container | undefined;
}

/**
 * One process, key pid + start. Strings are latin1 (a character a byte). Read-only outside enrich/.
 * `args` holds argv; `parent` is the current parent as far as known.
 */
export interface Process {
	readonly pid: number;
	/** ns since boot. From /proc it has the precision of a clock tick (10 ms). */
	readonly start: number;
	readonly parent: Process | undefined;
	readonly parentPid: number;
	/**
	 * The process that started it, as it was then, whatever became of it: its maker even after another inherited it,
	 * of a `docker exec` the client that asked for it. Where the start was not seen: the parent.
	 */
	readonly origin: Process | undefined;
	/** Set when a runtime's API put it into its container; not on what it starts in turn. */
	readonly startedBy: StartedBy | undefined;
	readonly comm: string;
	/** Path of the executed file, as the process sees it. */
	readonly exe: string;
	readonly args: readonly string[];
	readonly argsTruncated: boolean;
	/** True length of argv in bytes. */
	readonly argsBytes: number;
	readonly cwd: string;
	readonly uid: number;
	readonly gid: number;
	readonly euid: number;
	readonly egid: number;
	/** Audit uid; -1 unset. */
	readonly loginUid: number;
	readonly sessionId: number;
	/** Kernel's device number of the controlling terminal, 0 for none; name such as "pts/3". */
	readonly tty: number;
	readonly ttyName: string;
	readonly namespacePid: number;
	/** Pids of the leaders of its session and its process group; 0 where not known. */
	readonly sessionLeader: number;
	readonly processGroup: number;
	/** Effective capabilities; the permitted and the inheritable ones below. */
	readonly capabilities: bigint;
	readonly capabilitiesPermitted: bigint;
	readonly capabilitiesInheritable: bigint;
	/** Standard input, output and error as the exec found them; empty where not known. */
	readonly streams: readonly StandardStream[];
	/** NAME=value each; only when capture was asked for it. */
	readonly environment: readonly string[];
	readonly namespaces: Readonly<Namespaces>;
	readonly device: number;
	readonly inode: bigint;
	/** Of the executed file: st_mode (0 where not known), owner, when it was changed and written, ns since 1970. */
	readonly fileMode: number;
	readonly fileUid: number;
	readonly fileGid: number;
	readonly fileChanged: number;
	readonly fileModified: number;
	/** The executed file is not from the container's image: it lies in overlayfs's upper layer. */
	readonly upperLayer: boolean;
	readonly fromMemfd: boolean;
	readonly unlinked: boolean;
	readonly rawPath: string;
	readonly interpreter: string;
	readonly previousExe: string;
	/** Time of the exec that made this image, ns since boot; equals start when it never execed. */
	readonly execTime: number;
	readonly cgroup: Cgroup | undefined;
	readonly fromProc: boolean;
	/** ns since boot; 0 while it runs. */
	readonly exited: number;
}

/** Who had a process started in a container through the runtime's API, which the kernel's ancestry does not show. */
export interface StartedBy {
	readonly kind: "docker exec";
	readonly execId: string;
	/** The process on this host that asked for it; undefined when none or several may have. */
	readonly client: Process | undefined;
}

/** What standard input, output or error is. */
export interface StandardStream {
	/** S_IFMT >> 12: 1 pipe, 2 character device, 4 directory, 6 block device, 8 file, 12 socket; 0 closed. */
	readonly type: number;
	readonly inode: number;
	/** Of a socket: AF_*; the rest is for AF_INET and AF_INET6. */
	readonly family: number;
	readonly remotePort: number;
	readonly localPort: number;
	/** 4 or 16 bytes in network order. */
	readonly remoteAddress: Buffer | undefined;
}

export interface Namespaces {
	mount: number;
	pid: number;
	network: number;
	user: number;
	uts: number;
	ipc: number;
	cgroup: number;
}

/**
 * What a runtime has told of one container. A field left out was not told: a start event knows name, image
 * and labels, an inspection everything.
 */
export interface ContainerFacts {
	readonly id: string;
	readonly runtime: string;
	readonly name?: string;
	readonly image?: string;
	readonly imageId?: string;
	readonly labels?: Container["labels"];
	readonly privileged?: boolean;
	readonly mounts?: Container["mounts"];
	/** Unix ms. */
	readonly created?: number;
}

/** What a runtime has told of one process it starts in a running container. `command` is latin1, its words joined by spaces. */
export interface ContainerExec {
	readonly containerId: string;
	readonly execId: string;
	readonly command: string;
	/** In the engine's pid namespace; 0 until the process runs. */
	readonly pid: number;
}
