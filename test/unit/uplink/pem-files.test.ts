// PEM files that a configuration names, when something else lies there.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

test("a pipe in the place of a PEM file is refused with its place, and does not keep the sensor waiting", () => {
	const folder = mkdtempSync(join(tmpdir(), "picket-pem-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	const ca = join(folder, "ca.pem");
	execFileSync("mkfifo", [ca]);
	const agent = new URL("../../../agent/", import.meta.url).href;
	const program = `
		import { createDestinations } from "${agent}delivery-outlets.ts";
		import { defaultConfig } from "${agent}config/load.ts";
		const hq = { name: "hq", addresses: ["hq:1"], ca: ${JSON.stringify(ca)}, cert: "", key: "", crl: "",
			server_name: "", plaintext: false, records: ["alert"], severity: "low" };
		const none = () => ({ consoles: [], problems: [] });
		try { createDestinations({ ...defaultConfig(), consoles: [hq] }, none).read(true); }
		catch (error) { process.stdout.write(error.message); }`;
	const run = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
		encoding: "utf8",
		timeout: 20_000,
	});
	expect(run.stdout).toBe(`consoles[0].ca: ${ca} cannot be used: it is no ordinary file`);
});
