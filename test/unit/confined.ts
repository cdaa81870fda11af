// What /proc says of a process that was to give up all its rights.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { expect } from "vitest";

/** Everything that would be more than a stranger's bytes may reach. */
export function expectConfined(pid: number): void {
	const nothing = "0000000000000000";
	for (const task of readdirSync(`/proc/${pid}/task`)) {
		const of = (key: string) => statusOf(Number(task), key);
		expect([of("Uid"), of("Gid")]).toEqual([nobody, nobody]);
		expect(of("Groups")).toBe("");
		expect([of("NoNewPrivs"), of("Seccomp")]).toEqual(["1", "2"]);
		for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) expect(of(set)).toBe(nothing);
	}
	expect(statusOf(pid, "CapBnd")).toBe(nothing);
	const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
	const own = /^(socket:|pipe:|anon_inode:\[(eventpoll|eventfd)\]|\/dev\/null)/;
	expect(open.filter((each) => !own.test(each))).toEqual([]);
	const limits = readFileSync(`/proc/${pid}/limits`, "latin1");
	expect(limits).toMatch(/^Max file size +0 +0 /m);
	expect(limits).toMatch(/^Max core file size +0 +0 /m);
}

const nobody = "65534\t65534\t65534\t65534";

/** Of "/proc/PID/status"; "" when it is gone. */
export function statusOf(pid: number, key: string): string {
	try {
		const text = readFileSync(`/proc/${pid}/status`, "latin1");
		const line = text.split("\n").find((each) => each.startsWith(`${key}:`));
		return line?.slice(key.length + 1).trim() ?? "";
	} catch {
		return "";
	}
}

/** Children of `parent` whose command line holds this. */
export function childrenOf(parent: number, command: string): number[] {
	return readdirSync("/proc").flatMap((name) => {
		if (!/^\d+$/.test(name) || statusOf(Number(name), "PPid") !== String(parent)) return [];
		try {
			return readFileSync(`/proc/${name}/cmdline`, "latin1").includes(command) ? [Number(name)] : [];
		} catch {
			return [];
		}
	});
}
