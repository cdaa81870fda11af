// What a key does to the view.
import type { Visible } from "./live-frame.ts";
import { type LiveModel, shownEntries, togglePause } from "./live-model.ts";
import { levels } from "./live-words.ts";

export type KeyResult = "quit" | "suspend" | "redraw" | "changed" | "none";

/** `key` as createKeyReader names it; `visible` is what the user sees while pressing it. */
export function applyKey(model: LiveModel, key: string, visible: Visible): KeyResult {
	switch (key) {
		case "q":
		case "Q":
		case "interrupt":
			return "quit";
		case "suspend":
			return "suspend";
		case "redraw":
			return "redraw";
		case "p":
		case "P":
		case " ":
			togglePause(model);
			return "changed";
		case "e":
		case "E":
			model.showActivity = !model.showActivity;
			return "changed";
		case "m":
		case "M":
			model.minimum = levels[(levels.indexOf(model.minimum) + 1) % levels.length] ?? "informational";
			return "changed";
		case "?":
		case "h":
			model.help = !model.help;
			return "changed";
		case "escape":
			if (!model.help) return "none";
			model.help = false;
			return "changed";
		case "up":
		case "k":
			return visible.first > 0 ? moveTo(model, visible.last - 1) : "none";
		case "down":
		case "j":
			return moveTo(model, visible.last + 1);
		case "pageup":
			return visible.first > 0 ? moveTo(model, visible.first - 1) : "none";
		case "pagedown":
			return moveTo(model, visible.last + Math.max(1, visible.last - visible.first + 1));
		case "home":
		case "g":
			return moveTo(model, 0);
		case "end":
		case "G":
			return moveTo(model, visible.total - 1);
		default:
			return "none";
	}
}

function moveTo(model: LiveModel, index: number): KeyResult {
	const entries = shownEntries(model);
	const anchor = index >= entries.length - 1 ? undefined : entries[Math.max(0, index)];
	if (anchor === model.anchor) return "none";
	model.anchor = anchor;
	return "changed";
}
