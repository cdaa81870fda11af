// Rules in memory, a detection made of them, and a logger that keeps quiet.
import { pino } from "pino";
import { checkPolicy, type LoadedPolicy } from "../../../agent/content.ts";
import { loadRules, type RuleFile } from "../../../agent/detect/load.ts";
import { createDetection, type Detection } from "../../../agent/detection.ts";

export const logger = pino({ level: "silent" });

export function rule(name: string, condition: string, rest = ""): string {
	return `- rule: ${name}\n  desc: d\n  condition: ${condition}\n  output: o\n  priority: ERROR\n${rest}`;
}

export function file(text: string, origin: RuleFile["origin"] = "falco"): RuleFile {
	return { path: `/rules/${origin}.yaml`, text, origin };
}

export function policyOf(text: string): LoadedPolicy {
	const { loaded } = checkPolicy(text, "/policy.yaml");
	if (!loaded) throw new Error("the test's policy has an error");
	return loaded;
}

export function detectionOf(...files: RuleFile[]): Detection {
	return createDetection(
		{ rules: loadRules(files), policy: policyOf("scopes: []\n") },
		{ userName: () => undefined, hostname: "host", bootTimeMs: () => 0, peerName: () => undefined },
	);
}
