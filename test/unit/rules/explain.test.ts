// `picket rules explain`: the compiled form, how a rule is found, its fields, its interest, and what it costs here.
import { describe, expect, it } from "vitest";
import { pageOf } from "../../../agent/commands/page.ts";
import { explainRules } from "../../../agent/commands/rules-explain.ts";
import { testRules } from "../../../agent/commands/rules-test.ts";
import { explainer } from "../../../agent/detect/explain.ts";
import { type Bounds, type LoadedRule, loadRules } from "../../../agent/detect/load.ts";
import { type Events, measureRule } from "../../../agent/detect/measure.ts";
import { observationOf } from "../../../agent/detect/sample.ts";
import { nearNames } from "../../../agent/detect/suggest.ts";
import { CommandError } from "../../../agent/failure.ts";
import { EventKind } from "../../../agent/model/event.ts";
import { context } from "../detect/rig.ts";
import { folderOf } from "./rig.ts";

const rules = `
- list: readers
  items: [cat, less, head]
- macro: reading
  condition: evt.type in (open, openat) and evt.is_open_read = true
- rule: Secret read
  desc: Somebody read the secret.
  condition: reading and fd.name = /srv/sécret and proc.name in (readers)
  output: "%proc.name read %fd.name %proc.vmsize"
  priority: Warning
  tags: [mitre_credential_access, T1003.008]
  exceptions:
    - { name: backup, fields: [proc.exepath, user.name], comps: [startswith, "="], values: [[/opt/backup/, backup]] }
  picket_false_positives: ["Restores."]
- rule: Secret read by root
  desc: d
  condition: reading and user.uid = 0
  output: o
  priority: Notice
- rule: Wide
  desc: d
  condition: evt.type = connect and not fd.sport in (80, 443)
  output: o
  priority: Notice
- rule: Never
  desc: d
  condition: evt.type = nanosleep
  output: o
  priority: Notice
- rule: Wrong
  desc: d
  condition: proc.nmae = x
  output: o
  priority: Notice
`;
const folder = folderOf({
	"rules.yaml": rules,
	"more/one.yaml": "- rule: One\n  desc: d\n  condition: evt.type = execve\n  output: o\n  priority: info\n",
	"more/two.yml": "- rule: Two\n  desc: d\n  condition: evt.type = ptrace\n  output: o\n  priority: info\n",
	"burst.yaml": JSON.stringify({
		title: "Burst of ones",
		correlation: {
			type: "event_count",
			rules: ["One"],
			"group-by": ["proc.name"],
			timespan: "1m",
			condition: { gte: 3 },
		},
		picket_samples: {
			positive: [[{ process: { exe: "/bin/x" }, repeat: 3 }]],
			negative: [[{ process: { exe: "/bin/x{n}" }, repeat: 3 }], [{ process: { exe: "/bin/x" }, repeat: 2 }]],
		},
	}),
	"none.yaml": "",
	"picket.yaml": "rules:\n  default: false\n",
	"signatures.yaml": "rules:\n  default: true\n",
});
const flags = { config: `${folder}/picket.yaml`, rules: [`${folder}/rules.yaml`], cost: false };
const page = pageOf({}, {});
const text = (name: string, more = {}) => explainRules([name], { ...flags, ...more }, page).text;
const json = (name: string) => JSON.parse(text(name, { json: true })).rules[0];

const bounds: Bounds = new Map();
const set = loadRules([{ path: "rules.yaml", text: rules, origin: "falco" }], bounds);
const ruleNamed = (name: string) => set.rules.find((rule) => rule.name === name) as LoadedRule;

describe("the explanation of a rule", () => {
	it("begins with what it is and where it stands", () => {
		const said = text("Secret read");
		for (const part of [
			"Somebody read the secret.",
			`falco, ${folder}/rules.yaml:6`,
			"medium (priority Warning)",
			"credential-access, T1003.008",
			"Restores.",
			"open (openat, open, openat2, creat, open_by_handle_at)",
		])
			expect(said).toContain(part);
	});

	it("shows the condition with lists, macros and exceptions put in, and what other rules have too", () => {
		expect(text("Secret read")).toContain(
			[
				"  all of",
				"    all of   [1 more rule]",
				"      evt.type in (open, openat)",
				"      evt.is_open_read = true",
				"    fd.name = /srv/sécret",
				"    proc.name in (cat, less, head)",
				"    not all of",
				"      proc.exepath startswith /opt/backup/",
				"      user.name = backup",
			].join("\n"),
		);
	});

	it("says by which checks the engine finds it", () => {
		expect(json("Secret read").indexes).toMatchObject([
			{ events: ["open"], checks: [{ text: "fd.name = /srv/sécret", how: "text search" }] },
		]);
		expect(json("Secret read by root").indexes).toMatchObject([
			{ events: ["open"], checks: [{ text: "user.uid = 0", how: "number look-up" }] },
		]);
		expect(json("Wide").indexes[0].checks).toBeUndefined();
		expect(text("Wide")).toContain("connect: no check that has to hold is known");
	});

	it("lists its fields with type, meaning and events", () => {
		const found = new Map(
			(json("Secret read").fields as { name: string; in: string[]; events?: string[] }[]).map((each) => [
				each.name,
				each,
			]),
		);
		expect([...found.keys()]).toEqual([
			...["evt.type", "evt.is_open_read", "fd.name", "proc.name"],
			...["proc.exepath", "user.name", "proc.vmsize"],
		]);
		expect(found.get("fd.name")).toMatchObject({ type: "text", in: ["condition", "output"] });
		expect(found.get("evt.is_open_read")).toMatchObject({ type: "bool", events: ["open"] });
		expect(found.get("proc.vmsize")).toMatchObject({ events: [], in: ["output"] });
		expect(text("Secret read")).toMatch(/proc\.vmsize +text +known, but no event here has it/);
	});

	it("says what the kernel sends for it, and warns of what cannot be narrowed", () => {
		expect(json("Secret read").kernel).toMatchObject({
			reads: ["/srv/sécret"],
			changes: "none",
			peers: "none",
		});
		expect(json("Secret read by root").kernel).toMatchObject({ reads: "all" });
		expect(text("Secret read by root")).toContain("every file that is opened for reading: this costs CPU");
		expect(json("Wide").kernel).toMatchObject({ reads: "none", peers: "all" });
	});

	it("says why it cannot do more here", () => {
		expect(text("Never")).toMatch(
			/here +not-evaluable, switched off\n +these events are not captured: nanosleep/,
		);
		expect(text("Secret read")).toContain("the output's proc.vmsize is always <NA> here");
	});

	it("of a rule with an error shows the line, and the command fails", () => {
		const { text: said, status } = explainRules(["Wrong"], flags, page);
		expect(status).toBe(1);
		expect(said).toContain("      |              ^~~~~~~~~\n      = did you mean proc.name?");
		expect(explainRules(["Wide"], flags, page).status).toBe(0);
	});
});

describe("a correlation", () => {
	const files = [`${folder}/more`, `${folder}/burst.yaml`];

	it("is explained by what it joins, and its rules by what they feed", () => {
		const burst = explainRules(["Burst of ones"], { ...flags, rules: files }, page).text;
		expect(burst).toMatch(
			/^ {2}type +event_count\n {2}condition .*1m.*\n {2}group by +proc\.name\n {2}rules +One$/m,
		);
		const one = explainRules(["One"], { ...flags, rules: files }, page).text;
		expect(one).toContain("feeds       Burst of ones\nalerts      none of its own");
		const [json] = JSON.parse(
			explainRules(["Burst of ones"], { ...flags, rules: files, json: true }, page).text,
		).rules;
		expect(json.correlation).toMatchObject({ type: "event_count", timespan: "1m", rules: ["One"] });
	});

	it("is tested with acts one after another", () => {
		const passing = testRules(files, flags, page);
		expect(passing.text).toContain("pass  Burst of ones  (1 positive, 2 negative)");
		expect(passing.status).toBe(0);
		const broken = folderOf({
			"burst.yaml": JSON.stringify({
				title: "Burst of ones",
				correlation: { type: "event_count", rules: ["One"], timespan: "1m", condition: { gte: 3 } },
				picket_samples: {
					positive: [
						[{ process: { exe: "/bin/x" }, repeat: 2 }, { connect: { port: 1, address: "1.1.1.1" } }],
					],
				},
			}),
		});
		const { text: said, status } = testRules([`${folder}/more`, broken], flags, page);
		expect(status).toBe(1);
		expect(said).toContain("positive sample 1 did not match");
		expect(said).toContain("        act 1: One\n        act 2: One\n        act 3: no rule matched");
	});
});

describe("what is explained", () => {
	it("is every rule of the files and folders that are named", () => {
		const names = (...words: string[]) =>
			JSON.parse(explainRules(words, { ...flags, json: true }, page).text).rules.map(
				({ name }: { name: string }) => name,
			);
		expect(names(`${folder}/more`)).toEqual(["One", "Two"]);
		expect(names(`${folder}/more/two.yml`, "Wide")).toEqual(["Wide", "Two"]);
		expect(names(`${folder}/rules.yaml`)).toHaveLength(5);
		expect(names(`${folder}/none.yaml`)).toEqual([]);
		expect(names("wide")).toEqual(["Wide"]);
	});

	it("is nothing when no rule has that name; near ones are suggested", () => {
		const remedyOf = (name: string): string => {
			try {
				explainRules([name], flags, page);
			} catch (error) {
				if (error instanceof CommandError) return error.remedy;
			}
			throw new Error("no error");
		};
		expect(remedyOf("Secrt read")).toBe("did you mean: Secret read");
		expect(remedyOf("secret")).toBe("did you mean: Secret read, Secret read by root");
		expect(remedyOf("zzz")).toBe("see `picket rules list`");
		expect(() => explainRules([`${folder}/nowhere.yaml`], flags, page)).toThrow(/ENOENT/);
	});

	it("can be each of our own signatures", () => {
		const own = { config: `${folder}/signatures.yaml`, cost: false, json: true };
		const { rules: explained } = JSON.parse(
			explainRules([new URL("../../../agent/detect/signatures", import.meta.url).pathname], own, page).text,
		);
		expect(explained.length).toBeGreaterThan(15);
		for (const { name, condition, indexes, fields, correlation } of explained) {
			if (correlation) {
				expect(correlation.rules, name).not.toEqual([]);
				continue;
			}
			expect(condition, name).toBeDefined();
			expect(indexes, name).not.toEqual([]);
			expect(
				fields.filter((field: { meaning: string }) => field.meaning === ""),
				name,
			).toEqual([]);
		}
	}, 60_000);
});

describe("names that were meant", () => {
	it("are those a slip or two away, then those that hold the word", () => {
		const known = ["Password hashes read", "Password file changed", "Shell in a container"];
		expect(nearNames("pasword hashes raed", known)).toEqual(["Password hashes read"]);
		expect(nearNames("password", known)).toEqual(["Password hashes read", "Password file changed"]);
		expect(nearNames("something else", known)).toEqual([]);
	});
});

describe("the cost of a rule", () => {
	const secret = observationOf({ open: { path: "/srv/sécret" }, process: { exe: "/bin/cat" } });
	const other = observationOf({ open: { path: "/srv/other" }, process: { exe: "/bin/cat" } });
	const written = observationOf({ open: { path: "/srv/sécret", flags: ["O_WRONLY"] } });
	const ran = observationOf({ process: { exe: "/bin/cat" } });
	const all = [secret, other, other, written, ran];
	const events = (): Events & { shown: number } => {
		const current = { event: secret.event, process: secret.process };
		return {
			shown: 0,
			kinds: all.map(({ event }) => event.kind),
			observation: current,
			show(place) {
				this.shown++;
				Object.assign(current, all[place]);
			},
		};
	};

	it("is told for each kind of event it can match on, with what its index lets through", () => {
		// Each look at the clock is 100 ns later.
		let now = 0;
		const seen = events();
		const costs = measureRule(ruleNamed("Secret read"), set, seen, context, {
			rounds: 3,
			roundNs: 1000,
			clock: () => {
				now += 100;
				return now;
			},
		});
		expect(costs).toEqual([
			{
				...{ event: "open", events: 4, rounds: 3, judged: 2, matched: 1 },
				...{ median: 0, lowest: 0, highest: 0 },
			},
		]);
		expect(seen.kinds[4]).toBe(EventKind.exec);
		// Ten passes a round, of four events; three rounds and three before, each with the rule and without.
		expect(seen.shown).toBe(6 * 2 * 10 * 4 + 2 * 4);
	});

	it("is the time with the rule less the time without", () => {
		const median = (clockOf: (shown: number, asked: number) => number): number => {
			const seen = events();
			const { event, process } = seen.observation;
			let now = 0;
			let asked = 0;
			Object.defineProperty(seen, "observation", {
				value: {
					process,
					get event() {
						asked++;
						return event;
					},
				},
			});
			const clock = () => ++now + clockOf(seen.shown, asked);
			const [cost] = measureRule(ruleNamed("Secret read"), set, seen, context, { roundNs: 1e5, clock });
			return cost?.median ?? 0;
		};
		expect(median((shown) => shown * 1000)).toBeLessThan(5);
		expect(median((shown, asked) => shown * 1000 + asked * 100)).toBeGreaterThan(100);
	});

	it("is measured on built-in events, and says so", () => {
		const said = explainRules(["Secret read by root"], { ...flags, cost: true }, page).text;
		expect(said).toContain("measured here and now on built-in events of ordinary work, this rule alone");
		expect(said).toMatch(
			/^ {2}open +[\d.]+ ns an event \(middle of 11 rounds, [\d.]+ to [\d.]+\); the index lets/m,
		);
	}, 60_000);
});

it("explains with the words of the rule's own set", () => {
	const explain = explainer(set, bounds);
	expect(explain(ruleNamed("Wide")).types).toEqual(["connect"]);
});
