// The console's certificates, read from where the configuration says.
import { readFileSync } from "node:fs";
import type { Config } from "../config/load.ts";
import { CommandError } from "../failure.ts";
import type { ClientTls } from "../grpc.ts";

/** Throws CommandError naming the key whose file cannot be read. */
export function consoleTls({ console }: Config): ClientTls {
	const read = (key: "ca" | "cert" | "key"): Buffer | undefined => {
		if (console[key] === "") return undefined;
		try {
			return readFileSync(console[key]);
		} catch (error) {
			const reason = error instanceof Error ? error.message : String(error);
			throw new CommandError(`console.${key}: ${reason}`, "check the path in the configuration");
		}
	};
	const ca = read("ca");
	const cert = read("cert");
	const key = read("key");
	return {
		...(ca && { ca }),
		...(cert && { cert }),
		...(key && { key }),
		...(console.server_name === "" ? {} : { serverName: console.server_name }),
	};
}
