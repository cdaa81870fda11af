// What asks a running sensor to read rules and policy again: SIGHUP and changed files. The command comes through the
// control socket. Tells systemd meanwhile.
import { isatty } from "node:tty";
import type { ServiceNotifier } from "../health/systemd.ts";
import type { Reloader, Requester } from "../reload.ts";
import { watchFiles } from "../watch.ts";

export interface Reloading {
	close(): void;
}

export interface ReloadingOptions {
	readonly reloader: Reloader;
	readonly service: Pick<ServiceNotifier, "reloading" | "ready">;
	/** The terminal the sensor was started in is gone. */
	onHangup(): void;
}

export function startReloading({ reloader, service, onHangup }: ReloadingOptions): Reloading {
	const reload = async (requester: Requester): Promise<void> => {
		service.reloading();
		await reloader.reload(requester);
		service.ready("watching");
	};
	const hadTerminal = isatty(1);
	const onSignal = (): void => {
		// The same signal says that the terminal has been closed; then it is none any more.
		if (hadTerminal && !isatty(1)) onHangup();
		else void reload("signal");
	};
	process.on("SIGHUP", onSignal);
	const watch = watchFiles({ paths: reloader.watched, onChange: () => void reload("files") });
	return {
		close() {
			watch.close();
			process.off("SIGHUP", onSignal);
		},
	};
}
