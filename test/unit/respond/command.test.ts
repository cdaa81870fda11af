import { describe, expect, it } from "vitest";
import { parseNetwork } from "../../../agent/model/address.ts";
import { createRunner, type RunCommand } from "../../../agent/respond/command.ts";
import { cutConnections } from "../../../agent/respond/connections.ts";
import { RespondError } from "../../../agent/respond/failure.ts";
import { createFirewall } from "../../../agent/respond/firewall.ts";
import { deletionsOf, installationOf } from "../../../agent/respond/ruleset.ts";
import { byHand, makeResponder } from "./host.ts";

const missing: RunCommand = async (file) => {
	throw new RespondError("PICKET_COMMAND_MISSING", `${file} is not installed`, `install the package ${file}`);
};

describe("a command", () => {
	it("gets its arguments as they are, without a shell, and its input", async () => {
		const result = await createRunner()(
			"sh",
			["-c", 'cat; printf %s "$1"; exit 3', "x", "$(id) ; `id`"],
			"in ",
		);
		expect(result).toEqual({ code: 3, stdout: "in $(id) ; `id`", stderr: "" });
	});

	it("that is not installed is named with the package to install", async () => {
		await expect(createRunner()("ip6tables-nowhere", [])).rejects.toMatchObject({
			code: "PICKET_COMMAND_MISSING",
			remedy: "install the package iptables",
		});
	});

	it("that hangs is ended", async () => {
		await expect(createRunner([], 50)("sleep", ["30"])).rejects.toMatchObject({
			code: "PICKET_COMMAND_TIMEOUT",
		});
	});

	it("that does not read its input harms nobody", async () => {
		expect((await createRunner()("true", [], "x".repeat(1_000_000))).code).toBe(0);
	});
});

describe("a host without the tools", () => {
	it("fails a block with what to install, and releases without trouble", async () => {
		const { responder } = makeResponder({ run: missing });
		const action = await responder.order({ kind: "block", address: "203.0.113.9", ttlSeconds: 60 }, byHand);
		expect(action.outcome).toBe("OUTCOME_FAILED");
		expect(action.steps?.join()).toContain("install the package ipset");
		const unblock = await responder.order({ kind: "unblock", address: "203.0.113.9" }, byHand);
		expect(unblock.outcome).toBe("OUTCOME_UNCHANGED");
		expect(await responder.release()).toEqual([]);
		expect(await createFirewall({ run: missing }).remove([])).toBe(true);
	});

	it("is told that open connections could not be closed", async () => {
		const steps: string[] = [];
		await cutConnections(missing, parseNetwork("203.0.113.9"), steps);
		expect(steps.join()).toContain("ss is not installed");
	});
});

describe("the plan for the filter table", () => {
	const family = { iptables: "iptables", inet: "inet", set: "picket4" } as const;
	const empty = ["-P INPUT ACCEPT", "-P FORWARD DROP", "-P OUTPUT ACCEPT"];
	const installed = [
		...empty,
		"-N PICKET-FWD",
		"-N PICKET-IN",
		"-N PICKET-OUT",
		"-A INPUT -j PICKET-IN",
		"-A INPUT -p tcp -j fail2ban",
		"-A FORWARD -j PICKET-FWD",
		"-A OUTPUT -j PICKET-OUT",
		"-A PICKET-FWD -m set --match-set picket4 src -j DROP",
		"-A PICKET-FWD -m set --match-set picket4 dst -j DROP",
		"-A PICKET-IN -m set --match-set picket4 src -j DROP",
		"-A PICKET-OUT -m set --match-set picket4 dst -j DROP",
	];

	it("is empty when all stands", () => {
		expect(installationOf(installed, family)).toEqual([]);
	});

	it("makes chains, matches and jumps in an empty table", () => {
		const plan = installationOf(empty, family);
		expect(plan.filter((line) => line.startsWith("-I"))).toEqual([
			"-I INPUT 1 -j PICKET-IN",
			"-I OUTPUT 1 -j PICKET-OUT",
			"-I FORWARD 1 -j PICKET-FWD",
		]);
		expect(plan.filter((line) => line.startsWith("-A"))).toHaveLength(4);
		expect(plan.some((line) => line.startsWith("-D"))).toBe(false);
	});

	it("mends only what is wrong", () => {
		const behind = installed.filter((rule) => rule !== "-A INPUT -j PICKET-IN");
		expect(installationOf([...behind, "-A INPUT -j PICKET-IN"], family)).toEqual([
			"-D INPUT -j PICKET-IN",
			"-I INPUT 1 -j PICKET-IN",
		]);
		const accepting = [...installed, "-A PICKET-IN -j ACCEPT"];
		expect(installationOf(accepting, family).filter((line) => line.startsWith(":"))).toHaveLength(3);
	});

	it("takes away every jump of ours, doubled ones too, and no rule of others", () => {
		const doubled = [...installed, "-A INPUT -j PICKET-IN"];
		const plan = deletionsOf(doubled);
		expect(plan.filter((line) => line === "-D INPUT -j PICKET-IN")).toHaveLength(2);
		expect(plan.join()).not.toContain("fail2ban");
		expect(plan.slice(-3)).toEqual(["-X PICKET-IN", "-X PICKET-OUT", "-X PICKET-FWD"]);
		expect(deletionsOf(empty)).toEqual([]);
	});
});
