// What fields read of an event's surroundings: an exec's own arguments, lineage, group, descriptors, the container's
// mounts and labels; and that a condition without a number asks any ancestor.
import { describe, expect, it } from "vitest";
import { Engine } from "../../../agent/detect/engine.ts";
import { findField } from "../../../agent/detect/fields.ts";
import { observationOf, type Sample } from "../../../agent/detect/sample.ts";
import type { Observation } from "../../../agent/model/event.ts";
import type { Container, Process } from "../../../agent/model/process.ts";
import { context as rigContext, ruleOf } from "./rig.ts";

const context = { ...rigContext, groupName: (gid: number) => (gid === 0 ? "root" : undefined) };

function read(shown: string, observation: Observation): string | number | undefined {
	const [, name = shown, argument] = /^([^[]*)\[(.*)\]$/.exec(shown) ?? [];
	const field = findField(name, argument);
	if (!field || field.type === "address") throw new Error(`no field ${shown}`);
	if (field.kinds && !field.kinds.includes(observation.event.kind)) return undefined;
	return field.get(observation, context);
}
function made(sample: Sample, process: Partial<Process> = {}): Observation {
	const { event, process: given } = observationOf(sample);
	return { event, process: { ...(given as Process), ...process } };
}
type Values = Readonly<Record<string, string | number | undefined>>;
const stream = { inode: 9, family: 0, remotePort: 0, localPort: 0, remoteAddress: undefined };

const tool: Sample = {
	exec: {},
	process: {
		exe: "/bin/tool",
		args: ["./tool", "-a", "b c"],
		uid: "1000",
		pid: "50",
		cwd: "/tmp",
		tty: "34816",
	},
	ancestors: [
		{ exe: "/bin/make", args: ["make", "all"], pid: "40" },
		{ exe: "/bin/sh", args: ["sh", "-c", "make all"], pid: "30" },
		{ exe: "/bin/bash", pid: "20" },
		{ exe: "/sbin/init", pid: "1" },
	],
};

describe("the fields of", () => {
	it.each<[string, Observation, Values]>([
		[
			"an exec",
			made(tool, { upperLayer: true, fromMemfd: true, fileMode: 0o100777, fileUid: 0 }),
			{
				"evt.arg.exe": "./tool",
				"evt.arg.args": "-a b c",
				"evt.arg.comm": "tool",
				"evt.arg.cwd": "/tmp",
				"evt.arg.tty": 34816,
				"evt.arg.loginuid": -1,
				"evt.arg.uid": "ada",
				"evt.rawarg.uid": 1000,
				"evt.arg.flags": "EXE_WRITABLE|EXE_UPPER_LAYER|EXE_FROM_MEMFD",
				"evt.rawarg.flags": 7,
				"evt.arg.trusted_exepath": "/bin/tool",
				"syscall.type": "execve",
				"evt.type.is[execve]": 1,
				"evt.type.is.openat": 0,
				"evt.is_io": 0,
				"evt.is_async": 0,
				"evt.count.exit": 1,
				"evt.count.error": undefined,
			},
		],
		["an exec of an ordinary file", made(tool), { "evt.arg.flags": "0", "evt.rawarg.flags": 0 }],
		[
			"a process with ancestors",
			made(tool, { environment: ["A=1"] }),
			{
				"proc.loginshellid": 20,
				"proc.aargs[1]": "all",
				"proc.aargs[2]": "-c make all",
				"proc.aargs[9]": undefined,
				"proc.apid": 40,
				"proc.aenv[0]": "A=1",
				"proc.aenv[A]": undefined,
				"group.name": "<NA>",
				"thread.cgroups": "/",
				"thread.cgroup[memory]": "/",
				"thread.cgroup.cpuacct": "/",
			},
		],
		["root", made({ exec: {} }), { "group.name": "root", "proc.loginshellid": undefined }],
		[
			"a process with streams",
			made(tool, {
				streams: [
					{ ...stream, type: 1 },
					{ ...stream, type: 8 },
					{ ...stream, type: 0 },
				],
			}),
			{ "fd.types[0]": "pipe", "fd.types[1]": "file", "fd.types[2]": undefined },
		],
		[
			"an open",
			made({ open: { path: "/etc/x", result: "7" }, container: {} }),
			{
				"fd.uid": "10007",
				"fd.containername": "0123456789ab:/etc/x",
				"fd.containerdirectory": "0123456789ab:/etc",
			},
		],
		[
			"an open that failed, on the host",
			made({ open: { path: "/etc/x", result: "-2" } }),
			{ "fd.uid": undefined, "fd.containername": "host:/etc/x", "evt.count.error": 1 },
		],
		[
			"a datagram",
			made({ send: { remoteAddress: "192.0.2.1", remotePort: "53", protocol: "17" } }),
			{ "evt.is_io": 1, "evt.is_io_write": 1, "evt.is_io_read": 0, "evt.io_dir": "w", "evt.is_wait": 0 },
		],
		["the end of a process", made({ exit: {} }), { "syscall.type": undefined, "evt.type": "procexit" }],
	])("%s", (_, observation, values) => {
		expect(Object.fromEntries(Object.keys(values).map((name) => [name, read(name, observation)]))).toEqual(
			values,
		);
	});

	it("a container's mounts and labels", () => {
		const { event, process } = observationOf({
			exec: {},
			container: { labels: { app: "web", "a.b/c": "1" } },
		});
		const container: Container = {
			...(process?.cgroup?.container as Container),
			mounts: [
				{ source: "/proc", destination: "/host/proc", writable: false },
				{ source: "/srv/data", destination: "/data", writable: true },
			],
			labels: { app: "web", "a.b/c": "1", "io.kubernetes.sandbox.id": "ab".repeat(32) },
		};
		const observation = {
			event,
			process: { ...(process as Process), cgroup: { id: 1, path: "/x", container } },
		};
		const values: Values = {
			"container.mounts": "/proc:/host/proc::false:,/srv/data:/data::true:",
			"container.mount[0]": "/proc:/host/proc::false:",
			"container.mount[/srv/*]": "/srv/data:/data::true:",
			"container.mount[7]": undefined,
			"container.mount.dest[/proc*]": "/host/proc",
			"container.mount.dest[/etc]": undefined,
			"container.mount.source[/data]": "/srv/data",
			"container.mount.rdwr[1]": "true",
			"container.mount.rdwr[/proc]": "false",
			"container.labels": `app:web,a.b/c:1,io.kubernetes.sandbox.id:${"ab".repeat(32)}`,
			"container.label[a.b/c]": "1",
			"container.label.app": "web",
			"k8s.pod.sandbox_id": "abababababab",
			"k8s.pod.full_sandbox_id": "ab".repeat(32),
		};
		expect(Object.fromEntries(Object.keys(values).map((name) => [name, read(name, observation)]))).toEqual(
			values,
		);
	});
});

describe("without a number", () => {
	const withParent = (() => {
		const { event, process } = observationOf(tool);
		const parent = { ...(process?.parent as Process), environment: ["MODE=x", "B=2"] };
		return { event, process: { ...(process as Process), parent } };
	})();
	it.each([
		["proc.apid = 30", true],
		["proc.apid = 50", false],
		["proc.apid in (7, 1)", true],
		["proc.apid != 40", true],
		["proc.apid > 40", false],
		["proc.apid exists", true],
		["proc.aargs contains make", true],
		["proc.aargs contains -a", false],
		["proc.aenv contains 'MODE=x'", true],
		["proc.aenv[MODE] = x", true],
		["proc.aenv[1] startswith MODE", true],
	])("%s asks every ancestor: %s", (condition, expected) => {
		const { set } = ruleOf(condition);
		const found: string[] = [];
		new Engine(set, context).evaluate(withParent, ({ rule }) => found.push(rule));
		expect(found.includes("r")).toBe(expected);
	});
});
