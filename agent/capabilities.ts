// What this host lets the sensor do besides capture, for `picket doctor`, `status` and the console's hello.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { DockerRuntime } from "./docker.ts";
import type * as wire from "./model/picket.v1.ts";
import type { Means, Refuser } from "./model/refusal.ts";

function isInstalled(command: string): boolean {
	const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
	return folders.some((folder) => {
		try {
			accessSync(join(folder, command), constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

/** What refuses in the kernel, as far as it is known. */
export type RefusalMeans = Pick<Refuser, "exec" | "egress" | "outlives">;

function refusalCapability(
	name: string,
	what: string,
	outlives: boolean,
	means: Means<string>,
): wire.Capability {
	if ("lacking" in means)
		return { name, available: false, tier: "none", lost: `${what} (${means.lacking})`, remedy: means.remedy };
	const ends = outlives ? "" : "what is refused ends with the sensor";
	const mounted = outlives ? "" : "a BPF file system at /sys/fs/bpf";
	const both = (first: string, second: string) => [first, second].filter(Boolean).join("; ");
	return {
		name,
		available: true,
		tier: means.by,
		lost: both(means.lost, ends),
		remedy: both(means.remedy, mounted),
	};
}

const unasked: Means<never> = { lacking: "the kernel was not asked", remedy: "run it as root" };

/** Response and enrichment; `docker` undefined when the configuration switches it off. */
export function hostCapabilities(
	docker: Pick<DockerRuntime, "status"> | undefined,
	refusals: RefusalMeans = { exec: unasked, egress: unasked, outlives: true },
): wire.Capability[] {
	const missing = ["iptables-restore", "ip6tables-restore", "ipset"].filter(
		(command) => !isInstalled(command),
	);
	const state = docker?.status();
	const dockerLost = "names, images and labels of containers; pausing them";
	return [
		{
			name: "respond:block",
			available: missing.length === 0,
			tier: "ipset",
			lost: missing.length === 0 ? "" : `blocking addresses (no ${missing.join(", no ")})`,
			remedy: missing.length === 0 ? "" : "apt-get install iptables ipset",
		},
		{
			name: "respond:cut-connections",
			available: isInstalled("conntrack") || isInstalled("ss"),
			tier: isInstalled("conntrack") ? "conntrack" : "ss",
			lost: isInstalled("conntrack") ? "" : "ending forwarded connections of a blocked address at once",
			remedy: isInstalled("conntrack") ? "" : "apt-get install conntrack",
		},
		{ name: "respond:kill", available: true, tier: "pidfd", lost: "", remedy: "" },
		{
			name: "containers:docker",
			available: state?.available ?? false,
			tier: "docker",
			lost: state?.available
				? ""
				: `${dockerLost} (${state?.problem ?? "switched off in the configuration"})`,
			remedy: state?.available ? "" : (state?.remedy ?? "set docker.enabled: true"),
		},
		refusalCapability(
			"respond:refuse-exec",
			"refusing executions in the kernel",
			refusals.outlives,
			refusals.exec,
		),
		refusalCapability(
			"respond:refuse-egress",
			"refusing connections of one container in the kernel",
			refusals.outlives,
			refusals.egress,
		),
	];
}
