// Ordinary work with containers under a real sensor with its default rules: images built, services started together,
// looked after and renewed. Nothing above notice. The whole host is watched; only what is this engine's counts.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { SensorProcess } from "../sensor/process.ts";
import { expectQuiet, raisedBy, withSign } from "../sensor/quiet-work.ts";
import { type Engine, startEngine } from "./engine.ts";

const folder = mkdtempSync(join(tmpdir(), "picket-quiet-"));
let engine: Engine;
let sensor: SensorProcess;

beforeAll(async () => {
	engine = await startEngine({ bridge: true });
	sensor = new SensorProcess({
		prefix: ["nsenter", `--net=/run/netns/${engine.namespace}`],
		config: `docker: {socket: ${engine.socketPath}}\n`,
		args: withSign(folder),
	});
	await sensor.ready();
	await sensor.until("the engine", () => !sensor.messages.includes("DOCKER_DOWN"));
});
afterAll(async () => {
	await sensor?.dispose();
	await engine?.stop();
	rmSync(folder, { recursive: true, force: true });
});

/** Of a container of this engine, or of what this process started: the client, the engine itself. */
function isOurs({ event, ancestors = [] }: wire.Alert): boolean {
	if (event?.container?.image?.startsWith("picket-test/")) return true;
	return [event?.process, ...ancestors].some((each) => each?.pid === process.pid);
}

const dockerfile = (image: string) => `FROM ${image}
RUN echo 'shop:x:1000:1000::/:/bin/sh' >> /etc/passwd && mkdir -p /srv/shop && chown shop /srv/shop && cp /etc/passwd /etc/passwd-
COPY entry /entry
RUN chmod 755 /entry && cp /bin/busybox /usr/bin/shopd && chmod 4755 /usr/bin/shopd; sed -i s/a/a/ /etc/passwd; rm -rf /tmp/*
HEALTHCHECK --interval=1s CMD wget -q -O /dev/null http://127.0.0.1:8080/ || exit 1
ENTRYPOINT ["/entry"]
`;
const entry = `#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then chown -R 0 /data; echo "host $(hostname) $(uname -m)" > /etc/shop.conf; sed -i s/host/name/ /etc/shop.conf; cp /etc/shop.conf /data/index.html; fi
exec httpd -f -p 8080 -h /data
`;

describe("a host with containers that goes about its work", () => {
	it("raises nothing above notice: images built, tagged, saved, loaded and pruned", async () => {
		const context = join(folder, "shop");
		mkdirSync(context);
		writeFileSync(join(context, "Dockerfile"), dockerfile(engine.image));
		writeFileSync(join(context, "entry"), entry, { mode: 0o755 });
		const raised = await raisedBy(sensor, async () => {
			await engine.docker("build", "-q", "-t", "picket-test/shop:1", context);
			await engine.docker("tag", "picket-test/shop:1", "picket-test/shop:2");
			await engine.docker("save", "-o", join(folder, "shop.tar"), "picket-test/shop:2");
			await engine.docker("rmi", "picket-test/shop:2");
			await engine.docker("load", "-i", join(folder, "shop.tar"));
			await engine.docker("image", "prune", "-f");
		});
		expectQuiet(raised.filter(isOurs), []);
	});

	it("raises nothing above notice: services with a network, volumes and health checks, looked after", async () => {
		const raised = await raisedBy(sensor, async () => {
			await engine.docker("network", "create", "shop");
			await engine.docker("volume", "create", "data");
			const service = (name: string, ...options: string[]) =>
				engine.run("-d", "--network=shop", "-v", "data:/data", "--name", name, ...options);
			await service("web", "-p", "8080:8080", "--restart=unless-stopped", "picket-test/shop:1");
			await service(
				"jobs",
				"--user=65534",
				"--read-only",
				engine.image,
				"sh",
				"-c",
				"while :; do sleep 1; done",
			);
			await expect
				.poll(() => engine.docker("inspect", "-f", "{{.State.Health.Status}}", "web"), { timeout: 60_000 })
				.toBe("healthy");
			await engine
				.docker("exec", "jobs", "wget", "-q", "-O", "-", "http://web:8080/entry")
				.catch(() => undefined);
			await engine.docker(
				"exec",
				"web",
				"sh",
				"-c",
				"ls /data; cat /etc/shop.conf; echo x > /data/x; ps; df; id",
			);
			await engine.docker("logs", "web");
			await engine.docker("cp", "web:/data/x", join(folder, "x"));
			await engine.docker("cp", join(folder, "x"), "web:/data/y");
			await engine.docker("top", "web");
			await engine.docker("stats", "--no-stream", "web");
			await engine.docker("restart", "-t", "1", "web");
			await engine.run(
				"--rm",
				"-v",
				"data:/data:ro",
				"-v",
				`${folder}:/backup`,
				engine.image,
				"tar",
				"czf",
				"/backup/data.tgz",
				"/data",
			);
			await engine.docker("rm", "-f", "web", "jobs");
			await engine.docker("volume", "rm", "data");
			await engine.docker("network", "rm", "shop");
		});
		expectQuiet(raised.filter(isOurs), []);
	});
});
