// `npm run soak`: what takes minutes: the parts below, at full length. Each suite prints its figures; the last line is
// the sum. `npm run soak -- fuzz` runs one of them, PICKET_SEED chooses where the fuzzers begin.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root, run, say, suite, sum, tellFailures } from "./suites.ts";

const long = { PICKET_SOAK: "1" };
const truth = "test/kernel/truth.test.ts";

async function race(): Promise<void> {
	// Vitest would take a file that is not there for nothing to do.
	if (existsSync(join(root, truth))) return suite("kernel", [truth], long);
	say(`there is no ${truth}`);
	sum.failed++;
}

const parts: Readonly<Record<string, () => Promise<void>>> = {
	fuzz: () => suite("fuzz", [], long),
	differential: () => suite("unit", ["test/unit/detect/differential.test.ts"], long),
	policy: () => suite("unit", ["test/unit/policy/property.test.ts"], long),
	truth: race,
	kill: () => suite("kernel", ["test/kernel/kill.test.ts"], long),
	reload: () => suite("sensor", ["test/sensor/reload.test.ts"], long),
	crash: () => suite("network", ["test/network/crash.test.ts"], long),
	spool: async () => {
		await suite("sensor", ["test/sensor/spool-kill.test.ts"], long);
		await suite("unit", ["test/unit/spool/bounds.test.ts"], long);
	},
	lockout: () => suite("soak", ["test/soak/lockout.test.ts"], long),
	quiet: () => suite("sensor", ["test/sensor/quiet.test.ts"], long),
	firewall: () => suite("network", ["test/network/reconcile.test.ts", "test/network/bulk.test.ts"], long),
	enrol: () => suite("unit", ["test/unit/enrol/store.test.ts"], long),
	faults: () => suite("unit", ["test/unit/uplink/stream-faults.test.ts"], long),
	console: () => suite("unit", ["test/unit/uplink/hostile-console.test.ts"], long),
	syslog: () => suite("unit", ["test/unit/uplink/syslog.test.ts"], long),
	flood: () => suite("soak", ["test/soak/flood.test.ts"], long),
	frames: () => suite("fuzz", ["test/fuzz/frames.test.ts"], long),
	uplink: () => suite("sensor", ["test/sensor/uplink.test.ts"], long),
	machines: async () => {
		const status = await run(process.execPath, ["test/vm/run.ts", "--whole"]);
		if (status === 0) sum.passed++;
		else sum.failed++;
	},
};
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(parts, name));
if (unknown.length > 0) {
	say(`there is no ${unknown.join(", ")}; name some of ${Object.keys(parts).join(", ")}, or none for all`);
	process.exit(2);
}
for (const [name, part] of Object.entries(parts)) {
	if (wanted.length === 0 || wanted.includes(name)) await part();
}
tellFailures();
say(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed === 0 ? 0 : 1;
