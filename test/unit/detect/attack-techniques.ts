// The techniques our signatures may name, with their tactics in ATT&CK Enterprise 19. A signature that needs another one
// adds it here, after a look at ATT&CK.
const table = `
T1003.008 credential-access
T1005 collection
T1006 stealth
T1014 stealth
T1018 discovery
T1021.004 lateral-movement
T1027 stealth
T1033 discovery
T1036.004 stealth
T1036.005 stealth
T1036.011 stealth
T1037.004 persistence privilege-escalation
T1040 credential-access discovery
T1046 discovery
T1048 exfiltration
T1049 discovery
T1053.003 execution persistence privilege-escalation
T1053.006 execution persistence privilege-escalation
T1055 stealth privilege-escalation
T1055.008 stealth privilege-escalation
T1056.001 collection credential-access
T1057 discovery
T1059 execution
T1059.004 execution
T1059.006 execution
T1068 privilege-escalation
T1070.003 stealth
T1070.004 stealth
T1071 command-and-control
T1072 execution lateral-movement
T1082 discovery
T1083 discovery
T1087.001 discovery
T1090 command-and-control
T1095 command-and-control
T1098 persistence privilege-escalation
T1098.004 persistence privilege-escalation
T1098.007 persistence privilege-escalation
T1105 command-and-control
T1136.001 persistence
T1140 stealth
T1190 initial-access
T1222.002 defense-impairment
T1485 impact
T1486 impact
T1496.001 impact
T1505.003 persistence
T1528 credential-access
T1543.002 persistence privilege-escalation
T1546 persistence privilege-escalation
T1546.004 persistence privilege-escalation
T1547.006 persistence privilege-escalation
T1548.001 privilege-escalation
T1548.003 privilege-escalation
T1552.001 credential-access
T1552.004 credential-access
T1552.005 credential-access
T1554 persistence
T1556.003 credential-access persistence
T1560.001 collection
T1561.001 impact
T1564 stealth
T1564.001 stealth
T1567 exfiltration
T1567.002 exfiltration
T1570 lateral-movement
T1571 command-and-control
T1572 command-and-control
T1574 persistence privilege-escalation stealth
T1574.006 persistence privilege-escalation stealth
T1609 execution
T1610 execution
T1611 privilege-escalation
T1613 discovery
T1620 stealth
T1685 defense-impairment
T1685.006 defense-impairment
T1686 defense-impairment
T1690 defense-impairment`;

/** By id. */
export const techniqueTactics: ReadonlyMap<string, readonly string[]> = new Map(
	table
		.trim()
		.split("\n")
		.map((line) => {
			const [id = "", ...tactics] = line.split(" ");
			return [id, tactics];
		}),
);
