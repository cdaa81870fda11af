import { describe, expect, it } from "vitest";
import { attackOf } from "../../../agent/detect/attack.ts";
import {
	coveredTactics,
	coveredTechniques,
	currentTechnique,
	formerTechniques,
} from "../../../agent/model/attack.ts";

describe("the ATT&CK names in a rule's tags", () => {
	it("are read from both languages, without the other tags", () => {
		expect(
			attackOf(["host", "mitre_credential_access", "T1003.008", "attack.t1552.004", "attack.g0049", "T99"]),
		).toEqual({ tactics: ["credential-access"], techniques: ["T1003.008", "T1552.004"] });
	});

	it("come once, whichever version named them", () => {
		expect(attackOf(["T1562.001", "attack.t1685", "T1089"]).techniques).toEqual(["T1685"]);
		expect(attackOf(["attack.ta0006", "mitre_credential_access"]).tactics).toEqual(["credential-access"]);
	});

	it.each([
		[["mitre_defense_evasion"], ["stealth"]],
		[["attack.ta0005"], ["stealth"]],
		[["attack.defence-evasion"], ["stealth"]],
		[["mitre_defense_evasion", "T1055"], ["stealth"]],
		[["mitre_defense_evasion", "T1562.004"], ["defense-impairment"]],
		[["mitre_defense_evasion", "T1070.002"], ["defense-impairment"]],
		[["attack.defense-evasion", "attack.t1222.002"], ["defense-impairment"]],
		[
			["mitre_defense_evasion", "T1070.003", "T1562.003"],
			["stealth", "defense-impairment"],
		],
		[
			["attack.stealth", "attack.defense-impairment"],
			["stealth", "defense-impairment"],
		],
		[
			["attack.ta0112", "mitre_lateral_movement"],
			["defense-impairment", "lateral-movement"],
		],
		[["mitre_nonsense", "attack.stealthy"], []],
	])("%j stand for the tactics %j", (tags, tactics) => {
		expect(attackOf(tags).tactics).toEqual(tactics);
	});
});

describe("a technique", () => {
	it.each([
		["T1089", "T1685"],
		["T1148", "T1690"],
		["T1073", "T1574.001"],
		["T1150", "T1647"],
		["T1562.012", "T1685.004"],
		["T1059.004", "T1059.004"],
		["T9999", "T9999"],
	])("%s is called %s today", (former, current) => {
		expect(currentTechnique(former)).toBe(current);
	});

	it("knows the names it had before", () => {
		expect(formerTechniques("T1685").sort()).toEqual(["T1054", "T1089", "T1562", "T1562.001", "T1562.006"]);
		expect(formerTechniques("T1059.004")).toEqual([]);
		for (const former of formerTechniques("T1548.003")) expect(currentTechnique(former)).toBe("T1548.003");
	});

	it("chosen under a former name covers what stood below it", () => {
		expect(coveredTechniques("T1562")).toEqual(
			expect.arrayContaining(["T1685", "T1685.004", "T1686", "T1690"]),
		);
		expect(coveredTechniques("T1562")).not.toContain("T1562");
		expect(coveredTechniques("T1070")).toEqual(["T1070", "T1685.005", "T1685.006"]);
		expect(coveredTechniques("T1003.008")).toEqual(["T1003.008"]);
	});

	it("has one name today, whatever way leads there", () => {
		for (const former of ["T1002", "T1562", "T1672", "T1053.001", "T1547.011"])
			expect(formerTechniques(currentTechnique(former))).toContain(former);
	});
});

it("the tactic defense evasion covers the two that came of it", () => {
	expect(coveredTactics("defense-evasion")).toEqual(["stealth", "defense-impairment"]);
	expect(coveredTactics("impact")).toEqual(["impact"]);
});
