import { describe, expect, it } from "vitest";
import { EventFlag } from "../../../agent/model/event.ts";
import { grants } from "../../../agent/model/grants.ts";
import { noInterest } from "../../../agent/model/interest.ts";
import type { Container } from "../../../agent/model/process.ts";
import type { Finding } from "../../../agent/model/verdict.ts";
import { PolicyEngine } from "../../../agent/policy/engine.ts";
import { explainPolicy } from "../../../agent/policy/explain.ts";
import {
	consoleRefusal,
	defaultPolicy,
	effectiveMode,
	grantOfConsole,
	loadPolicy,
} from "../../../agent/policy/load.ts";
import {
	connect,
	container,
	context,
	event,
	exec,
	load,
	open,
	policyOf,
	process,
	rules,
	violations,
} from "./rig.ts";

describe("a deny line", () => {
	const policy = policyOf(`
scopes:
  - name: base
    scope: host
    severity: high
    processes: {deny: [nc, /tmp/**]}
    files:
      deny_read: [/etc/shadow, "/home/*/.ssh/"]
      deny_write:
        - /etc/**
    peers: {deny: [203.0.113.0/24, "198.51.100.7:443", 4444, "[2001:db8::/32]:8000-8100"]}
    users: {deny: [root]}
`);

	it("names who did what, and its own place in the file", () => {
		const [finding] = violations(policy, open("/etc/passwd", 1));
		expect(finding).toMatchObject({
			rule: "policy/base/files.deny_write",
			origin: "policy",
			severity: "high",
			priority: "Error",
			fields: { "fd.name": "/etc/passwd", "proc.name": "bash", "container.id": "host" },
		});
		expect(finding?.summary).toBe(
			"bash (pid 7, user www-data) opened for writing /etc/passwd, which policy.yaml:10 denies (/etc/**)",
		);
	});

	it("covers executions by path, by name, and by name of the file when comm says otherwise", () => {
		expect(rules(policy, exec(process({ exe: "/tmp/a/b", comm: "b" })))).toEqual([
			"policy/base/processes.deny",
		]);
		expect(rules(policy, exec(process({ exe: "/usr/bin/nc.openbsd", comm: "nc" })))).toHaveLength(1);
		expect(rules(policy, exec(process({ exe: "/usr/bin/nc", comm: "innocent" })))).toHaveLength(1);
		expect(rules(policy, exec(process({ exe: "/usr/bin/ncal", comm: "ncal" })))).toEqual([]);
		expect(rules(policy, exec(process({ exe: "/var/tmp/x", comm: "x" })))).toEqual([]);
	});

	it("covers reads and writes apart, and only those that happened", () => {
		expect(rules(policy, open("/etc/shadow", 0))).toEqual(["policy/base/files.deny_read"]);
		expect(rules(policy, open("/etc/hostname", 0))).toEqual([]);
		expect(rules(policy, open("/etc/hostname", 2))).toEqual(["policy/base/files.deny_write"]);
		expect(rules(policy, open("/etc/hostname", 0x200))).toEqual(["policy/base/files.deny_write"]);
		expect(rules(policy, open("/home/bob/.ssh/id_rsa", 0))).toEqual(["policy/base/files.deny_read"]);
		expect(rules(policy, open("/home/bob/x/.ssh/id_rsa", 0))).toEqual([]);
		expect(rules(policy, open("/etc/shadow", 0, process(), { result: -13 }))).toEqual([]);
		expect(rules(policy, open("/etc/shadow", 0x200000))).toEqual([]);
	});

	it("covers peers by network, by port and by both, in both families", () => {
		expect(rules(policy, connect([203, 0, 113, 9], 80))).toEqual(["policy/base/peers.deny"]);
		expect(rules(policy, connect([203, 0, 114, 9], 80))).toEqual([]);
		expect(rules(policy, connect([198, 51, 100, 7], 443))).toHaveLength(1);
		expect(rules(policy, connect([198, 51, 100, 7], 80))).toEqual([]);
		expect(rules(policy, connect([8, 8, 8, 8], 4444))).toHaveLength(1);
		const six = [...Buffer.from("20010db8000000000000000000000009", "hex")];
		expect(rules(policy, connect(six, 8080))).toHaveLength(1);
		expect(rules(policy, connect(six, 80))).toEqual([]);
		expect(violations(policy, connect(six, 8080))[0]?.summary).toContain("connected to [2001:db8::9]:8080");
		expect(rules(policy, connect([203, 0, 113, 9], 80, { family: 1 }))).toEqual([]);
	});

	it("covers users by name or number", () => {
		expect(rules(policy, exec(process({ euid: 0 })))).toEqual(["policy/base/users.deny"]);
		expect(rules(policy, exec(process({ euid: 1000 })))).toEqual([]);
	});

	it("of the host does not speak of containers", () => {
		expect(rules(policy, exec(process({ exe: "/tmp/x" }, container())))).toEqual([]);
	});
});

describe("an allow list", () => {
	const acts = [
		exec(process({ exe: "/usr/sbin/nginx", comm: "nginx" }, container())),
		exec(process({ exe: "/bin/sh", comm: "sh" }, container())),
		exec(process({ exe: "/tmp/evil", comm: "evil" }, container())),
	];
	const scope = (allow: string, deny = "[]") =>
		policyOf(`scopes: [{name: web, scope: {image: "nginx:*"}, processes: {allow: ${allow}, deny: ${deny}}}]`);

	it("means only these, and says where the list is", () => {
		const policy = scope("[/usr/sbin/nginx]");
		expect(acts.map((act) => rules(policy, act).length)).toEqual([0, 1, 1]);
		const summary = violations(policy, acts[1] ?? exec(process()))[0]?.summary;
		expect(summary).toBe(
			"sh (pid 7, user www-data) in container web-1 (nginx:1.27) executed /bin/sh, which is not in processes.allow of policy.yaml:1",
		);
	});

	it("that is empty allows nothing, while none at all restricts nothing", () => {
		expect(acts.map((act) => rules(scope("[]"), act).length)).toEqual([1, 1, 1]);
		const none = policyOf('scopes: [{scope: {image: "nginx:*"}, processes: {deny: []}}]');
		expect(acts.map((act) => rules(none, act).length)).toEqual([0, 0, 0]);
	});

	it("never changes another decision when a line is added", () => {
		const before = acts.map((act) => rules(scope("[/usr/sbin/nginx]", "[/tmp/**]"), act));
		const after = acts.map((act) => rules(scope("[/usr/sbin/nginx, /bin/sh]", "[/tmp/**]"), act));
		expect(after[0]).toEqual(before[0]);
		expect(after[1]).toEqual([]);
		expect(after[2]).toEqual(before[2]);
	});

	it("does not win over a deny line", () => {
		expect(rules(scope("[/tmp/evil]", "[/tmp/evil]"), acts[2] ?? exec(process()))).toEqual([
			"policy/web/processes.deny",
		]);
	});

	it("of peers leaves loopback and the resolver's probes out", () => {
		const policy = policyOf("scopes: [{scope: host, peers: {allow: [10.0.0.0/8]}}]");
		expect(rules(policy, connect([10, 1, 1, 1], 1))).toEqual([]);
		expect(rules(policy, connect([127, 0, 0, 53], 53))).toEqual([]);
		expect(rules(policy, connect([8, 8, 8, 8], 0, { protocol: 17 }))).toEqual([]);
		expect(rules(policy, connect([8, 8, 8, 8], 53, { protocol: 17 }))).toEqual(["policy/1/peers.allow"]);
	});

	it("of files does not judge a path that could not be read whole, nor a directory", () => {
		const policy = policyOf("scopes: [{scope: host, mode: observe, files: {allow_read: [/srv/]}}]");
		expect(rules(policy, open("/srv/a/b", 0))).toEqual([]);
		expect(rules(policy, open("/etc/passwd", 0))).toEqual(["policy/1/files.allow_read"]);
		expect(rules(policy, open("d/e", 0, process(), { flags: EventFlag.pathIncomplete }))).toEqual([]);
		expect(rules(policy, open("/etc", 0, process(), { mode: 0x4000 }))).toEqual([]);
	});
});

describe("a scope", () => {
	it.each([
		["containers", true],
		["host", false],
		['{image: "nginx:*"}', true],
		['{image: "redis*"}', false],
		["{name: web-*}", true],
		["{labels: {tier: front}}", true],
		["{labels: {tier: back}}", false],
		["{labels: {tier: '*', missing: '*'}}", false],
		["{compose_project: shop, compose_service: web}", true],
		["{compose_service: db}", false],
		["{labels: {constructor: '*'}}", false],
	])("%s selects the container: %s", (selector, selected) => {
		const labels = {
			tier: "front",
			"com.docker.compose.project": "shop",
			"com.docker.compose.service": "web",
		};
		const policy = policyOf(`scopes: [{scope: ${selector}, mode: observe, processes: {deny: [bash]}}]`);
		expect(rules(policy, exec(process({}, container({ labels }))))).toHaveLength(selected ? 1 : 0);
	});

	it("is decided again when the runtime has told a container's image", () => {
		const policy = policyOf('scopes: [{scope: {image: "nginx:*"}, processes: {deny: [bash]}}]');
		const engine = new PolicyEngine(policy, context);
		const box = container({ known: false, image: "" });
		expect(violations(policy, exec(process({}, box)), engine)).toEqual([]);
		box.image = "nginx:1.27";
		box.known = true;
		expect(violations(policy, exec(process({}, box)), engine)).toHaveLength(1);
	});

	it("can be narrowed to a user", () => {
		const policy = policyOf("scopes: [{scope: host, user: www-data, processes: {deny: [bash]}}]");
		expect(rules(policy, exec(process()))).toHaveLength(1);
		expect(rules(policy, exec(process({ euid: 0 })))).toEqual([]);
	});

	it("does not judge an act whose process is not known", () => {
		const policy = policyOf("scopes: [{scope: host, mode: observe, processes: {allow: []}}]");
		expect(rules(policy, { event: event({}), process: undefined })).toEqual([]);
	});
});

describe("responses", () => {
	const finding = {
		rule: "Read sensitive file",
		severity: "high",
		techniques: ["T1003.008"],
		tactics: ["credential-access"],
		tags: ["a"],
	} as unknown as Finding;
	const ask = (text: string, inside?: Container) =>
		new PolicyEngine(policyOf(text), context).responses(finding, exec(process({}, inside)));

	it("are only an alert without a policy", () => {
		expect(new PolicyEngine(defaultPolicy(), context).responses(finding, exec(process()))).toEqual([
			{ act: "alert" },
		]);
		expect(defaultPolicy().scopes).toEqual([]);
	});

	it.each([
		["{rule: 'Read*'}", true],
		["{rule: 'Write*'}", false],
		["{severity: medium}", true],
		["{severity: critical}", false],
		["{technique: T1003}", true],
		["{technique: T1003.008}", true],
		["{technique: T1003.001}", false],
		["{tactic: credential-access, tag: a}", true],
		["{tactic: credential-access, tag: b}", false],
		["{scope: host}", true],
		["{scope: container}", false],
		["{}", true],
	])("with when: %s fit: %s", (when, fitting) => {
		const acts = ask(`responses: [{when: ${when}, do: [kill]}]`);
		expect(acts).toEqual(fitting ? [{ act: "alert" }, { act: "kill" }] : [{ act: "alert" }]);
	});

	it.each([
		["{technique: T1562.001}", "T1685", true],
		["{technique: T1562}", "T1686", true],
		["{technique: T1070}", "T1685.006", true],
		["{technique: T1562.004}", "T1685", false],
		["{tactic: defense-evasion}", "T1685", true],
		["{tactic: defense-impairment}", "T1685", true],
		["{tactic: stealth}", "T1685", false],
	])("with when: %s of an older ATT&CK and a finding of %s fit: %s", (when, technique, fitting) => {
		const policy = policyOf(`responses: [{when: ${when}, do: [kill]}]`);
		const of = { ...finding, techniques: [technique], tactics: ["defense-impairment"] };
		const acts = new PolicyEngine(policy, context).responses(of, exec(process()));
		expect(acts.some(({ act }) => act === "kill")).toBe(fitting);
	});

	it("come from the first entry that fits", () => {
		const text = "responses:\n  - when: {rule: 'Read*'}\n    do: [alert]\n  - do: [kill]\n";
		expect(ask(text)).toEqual([{ act: "alert" }]);
	});

	it("say how long a block lasts", () => {
		expect(ask("responses: [{do: [{block: {ttl: 30m}}]}]")[1]).toEqual({
			act: "block",
			ttlSeconds: 1800,
			direction: "both",
		});
		expect(ask("responses: [{do: [block, pause]}]")).toEqual([
			{ act: "alert" },
			{ act: "block", ttlSeconds: 0, direction: "both" },
			{ act: "pause", ttlSeconds: 0 },
		]);
	});
});

describe("a policy file", () => {
	it.each([
		["scopes:\n  - scope: host\n    process: {}\n", 3, "scopes[0].process", 'write "processes"'],
		["scopes:\n  - scope: {imag: x}\n", 2, "scopes[0].scope.imag", 'write "image"'],
		["scopes:\n  - scope: hosts\n", 2, "scopes[0].scope", "host, containers"],
		["scopes:\n  - name: a\n", 2, "scopes[0].scope", "Where it applies"],
		["scopes: [{scope: host, peers: {deny: [10.0.0.1/8]}}]", 1, "scopes[0].peers.deny[0]", "10.0.0.0/8"],
		["scopes: [{scope: host, peers: {deny: [70000]}}]", 1, "scopes[0].peers.deny[0]", "443"],
		[
			"scopes: [{scope: host, files: {deny_read: [etc/shadow]}}]",
			1,
			"scopes[0].files.deny_read[0]",
			"Files that may not be read",
		],
		["scopes: [{scope: host, processes: {allow: }}]", 1, "scopes[0].processes.allow", "Only these"],
		["responses:\n  - do: [explode]\n", 2, "responses[0].do[0]", "alert, block"],
		["responses:\n  - do: [{block: {tll: 5m}}]\n", 2, "responses[0].do[0].block.tll", 'write "ttl"'],
		["responses:\n  - do: [{block: {ttl: soon}}]\n", 2, "responses[0].do[0].block.ttl", "30m"],
		["responses: [{when: {technique: 1059}, do: [kill]}]", 1, "responses[0].when.technique", "ATT&CK"],
		["mode: panic", 1, "mode", "never raise"],
	])("with the mistake %j names line %i, %s and the way out", (text, line, where, remedy) => {
		const { policy, problems } = load(text);
		expect(policy).toBeUndefined();
		expect(problems).toHaveLength(1);
		expect(problems[0]).toMatchObject({ line, where });
		expect(problems[0]?.remedy).toContain(remedy);
	});

	it("can lower enforce to observe and never raise it", () => {
		expect(effectiveMode("enforce", policyOf("mode: observe"))).toBe("observe");
		expect(effectiveMode("observe", policyOf("mode: enforce"))).toBe("observe");
		expect(effectiveMode("enforce", policyOf("mode: enforce"))).toBe("enforce");
		expect(effectiveMode("enforce", policyOf(""))).toBe("enforce");
	});

	it("bounds what a console may ask for, and nobody else", () => {
		const policy = policyOf("console: {may: [pause, resume]}");
		expect(consoleRefusal(policy, "console:main", "kill")).toContain("only for pause, resume");
		expect(consoleRefusal(policy, "console:main", "pause")).toBeUndefined();
		expect(consoleRefusal(policy, "cli", "kill")).toBeUndefined();
	});

	it("grants a console only queries unless it says more", () => {
		for (const policy of [defaultPolicy(), policyOf(""), policyOf("console: {ttl: 1h}")]) {
			for (const grant of grants)
				expect(consoleRefusal(policy, "console:main", grant) === undefined, grant).toBe(
					grant.startsWith("query_"),
				);
		}
	});

	it("grants a console by its name what it may, and how long its blocks may last", () => {
		const policy = policyOf("console: {may: [block], ttl: 1h, names: {hq: {may: [kill]}, eu: {ttl: 30m}}}");
		expect(consoleRefusal(policy, "console:hq", "kill")).toBeUndefined();
		expect(consoleRefusal(policy, "console:hq", "block")).toContain("does not let console hq ask for block");
		expect(consoleRefusal(policy, "console:eu", "block")).toBeUndefined();
		expect(grantOfConsole(policy, "hq").ttlSeconds).toBe(3600);
		expect(grantOfConsole(policy, "eu").ttlSeconds).toBe(1800);
		expect(grantOfConsole(policy, "other")).toMatchObject({ may: ["block"], ttlSeconds: 3600 });
		const words = explainPolicy(policy).map(({ text }) => text);
		expect(words).toEqual([
			"Any other console may ask for block, and for nothing else. What it blocks or pauses lasts at most 3600 s.",
			"Console hq may ask for kill, and for nothing else.",
			"Console eu may ask for block, and for nothing else. What it blocks or pauses lasts at most 1800 s.",
		]);
	});

	it("names the line of a grant that there is none of, and of a time that is too long", () => {
		for (const [text, message] of [
			["console:\n  may: [reboot]", "reboot"],
			["console:\n  ttl: 2d", "up to 1d"],
			["console:\n  names: {hq: {must: []}}", "must"],
		] as const) {
			const [problem] = loadPolicy(text, "policy.yaml").problems;
			expect(problem).toMatchObject({ line: 2, level: "error" });
			expect(`${problem?.message} ${problem?.remedy} ${problem?.where}`).toContain(message);
		}
	});

	it("warns of two scopes of one name", () => {
		const { policy, problems } = load("scopes: [{name: a, scope: host}, {name: a, scope: host}]");
		expect(policy?.scopes).toHaveLength(2);
		expect(problems).toMatchObject([{ level: "warning", where: "scopes" }]);
	});

	it("can be told in sentences", () => {
		const policy = policyOf(
			"scopes:\n- scope: host\n  peers: {allow: [10.0.0.0/8]}\nresponses:\n- do: [kill]\n",
		);
		const told = explainPolicy(policy).map(({ place, text }) => ({ line: place?.line, text }));
		expect(told).toEqual([
			{ line: 2, text: 'Scope "1": the host outside containers.' },
			{ line: 3, text: "Only 10.0.0.0/8 may be connected to." },
			{ line: 5, text: "On anything else: alert, kill." },
			{
				line: undefined,
				text: "A console may ask for query_processes, query_connections, query_containers, query_counters, and for nothing else.",
			},
		]);
	});
});

describe("the interest of a policy", () => {
	const interest = (text: string) => new PolicyEngine(policyOf(text), context).interest;
	const files = (list: string) => interest(`scopes: [{scope: containers, files: ${list}}]`);

	it("is nothing without scopes", () => {
		expect(interest("")).toEqual(noInterest);
	});

	it("names only the kinds that some list speaks of", () => {
		expect(interest("scopes: [{scope: host, users: {deny: [root]}}]").kinds).toEqual(new Set(["exec"]));
		expect(interest("scopes: [{scope: host, peers: {deny: [1]}}]").kinds).toEqual(new Set(["connect"]));
		expect(interest("scopes: [{scope: host, incoming: {deny: [1]}}]").kinds).toEqual(new Set(["accept"]));
		const listening = interest("scopes: [{scope: host, listening: {allow: [1]}}]").kinds;
		expect(listening).toEqual(new Set(["listen", "bind"]));
		expect(interest("scopes: [{scope: containers, images: {deny: [x]}}]").kinds).toEqual(new Set());
		expect(files("{deny_write: [/etc/]}")).toMatchObject({
			kinds: new Set(["open"]),
			writeOpens: { exact: [], prefixes: ["/etc/"], names: [], suffixes: [] },
			readOpens: "none",
		});
		expect(files("{allow_write: [/srv/]}").writeOpens).toBe("all");
	});

	it("bounds reads by path, beginning, base name or ending", () => {
		expect(
			files('{deny_read: [/etc/shadow, /root/, "**/id_rsa", "**.pem", "/home/*/.netrc"]}').readOpens,
		).toEqual({
			exact: ["/etc/shadow"],
			prefixes: ["/root/"],
			names: ["id_rsa", ".netrc"],
			suffixes: [".pem"],
		});
	});

	it("is every read when a list cannot be bounded", () => {
		expect(files("{allow_read: [/srv/]}").readOpens).toBe("all");
		expect(files('{deny_read: ["**/key*"]}').readOpens).toBe("all");
	});
});
