// The uplink as a process: what it can still do once it hears strangers, and what its death costs.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { startConsole } from "../../agent/console/console.ts";
import type { OutletConfig } from "../../agent/model/delivery.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { rig, statusOf, until } from "./uplink-rig.ts";

const silent = pino({ level: "silent" });

async function consoleOn(listen = "127.0.0.1:0") {
	const records: wire.OutputRecord[] = [];
	const running = await startConsole({ listen, logger: silent, onRecord: (record) => records.push(record) });
	let open = true;
	const close = async () => {
		if (open) await running.close();
		open = false;
	};
	onTestFinished(close);
	return { ...running, records, close };
}

function outlet(address: string, id = 0): OutletConfig {
	return { id, kind: "console", name: `hq${id}`, addresses: [address] };
}

describe("the uplink", () => {
	it("is nobody, without capabilities, new privileges or descriptors of ours, behind a filter", async () => {
		const { host, pid, lines } = rig([]);
		await until("its readiness", () => (host.status().confinement ?? []).length > 0);
		expect(host.status()).toMatchObject({ problem: "", user: "nobody", restarts: 0 });
		for (const task of readdirSync(`/proc/${pid()}/task`)) {
			const of = (key: string) => statusOf(Number(task), key);
			expect(of("Uid").split(/\s+/)).toEqual(["65534", "65534", "65534", "65534"]);
			expect(of("Gid").split(/\s+/)).toEqual(["65534", "65534", "65534", "65534"]);
			expect(of("Groups")).toBe("");
			expect([of("NoNewPrivs"), of("Seccomp")]).toEqual(["1", "2"]);
			for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) expect(of(set)).toBe("0000000000000000");
		}
		expect(statusOf(pid(), "CapBnd")).toBe("0000000000000000");
		const open = readdirSync(`/proc/${pid()}/fd`).map((fd) => readlinkSync(`/proc/${pid()}/fd/${fd}`));
		const own = /^(socket:|pipe:|anon_inode:\[(eventpoll|eventfd)\]|\/dev\/null)/;
		expect(open.filter((each) => !own.test(each))).toEqual([]);
		expect(lines).toEqual([]);
	});

	it("can do nothing that a network client has no need of, in any thread", () => {
		const folder = mkdtempSync(join(tmpdir(), "picket-confined-"));
		onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
		const sources = ["../trigger/confined.cc", "../../native/confine.cc"].map(
			(name) => new URL(name, import.meta.url).pathname,
		);
		execFileSync("g++", ["-std=c++20", "-pthread", ...sources, "-o", join(folder, "confined")]);
		const run = spawnSync(join(folder, "confined"), { encoding: "utf8" });
		const errnos = JSON.parse(run.stdout) as Record<string, number>;
		const { EPERM, EACCES, ENOSYS } = constants.errno;
		const allowed = ["tcp", "udp", "unix", "hosts", "resolve", "thread"];
		for (const [what, errno] of Object.entries(errnos)) {
			const name = what.split(" ")[1] ?? "";
			const wanted = allowed.includes(name) ? 0 : { shadow: EACCES, newest: ENOSYS }[name];
			expect({ what, errno }).toEqual({ what, errno: wanted ?? EPERM });
		}
		expect(Object.keys(errnos)).toHaveLength(2 * 34 + 1);
	});

	const times = process.env.PICKET_SOAK === "1" ? 20 : 3;
	it(`costs a reconnect when it is killed, ${times} times under load, and not one record`, async () => {
		const console = await consoleOn();
		const { push, pid, host, readers } = rig([outlet(console.address)], { times: { lastRetry: 50 } });
		let sequence = 0;
		const load = setInterval(() => {
			for (let i = 0; i < 20; i++) push(++sequence, i % 5 === 0 ? "alert" : "event");
		}, 10);
		onTestFinished(() => clearInterval(load));
		for (let kills = 0; kills < times; kills++) {
			const had = console.records.length;
			await until("more records", () => console.records.length > had && host.status().restarts === kills);
			process.kill(pid(), "SIGKILL");
			await until("its end", () => host.status().restarts === kills + 1);
		}
		clearInterval(load);
		await until("all records", () => console.records.length >= sequence);
		await until("their acknowledgement", () => readers.get(0)?.backlog === 0);
		expect(host.status().restarts).toBe(times);
		expect(console.records.map((record) => Number(record.sequence))).toEqual(
			Array.from({ length: sequence }, (_, index) => index + 1),
		);
	});
});
