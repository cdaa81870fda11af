// In a pid namespace of its own: orders to kill a process whose pid belongs to another by the time of the kill.
// Prints how each ended and how often the wrong process did.
//   unshare --pid --fork --mount-proc node test/kernel/pid-reuse.ts ORDERS REUSE-PROGRAM
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { addon } from "../../agent/capture/addon.ts";
import { readIdentity } from "../../agent/respond/procfs.ts";
import { createResponder } from "../../agent/respond/responder.ts";

const orders = Number(process.argv[2]);
const program = process.argv[3] ?? "";
const pid = 5000;
const tickNs = 10_000_000;
const folder = mkdtempSync(join(tmpdir(), "picket-reuse-"));

// Asked without the event loop: the pid changes hands in the middle of a call of the responder's.
const [questions, answers] = ["questions", "answers"].map((name) => {
	spawnSync("mkfifo", [join(folder, name)]);
	return openSync(join(folder, name), "r+");
}) as [number, number];
const child = spawn(program, [String(pid)], { stdio: [questions, answers, "inherit"] });

function ask(letter: "n" | "a"): boolean {
	const answer = Buffer.alloc(1);
	writeSync(questions, letter);
	readSync(answers, answer);
	return answer.toString() === "y";
}

function renew(): void {
	for (let i = 0; i < 100; i++) if (ask("n")) return;
	throw new Error(`pid ${pid} cannot be had`);
}

/** The call at which the pid changes hands in this order; none: before it. */
let swapAt: "" | "open" | "opened" | "signal" = "";
function swap(at: typeof swapAt): void {
	if (at !== swapAt) return;
	swapAt = "";
	renew();
}

const responder = createResponder({
	mode: () => "enforce",
	stateDir: join(folder, "state"),
	logger: pino({ level: "silent" }),
	clock: Date.now,
	runtimes: () => [],
	processes: {
		open(meant) {
			swap("open");
			const pidfd = addon().pidfdOpen(meant);
			swap("opened");
			return pidfd;
		},
		signal(pidfd, signal) {
			swap("signal");
			addon().pidfdSignal(pidfd, signal);
		},
		close: addon().closeDescriptor,
		exited: addon().pidfdExited,
	},
	protectedExtra: () => ({ addresses: [], containers: [], processes: [] }),
	settings: { actionsPerMinute: 1e9 },
});

const byHand = { requester: "cli", reason: "test", alertId: "", eventTime: undefined };
const moments = ["", "open", "opened", "signal"] as const;
const ended: Record<string, number> = {};
let wrong = 0;
for (let i = 0; i < orders; i++) {
	renew();
	const start = (readIdentity("/", pid)?.startTicks ?? 0) * tickNs;
	const moment = moments[i % moments.length] ?? "";
	const tree = i % 8 >= 4;
	if (moment === "") renew();
	swapAt = moment;
	const { outcome, steps } = await responder.order({ kind: "kill", pid, start, tree }, byHand);
	if (swapAt !== "") throw new Error(`the pid never changed hands: ${steps?.join("; ")}`);
	if (!ask("a")) {
		wrong++;
		process.stderr.write(`${moment} ${tree}: ${steps?.join("; ")}\n`);
	}
	const how = `${moment || "before"} ${tree ? "tree" : "one"} ${outcome}`;
	ended[how] = (ended[how] ?? 0) + 1;
}
await responder.close();
child.kill("SIGKILL");
rmSync(folder, { recursive: true });
process.stdout.write(`${JSON.stringify({ orders, wrong, ended })}\n`);
