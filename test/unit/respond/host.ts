// A host on paper for the respond tests: files of /proc and /etc below a temporary root, and stand-ins for the
// tools that change a host. They remember what was asked of them and behave as the real ones where it matters.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import type { RefusalRule, Refuser } from "../../../agent/model/refusal.ts";
import type { RunCommand } from "../../../agent/respond/command.ts";
import type { ContainerRuntime, ContainerState } from "../../../agent/respond/containers.ts";
import type { ProcessSignaller } from "../../../agent/respond/kill.ts";
import { createResponder, type ResponderDeps } from "../../../agent/respond/responder.ts";

export function makeRoot(files: Record<string, string> = {}): string {
	const root = mkdtempSync(join(tmpdir(), "picket-respond-"));
	onTestFinished(() => rmSync(root, { recursive: true, force: true }));
	const all = { "proc/sys/kernel/random/boot_id": "boot-1\n", ...files };
	for (const [path, text] of Object.entries(all)) {
		mkdirSync(dirname(join(root, path)), { recursive: true });
		if (text.startsWith("-> ")) symlinkSync(text.slice(3), join(root, path));
		else writeFileSync(join(root, path), text);
	}
	return root;
}

/** A /proc/PID/stat line; the comm may hold anything. */
export function stat(pid: number, comm: string, parent: number, startTicks: number, flags = 0): string {
	const rest = new Array<number>(30).fill(0);
	return `${pid} (${comm}) S ${parent} 0 0 0 0 ${flags} ${[...rest.slice(0, 12), startTicks].join(" ")} 0 0\n`;
}

/** ipset and iptables with just enough of a memory to be installed into, verified and removed from. */
export function fakeTools() {
	const calls: string[] = [];
	const sets = new Map<string, Set<string>>();
	const rules = new Map<string, string[]>();
	/** Set to make one command fail, hang or lie. */
	const overrides = new Map<string, () => Promise<{ code: number; stdout: string; stderr: string }>>();
	const ok = (stdout = "") => ({ code: 0, stdout, stderr: "" });
	const no = (stderr: string) => ({ code: 1, stdout: "", stderr });
	function ipset(args: readonly string[], input = "") {
		const [act = "", ...rest] = args.filter((arg) => arg !== "-exist");
		const [set = "", element = ""] = rest;
		const known = sets.get(set);
		if (act === "restore") for (const line of input.trim().split("\n")) ipset(line.split(" "));
		else if (act === "create") sets.set(set, known ?? new Set());
		else if (act === "list" && rest[0] === "-terse") {
			return ok(
				[...sets].map(([name, held]) => `Name: ${name}\nNumber of entries: ${held.size}\n`).join("\n"),
			);
		} else if (act === "list") return ok([...sets.keys()].join("\n"));
		else if (known === undefined) return no("The set with the given name does not exist");
		else if (act === "save") {
			const adds = [...known].map((one) => `add ${set} ${one} timeout 60`);
			return ok([`create ${set} hash:net`, ...adds, ""].join("\n"));
		} else if (act === "add") known.add(element);
		else if (act === "del") known.delete(element);
		else if (act === "destroy") sets.delete(set);
		else if (act === "test") return known.has(element) ? ok() : no(`${element} is NOT in set ${set}.`);
		return ok();
	}

	/** One table, mangle: what iptables-save prints of it, chains first. */
	function iptables(file: string, args: readonly string[], input = "") {
		if (args.includes("-V")) return ok("iptables v1.8.9 (nf_tables)");
		if (file.includes("-legacy")) return ok();
		const table = rules.get(file.replace(/-(restore|save)$/, "")) ?? [];
		rules.set(file.replace(/-(restore|save)$/, ""), table);
		if (file.endsWith("-save")) {
			const chains = table.filter((line) => line.startsWith(":"));
			const lines = table.filter((line) => !line.startsWith(":"));
			return ok(table.length === 0 ? "" : ["*mangle", ...chains, ...lines, "COMMIT", ""].join("\n"));
		}
		if (!args.includes("--noflush")) table.length = 0;
		for (const line of input.split("\n")) {
			const rule = line.slice(3);
			const chain = line.slice(1).split(" ")[0] ?? "";
			const drop = (keep: (one: string) => boolean) => table.splice(0, table.length, ...table.filter(keep));
			if (line.startsWith(":")) {
				drop((one) => !one.startsWith(`-A ${chain} `) && one !== line);
				table.push(line);
			} else if (line.startsWith("-A")) table.push(line);
			else if (line.startsWith("-I")) table.unshift(`-A ${rule.replace(" 1 ", " ")}`);
			else if (line.startsWith("-D")) drop((one) => one !== `-A ${rule}`);
			else if (line.startsWith("-F")) drop((one) => !one.startsWith(`-A ${rule} `));
			else if (line.startsWith("-X")) drop((one) => !one.startsWith(`:${rule} `));
		}
		return ok();
	}

	const run: RunCommand = async (file, args, input) => {
		const call = [file, ...args].join(" ");
		calls.push(call);
		for (const [start, result] of overrides) if (call.startsWith(start)) return result();
		if (file === "ipset") return ipset(args, input);
		if (file.startsWith("ip")) return iptables(file, args, input);
		return ok();
	};
	return { run, calls, sets, rules, overrides };
}

/** An engine that does as it is told and remembers what that was. */
export function fakeRuntime(...states: ContainerState[]) {
	const containers = new Map(states.map((state) => [state.id, state]));
	const calls: string[] = [];
	const change = (verb: string, to: Partial<ContainerState>) => async (id: string) => {
		calls.push(`${verb} ${id}`);
		const state = containers.get(id);
		if (state !== undefined) containers.set(id, { ...state, ...to });
	};
	const runtime: ContainerRuntime = {
		name: "docker",
		state: async (name) => [...containers.values()].find((state) => state.id === name || state.name === name),
		pause: change("pause", { paused: true }),
		unpause: change("unpause", { paused: false }),
		stop: change("stop", { running: false, paused: false }),
		start: change("start", { running: true }),
		restart: change("restart", { running: true, paused: false, startedAt: "later" }),
		async remove(id) {
			calls.push(`remove ${id}`);
			containers.delete(id);
		},
		disconnect: (id, networkId) => {
			const networks = containers.get(id)?.networks?.filter((one) => one.networkId !== networkId) ?? [];
			return change(`disconnect ${networkId}`, { networks })(id);
		},
		connect: (id, attachment) => {
			const networks = [...(containers.get(id)?.networks ?? []), attachment];
			return change(`connect ${attachment.networkId}`, { networks })(id);
		},
	};
	return { runtime, calls, containers };
}

/** Remembers as the kernel would; `deaf` takes rules and does not put them in force. */
export function fakeRefuser({ deaf = false, fails = false } = {}) {
	const rules = new Map<string, readonly RefusalRule[]>();
	const live = (rule: RefusalRule) => rule.deadline > Date.now();
	const refuser: Refuser = {
		exec: { by: "kill", lost: "scripts", remedy: "lsm" },
		egress: { by: "cgroup", lost: "", remedy: "" },
		outlives: true,
		put(owner, wanted) {
			if (fails) throw new Error("the table is full");
			if (wanted.length > 0 && !deaf) rules.set(owner, wanted);
			else rules.delete(owner);
		},
		containers: () => {},
		holds: ({ deadline, ...rule }) =>
			[...rules.values()]
				.flat()
				.filter(live)
				.some(({ deadline: _, ...one }) => show(one) === show(rule)),
		owns: (owner) => (rules.get(owner) ?? []).some(live),
		drain: () => ({ refusals: [], lost: 0 }),
		release: () => rules.clear(),
		close: () => {},
	};
	return { refuser, rules };
}

const show = (value: unknown) =>
	JSON.stringify(value, (_, each) => (typeof each === "bigint" ? `${each}n` : each));

export const web: ContainerState = {
	id: "ab".repeat(32),
	name: "web-1",
	image: "nginx:1.27",
	running: true,
	paused: false,
};

/** Signals by pid: good enough for processes that the test itself made and has not reaped elsewhere. */
export function pidSignaller(): ProcessSignaller {
	const alive = (pid: number) => {
		try {
			process.kill(pid, 0);
			return true;
		} catch {
			return false;
		}
	};
	return {
		open(pid) {
			process.kill(pid, 0);
			return pid;
		},
		signal: (pid, signal) => void process.kill(pid, signal),
		close() {},
		exited: (pid) => !alive(pid),
	};
}

export function makeResponder(given: Partial<ResponderDeps> = {}) {
	const tools = fakeTools();
	const root = given.root ?? makeRoot();
	const stateDir = given.stateDir ?? join(root, "state");
	const deps: ResponderDeps = {
		mode: () => "enforce",
		stateDir,
		logger: pino({ level: "silent" }),
		clock: Date.now,
		runtimes: () => [],
		processes: pidSignaller(),
		protectedExtra: () => ({ addresses: [], containers: [], processes: [] }),
		run: tools.run,
		root,
		resolve: async () => [],
		...given,
	};
	return { responder: createResponder(deps), tools, stateDir, root, deps };
}

export const byHand = { requester: "cli", reason: "test", alertId: "", eventTime: undefined };
