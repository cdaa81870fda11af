import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { verify } from "../../../agent/commands/audit.ts";
import { openAudit } from "../../../agent/respond/audit.ts";
import { makeRoot } from "./host.ts";

function makeAudit(): { stateDir: string; file: string } {
	const stateDir = makeRoot();
	const file = join(stateDir, "audit.jsonl");
	const audit = openAudit(file, Date.now);
	for (const target of ["a", "b", "c"]) audit.append({ stage: "intent", target });
	audit.close();
	return { stateDir, file };
}

it("an audit whose chain holds is told with its last hash", async () => {
	const { stateDir, file } = makeAudit();
	const last = /"hash":"([0-9a-f]+)"\}\n$/.exec(readFileSync(file, "utf8"))?.[1];
	const { text, status } = await verify(undefined, { stateDir });
	expect(status).toBe(0);
	expect(text).toContain("the chain of 3 entries holds");
	expect(text).toContain(String(last));
	appendFileSync(file, "torn");
	expect((await verify(file, {})).text).toContain("line 4 was torn by a crash");
});

it("a broken one is told with the line, and as JSON", async () => {
	const { file } = makeAudit();
	writeFileSync(file, readFileSync(file, "utf8").replace('"b"', '"x"'));
	const { text, status } = await verify(file, {});
	expect(status).toBe(1);
	expect(text).toContain(`${file}:2: the chain is broken: this line was altered`);
	const json = await verify(file, { json: true });
	expect(JSON.parse(json.text)).toMatchObject({ file, entries: 1, broken: { line: 2 } });
	expect(json.status).toBe(1);
});

it("one that is not there is an error with its name", async () => {
	await expect(verify("/nowhere/audit.jsonl", {})).rejects.toThrow("there is no audit /nowhere/audit.jsonl");
});
