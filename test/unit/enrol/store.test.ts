// What lies in <state>/consoles: whole or not there, and what is damaged is named while the others go on.
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
	type EnrolledConsole,
	readEnrolled,
	removeEnrolled,
	writeEnrolled,
} from "../../../agent/enrol/store.ts";
import { folder, until } from "./rig.ts";

const rounds = process.env.PICKET_SOAK ? 200 : 3;

function made(name: string, number: number): EnrolledConsole {
	const text = (what: string): string => `${what} ${number}\n`.repeat(50);
	return {
		name,
		addresses: ["127.0.0.1:1"],
		hostId: "host-1",
		issued: 1_700_000_000_000 + number,
		expires: 1_800_000_000_000,
		tls: { ca: text("ca"), cert: text("cert"), key: text("key"), crl: text("crl"), serverName: "hq" },
	};
}

test("what was written is read, and the next takes its place", () => {
	const state = folder();
	for (const number of [1, 2, 3]) {
		writeEnrolled(state, made("hq", number));
		expect(readEnrolled(state)).toEqual({ consoles: [made("hq", number)], problems: [] });
	}
	expect(readdirSync(join(state, "consoles"))).toHaveLength(2);
	expect(removeEnrolled(state, "hq")).toBe(true);
	expect(readdirSync(join(state, "consoles"))).toEqual([]);
	expect(removeEnrolled(state, "hq")).toBe(false);
	expect(readEnrolled(join(state, "none"))).toEqual({ consoles: [], problems: [] });
});

test.each<[string, (at: string) => void, RegExp]>([
	["a certificate that is cut", (at) => truncateSync(join(at, "cert.pem"), 20), /cert\.pem is damaged/],
	["another key", (at) => writeFileSync(join(at, "key.pem"), "x"), /key\.pem is damaged/],
	["no authority", (at) => rmSync(join(at, "ca.pem")), /ca\.pem/],
	["an empty console.json", (at) => truncateSync(join(at, "console.json"), 0), /console\.json is damaged/],
	["a console.json of another form", (at) => writeFileSync(join(at, "console.json"), "[]"), /is damaged/],
	["a file that anybody may write", (at) => chmodSync(join(at, "ca.pem"), 0o666), /written by others/],
	["a file that is too large", (at) => writeFileSync(join(at, "cert.pem"), "x".repeat(300_000)), /bytes/],
	[
		"a folder in the place of a file",
		(at) => {
			rmSync(join(at, "key.pem"));
			mkdirSync(join(at, "key.pem"));
		},
		/EISDIR/,
	],
])("%s is a problem with its remedy, and the other consoles are there", (_, damage, words) => {
	const state = folder();
	writeEnrolled(state, made("bad", 1));
	writeEnrolled(state, made("good", 2));
	damage(join(state, "consoles/bad"));
	const { consoles, problems } = readEnrolled(state);
	expect(consoles.map(({ name }) => name)).toEqual(["good"]);
	expect(problems).toHaveLength(1);
	expect(problems[0]).toMatch(words);
	expect(problems[0]).toContain(`${join(state, "consoles/bad")}: `);
	expect(problems[0]).toContain("picket enrol --remove bad");
	writeEnrolled(state, made("bad", 3));
	expect(readEnrolled(state).problems).toEqual([]);
});

test("a place that cannot be written says so, and what was there stays", () => {
	const state = folder();
	writeFileSync(join(state, "consoles"), "a file");
	expect(() => writeEnrolled(state, made("hq", 1))).toThrow(
		expect.objectContaining({ remedy: expect.stringContaining("make the state directory writable") }),
	);
	expect(readEnrolled(state).problems[0]).toContain(join(state, "consoles"));
});

test(
	`killed at any point while it writes, ${rounds} times: all old or all new`,
	async () => {
		const state = folder();
		writeEnrolled(state, made("hq", 0));
		const script = `
		import { writeEnrolled } from ${JSON.stringify(new URL("../../../agent/enrol/store.ts", import.meta.url).href)};
		const made = (${made.toString()});
		for (let number = 1; ; number++) {
			writeEnrolled(${JSON.stringify(state)}, made("hq", number));
			if (number === 1) process.stdout.write("going");
		}`;
		for (let round = 0; round < rounds; round++) {
			const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
				stdio: ["ignore", "pipe", "inherit"],
			});
			let going = false;
			child.stdout.once("data", () => {
				going = true;
			});
			await until(() => going);
			await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
			child.kill("SIGKILL");
			await new Promise((resolve) => child.once("close", resolve));
			const { consoles, problems } = readEnrolled(state);
			expect(problems).toEqual([]);
			const number = (consoles[0]?.issued ?? 0) - 1_700_000_000_000;
			expect(consoles).toEqual([made("hq", number)]);
		}
		writeEnrolled(state, made("hq", 7));
		expect(readdirSync(join(state, "consoles")), "what crashes left is swept").toHaveLength(2);
	},
	rounds * 20_000,
);
