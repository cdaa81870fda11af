// Asks a runtime about a container that a cgroup has shown and no event of the runtime has told of: one started while
// the event stream was down, and all of Podman, whose service ends itself unless somebody listens to it.
import type { Container, ContainerFacts } from "./model/process.ts";

export type Inspect = (id: string) => Promise<ContainerFacts | undefined>;

export interface ContainerLookup {
	/** Asks a little later, unless all is known by then. Rejections are the runtime's own to log. */
	ask(container: Container): void;
	close(): void;
}

export interface ContainerLookupOptions {
	/** By runtime; one without is never asked about. */
	readonly runtimes: Readonly<Record<string, { inspect: Inspect; always: boolean }>>;
	onFacts(facts: ContainerFacts): void;
	/** ms. */
	readonly delay?: number;
}

const maxWaiting = 256;

export function createContainerLookup(options: ContainerLookupOptions): ContainerLookup {
	const { runtimes, onFacts } = options;
	const waiting = new Map<string, Container>();
	let timer: NodeJS.Timeout | undefined;
	let busy = false;
	let closed = false;
	const plan = (): void => {
		if (closed || busy || waiting.size === 0) return;
		timer ??= setTimeout(() => void askAll(), options.delay ?? 150).unref();
	};

	return {
		ask(container) {
			if (!Object.hasOwn(runtimes, container.runtime) || waiting.size >= maxWaiting) return;
			waiting.set(container.id, container);
			plan();
		},
		close() {
			closed = true;
			clearTimeout(timer);
			waiting.clear();
		},
	};

	async function askAll(): Promise<void> {
		timer = undefined;
		busy = true;
		for (const [id, container] of waiting) {
			waiting.delete(id);
			const runtime = runtimes[container.runtime];
			if (!runtime || (container.known && !runtime.always)) continue;
			const facts = await runtime.inspect(id).catch(() => undefined);
			if (facts && !closed) onFacts(facts);
		}
		busy = false;
		plan();
	}
}
