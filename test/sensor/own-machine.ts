// This machine's own programs and files in a world that is thrown away: a copy-on-write root (overlay on a tmpfs), mount,
// process and network namespaces of its own. What tests install, edit and destroy in it the machine never sees.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** $1: an empty folder, $2: the Node runtime, which may lie where a tmpfs comes. Says "ready" in its own root and stays until its standard input ends. */
const setUp = `set -eu
mount -t tmpfs -o mode=755 own "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay own -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
for place in tmp run dev; do mount -t tmpfs own $place; done
chmod 1777 tmp
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir -m 1777 dev/shm; mkdir dev/pts
mount -t tmpfs own dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch usr/local/bin/node; mount --bind "$2" usr/local/bin/node
ip link set lo up
exec chroot . /bin/sh -c 'echo ready; read line'`;

export interface Result {
	readonly status: number | null;
	/** Standard output and standard error. */
	readonly out: string;
}

export class OwnMachine {
	readonly folder = mkdtempSync(join(tmpdir(), "picket-machine-"));
	readonly #holder: ChildProcess;
	#pid = 0;

	constructor() {
		const own = [
			"--mount",
			"--pid",
			"--net",
			"--ipc",
			"--uts",
			"--fork",
			"--kill-child",
			"--propagation",
			"private",
		];
		this.#holder = spawn("unshare", [...own, "sh", "-c", setUp, "sh", this.folder, process.execPath], {
			stdio: ["pipe", "pipe", "pipe"],
		});
	}

	/** Rejects with what the set-up said when it cannot be made here. */
	async ready(): Promise<void> {
		let said = "";
		await new Promise<void>((resolve, reject) => {
			const hear = (text: string) => {
				said += text;
				if (said.includes("ready\n")) resolve();
			};
			this.#holder.stdout?.setEncoding("utf8").on("data", hear);
			this.#holder.stderr?.setEncoding("utf8").on("data", hear);
			this.#holder.on("close", () => reject(new Error(`no machine of its own can be made: ${said}`)));
		});
		const { pid } = this.#holder;
		this.#pid = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ")[0]);
	}

	/** Makes or replaces a file in it. */
	write(path: string, text: string): void {
		writeFileSync(`/proc/${this.#pid}/root${path}`, text);
	}

	/** A shell script in it, as root without a terminal or login, in a session of its own; ends within two minutes or rejects. */
	run(script: string, shell = "/bin/sh"): Promise<Result> {
		const where = [
			"--target",
			String(this.#pid),
			"--mount",
			"--pid",
			"--net",
			"--ipc",
			"--uts",
			"--root",
			"--wd",
		];
		const environment = {
			PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			HOME: "/root",
		};
		const child = spawn("nsenter", [...where, shell, "-c", script], {
			detached: true,
			stdio: ["ignore", "pipe", "pipe"],
			env: { ...environment, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
		});
		let out = "";
		for (const stream of [child.stdout, child.stderr])
			stream.setEncoding("utf8").on("data", (text: string) => {
				out += text;
			});
		return new Promise((resolve, reject) => {
			const late = setTimeout(() => {
				if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
				reject(new Error(`${script}\nis still running; it said: ${out}`));
			}, 120_000);
			child.on("close", (status) => {
				clearTimeout(late);
				resolve({ status, out });
			});
		});
	}

	/** Ends all that runs in it and takes its folder away. */
	async dispose(): Promise<void> {
		if (this.#holder.exitCode === null) {
			const ended = new Promise((resolve) => this.#holder.on("close", resolve));
			this.#holder.stdin?.end();
			await ended;
		}
		rmSync(this.folder, { recursive: true, force: true });
	}
}
