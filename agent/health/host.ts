// Facts of the host that do not change while the sensor runs. The only file that knows systeminformation.
import { readFile } from "node:fs/promises";
import { arch, availableParallelism, hostname, release, totalmem } from "node:os";

export interface HostFacts {
	readonly hostname: string;
	/** "6.12.48+deb13-amd64". */
	readonly kernel: string;
	/** "Debian GNU/Linux 13 (trixie)", empty when not told. */
	readonly distribution: string;
	/** New with each boot; 36 characters, empty when it cannot be read. */
	readonly bootId: string;
	/** As uname says it: "x86_64", "aarch64". */
	readonly architecture: string;
	readonly memoryBytes: number;
	readonly processors: number;
}

/** Reads a few small files; what is not there is left empty. `root`: where the host's files are seen. */
export async function readHost(root = "/"): Promise<HostFacts> {
	const base = root.endsWith("/") ? root : `${root}/`;
	const read = (path: string): Promise<string> => readFile(`${base}${path}`, "utf8").catch(() => "");
	const [bootId, etc, usr, name] = await Promise.all([
		read("proc/sys/kernel/random/boot_id"),
		read("etc/os-release"),
		read("usr/lib/os-release"),
		read("proc/sys/kernel/hostname"),
	]);
	return {
		hostname: name.trim() || hostname(),
		kernel: release(),
		distribution: distributionOf(etc || usr),
		bootId: bootId.trim(),
		architecture: machineOf(arch()),
		memoryBytes: totalmem(),
		processors: availableParallelism(),
	};
}

/** PRETTY_NAME of os-release(5), else NAME with VERSION_ID. */
export function distributionOf(text: string): string {
	const values = new Map<string, string>();
	for (const line of text.split("\n")) {
		const match = /^([A-Z_]+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S*))\s*$/.exec(line);
		if (match === null) continue;
		const [, key = "", double, single, bare] = match;
		values.set(key, double?.replace(/\\(.)/g, "$1") ?? single ?? bare ?? "");
	}
	const pretty = values.get("PRETTY_NAME");
	return pretty || [values.get("NAME"), values.get("VERSION_ID")].filter(Boolean).join(" ");
}

/** The kernel's name of an architecture that Node names otherwise. */
function machineOf(name: string): string {
	return { x64: "x86_64", arm64: "aarch64" }[name] ?? name;
}

export interface MachineFacts {
	readonly manufacturer: string;
	readonly model: string;
	readonly virtual: boolean;
	/** "KVM", "VMware", …; empty on bare metal. */
	readonly hypervisor: string;
}

/**
 * The machine under the host, for `picket doctor`. Slow (it runs other programs), so never on the way to a running
 * sensor, and loaded only here. Undefined when it is not told within `timeoutMs`.
 */
export async function readMachine(timeoutMs = 3000): Promise<MachineFacts | undefined> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<undefined>((resolve) => {
		timer = setTimeout(() => resolve(undefined), timeoutMs);
	});
	try {
		const { system } = await import("systeminformation");
		const facts = await Promise.race([system(), late]);
		if (facts === undefined) return undefined;
		const { manufacturer, model, virtual, virtualHost } = facts;
		return { manufacturer, model, virtual, hypervisor: virtualHost ?? "" };
	} catch {
		return undefined;
	} finally {
		clearTimeout(timer);
	}
}
