import { describe, expect, it } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import type { Order } from "../../../agent/model/verdict.ts";
import { byHand, fakeRefuser, fakeRuntime, makeResponder, web } from "./host.ts";

function make(fake = fakeRefuser(), more: Parameters<typeof makeResponder>[0] = {}) {
	const { runtime } = fakeRuntime(web);
	const refusals = {
		refuser: fake.refuser,
		cgroupsOf: (id: string) => (id === web.id ? [77] : []),
	};
	return { ...makeResponder({ runtimes: () => [runtime], refusals, ...more }), ...fake };
}

const egress = (ttlSeconds = 60): Order => ({ kind: "refuseEgress", container: "web-1", ttlSeconds });
const exec = (program: string, container = ""): Order => ({
	kind: "refuseExec",
	program,
	container,
	ttlSeconds: 60,
});
const steps = (action: wire.Action) => (action.steps ?? []).join("\n");

describe("refusing what a container sends", () => {
	it("puts a rule with a deadline on its cgroup, and takes it back", async () => {
		const { responder, rules } = make();
		const action = await responder.order(egress(), byHand);
		expect(action, steps(action)).toMatchObject({
			kind: "KIND_REFUSE_EGRESS",
			outcome: "OUTCOME_VERIFIED",
			target: web.id,
			undo: "picket permit-egress web-1",
		});
		const [rule] = [...rules.values()].flat();
		expect(rule).toMatchObject({ id: action.id, mode: "enforce", where: [77], what: { kind: "isolate" } });
		expect(responder.active()).toMatchObject([
			{ kind: "refuseEgress", target: web.id, expires: rule?.deadline },
		]);
		expect((await responder.order(egress(), byHand)).outcome).toBe("OUTCOME_UNCHANGED");

		const permit: Order = { kind: "permitEgress", container: "web-1" };
		expect((await responder.order(permit, byHand)).outcome).toBe("OUTCOME_VERIFIED");
		expect(rules.size).toBe(0);
		expect(responder.active()).toEqual([]);
		expect((await responder.order(permit, byHand)).outcome).toBe("OUTCOME_UNCHANGED");
		await responder.close();
	});

	it("is no success when the kernel does not have it in force", async () => {
		const { responder } = make(fakeRefuser({ deaf: true }));
		expect((await responder.order(egress(), byHand)).outcome).toBe("OUTCOME_NO_EFFECT");
		await responder.close();
	});

	it("fails with the kernel's words, and leaves nothing in the ledger", async () => {
		const { responder } = make(fakeRefuser({ fails: true }));
		const action = await responder.order(egress(), byHand);
		expect(action.outcome).toBe("OUTCOME_FAILED");
		expect(steps(action)).toContain("the table is full");
		expect(responder.active()).toEqual([]);
		await responder.close();
	});

	it("is only told in observe mode", async () => {
		const { responder, rules } = make(fakeRefuser(), { mode: () => "observe" });
		const action = await responder.order(egress(), byHand);
		expect(action.outcome).toBe("OUTCOME_WOULD_ACT");
		expect(rules.size).toBe(0);
		await responder.close();
	});

	it("is refused where its cgroup is not known, or nothing is refused in the kernel", async () => {
		const { runtime } = fakeRuntime({ ...web, id: "cd".repeat(32) });
		const unknown = make(fakeRefuser(), { runtimes: () => [runtime] });
		expect(steps(await unknown.responder.order(egress(), byHand))).toContain("PICKET_TARGET_UNKNOWN");
		const without = make(fakeRefuser(), { refusals: undefined });
		const action = await without.responder.order(egress(), byHand);
		expect(action.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(action)).toContain("PICKET_KERNEL_UNFIT");
	});
});

describe("refusing an execution", () => {
	it.each([
		["in a container", "any", "web-1", [77], { by: "any" }],
		[
			"in a container by inode",
			"inode:8388609:42",
			web.id,
			[77],
			{ by: "inode", device: 8388609, inode: 42n },
		],
		["on the host", "/tmp/evil", "", "host", { by: "path", path: "/tmp/evil" }],
	])("%s is put into the kernel and taken back", async (_, program, container, where, match) => {
		const { responder, rules } = make();
		const action = await responder.order(exec(program, container), byHand);
		expect(action, steps(action)).toMatchObject({ kind: "KIND_REFUSE_EXEC", outcome: "OUTCOME_VERIFIED" });
		expect(steps(action)).toContain("by kill (scripts)");
		expect([...rules.values()].flat()).toMatchObject([{ where, what: { kind: "exec", deny: [match] } }]);
		const back = await responder.order({ kind: "permitExec", program, container }, byHand);
		expect(back.outcome).toBe("OUTCOME_VERIFIED");
		expect(rules.size).toBe(0);
		await responder.close();
	});

	it("never of what the host needs, nor of everything on it", async () => {
		const { responder, rules } = make();
		const vital = await responder.order(exec("/bin/sh"), byHand);
		expect(vital.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(vital)).toContain("PICKET_TARGET_PROTECTED");
		expect((await responder.order(exec("any"), byHand)).outcome).toBe("OUTCOME_REFUSED");
		expect(rules.size).toBe(0);
		await responder.close();
	});

	it("is kept by program, so that one is permitted and the other stays refused", async () => {
		const { responder, rules } = make();
		await responder.order(exec("/tmp/one"), byHand);
		await responder.order(exec("/tmp/two"), byHand);
		await responder.order({ kind: "permitExec", program: "/tmp/one", container: "" }, byHand);
		expect([...rules.values()].flat()).toMatchObject([{ what: { deny: [{ path: "/tmp/two" }] } }]);
		expect(responder.active()).toMatchObject([{ kind: "refuseExec", target: "host /tmp/two" }]);
		await responder.close();
	});
});
