// What the responder needs, and what it does for whoever holds it.
import type { Logger } from "pino";
import type * as wire from "../model/picket.v1.ts";
import type { Order, OrderContext, Responder } from "../model/verdict.ts";
import type { RefusalDeps } from "./acts-refusal.ts";
import type { Breaker } from "./breakers.ts";
import type { RunCommand } from "./command.ts";
import type { ConnectionDeps } from "./connections.ts";
import type { ContainerDeps, ContainerRuntime } from "./containers.ts";
import type { FirewallOptions } from "./firewall.ts";
import type { Inbound } from "./inbound.ts";
import type { KeeperOptions } from "./keeper.ts";
import type { KillDeps, ProcessSignaller } from "./kill.ts";
import type { Entry } from "./ledger.ts";
import type { Settings } from "./orders.ts";
import type { ProtectedExtra } from "./protect.ts";
import type { ReconcilerDeps, ReconcileTotals } from "./reconcile.ts";

export interface ResponderDeps {
	readonly mode: () => "observe" | "enforce";
	/** Holds audit.jsonl and responses.ledger. */
	readonly stateDir: string;
	readonly logger: Logger;
	/** Unix ms. */
	readonly clock: () => number;
	/** Asked anew for each order: an engine may start after the sensor. */
	readonly runtimes: () => readonly ContainerRuntime[];
	/** What the sensor has learned of a container, for when its engine is silent. */
	readonly recall?: NonNullable<ContainerDeps["recall"]>;
	readonly processes: ProcessSignaller;
	/** What the sensor knows to descend from a process (ns since boot), also where those between them have ended. */
	readonly descendants?: NonNullable<KillDeps["descendants"]>;
	/** Absent where nothing is refused in the kernel. */
	readonly refusals?: RefusalDeps | undefined;
	readonly protectedExtra: () => ProtectedExtra;
	readonly settings?: Partial<Settings>;
	/** Why local policy does not permit this order, undefined when it does. */
	readonly permitted?: (order: Order, context: OrderContext) => string | undefined;
	/** How many containers run (paused ones too): rules may have a share of them out of service. */
	readonly runningContainers?: () => number;
	/** Gets the actions that nobody ordered: the end of a block's time, a release by the kill switch. */
	readonly onAction?: (action: wire.Action) => void;
	/** The kill switch came, or went: what is in force besides orders has to follow. */
	readonly onKillSwitch?: (on: boolean) => void;
	/** From now on there are only alerts, from one rule or from all. */
	readonly onBreaker?: (breaker: Breaker) => void;
	readonly run?: RunCommand;
	readonly firewallVariant?: NonNullable<FirewallOptions["variant"]>;
	/** What comes of looking after the firewall from time to time. */
	readonly reconcile?: Pick<ReconcilerDeps, "onRepair" | "onProblem" | "periodMs">;
	/** A process of each container: in their network namespaces are connections too. */
	readonly containerPids?: NonNullable<ConnectionDeps["containerPids"]>;
	/** Lets what the kernel does not end be ended by somebody else when this process is dead; absent: nobody. */
	readonly keeper?: KeeperOptions;
	/** Where /proc, /etc and /run lie below. */
	readonly root?: string;
	readonly self?: number;
	readonly resolve?: (name: string) => Promise<readonly string[]>;
}

export interface HostResponder extends Responder {
	/**
	 * Makes audit, ledger and host agree after a crash; resolves with what was corrected. To be called once, at the
	 * start: orders that come meanwhile wait.
	 */
	recover(): Promise<wire.Action[]>;
	/** Undoes everything that is in force, whoever began it, and takes our part of the firewall away. */
	release(requester?: string): Promise<wire.Action[]>;
	/** What is in force now. */
	active(): readonly Entry[];
	/** Puts our part of the firewall right, now and from then on: after the start, and when another tool changed it. */
	reconcile(reason: string): Promise<void>;
	reconciled(): ReconcileTotals;
	/** Why there are only alerts now, from one rule or from all; empty when all is as usual. */
	breakers(): readonly Breaker[];
	/** Would any order of this rule be refused now? Then none need be given: a flood of refusals helps nobody. */
	alertOnly(rule: string): boolean;
	/** Path of the kill switch while it is there. */
	disabledBy(): string | undefined;
	/** Both in a sentence each, for the status. */
	problems(): string[];
	/** To be told of every connection that this host accepts. */
	readonly inbound: Inbound;
	/** Waits for running acts; later orders are refused. What is in force stays, with its time to live. */
	close(): Promise<void>;
}
