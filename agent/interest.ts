// What the kernel is asked for: what rules and policy look at, and what the sensor needs on its own account.
import type { Config } from "./config/load.ts";
import type { Content } from "./detection.ts";
import type { EventName } from "./model/event.ts";
import { everything, type Interest, noInterest, ownNeeds, sumOfInterests } from "./model/interest.ts";
import { withPeerNames } from "./peer-names.ts";

export interface InterestOptions {
	readonly config: Pick<Config, "health" | "capture">;
	/** A container engine is asked. */
	readonly engine: boolean;
	readonly mode: () => "observe" | "enforce";
	readonly eventKinds: ReadonlySet<EventName>;
	readonly alsoCapture: ReadonlySet<EventName> | undefined;
	/** For the live view. */
	readonly activity: ReadonlySet<EventName> | undefined;
}

/** Who connects to the engine may be the one behind a `docker exec`. */
const clientsOfEngine: Interest = {
	...noInterest,
	kinds: new Set(["connect"]),
	connects: { ip: "none", unix: true },
};

/** Seldom calls that can be aimed at the sensor itself. */
const aimedAtUs: Interest = { ...noInterest, kinds: new Set(["bpf", "ptrace"]) };

export function createInterest(options: InterestOptions): (content: Content) => Interest {
	const { config, engine, mode, eventKinds, alsoCapture, activity } = options;
	return (content) => {
		const asked = sumOfInterests([
			ownNeeds,
			...(config.health.tamper_seconds > 0 ? [aimedAtUs] : []),
			content.interest,
			...(engine ? [clientsOfEngine] : []),
			// Who fronts most of the connections to this host must not be blocked.
			...(mode() === "enforce" ? [interestOfKinds(new Set(["accept"]))] : []),
			interestOfKinds(eventKinds),
			interestOfKinds(alsoCapture ?? new Set()),
			interestOfKinds(new Set([...(activity ?? [])].filter((kind) => kind !== "open"))),
		]);
		return config.capture.dns ? withPeerNames(asked) : asked;
	};
}

function interestOfKinds(kinds: ReadonlySet<EventName>): Interest {
	if (kinds.has("open"))
		return {
			...everything,
			kinds,
			connects: kinds.has("connect") ? everything.connects : noInterest.connects,
		};
	return { ...noInterest, kinds, connects: kinds.has("connect") ? everything.connects : noInterest.connects };
}
