// ATT&CK out of a rule's tags: "mitre_credential_access" and "T1003.008", or Sigma's "attack.t1003.008".
import { currentTactics, currentTechnique } from "../model/attack.ts";

/** Under today's names, whatever version of ATT&CK the tags were written for. */
export function attackOf(tags: readonly string[]): { tactics: string[]; techniques: string[] } {
	const words = tags.map((tag) =>
		tag
			.toLowerCase()
			.replace(/^(mitre_|attack\.)/, "")
			.replaceAll("_", "-"),
	);
	const techniques = words
		.filter((word) => /^t\d{4}(\.\d{3})?$/.test(word))
		.map((word) => currentTechnique(word.toUpperCase()));
	const tactics = words.flatMap((word) => currentTactics(word, techniques));
	return { tactics: [...new Set(tactics)], techniques: [...new Set(techniques)] };
}
