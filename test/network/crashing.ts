// A process with a real responder that blocks and unblocks until it kills itself at a given point: before, during or
// after a command, or wherever the clock is looked at (which is where ledger and audit are written).
// Arguments: state directory, root, network namespace, seed, point.
import { pino } from "pino";
import { createRunner } from "../../agent/respond/command.ts";
import { createResponder } from "../../agent/respond/responder.ts";
import { pool, random } from "./crash-rounds.ts";

const [stateDir = "", root = "", namespace = "", seed = "1", point = "1"] = process.argv.slice(2);
const next = random(Number(seed));
let left = Number(point);

function pass(): void {
	if (--left === 0) process.kill(process.pid, "SIGKILL");
}

const real = createRunner(["ip", "netns", "exec", namespace]);
const responder = createResponder({
	mode: () => "enforce",
	stateDir,
	logger: pino({ level: "silent" }),
	clock() {
		pass();
		return Date.now();
	},
	runtimes: () => [],
	processes: { open: () => 0, signal: () => {}, close: () => {}, exited: () => true },
	protectedExtra: () => ({ addresses: [], containers: [], processes: [] }),
	settings: { actionsPerMinute: 10_000 },
	async run(file, args, input) {
		pass();
		const result = real(file, args, input);
		pass();
		await result;
		pass();
		return result;
	},
	root,
});

const context = { requester: "cli", reason: "test", alertId: "", eventTime: undefined };
for (;;) {
	const address = pool[Math.floor(next() * pool.length)] ?? "";
	const order =
		next() < 0.6
			? ({ kind: "block", address, ttlSeconds: 600 } as const)
			: ({ kind: "unblock", address } as const);
	await responder.order(order, context);
}
