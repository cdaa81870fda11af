import { describe, expect, it } from "vitest";
import { createRunner, type RunCommand } from "../../../agent/respond/command.ts";
import { createConnections } from "../../../agent/respond/connections.ts";
import { RespondError } from "../../../agent/respond/failure.ts";
import { createFirewall } from "../../../agent/respond/firewall.ts";
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
		await createConnections({ run: missing }).cut("203.0.113.9", steps);
		expect(steps.join()).toContain("ss is not installed");
	});
});
