// Alerts held back for being too many: counted by rule, told once a minute, and nothing else lost by it.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { createAlertLimit } from "../../../agent/report/alert-limit.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function rig(limits: { all: number; rule: number }) {
	const sent: string[] = [];
	const gaps: wire.Gap[] = [];
	const limit = createAlertLimit(limits, {
		emit: (body) => {
			sent.push(body.alert?.rule ?? "");
			return {};
		},
		gap: (gap) => gaps.push(gap),
	});
	const alerts = (rule: string, count: number, severity: wire.Severity = "SEVERITY_LOW") => {
		for (let i = 0; i < count; i++) limit.emit({ rule, severity });
	};
	return { limit, sent, alerts, lost: () => gaps.map((gap) => gap.lost), gaps };
}

describe("alerts", () => {
	it("of one rule are limited, and those of others are not", () => {
		const { limit, sent, alerts, lost, gaps } = rig({ all: 100, rule: 3 });
		alerts("flood", 10);
		alerts("other", 2);
		expect(sent).toEqual(["flood", "flood", "flood", "other", "other"]);
		expect(limit.limited()).toEqual(new Map([["flood", 7]]));
		expect(limit.suppressed()).toBe(0);
		vi.advanceTimersByTime(60_000);
		expect(lost()).toEqual([[{ class: "alert of flood", count: "7" }]]);
		expect(gaps[0]?.where).toBe("alert limit");
		alerts("flood", 1);
		expect(sent).toHaveLength(6);
		limit.close();
		expect(gaps).toHaveLength(1);
	});

	it("of a critical rule go out when the others have used up all, up to ten times a rule's share", () => {
		const { limit, sent, alerts, lost } = rig({ all: 2, rule: 2 });
		alerts("a", 2);
		alerts("b", 1);
		alerts("grave", 25, "SEVERITY_CRITICAL");
		expect(sent.filter((name) => name === "grave")).toHaveLength(20);
		expect(limit.suppressed()).toBe(1);
		limit.close();
		expect(lost()).toEqual([
			[
				{ class: "alert", count: "1" },
				{ class: "alert of grave", count: "5" },
			],
		]);
	});
});
