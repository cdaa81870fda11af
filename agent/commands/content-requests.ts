// What the control socket answers about delivered content.
import { z } from "zod";
import type { Handler } from "../control/server.ts";
import { contentKinds } from "../delivered/model.ts";
import type { Takeover } from "../delivered/takeover.ts";
import { CommandError } from "../failure.ts";

const rollbackParams = z.strictObject({ kind: z.enum(contentKinds) });

export function contentHandlers(takeoverOf: () => Takeover | undefined): Record<string, Handler> {
	const takeover = (): Takeover => {
		const found = takeoverOf();
		if (found) return found;
		throw new CommandError(
			"this sensor takes no content from consoles",
			"ask the one that `picket run` started",
		);
	};
	return {
		content: () => ({ captureOnly: takeover().captureOnly(), delivered: takeover().states() }),
		rollbackContent: (params) =>
			takeover().rollback(rollbackParams.parse(params).kind, { requester: "cli", commandId: "" }),
		acceptContent: () => {
			const was = takeover().captureOnly();
			takeover().accept();
			return { was };
		},
	};
}
