// A real Docker engine for tests, in network and mount namespaces of its own: the host's firewall, mounts and
// engine (if it has one) are not touched. Ends only what it started.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

export interface Engine {
	readonly socketPath: string;
	/** Name of its network namespace, for `ip netns exec`. */
	readonly namespace: string;
	/** A BusyBox tree; labels below, command "sleep 3600". */
	readonly image: string;
	readonly labels: Readonly<Record<string, string>>;
	/** The docker command against this engine; resolves with its trimmed stdout, rejects with its stderr. */
	docker(...args: string[]): Promise<string>;
	/** `docker run`; with "-d" it resolves with the container's id. */
	run(...args: string[]): Promise<string>;
	/** Removes the empty cgroup that a `--cgroup-parent` of this name left in every hierarchy. */
	removeCgroup(name: string): void;
	/** Host pid of the container's first process. */
	pidOf(container: string): Promise<number>;
	/** Ends dockerd alone (its containers stop); state and socket path stay for `startDaemon`. */
	stopDaemon(): Promise<void>;
	startDaemon(): Promise<void>;
	/** Removes everything. May be called twice. */
	stop(): Promise<void>;
}

export interface EngineOptions {
	/** With a bridge (docker0, 172.17.0.1/16) and NAT rules, all inside the test's network namespace. */
	readonly bridge?: boolean;
}

const image = "picket-test/busybox:1";
const labels = {
	"picket.test": "engine",
	"com.docker.compose.project": "shop",
	"com.docker.compose.service": "web",
};

// dockerd and containerd write here whatever their options say; in our mount namespace they find these empty.
const privatePlaces = ["/etc/docker", "/run/docker", "/run/containerd"];
const programs = ["/usr/sbin/dockerd", "/bin/busybox"];

/** Takes about two seconds. Rejects with what is missing or with the end of dockerd's log. */
export async function startEngine(options: EngineOptions = {}): Promise<Engine> {
	if (process.getuid?.() !== 0) throw new Error("the container tests need root");
	const missing = programs.find((path) => !fs.existsSync(path));
	if (missing) throw new Error(`${missing} is missing: install docker.io and busybox-static`);

	const namespace = `picket-test-${randomBytes(4).toString("hex")}`;
	const directory = fs.mkdtempSync(join(tmpdir(), "picket-engine-"));
	const socketPath = join(directory, "docker.sock");
	const logFile = join(directory, "dockerd.log");
	const made = privatePlaces.filter((path) => fs.mkdirSync(path, { recursive: true }) !== undefined);
	const cgroupsBefore = new Set(cgroups("docker"));
	let daemon: ChildProcess | undefined;
	let storage = "overlay2";
	let stopped: Promise<void> | undefined;

	const engine: Engine = {
		socketPath,
		namespace,
		image,
		labels,
		docker,
		// As pid 1 sleep ignores SIGTERM: every stop would take its full time.
		run: (...args) => docker("run", "--stop-signal=KILL", ...args),
		removeCgroup: (name) => {
			for (const path of cgroups(name)) removeEmpty(path);
		},
		pidOf: async (container) => Number(await docker("inspect", "--format", "{{.State.Pid}}", container)),
		stopDaemon,
		startDaemon,
		stop: () => {
			stopped ??= stop();
			return stopped;
		},
	};
	try {
		await command("ip", ["netns", "add", namespace]);
		await command("ip", ["-n", namespace, "link", "set", "lo", "up"]);
		await startDaemon().catch(() => {
			storage = "vfs";
			return startDaemon();
		});
		await importImage();
		return engine;
	} catch (error) {
		await engine.stop();
		throw error;
	}

	function docker(...args: string[]): Promise<string> {
		return command("docker", args, {
			PATH: process.env.PATH,
			DOCKER_HOST: `unix://${socketPath}`,
			DOCKER_CONFIG: join(directory, "cli"),
			// The other builder asks a registry for images that lie here.
			DOCKER_BUILDKIT: "0",
		});
	}

	async function startDaemon(): Promise<void> {
		const network = options.bridge ? [] : ["--bridge=none", "--iptables=false"];
		const mounts = privatePlaces.map((path) => `mount -t tmpfs picket-test ${path}`).join(" && ");
		const log = fs.openSync(logFile, "a");
		// Every step executes the next in place, so that the child's pid is dockerd's. setpriv: when the test
		// process is killed, the engine ends too. nsenter, since `ip netns exec` would hide the cgroup mounts.
		const child = spawn(
			"nsenter",
			[
				`--net=/run/netns/${namespace}`,
				...["unshare", "--mount", "--propagation", "private"],
				...["sh", "-c", `${mounts} && exec "$@"`, "sh"],
				...["setpriv", "--pdeathsig", "TERM", "dockerd"],
				...["--data-root", join(directory, "data"), "--exec-root", join(directory, "exec")],
				...["--host", `unix://${socketPath}`, "--pidfile", join(directory, "dockerd.pid")],
				...["--storage-driver", storage, "--exec-opt", "native.cgroupdriver=cgroupfs"],
				...["--ip6tables=false", "--shutdown-timeout", "2", "--log-level", "warn", ...network],
			],
			{ stdio: ["ignore", log, log], env: { ...process.env, GOMAXPROCS: "1" } },
		);
		fs.closeSync(log);
		daemon = child;
		let failure: Error | undefined;
		child.once("error", (error) => {
			failure = error;
		});
		const deadline = Date.now() + 30_000;
		while (!(await answers())) {
			if (failure || child.exitCode !== null || Date.now() > deadline) {
				await stopDaemon();
				const end = fs.readFileSync(logFile, "utf8").slice(-2000);
				throw new Error(`dockerd did not start (${failure?.message ?? child.exitCode}): ${end}`);
			}
			await wait(100);
		}
	}

	async function answers(): Promise<boolean> {
		if (!fs.existsSync(socketPath)) return false;
		return docker("version", "--format", "{{.Server.Version}}").then(
			() => true,
			() => false,
		);
	}

	async function importImage(): Promise<void> {
		const tree = join(directory, "tree");
		for (const name of ["bin", "etc", "tmp", "proc", "sys", "dev", "root"]) {
			fs.mkdirSync(join(tree, name), { recursive: true });
		}
		fs.copyFileSync("/bin/busybox", join(tree, "bin/busybox"));
		fs.writeFileSync(join(tree, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
		for (const applet of (await command("/bin/busybox", ["--list"])).split("\n")) {
			if (applet !== "busybox") fs.symlinkSync("busybox", join(tree, "bin", applet));
		}
		const archive = join(directory, "tree.tar");
		await command("tar", ["-C", tree, "-cf", archive, "."]);
		const changes = [
			`LABEL ${Object.entries(labels)
				.map(([key, value]) => `${key}=${value}`)
				.join(" ")}`,
			'CMD ["sleep","3600"]',
		];
		await docker("import", ...changes.flatMap((change) => ["--change", change]), archive, image);
	}

	async function stopDaemon(): Promise<void> {
		const child = daemon;
		daemon = undefined;
		if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
		const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
		child.kill("SIGTERM");
		const patience = setTimeout(() => child.kill("SIGKILL"), 20_000);
		await ended;
		clearTimeout(patience);
	}

	async function stop(): Promise<void> {
		if (daemon) {
			const all = await docker("ps", "--all", "--quiet").catch(() => "");
			if (all !== "") await docker("rm", "--force", ...all.split("\n")).catch(() => undefined);
		}
		await stopDaemon();
		await endStragglers();
		await command("ip", ["netns", "delete", namespace]).catch(() => undefined);
		fs.rmSync(directory, { recursive: true, force: true });
		// What somebody else put something into stays.
		const left = cgroups("docker").filter((path) => !cgroupsBefore.has(path));
		for (const path of [...left, ...made]) removeEmpty(path);
	}

	// What is left in the namespace we made is ours: containerd and shims of a dockerd that had to be killed,
	// and what they run.
	async function endStragglers(): Promise<void> {
		const left = await command("ip", ["netns", "pids", namespace]).catch(() => "");
		for (const pid of left.split("\n").filter((line) => line !== "")) {
			try {
				process.kill(Number(pid), "SIGKILL");
			} catch {
				// Ended by itself meanwhile.
			}
		}
	}
}

/** The cgroup of this name in every hierarchy; dockerd puts its containers below "docker". */
function cgroups(name: string): string[] {
	const lines = fs.readFileSync("/proc/self/mountinfo", "utf8").split("\n");
	const mounts = lines.filter((line) => / - cgroup2? /.test(line)).map((line) => line.split(" ")[4]);
	return mounts.map((mount) => `${mount}/${name}`).filter((path) => fs.existsSync(path));
}

function removeEmpty(path: string): void {
	try {
		fs.rmdirSync(path);
	} catch {
		// In use by somebody else, or gone.
	}
}

function command(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string> {
	return new Promise((resolve, reject) => {
		const options = { timeout: 60_000, maxBuffer: 64 << 20, ...(env === undefined ? {} : { env }) };
		execFile(program, [...args], options, (error, stdout, stderr) => {
			if (error) reject(new Error(`${program} ${args.join(" ")}: ${stderr.trim() || error.message}`));
			else resolve(stdout.trim());
		});
	});
}
