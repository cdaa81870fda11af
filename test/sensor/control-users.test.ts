// Who may do what at the control socket: real processes of made-up users, as the kernel tells them apart.
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addon } from "../../agent/capture/addon.ts";
import { callControl } from "../../agent/control/client.ts";
import { type Control, startControl } from "../../agent/control/server.ts";

/** A group of every Debian host; its members are whom the socket is opened to here. */
const group = "users";
const gid = Number(/^users:[^:]*:(\d+)/m.exec(readFileSync("/etc/group", "utf8"))?.[1]);
const uid = 64_242;

const client = new URL("../../agent/control/client.ts", import.meta.url).href;
/** Loads first and drops its rights then: the user may not be able to read this checkout. */
const script = `
const { callControl, subscribeControl } = await import(process.argv[1]);
const [, , uid, gid, groups, path, method] = process.argv;
process.setgroups(JSON.parse(groups));
process.setgid(Number(gid));
process.setuid(Number(uid));
const tell = (answer) => { process.stdout.write(JSON.stringify(answer) + "\\n"); };
try {
	if (method === "subscribe") {
		const stream = await subscribeControl(path, (record) => { tell({ record }); stream.close(); });
		tell({ result: "subscribed" });
	} else tell({ result: await callControl(path, method, {}, 5000) });
} catch ({ code, message }) {
	tell({ code, message });
}`;

let folder: string;
let path: string;
let control: Control | undefined;
let acted: number;

beforeEach(() => {
	folder = mkdtempSync("/tmp/pu-");
	chmodSync(folder, 0o755);
	path = join(folder, "picket.sock");
	acted = 0;
});
afterEach(async () => {
	await control?.close();
	control = undefined;
	rmSync(folder, { recursive: true, force: true });
});

async function start(groupName: string): Promise<void> {
	control = await startControl({
		path,
		handlers: { status: () => "well", order: () => ++acted },
		looking: ["status"],
		group: groupName,
		peer: (descriptor) => addon().peerCredentials(descriptor),
		logger: pino({ level: "silent" }),
	});
}

interface User {
	readonly uid: number;
	readonly gid: number;
	readonly groups?: readonly number[];
}
const root: User = { uid: 0, gid: 0 };
const member: User = { uid, gid };
const alsoMember: User = { uid, gid: 64_243, groups: [gid] };
const stranger: User = { uid, gid: 64_243 };

function as({ uid, gid, groups = [] }: User, method: string): Promise<Record<string, unknown>[]> {
	const args = [client, String(uid), String(gid), JSON.stringify(groups), path, method];
	const child = spawn(process.execPath, ["--input-type=module", "-e", script, ...args], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	let out = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		out += text;
		if (text.includes("subscribed"))
			control?.publish("alert", () => ({ sequence: "1", alert: { rule: "seen" } }));
	});
	return new Promise((resolve) =>
		child.on("close", () =>
			resolve(
				out
					.trim()
					.split("\n")
					.map((line) => JSON.parse(line)),
			),
		),
	);
}

describe("with a group of its name the socket", () => {
	beforeEach(() => start(group));

	it("is of root and that group, and of nobody else", () => {
		const { mode, uid: owner, gid: owners } = statSync(path);
		expect([mode & 0o777, owner, owners]).toEqual([0o660, 0, gid]);
	});

	it.each([
		["root", root],
		["a member", member],
		["a member by an additional group", alsoMember],
	])("lets %s look", async (_, user) => {
		expect(await as(user, "status")).toEqual([{ result: "well" }]);
		expect(await as(user, "subscribe")).toEqual([
			{ result: "subscribed" },
			{ record: { sequence: "1", alert: { rule: "seen" } } },
		]);
	});

	it("lets root alone act", async () => {
		for (const user of [member, alsoMember]) {
			expect(await as(user, "order")).toEqual([
				{ code: "NOT_PERMITTED", message: expect.stringContaining("order is for root") },
			]);
		}
		expect(acted).toBe(0);
		expect(await as(root, "order")).toEqual([{ result: 1 }]);
	});

	it("does not let a stranger in", async () => {
		expect(await as(stranger, "status")).toEqual([
			{ code: "NOT_PERMITTED", message: expect.stringContaining("EACCES") },
		]);
	});
});

it("without such a group the socket is for root alone", async () => {
	await start("no-such-group");
	expect(statSync(path).mode & 0o777).toBe(0o600);
	expect(await as(member, "status")).toEqual([expect.objectContaining({ code: "NOT_PERMITTED" })]);
	expect(await callControl(path, "status", {}, 5000)).toBe("well");
});

it("onlookers cannot lock root out", async () => {
	await start(group);
	const many = `
process.setgroups([]); process.setgid(${gid}); process.setuid(${uid});
const { connect } = require("node:net");
let open = 0;
for (let i = 0; i < 40; i++) connect(${JSON.stringify(path)}).on("error", () => {}).on("connect", () => {
	if (++open === 40) process.stdout.write("connected");
});
setTimeout(() => {}, 30000);`;
	const child = spawn(process.execPath, ["-e", many], { stdio: ["ignore", "pipe", "inherit"] });
	try {
		await new Promise((resolve) => child.stdout.once("data", resolve));
		expect(await callControl(path, "status", {}, 5000)).toBe("well");
		const socket = connect(path);
		await new Promise((resolve) => socket.once("connect", resolve));
		socket.destroy();
	} finally {
		child.kill("SIGKILL");
	}
});
