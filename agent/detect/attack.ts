// ATT&CK out of a rule's tags: "mitre_credential_access" and "T1003.008", or Sigma's "attack.t1003.008".
const tactics: ReadonlySet<string> = new Set([
	"reconnaissance",
	"resource-development",
	"initial-access",
	"execution",
	"persistence",
	"privilege-escalation",
	"defense-evasion",
	"credential-access",
	"discovery",
	"lateral-movement",
	"collection",
	"command-and-control",
	"exfiltration",
	"impact",
]);

export function attackOf(tags: readonly string[]): { tactics: string[]; techniques: string[] } {
	const found = { tactics: new Set<string>(), techniques: new Set<string>() };
	for (const tag of tags) {
		const word = tag
			.toLowerCase()
			.replace(/^(mitre_|attack\.)/, "")
			.replaceAll("_", "-");
		if (tactics.has(word)) found.tactics.add(word);
		else if (/^t\d{4}(\.\d{3})?$/.test(word)) found.techniques.add(word.toUpperCase());
	}
	return { tactics: [...found.tactics], techniques: [...found.techniques] };
}
