// The process in which content is tried: what it may use, and what a crash, a hang or a lie of it comes to.
import { expect, it, vi } from "vitest";
import { runTrial, trialLimits } from "../../../agent/delivered/trial-run.ts";
import { childrenOf, expectConfined, statusOf } from "../confined.ts";
import { bundleOf, question, rule } from "./rig.ts";

const many = (count: number) =>
	Array.from({ length: count }, (_, i) =>
		rule(`R${i}`, `proc.args regex "([a-z]+[0-9]*)+-${i}[a-z]*x?$"`),
	).join("");

it("answers with what is in the bundle, or with why it is refused", async () => {
	const good = bundleOf("rules", 1, rule("A", "evt.type = execve and proc.name = nc"));
	const bad = bundleOf("rules", 1, rule("All", "evt.type = execve"));
	const [answer, refusal] = await Promise.allSettled([
		runTrial(good.bytes, question),
		runTrial(bad.bytes, question),
	]);
	expect(answer).toMatchObject({ status: "fulfilled", value: { bundle: { kind: "rules", version: 1 } } });
	expect(refusal).toMatchObject({ reason: { message: expect.stringMatching(/rule All matches/) } });
});

it("that explodes or hangs ends, and the content is refused with the reason", async () => {
	const { bytes } = bundleOf("rules", 1, many(4000));
	const [memory, time] = await Promise.allSettled([
		runTrial(bytes, question, { ...trialLimits, heapMegabytes: 24 }),
		runTrial(bytes, question, { ...trialLimits, timeoutMs: 400 }),
	]);
	expect(memory).toMatchObject({
		reason: { message: expect.stringMatching(/^the trial .*(memory|SIG|status)/) },
	});
	expect(time).toMatchObject({ reason: { message: expect.stringMatching(/took longer than 0\.4 s/) } });
});

// Another than root has no rights to give up.
it.skipIf(process.getuid?.() !== 0)(
	"has no rights once it reads what was delivered",
	async () => {
		const { bytes } = bundleOf("rules", 1, many(4000));
		const ended = runTrial(bytes, question, { ...trialLimits, timeoutMs: 60_000, heapMegabytes: 200 }).then(
			() => "answered",
			(error: unknown) => String(error),
		);
		const started = () => childrenOf(process.pid, "delivered/trial.ts")[0] ?? 0;
		await vi.waitFor(() => expect(statusOf(started(), "Seccomp_filters")).toBe("2"), {
			timeout: 45_000,
			interval: 20,
		});
		const child = started();
		process.kill(child, "SIGSTOP");
		expectConfined(child);
		process.kill(child, "SIGKILL");
		expect(await ended).toMatch(/SIGKILL/);
	},
	90_000,
);
