// Tells systemd how the service is doing (sd_notify(3)): ready, status, watchdog. How a datagram gets to the
// socket that NOTIFY_SOCKET names is the business of the function that is passed in.

export interface ServiceNotifierOptions {
	/** Sends one datagram; undefined when there is no way to, then everything here does nothing. */
	readonly notify: ((text: string) => void) | undefined;
	readonly environment: Readonly<Record<string, string | undefined>>;
	readonly pid?: number;
	/** For MONOTONIC_USEC of a reload: microseconds of CLOCK_MONOTONIC. */
	readonly monotonicMicroseconds?: () => bigint;
	/** A notification could not be sent; called for the first one only. */
	readonly onProblem?: (error: unknown) => void;
}

export interface ServiceNotifier {
	/** Whether systemd listens at all. */
	readonly active: boolean;
	/** ms after which systemd takes the service for dead; 0 when it does not watch. */
	readonly watchdogMs: number;
	ready(status: string): void;
	status(text: string): void;
	reloading(): void;
	stopping(): void;
	/** Keeps the watchdog content for as long as `healthy` says so, asked at a third of its time. */
	watch(healthy: () => boolean): void;
	close(): void;
}

export function createServiceNotifier(options: ServiceNotifierOptions): ServiceNotifier {
	const { notify, environment, pid = process.pid, onProblem } = options;
	const monotonic = options.monotonicMicroseconds ?? (() => process.hrtime.bigint() / 1000n);
	const active = notify !== undefined && (environment.NOTIFY_SOCKET ?? "") !== "";
	const watchdogMs = active ? watchdogTime(environment, pid) : 0;
	let timer: NodeJS.Timeout | undefined;
	let failed = false;
	let last = "";

	const send = (text: string): void => {
		if (!active) return;
		try {
			notify(text);
		} catch (error) {
			if (!failed) onProblem?.(error);
			failed = true;
		}
	};
	// A line is an assignment of its own: text with a line end could set others.
	const statusLine = (text: string): string => `STATUS=${text.replace(/[\r\n]+/g, " ")}`;
	return {
		active,
		watchdogMs,
		ready: (status) => send(`READY=1\n${statusLine(status)}`),
		status(text) {
			if (text !== last) send(statusLine(text));
			last = text;
		},
		reloading: () => send(`RELOADING=1\nMONOTONIC_USEC=${monotonic()}`),
		stopping: () => send("STOPPING=1"),
		watch(healthy) {
			clearInterval(timer);
			if (watchdogMs === 0) return;
			const tell = (): void => {
				if (healthy()) send("WATCHDOG=1");
			};
			tell();
			timer = setInterval(tell, Math.max(100, watchdogMs / 3)).unref();
		},
		close: () => clearInterval(timer),
	};
}

/** WATCHDOG_USEC, unless WATCHDOG_PID means another process (sd_watchdog_enabled(3)). */
function watchdogTime(environment: Readonly<Record<string, string | undefined>>, pid: number): number {
	const { WATCHDOG_USEC = "", WATCHDOG_PID = "" } = environment;
	if (!/^\d{1,15}$/.test(WATCHDOG_USEC) || (WATCHDOG_PID !== "" && WATCHDOG_PID !== String(pid))) return 0;
	return Number(WATCHDOG_USEC) / 1000;
}
