// What consoles may ask of a running sensor, put together: the desk that takes their commands, and what carries them out.
import { hostname } from "node:os";
import type { Logger } from "pino";
import type { Config } from "./config/load.ts";
import type * as wire from "./model/picket.v1.ts";
import { type ApplyContent, createCarryOut } from "./remote/carry-out.ts";
import { type CommandDesk, createCommandDesk } from "./remote/desk.ts";
import { createEvidence } from "./remote/evidence.ts";
import type { Sensor } from "./sensor-contract.ts";

export type Remote = CommandDesk;

export interface RemoteOptions {
	readonly sensor: Sensor;
	readonly config: Config;
	/** The newest alerts, actions and gaps, oldest first: for evidence. */
	readonly recent: () => readonly wire.OutputRecord[];
	/** Takes signed content; absent: refused. */
	readonly applyContent?: ApplyContent;
	/** Unix ms. */
	readonly clock: () => number;
	readonly logger: Logger;
}

export function createRemote({ sensor, config, recent, applyContent, clock, logger }: RemoteOptions): Remote {
	const stateDir = config.paths.state;
	const emit = (action: wire.Action): void => void sensor.output.emit({ action });
	const carryOut = createCarryOut({
		host: sensor,
		async order(order, context) {
			const action = await sensor.responder.order(order, { ...context, alertId: "", eventTime: undefined });
			emit(action);
			return action;
		},
		emit,
		status: sensor.board.status,
		startOf: sensor.startOf,
		evidence: createEvidence({
			stateDir,
			host: hostname(),
			clock,
			wire: sensor.wire,
			find: (pid) => sensor.enrichment.tree.get(pid),
			recent,
		}),
		mode: sensor.modeSwitch,
		inForce: () => sensor.responder.active().length,
		ttlSeconds: config.respond.ttl_seconds,
		applyContent,
	});
	return createCommandDesk({ stateDir, clock, logger, policy: () => sensor.policy().policy, carryOut, emit });
}
