// MITRE ATT&CK's names over the years. Rules and policies are written with the names of their day; alerts carry today's
// (Enterprise 19), so both are read as today's. Facts: the "revoked-by" relations ATT&CK publishes with each version.

/** Tactics, as tags name them. */
const tacticNames = {
	TA0043: "reconnaissance",
	TA0042: "resource-development",
	TA0001: "initial-access",
	TA0002: "execution",
	TA0003: "persistence",
	TA0004: "privilege-escalation",
	TA0005: "stealth",
	TA0112: "defense-impairment",
	TA0006: "credential-access",
	TA0007: "discovery",
	TA0008: "lateral-movement",
	TA0009: "collection",
	TA0011: "command-and-control",
	TA0010: "exfiltration",
	TA0040: "impact",
} as const;
export const tactics: ReadonlySet<string> = new Set(Object.values(tacticNames));

/** Until version 18 one tactic, TA0005: what hides is stealth now, what breaks a defence its impairment. */
const defenseEvasion = /^defen[cs]e-evasion$/;
/** What impairs a defence, with all below it. Every other technique of the former tactic hides. */
const impairments = ["T1222", "T1685", "T1686", "T1687", "T1688", "T1689", "T1690"];

/** Techniques that do nothing but hide: beside an impairment they keep the rule in both tactics. */
const stealthy = ["T1014", "T1027", "T1036", "T1070", "T1140", "T1564", "T1620"];

/** A revoked technique, then the one that took its place. */
const pairs = `
T1002 T1560  T1004 T1547.004  T1009 T1027.001  T1013 T1547.010  T1015 T1546.008  T1017 T1072  T1019 T1542.001
T1022 T1560  T1023 T1547.009  T1024 T1573  T1028 T1021.006  T1031 T1543.003  T1032 T1573  T1035 T1569.002
T1038 T1574.001  T1042 T1546.001  T1044 T1574.010  T1045 T1027.002  T1050 T1543.003  T1054 T1562.006  T1058 T1574.011
T1060 T1547.001  T1063 T1518.001  T1065 T1571  T1066 T1027.005  T1067 T1542.003  T1073 T1574.002  T1075 T1550.002
T1076 T1021.001  T1077 T1021.002  T1079 T1573  T1081 T1552.001  T1084 T1546.003  T1085 T1218.011  T1086 T1059.001
T1088 T1548.002  T1089 T1562.001  T1093 T1055.012  T1094 T1095  T1096 T1564.004  T1097 T1550.003  T1099 T1070.006
T1100 T1505.003  T1101 T1547.005  T1103 T1546.010  T1107 T1070.004  T1109 T1542.002  T1116 T1553.002  T1117 T1218.010
T1118 T1218.004  T1121 T1218.009  T1122 T1546.015  T1126 T1070.005  T1128 T1546.007  T1130 T1553.004  T1131 T1547.002
T1138 T1546.011  T1139 T1552.003  T1141 T1056.002  T1142 T1555.001  T1143 T1564.003  T1144 T1553.001  T1145 T1552.004
T1146 T1070.003  T1147 T1564.002  T1148 T1562.003  T1150 T1547.011  T1151 T1036.006  T1152 T1569.001  T1154 T1546.005
T1155 T1059.002  T1156 T1546.004  T1157 T1574.004  T1158 T1564.001  T1159 T1543.001  T1160 T1543.004  T1161 T1546.006
T1163 T1037.004  T1164 T1547.007  T1165 T1037.005  T1166 T1548.001  T1167 T1555.002  T1168 T1053  T1169 T1548.003
T1170 T1218.005  T1171 T1557.001  T1172 T1090.004  T1173 T1559.002  T1174 T1556.002  T1177 T1547.008  T1178 T1134.005
T1179 T1056.004  T1180 T1546.002  T1181 T1055.011  T1182 T1546.009  T1183 T1546.012  T1184 T1563.001  T1186 T1055.013
T1188 T1090.003  T1191 T1218.003  T1192 T1566.002  T1193 T1566.001  T1194 T1566.003  T1196 T1218.002  T1198 T1553.003
T1206 T1548.003  T1208 T1558.003  T1209 T1547.003  T1214 T1552.002  T1215 T1547.006  T1223 T1218.001  T1483 T1568.002
T1487 T1561.002  T1488 T1561.001  T1492 T1565.001  T1493 T1565.002  T1494 T1565.003  T1500 T1027.004  T1501 T1543.002
T1502 T1134.004  T1503 T1555.003  T1504 T1546.013  T1506 T1550.004  T1514 T1548.004  T1519 T1546.014  T1522 T1552.005
T1527 T1550.001  T1536 T1578.004  T1053.001 T1053.002  T1547.011 T1647  T1574.002 T1574.001  T1656 T1684.001
T1672 T1684.002  T1070.001 T1685.005  T1070.002 T1685.006  T1562 T1685  T1562.001 T1685  T1562.002 T1685.001
T1562.003 T1690  T1562.004 T1686  T1562.006 T1685  T1562.007 T1686.001  T1562.008 T1685.002  T1562.009 T1688
T1562.010 T1689  T1562.011 T1685.003  T1562.012 T1685.004  T1562.013 T1686.002`;
const successors: ReadonlyMap<string, string> = new Map(
	pairs
		.trim()
		.split(/\s{2,}|\n/)
		.map((pair) => pair.split(" ") as [string, string]),
);

/** What the technique is called today; itself when it is in force or unknown. */
export function currentTechnique(id: string): string {
	let current = id;
	for (let next = successors.get(current); next !== undefined; next = successors.get(current)) current = next;
	return current;
}

/** All revoked names of a technique, "T1562.001" and "T1089" of "T1685". */
export function formerTechniques(id: string): string[] {
	return [...successors.keys()].filter((former) => currentTechnique(former) === id);
}

/** What a name chosen in its day covers today: its own successor, and those of what stood below it. */
export function coveredTechniques(id: string): string[] {
	const below = [...successors.keys()].filter((former) => former.startsWith(`${id}.`));
	return [...new Set([id, ...below].map(currentTechnique))];
}

const isOrBelow = (id: string, technique: string): boolean =>
	id === technique || id.startsWith(`${technique}.`);

/**
 * Today's names of a tactic given by name ("credential-access") or id ("ta0006"); none for another word. The former
 * defense evasion is what today's techniques of the same rule make of it, stealth without any.
 */
export function currentTactics(word: string, techniques: readonly string[]): string[] {
	const name = tacticNames[word.toUpperCase() as keyof typeof tacticNames] ?? word;
	if (!defenseEvasion.test(name) && word.toUpperCase() !== "TA0005") return tactics.has(name) ? [name] : [];
	const impairs = techniques.some((id) => impairments.some((each) => isOrBelow(id, each)));
	const hides = !impairs || techniques.some((id) => stealthy.some((each) => isOrBelow(id, each)));
	return [...(hides ? ["stealth"] : []), ...(impairs ? ["defense-impairment"] : [])];
}

/** What a tactic chosen in its day covers today. */
export function coveredTactics(name: string): string[] {
	return defenseEvasion.test(name) ? ["stealth", "defense-impairment"] : [name];
}
