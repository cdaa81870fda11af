// File changes: every system call, done and refused, and the forms a name can take.
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { EventFlag, type EventName, eventName, Text } from "../../agent/model/event.ts";
import * as layout from "../../agent/model/layout.ts";
import type { Detector } from "../../agent/pipeline.ts";
import { buildTrigger, Harness, run } from "./harness.ts";

const trigger = buildTrigger("change");
const at = layout.fileEvent;
const flagNames = Object.entries(EventFlag);

interface Change {
	readonly kind: EventName | undefined;
	readonly pid: number;
	readonly flags: string[];
	readonly syscall: number;
	readonly path: string;
	readonly raw: string;
	readonly target: string;
	readonly targetRaw: string;
	readonly name: string;
	readonly result: number;
	readonly inode: number;
	readonly device: number;
	readonly mode: number;
	readonly size: number;
	readonly callFlags: number;
	readonly newMode: number;
	readonly newUid: number;
	readonly newGid: number;
}

const changes: Change[] = [];
const collector: Detector = {
	evaluate({ event }) {
		const kind = eventName(event.kind);
		if (kind === "exit" || kind === "exec" || kind === "fork") return;
		changes.push({
			kind,
			pid: event.pid,
			flags: flagNames.filter(([, bit]) => event.flags & bit).map(([name]) => name),
			syscall: event.syscall,
			path: event.text(Text.path),
			raw: event.text(Text.raw),
			target: event.text(Text.target),
			targetRaw: event.text(Text.targetRaw),
			name: event.text(Text.name),
			result: event.signed(at.result as number),
			inode: event.long(at.inode as number),
			device: event.word(at.device as number),
			mode: event.word(at.mode as number),
			size: event.long(at.size as number),
			callFlags: event.word(at.callFlags as number),
			newMode: event.word(at.newMode as number),
			newUid: event.word(at.newUid as number),
			newGid: event.word(at.newGid as number),
		});
	},
};

let harness: Harness;
let folder: string;
beforeAll(() => {
	harness = new Harness({ kinds: ["exit"], detectors: [collector] });
	folder = join(harness.folder, "d");
	mkdirSync(folder);
});
afterAll(() => harness.close());

/** What was reported of these acts, which one process does in the folder. */
async function changed(...words: string[]): Promise<{ events: Change[]; results: number[] }> {
	const { pid, status, said } = await run(trigger, words, folder);
	expect(status).toBe(0);
	await harness.of(pid);
	const results = said.slice(1).map(({ result }) => result as number);
	return { events: changes.filter((each) => each.pid === pid), results };
}
it("x", async () => {
	writeFileSync(join(folder, "a"), "");
	const { events, results } = await changed("unlinkat,#-100,a,#0", "mkdir,q,#0", "unlinkat,#-100,q,#0x200", "unlink,a", "rmdir,a", "unlinkat,#-100,a,#0", "mkdirat,#-100,n,#0777", "symlink,text,link", "memfd_create,name,#0");
	console.log(results, events.map(({ kind, syscall, result }) => [kind, syscall, result].join()), (["bpf","userfaultfd","ioUring"] as const).map((k) => harness.capture.counters().get(k)?.generated).join());
});
