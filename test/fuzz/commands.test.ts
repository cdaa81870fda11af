// A hostile console against the desk in the core, on real files: nothing that is not granted is ever done, nothing twice,
// each command has one result, and the audit's chain holds.
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { loadPolicy } from "../../agent/policy/load.ts";
import { createCommandDesk } from "../../agent/remote/desk.ts";
import { verifyAuditFile } from "../../agent/respond/audit-read.ts";
import { seeded } from "../unit/report/samples.ts";
import { seed, soak, tell, timeout } from "./counts.ts";

const rounds = soak ? 100_000 : 3000;
const begin = Date.parse("2026-01-02T03:04:05Z");
/** Of queries and block, which hq may. */
const granted = new Set(["queryProcesses", "queryConnections", "queryContainers", "queryCounters", "block"]);

it(`a hostile console with ${rounds} commands has no effect that it is not granted`, {
	timeout,
}, async () => {
	const stateDir = mkdtempSync(join(tmpdir(), "picket-commands-"));
	onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
	const random = seeded(seed);
	const pick = <T>(...from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
	const { policy } = loadPolicy(
		"console: {may: [query_processes, query_connections, query_containers, query_counters], names: {hq: {may: [block]}}}",
		"policy.yaml",
	);
	if (policy === undefined) throw new Error("policy");
	let now = begin;
	const done = new Set<string>();
	const wrong: string[] = [];
	const open = () =>
		createCommandDesk({
			stateDir,
			clock: () => now,
			logger: pino({ level: "silent" }),
			policy: () => policy,
			emit: (action) => {
				if (action.outcome !== "OUTCOME_REFUSED") wrong.push(JSON.stringify(action));
			},
			async carryOut({ console, id, order, refusal }) {
				const key = `${console} ${id}`;
				const acts = order.name === "block";
				if (acts && done.has(key)) wrong.push(`twice: ${key}`);
				if (acts) done.add(key);
				if (!granted.has(order.name) || (acts && console !== "hq")) wrong.push(`${console}: ${order.name}`);
				if (acts && refusal("block") !== undefined) wrong.push(`refused: ${key}`);
				if (random() < 0.05) throw new Error("failed");
				return { accepted: true, message: "done" };
			},
		});
	let desk = open();

	const garbage = (): unknown =>
		pick<unknown>(
			...[
				null,
				undefined,
				0,
				-1,
				1e308,
				Number.NaN,
				true,
				"",
				"x",
				"\0",
				"\n",
				"\u202e",
				"x".repeat(100_000),
			],
			...[
				[],
				[[]],
				{},
				{ __proto__: null },
				{ constructor: 1 },
				{ toString: 1 },
				{ length: -1 },
				"😀".repeat(300),
			],
		);
	const orders = () => ({
		block: {
			address: pick<unknown>("192.0.2.1", "192.0.2.1", garbage()),
			ttlSeconds: pick<unknown>(0, 60, 90, garbage()),
		},
		unblock: { address: "192.0.2.1" },
		pause: { container: "web" },
		resume: { container: pick<unknown>("web", garbage()) },
		kill: {
			pid: pick<unknown>(1, 4711, garbage()),
			startTime: pick<unknown>("2026-01-02T03:04:05Z", garbage()),
		},
		queryProcesses: { contains: pick<unknown>("", "sh", garbage()), limit: pick<unknown>(0, 5, garbage()) },
		queryConnections: { pid: pick<unknown>(0, 1, garbage()) },
		queryContainers: {},
		queryCounters: pick<unknown>({}, garbage()),
		takeEvidence: { pid: 1, startTime: "2026-01-02T03:04:05Z" },
		setMode: { mode: pick<unknown>("observe", "enforce", garbage()) },
		applyContent: { content: pick<unknown>("AA==", garbage()), signature: "AA==" },
		[pick("format", "__proto__", "constructor", "order")]: garbage(),
	});
	const sent: unknown[] = [];
	const command = (index: number): unknown => {
		if (random() < 0.1) return garbage();
		// Replayed, some of them with something else in them.
		if (random() < 0.15 && sent.length > 0) {
			const again = sent[Math.floor(random() * sent.length)] as Record<string, unknown>;
			return random() < 0.3 ? { ...again, block: { address: "192.0.2.77" } } : again;
		}
		const all = orders() as Record<string, unknown>;
		const names = Object.keys(all);
		const expires = pick<unknown>(
			...[new Date(now + 60_000).toISOString(), new Date(now + 60_000).toISOString()],
			...[new Date(now - 1).toISOString(), new Date(now + 2 * 86_400_000).toISOString(), garbage()],
		);
		const made: Record<string, unknown> = { id: pick<unknown>(`c${index}`, `c${index}`, garbage()), expires };
		for (let count = pick(1, 1, 1, 1, 0, 2); count > 0; count--) {
			const name = random() < 0.5 ? "block" : pick(...names);
			made[name] = all[name];
		}
		if (random() < 0.2) made.requester = garbage();
		sent.push(made);
		if (sent.length > 2000) sent.shift();
		return made;
	};

	let accepted = 0;
	for (let index = 0; index < rounds; index++) {
		// Mostly within the rate, so that most get as far as they can.
		now += Math.floor(random() * 700);
		const answer = await desk.take(pick("hq", "eu"), command(index));
		if (answer.accepted === true) accepted++;
		if (typeof answer.accepted !== "boolean" || typeof answer.message !== "string")
			wrong.push(JSON.stringify(answer));
		if ((answer.message ?? "").length > 2000 || (answer.commandId ?? "").length > 200)
			wrong.push(`long: ${answer.message?.slice(0, 100)}`);
		if (index % 500 === 499) {
			await desk.close();
			desk = open();
		}
	}
	await desk.close();
	expect(wrong).toEqual([]);
	expect(done.size).toBeGreaterThan(rounds / 100);
	expect(accepted).toBeLessThan(rounds / 2);
	const file = join(stateDir, "audit.jsonl");
	const check = await verifyAuditFile(file);
	expect(check.broken).toBeUndefined();
	expect(readFileSync(file, "latin1")).not.toContain("OUTCOME_VERIFIED");
	tell(
		`${rounds} hostile commands: ${done.size} blocks that were granted, ${accepted} accepted, ` +
			`${check.entries} lines of audit, ${statSync(file).size} bytes`,
	);
});
