import { expect, it } from "vitest";
import { createRecent } from "../../../agent/report/recent.ts";

it("the newest alerts, actions and gaps are kept in order, and nothing else", () => {
	const recent = createRecent(3);
	for (let i = 0; i < 20; i++) {
		recent.push({ sequence: `e${i}`, event: {} });
		recent.push({ sequence: `a${i}`, alert: {} });
	}
	recent.push({ sequence: "act", action: {} });
	expect(recent.list().map(({ sequence }) => sequence)).toEqual(["a18", "a19", "act"]);
});
