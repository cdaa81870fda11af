// A whole sensor that reports to consoles of the test's own, over real TLS on loopback, and acts that it alerts of.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { type ConsoleOptions, type RunningConsole, startConsole } from "../../agent/console/console.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { picket, SensorProcess, type Started } from "./process.ts";

export interface Place {
	readonly folder: string;
	/** Runs a program that the sensor's rule "Marked program" alerts of, or "Whispered", which is of low severity. */
	act(word: string, whispered?: boolean): void;
	isAlert(word: string): (record: wire.OutputRecord) => boolean;
	/** Sees only what this process starts. */
	sensor(started?: Started): SensorProcess;
}

export function place(): Place {
	const folder = mkdtempSync(join(tmpdir(), "picket-delivery-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	const rule = (name: string, marked: string, priority: string) =>
		`- rule: ${name}\n  desc: d\n  condition: evt.type = execve and proc.args startswith "${folder}/${marked}"\n` +
		`  output: "%proc.cmdline"\n  priority: ${priority}\n`;
	writeFileSync(
		join(folder, "rules.yaml"),
		rule("Marked program", "loud", "CRITICAL") + rule("Whispered", "low", "NOTICE"),
	);
	return {
		folder,
		act: (word, whispered = false) => {
			execFileSync("/bin/echo", [`${folder}/${whispered ? "low" : "loud"}/${word}`]);
		},
		isAlert: (word) => (record) => record.alert?.event?.process?.args?.[1]?.endsWith(`/${word}`) === true,
		sensor(started = {}) {
			const scope = ["--scope-pid", String(process.pid), "--no-default-rules", "--events", "none"];
			const args = [...scope, "--rules", join(folder, "rules.yaml"), ...(started.args ?? [])];
			const sensor = new SensorProcess({ ...started, args });
			onTestFinished(() => sensor.dispose());
			return sensor;
		},
	};
}

export interface TestConsole extends RunningConsole {
	readonly records: wire.OutputRecord[];
	/** How streams ended; undefined: without a farewell. */
	readonly ends: (string | undefined)[];
	/** Streams that came. */
	readonly streams: () => number;
}

export async function consoleFor(more: Partial<ConsoleOptions> = {}): Promise<TestConsole> {
	const records: wire.OutputRecord[] = [];
	const ends: (string | undefined)[] = [];
	let streams = 0;
	const running = await startConsole({
		listen: "127.0.0.1:0",
		logger: pino({ level: "silent" }),
		onRecord: (record) => void records.push(record),
		onSensor(info, connected) {
			if (connected) streams++;
			else ends.push(info.farewell?.reason);
		},
		...more,
	});
	let open = true;
	const close = async (): Promise<void> => {
		if (open) await running.close();
		open = false;
	};
	onTestFinished(close);
	return { ...running, records, ends, streams: () => streams, close };
}

export async function statusFrom(sensor: SensorProcess): Promise<wire.Status> {
	return JSON.parse((await picket("status", "--json", "--socket", sensor.socket)).out) as wire.Status;
}

export async function untilStatus(
	sensor: SensorProcess,
	what: string,
	check: (status: wire.Status) => boolean,
): Promise<wire.Status> {
	for (const end = Date.now() + 60_000; ; ) {
		const status = await statusFrom(sensor);
		if (check(status)) return status;
		if (Date.now() > end)
			throw new Error(`waited in vain for ${what}\n${JSON.stringify(status)}\n${sensor.messages}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}
