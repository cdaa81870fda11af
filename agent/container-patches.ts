// Makes up for what was not known in time: when a container went out in an event or an alert by its id alone, an event
// with nothing but the container follows as soon as its runtime has told the rest.
import type * as wire from "./model/picket.v1.ts";
import type { Container } from "./model/process.ts";
import type { RecordBody } from "./report/record.ts";
import { containerToWire } from "./report/wire.ts";

export interface ContainerPatches {
	/** Called with every record that goes out. */
	sent(body: RecordBody): void;
	/** Called whenever facts of a container have come. */
	known(container: Container): void;
}

const maxWaiting = 1024;

export function createContainerPatches(emit: (body: RecordBody) => void): ContainerPatches {
	const waiting = new Set<string>();
	return {
		sent(body) {
			const container = (body.event ?? body.alert?.event)?.container;
			if (!container?.id || isComplete(container)) return;
			waiting.add(container.id);
			if (waiting.size <= maxWaiting) return;
			for (const oldest of waiting) {
				waiting.delete(oldest);
				return;
			}
		},
		known(container) {
			if (waiting.delete(container.id)) emit({ event: { container: containerToWire(container) } });
		},
	};
}

function isComplete({ name, image }: wire.Container): boolean {
	return name !== undefined && image !== undefined;
}
