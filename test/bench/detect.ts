// How many events a second one core decodes, enriches and judges with the default signatures, and what an event that
// nobody asks for leaves to the garbage collector. `node test/bench/detect.ts`; about ten seconds.
import { readdirSync, readFileSync } from "node:fs";
import { RecordView } from "../../agent/decode/view.ts";
import { Engine } from "../../agent/detect/engine.ts";
import { loadRules, type RuleFile } from "../../agent/detect/load.ts";
import { ProcessTree } from "../../agent/enrich/tree.ts";
import { EventKind, type Observation } from "../../agent/model/event.ts";
import type { Process } from "../../agent/model/process.ts";
import { memoryOf, recordOf, type Value } from "../unit/decode/bytes.ts";
import { Random } from "../unit/detect/rig.ts";

const events = 20_000;
const secondsPerRun = 1;
const folder = new URL("../../agent/detect/signatures/", import.meta.url).pathname;

function signatures(copies: number): RuleFile[] {
	const files = readdirSync(folder)
		.filter((name) => /\.ya?ml$/.test(name))
		.sort()
		.map((name): RuleFile => ({ path: name, text: readFileSync(folder + name, "utf8"), origin: "picket" }));
	const copy = (file: RuleFile, index: number): RuleFile => ({
		...file,
		path: `${index}-${file.path}`,
		text: file.text.replace(
			/^- rule: (.*)$/gm,
			(_, name: string) => `- rule: Copy ${index} of ${name.replace(/["']/g, "")}`,
		),
	});
	return Array.from({ length: copies }, (_, index) =>
		files.map((file) => (index === 0 ? file : copy(file, index))),
	).flat();
}

/** 95 of 100 are opens of files nobody asks for; the rest are forks, execs, exits and connections. */
function stream(opensOnly: boolean): Buffer[] {
	const random = new Random(1);
	const programs = [
		"/usr/bin/node",
		"/usr/sbin/nginx",
		"/usr/bin/python3.11",
		"/usr/lib/postgresql/15/bin/postgres",
	];
	const pids = Array.from({ length: 40 }, (_, index) => 1000 + index);
	const start = (pid: number) => BigInt(pid) * 1_000_000_000n;
	let time = 10n ** 13n;
	const common = (pid: number): Record<string, Value> => ({
		pid,
		tid: pid,
		start: start(pid),
		cgroupId: 7,
		time: time++,
	});
	const exec = (pid: number): Buffer => {
		const path = random.pick(programs);
		return recordOf("exec", {
			...common(pid),
			parentPid: 1,
			namespacePid: pid,
			inode: 77,
			uid: 33,
			euid: 33,
			loginUid: 0xffff_ffff,
			comm: path.replace(/^.*\//, ""),
			path,
			raw: path,
			args: `${path}\0--config\0/etc/app/config.yaml\0--port\x008080\0`,
			cwd: "/srv/app",
		});
	};
	const open = (pid: number): Buffer => {
		const path = `/srv/app/data/${random.below(100)}/table-${random.below(10_000)}.bin`;
		return recordOf("open", {
			...common(pid),
			inode: random.below(1e6),
			device: 8 << 20,
			openFlags: random.chance(0.3) ? 0o102 : 0,
			mode: 0o100644,
			result: 11,
			path,
			raw: path,
		});
	};
	let child = 5000;
	const fork = (pid: number): Buffer => {
		child = child === 20_000 ? 5001 : child + 1;
		return recordOf("fork", {
			...common(pid),
			childPid: child,
			childStart: start(child),
			childCgroupId: 7,
			childNamespacePid: child,
			childParentPid: pid,
		});
	};
	const connect = (pid: number): Buffer =>
		recordOf("connect", {
			...common(pid),
			localAddress: Buffer.from([10, 0, 0, 5]),
			remoteAddress: Buffer.from([10, 0, 1, random.below(250)]),
			family: 2,
			protocol: 6,
			localPort: 40_000,
			remotePort: 5432,
			result: 0,
		});
	const records = pids.map(exec);
	while (records.length < events) {
		const pid = random.pick(pids);
		const what = opensOnly ? 0 : random.below(100);
		if (what < 95) records.push(open(pid));
		else if (what < 97) {
			records.push(fork(pid), exec(child));
			records.push(recordOf("exit", { ...common(child), reaperPid: 1 }));
		} else records.push(connect(pid));
	}
	return records;
}

class Current implements Observation {
	readonly event: RecordView;
	process: Process | undefined;
	constructor(event: RecordView) {
		this.event = event;
	}
}

interface Result {
	readonly rules: number;
	readonly predicates: number;
	readonly perSecond: number;
	readonly bytesPerEvent: number;
	readonly matches: number;
}

function run(copies: number, opensOnly: boolean): Result {
	const set = loadRules(signatures(copies));
	const engine = new Engine(set, { hostname: "bench", userName: () => "www-data" });
	const tree = new ProcessTree({
		limit: 32_768,
		cgroup: () => undefined,
		read: () => undefined,
		onRead: () => undefined,
	});
	const { memory, places } = memoryOf(stream(opensOnly));
	const view = new RecordView();
	view.attach(memory);
	const current = new Current(view);
	let matches = 0;
	const onFinding = () => {
		matches++;
	};
	const places32 = Uint32Array.from(places.flat());
	let number = 0;
	const pass = (): number => {
		for (let i = 0; i < places32.length; i += 2) {
			if (!view.move(places32[i] as number, places32[i + 1] as number, ++number))
				throw new Error("no record");
			current.process = tree.apply(view);
			engine.evaluate(current, onFinding);
			if (view.kind === EventKind.exit) tree.forget(view);
		}
		return places.length;
	};
	pass(); // compiles
	const until = performance.now() + secondsPerRun * 1000;
	const begin = performance.now();
	let done = 0;
	while (performance.now() < until) done += pass();
	const perSecond = done / ((performance.now() - begin) / 1000);
	// Between two collections the heap only grows; the smallest growth of some passes is the true one.
	let grown = Number.POSITIVE_INFINITY;
	for (let round = 0; round < 3; round++) {
		const before = process.memoryUsage().heapUsed;
		const count = pass();
		const growth = (process.memoryUsage().heapUsed - before) / count;
		if (growth >= 0) grown = Math.min(grown, growth);
	}
	return {
		rules: set.rules.filter(({ enabled }) => enabled).length,
		predicates: set.predicates.all.length,
		perSecond,
		bytesPerEvent: grown,
		matches: Math.round((matches / number) * 1e6) / 1e6,
	};
}

const rows = [
	["mixed, rules 1x", run(1, false)],
	["mixed, rules 10x", run(10, false)],
	["opens only, 1x", run(1, true)],
	["opens only, 10x", run(10, true)],
] as const;
const line = (...cells: readonly (string | number)[]): string =>
	cells.map((cell, index) => (index === 0 ? String(cell).padEnd(18) : String(cell).padStart(15))).join("");
const table = [
	line("stream", "rules", "predicates", "events/s", "ns/event", "B/event", "matches/event"),
	...rows.map(([name, { rules, predicates, perSecond, bytesPerEvent, matches }]) =>
		line(
			name,
			rules,
			predicates,
			Math.round(perSecond).toLocaleString("en"),
			Math.round(1e9 / perSecond),
			Number.isFinite(bytesPerEvent) ? bytesPerEvent.toFixed(1) : "?",
			matches,
		),
	),
];
process.stdout.write(`${table.join("\n")}\n`);
