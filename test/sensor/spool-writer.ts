// Writes into a spool without end and says on its standard output up to which sequence it is committed, for tests that
// kill it: node spool-writer.ts PATH FIRST. Lines: "open MS", then "N", the newest committed sequence.
import { writeSync } from "node:fs";
import { pino } from "pino";
import { createSpool } from "../../agent/spool/spool.ts";

const [path = "", first = "0"] = process.argv.slice(2);
const began = performance.now();
const spool = createSpool({
	path,
	maxBytes: 256 * 1024 * 1024,
	clock: Date.now,
	logger: pino({ level: "silent" }),
	gap: (gap) => void writeSync(1, `gap ${JSON.stringify(gap)}\n`),
});
spool.reader("a", {
	kinds: ["event", "alert", "incident", "action", "gap", "status"],
	severity: "informational",
});
await spool.flush();
writeSync(1, `open ${performance.now() - began}\n`);
for (let sequence = Number(first); ; ) {
	for (let count = sequence % 7; count >= 0; count--, sequence++) {
		const kind = sequence % 5 === 0 ? "alert" : "event";
		const payload = Buffer.alloc(50 + ((sequence * 31) % 3000), `${sequence};`);
		spool.push({ bootId: "boot", sequence, kind, severity: "informational", payload });
	}
	await spool.flush();
	if (spool.status().problem === "") writeSync(1, `${sequence - 1}\n`);
}
