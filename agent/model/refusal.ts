// What the kernel itself is to refuse: the form in which policy and responses ask for it, and in which it answers.
import type { Network } from "./address.ts";

/** A program as the kernel can tell it when it is executed. */
export type ProgramMatch =
	/** Absolute, as the process sees it (latin1). */
	| { readonly by: "path"; readonly path: string }
	/** Everything below a directory; ends with "/". */
	| { readonly by: "directory"; readonly path: string }
	/** Last part of the path. */
	| { readonly by: "name"; readonly name: string }
	/** device: kernel-internal, as in an event. */
	| { readonly by: "inode"; readonly device: number; readonly inode: bigint }
	/**
	 * Written since the container was made: in its overlay's upper layer, or in memory (tmpfs, memfd). Volumes are not
	 * meant, and where a container's root is no overlay nothing is.
	 */
	| { readonly by: "not-from-image" }
	| { readonly by: "any" };

export interface PeerMatch {
	/** Undefined: any address of both families. */
	readonly network: Network | undefined;
	/** 0 to 65535, both included. */
	readonly lowPort: number;
	readonly highPort: number;
}

/** One thing to refuse. The kernel's own default, on any doubt, is to allow. */
export interface RefusalRule {
	/** For what is told afterwards: "policy/<scope>/<list>", or the id of an action. */
	readonly id: string;
	/** observe: let it pass and tell. */
	readonly mode: "observe" | "enforce";
	/**
	 * Ids of cgroups (v2), each with all below it; "host": every process outside of containers. A cgroup that is gone is
	 * passed over.
	 */
	readonly where: "host" | readonly number[];
	readonly what:
		| { readonly kind: "exec"; readonly deny: readonly ProgramMatch[] }
		/** Executions of anything else are refused. */
		| { readonly kind: "exec"; readonly allowOnly: readonly ProgramMatch[] }
		/** Connections and datagrams to these peers are refused. */
		| { readonly kind: "egress"; readonly deny: readonly PeerMatch[] }
		/** To anyone else; loopback stays allowed. */
		| { readonly kind: "egress"; readonly allowOnly: readonly PeerMatch[] }
		/** Everything a container sends, established flows included; but for loopback. */
		| { readonly kind: "isolate" };
	/** Unix ms from when on the kernel does not apply it any more, whether anybody tells it or not. */
	readonly deadline: number;
}

/** What the kernel has refused, or in observe mode would have. */
export interface Refusal {
	readonly id: string;
	readonly kind: "exec" | "egress";
	readonly refused: boolean;
	/** ns since boot. */
	readonly time: number;
	readonly pid: number;
	/** ns since boot, as Process.start. */
	readonly start: number;
	readonly cgroupId: number;
	/** Of an exec: the path (latin1). Of egress: "" */
	readonly path: string;
	/** Of egress: the peer. */
	readonly peer: { readonly network: Network; readonly port: number; readonly protocol: number } | undefined;
	/** How often since it was last told; floods are told once. */
	readonly count: number;
}

export type Means<By extends string> =
	| {
			readonly by: By;
			/** What it cannot do that better means can, "" for nothing. */
			readonly lost: string;
			/** What would bring that back. */
			readonly remedy: string;
	  }
	| { readonly lacking: string; readonly remedy: string };

/** Refusing in the kernel. Made over native/ by capture, used by respond and fed by policy. */
export interface Refuser {
	/** lsm: refused before it begins. kill: ended before its first instruction. Else why not. */
	readonly exec: Means<"lsm" | "kill">;
	readonly egress: Means<"cgroup">;
	/** Does what is in force outlive the sensor? */
	readonly outlives: boolean;
	/**
	 * Replaces all rules of an owner ("policy", or an action's id) at once; the rest stays. Throws an Error with a
	 * remedy when it cannot be put in force as a whole; then the owner's earlier ones stay.
	 */
	put(owner: string, rules: readonly RefusalRule[]): void;
	/**
	 * Ids of the cgroups of all containers there are: rules for the host leave them alone. Until it is told here, a
	 * container is part of the host.
	 */
	containers(ids: Iterable<number>): void;
	/** Asks the kernel: is it in force there right now? */
	holds(rule: RefusalRule): boolean;
	/** Has this owner rules in the kernel? Asks the kernel. */
	owns(owner: string): boolean;
	/** What was refused since the last call, oldest first, and how many more there was no room for. */
	drain(): { readonly refusals: readonly Refusal[]; readonly lost: number };
	/** Takes everything of ours out of the kernel, pins included. */
	release(): void;
	/** Lets go; what is in force stays until its deadline. */
	close(): void;
}
