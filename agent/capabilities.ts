// What this host lets the sensor do besides capture, for `picket doctor`, `status` and the console's hello.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { DockerRuntime } from "./docker.ts";
import type * as wire from "./model/picket.v1.ts";

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

/** Response and enrichment; `docker` undefined when the configuration switches it off. */
export function hostCapabilities(docker: Pick<DockerRuntime, "status"> | undefined): wire.Capability[] {
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
		{
			name: "respond:refuse-exec",
			available: false,
			tier: "none",
			lost: "refusing executions in the kernel",
			remedy: "not in this version",
		},
		{
			name: "respond:refuse-egress",
			available: false,
			tier: "none",
			lost: "refusing connections of one container in the kernel",
			remedy: "not in this version",
		},
	];
}
