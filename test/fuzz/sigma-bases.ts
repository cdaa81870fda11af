// Sigma documents for the fuzzers: ours, which have every modifier and form of condition in them, and the public
// ones where they are found.
import { corpus } from "./corpus.ts";

const rule = (title: string, category: string, detection: string, more = ""): string => `title: ${title}
id: 1b2c3d4e-0000-4000-8000-${String(title.length).padStart(12, "0")}
status: test
author: Ada
level: high
tags: [attack.execution, attack.t1059]
logsource:
    product: linux
    category: ${category}
${more}detection:
${detection.replace(/^/gm, "    ")}
`;

const own: readonly string[] = [
	rule(
		"Download to a place for anybody",
		"process_creation",
		`selection_image:
    Image|endswith:
        - '/curl'
        - '/wget'
selection_where:
    - CommandLine|contains|all: [' -o ', '/tmp/']
    - CommandLine|re: '\\s--output(=|\\s)/(tmp|dev/shm)/'
filter_main_local:
    CommandLine|contains: '://127.0.0.1'
condition: all of selection_* and not 1 of filter_main_*`,
	),
	rule(
		"Shell of a service",
		"process_creation",
		`parent: {ParentImage|endswith: [/nginx, /java, /php-fpm]}
shell: {Image|startswith: /usr/bin/, Image|endswith: [sh, '\\*sh', 'a?h']}
user: {User: [www-data, root]}
other: {CurrentDirectory: /var/www/html}
condition: user or parent and not shell or not other and shell`,
	),
	rule(
		"Words",
		"process_creation",
		`keywords: [LD_PRELOAD, 'history -c', '*--no-check*']
both:
    '|all': [chmod, '+x']
condition: 1 of keywords or both`,
	),
	rule(
		"Case and nothing",
		"process_creation",
		`a: {CommandLine|cased|contains: Secret, Image|cased: /opt/App/run}
b: {ParentImage: null, CommandLine|startswith: 'id'}
c: {ParentCommandLine|exists: false, User|neq: root}
_d: {CommandLine: 'x'}
condition: c or a and b or _d and not c`,
	),
	rule(
		"Encoded",
		"process_creation",
		`selection: {CommandLine|base64offset|contains: ['/bin/sh', 'curl http'], Image|contains: python}
plain: {CommandLine|base64|contains: foobar}
condition: selection or plain`,
	),
	rule(
		"Folder and cases of a pattern",
		"process_creation",
		`s: {CurrentDirectory|endswith: /tmp/x, CommandLine|re|i: 'ab+c[d-f]?'}
t: {CommandLine|re: ['^perl .*socket', '(?:ba|z)sh -i']}
condition: any of s or all of t*`,
	),
	rule(
		"Unit written",
		"file_event",
		`selection:
    TargetFilename|startswith: ['/etc/systemd/system/', /usr/lib/systemd/]
    TargetFilename|endswith: ['.service', '.timer']
filter: {Image: [/usr/bin/dpkg, '/usr/bin/apt*']}
condition: selection and not filter`,
	),
	rule(
		"Keys",
		"file_event",
		`s: {TargetFilename|contains: ['/.ssh/', authorized_keys]}
condition: [s, s]`,
	),
	rule(
		"Ports and networks",
		"network_connection",
		`ports: {DestinationPort: [4444, 8081], Initiated: 'true'}
high: {DestinationPort|gte: 60000, DestinationPort|lt: 61000}
net: {DestinationIp|cidr: [10.0.0.0/8, 192.168.0.0/16]}
one: {DestinationIp: [203.0.113.7, 8.0.0.0/8], Protocol: tcp}
condition: (ports or high or one) and not net`,
	),
	`${rule("Filtered", "process_creation", "s: {Image|endswith: /nc}\ncondition: s")}---
title: What this site does
logsource: {product: linux, category: process_creation}
filter:
    rules: any
    known: {CommandLine|contains: backup}
    condition: not known
`,
	`${rule("First of two", "process_creation", "s: {Image: /usr/bin/id}\ncondition: s")}---
${rule("Second", "file_event", "s: {TargetFilename: /etc/passwd}\ncondition: not s")}`,
];

export function sigmaBases(): { readonly texts: readonly string[]; readonly corpus: number } {
	const others = corpus("sigma");
	// Half of what is tried is ours, however many there are of the others.
	const times = Math.max(1, Math.round(others.length / own.length));
	return { texts: [...Array.from({ length: times }, () => own).flat(), ...others], corpus: others.length };
}
