// Which tier each capability gets on this kernel.
import { pino } from "pino";
import { capabilities } from "../../../agent/capture/hooks.ts";
import { LiveCapture, noLimits } from "../../../agent/capture/live.ts";
import { cgroupMount } from "../../../agent/enrich/cgroups.ts";
import { everything } from "../../../agent/model/interest.ts";

export function probe(): { capabilities: ReturnType<LiveCapture["capabilities"]>; tiers: string[] } {
	const off = (process.env.PICKET_OFF ?? "").split(",").filter((name) => name !== "");
	const capture = new LiveCapture({
		ringBytes: 262_144,
		drainMs: 10,
		scope: { pids: [process.pid], cgroups: [], paths: [] },
		simulateLoss: 0,
		limits: noLimits,
		mayAsk: everything.kinds,
		off,
		cgroupRoot: cgroupMount(),
		logger: pino({ level: "debug" }, { write: (text) => process.stderr.write(text) }),
	});
	try {
		capture.start(everything, () => {});
		const tiers = [...new Set(capabilities.flatMap(({ ways }) => ways.map(({ tier }) => tier)))];
		return { capabilities: capture.capabilities(), tiers };
	} finally {
		capture.close();
	}
}
