// Certificates that last seconds are renewed in time, without a restart and under a stream that goes on.
import { createHash } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { revokeHost } from "../../../agent/console/authority.ts";
import { inspectCertificate } from "../../../agent/enrol/inspect.ts";
import { renew } from "../../../agent/enrol/renew.ts";
import {
	createRenewals,
	type RenewalOptions,
	type Renewals,
	renewalTime,
} from "../../../agent/enrol/renewal.ts";
import {
	type EnrolledConsole,
	readEnrolled,
	removeEnrolled,
	writeEnrolled,
} from "../../../agent/enrol/store.ts";
import { type RunJob, runJob } from "../../../agent/enrol/unprivileged.ts";
import type { Job } from "../../../agent/enrol/worker.ts";
import type { FromUplink } from "../../../agent/model/delivery.ts";
import { silent } from "../report/samples.ts";
import { connectAs, consoleWithAuthority, enrolHere, folder, refusalOf, requestFor, until } from "./rig.ts";

type Frame = Extract<FromUplink, { type: "renewed" }>;

/** The same work without children, which take longer than these certificates live. */
const here = (async (job: Job) => {
	if (job.job === "request") return requestFor(job.hostId);
	if (job.job === "inspect") return inspectCertificate({ ...job, now: Date.now() });
	throw new Error("not needed");
}) as unknown as RunJob;

interface Rig {
	readonly state: string;
	readonly renewals: Renewals;
	enrolled(): EnrolledConsole;
	readonly frames: Frame[];
	changes(): number;
}

function watch(
	enrolled: EnrolledConsole,
	more: Partial<RenewalOptions> & { answer?: (frame: Frame) => Frame | undefined } = {},
): Rig {
	const state = folder();
	writeEnrolled(state, enrolled);
	const frames: Frame[] = [];
	let changes = 0;
	const now = (): EnrolledConsole => {
		const [found] = readEnrolled(state).consoles;
		if (found === undefined) throw new Error(String(readEnrolled(state).problems));
		return found;
	};
	const renewals = createRenewals({
		stateDir: state,
		clock: Date.now,
		random: () => 0,
		logger: silent,
		runJob: here,
		// The uplink in our place: what is in force comes from the last configuration.
		send(frame) {
			const { addresses, tls } = now();
			void renew({ addresses, tls, key: frame.key, request: frame.request, timeoutMs: 2000 }).then(
				(answer) => {
					const whole: Frame = { type: "renewed", outlet: frame.outlet, ...answer };
					const given = more.answer === undefined ? whole : more.answer(whole);
					frames.push(whole);
					if (given !== undefined) void renewals.renewed(given);
				},
			);
			return true;
		},
		changed() {
			changes++;
			renewals.set([{ outlet: 3, enrolled: now() }]);
		},
		...more,
	});
	onTestFinished(() => renewals.close());
	renewals.set([{ outlet: 3, enrolled: now() }]);
	return { state, renewals, enrolled: now, frames, changes: () => changes };
}

test("renewed at two thirds, twice, while the stream of the first certificate goes on", async () => {
	const console = await consoleWithAuthority({ lifeMs: 4000 });
	const first = await enrolHere(console.token(), "host-1");
	const live = connectAs(console.address, first.tls, "host-1");
	await until(live.welcomed);
	const rig = watch(first);
	expect(renewalTime(first) - first.issued).toBeGreaterThan(1500);
	await until(() => rig.changes() === 2);
	const now = rig.enrolled();
	expect(now.issued).toBeGreaterThan(renewalTime(first));
	expect(now.tls.cert).not.toBe(first.tls.cert);
	expect(now.tls.key).not.toBe(first.tls.key);
	expect(now.tls.crl).toContain("X509 CRL");
	live.beat();
	await until(() => live.beats() > 0);
	expect(live.problem()).toBeUndefined();
	expect(await refusalOf(console.address, now.tls, "host-1")).toBe("");
	expect(rig.renewals.problems()).toEqual([]);
	// The first has ended meanwhile.
	await until(() => Date.now() > first.expires);
	expect(await refusalOf(console.address, first.tls, "host-1")).toMatch(/asks for a certificate/);
});

test("with children that have no rights, as in the sensor", async () => {
	const console = await consoleWithAuthority();
	const first = await enrolHere(console.token(), "host-1");
	const rig = watch({ ...first, issued: first.issued - 300 * 86_400_000 }, { runJob });
	await until(() => rig.changes() === 1, 30_000);
	expect(await refusalOf(console.address, rig.enrolled().tls, "host-1")).toBe("");
});

test("a console that is away: the old one stays, it is tried again, and near the end it is a problem", async () => {
	const console = await consoleWithAuthority({ lifeMs: 2000 });
	const first = await enrolHere(console.token(), "host-1");
	const rig = watch({ ...first, addresses: ["127.0.0.1:1"] });
	await until(() => rig.frames.length > 2);
	expect(rig.enrolled().tls.cert).toBe(first.tls.cert);
	await until(() => rig.renewals.problems().length > 0);
	expect(rig.renewals.problems()[0]).toMatch(
		/^console hq: this host's certificate ends at .* could not be renewed/,
	);
	expect(rig.renewals.problems()[0]).toContain("nothing listens there");
	await until(() => Date.now() > first.expires);
	expect(rig.renewals.problems()[0]).toMatch(/ended at .*Get a token from the console, then: picket enrol/);
});

test("what the uplink makes up is not stored", async () => {
	const console = await consoleWithAuthority();
	const other = await consoleWithAuthority();
	const first = await enrolHere(console.token(), "host-1");
	const stranger = await enrolHere(other.token(), "host-2");
	const due = { ...first, issued: first.issued - 300 * 86_400_000 };
	const made: [string, (frame: Frame) => Frame][] = [
		["another key", (frame) => ({ ...frame, certificate: first.tls.cert })],
		["another authority", (frame) => ({ ...frame, authorities: stranger.tls.ca })],
		["another authority", (frame) => ({ ...frame, authorities: frame.authorities + stranger.tls.ca })],
		["are no certificates", (frame) => ({ ...frame, certificate: "x" })],
		["are no certificates", (frame) => ({ ...frame, revoked: "\u0000" })],
		["are no certificates", (frame) => ({ ...frame, certificate: frame.certificate.repeat(200) })],
		["no room", (frame) => ({ ...frame, problem: "no room\u001b[2J" })],
	];
	for (const [words, answer] of made) {
		const said: string[] = [];
		const logger = Object.assign(Object.create(silent), {
			warn: ({ problem }: { problem: string }) => void said.push(problem),
		}) as typeof silent;
		const rig = watch(due, { answer, logger, random: () => 0.9 });
		await until(() => said.length > 0);
		expect(said[0]).toContain(words);
		expect(said[0]).not.toContain("\u001b");
		expect(rig.enrolled().tls).toEqual(first.tls);
		expect(rig.changes()).toBe(0);
		rig.renewals.close();
	}
});

test("a list of many revocations is taken, too", async () => {
	const console = await consoleWithAuthority();
	const first = await enrolHere(console.token(), "host-1");
	const body = `${"A".repeat(64)}\n`.repeat(3000);
	const revoked = `-----BEGIN X509 CRL-----\n${body}-----END X509 CRL-----\n`;
	const due = { ...first, issued: first.issued - 300 * 86_400_000 };
	const rig = watch(due, { answer: (frame) => ({ ...frame, revoked }) });
	await until(() => rig.changes() > 0);
	expect(rig.enrolled().tls.crl).toBe(revoked);
	rig.renewals.close();
});

test("a host that is revoked gets no new certificate", async () => {
	const console = await consoleWithAuthority();
	const first = await enrolHere(console.token(), "host-1");
	await revokeHost(console.authority, "host-1", Date.now());
	const kept = await requestFor("host-1");
	// Revoked while the call was under way, after it was let in.
	const serial = console.authority.files.certificates("host-1")[0]?.serial ?? "";
	await expect(console.service.renew(kept, { hostId: "host-1", serial })).rejects.toThrow(/has been revoked/);
	const answer = await renew({ addresses: [console.address], tls: first.tls, ...kept });
	expect(answer.problem).toMatch(/has been revoked/);
	const files = console.authority.files.certificates("host-1");
	expect(files.every(({ revoked }) => revoked)).toBe(true);
});

test("a host that asks all the time gets a bounded number of certificates", async () => {
	let now = Date.now();
	const console = await consoleWithAuthority({ clock: () => now });
	await enrolHere(console.token(), "host-1");
	const identity = {
		hostId: "host-1",
		serial: console.authority.files.certificates("host-1")[0]?.serial ?? "",
	};
	const { request } = await requestFor("host-1");
	const said: string[] = [];
	for (let count = 0; count < 40; count++) {
		// The limit on tries alone would let these through.
		now += 10_000;
		said.push(await console.service.renew({ request }, identity).then(() => "", String));
	}
	expect(console.authority.files.certificates("host-1")).toHaveLength(20);
	expect(said.at(-1)).toMatch(/has 20 certificates that are valid/);
	now += 100 * 86_400_000;
	await console.service.renew({ request }, identity);
	expect(
		console.authority.files.certificates("host-1").length,
		"those that ended are forgotten",
	).toBeLessThan(3);
});

test("a console that was removed or enrolled anew meanwhile is left alone", async () => {
	const console = await consoleWithAuthority();
	const first = await enrolHere(console.token(), "host-1");
	const held: Frame[] = [];
	const rig = watch(
		{ ...first, issued: first.issued - 300 * 86_400_000 },
		{ answer: (frame) => void held.push(frame) },
	);
	await until(() => held.length > 0);
	removeEnrolled(rig.state, "hq");
	await rig.renewals.renewed(held[0] as Frame);
	expect(readEnrolled(rig.state).consoles).toEqual([]);
	expect(rig.changes()).toBe(0);
	const again = watch(
		{ ...first, issued: first.issued - 300 * 86_400_000 },
		{ answer: (frame) => void held.push(frame) },
	);
	await until(() => held.length > 1);
	const anew = { ...first, tls: { ...first.tls, cert: `${first.tls.cert}\n` } };
	writeEnrolled(again.state, anew);
	await again.renewals.renewed(held[1] as Frame);
	expect(readEnrolled(again.state).consoles).toEqual([anew]);
	expect(again.changes()).toBe(0);
});

test("hosts that enrolled together do not renew together", () => {
	const enrolled: EnrolledConsole = {
		name: "hq",
		addresses: ["127.0.0.1:1"],
		hostId: "host-1",
		issued: 0,
		expires: 90 * 86_400_000,
		tls: { ca: "", cert: createHash("sha256").digest("hex"), key: "" },
	};
	const asked = (random: number, day: number): Promise<boolean> =>
		new Promise((resolve) => {
			const renewals = createRenewals({
				stateDir: "/nonexistent",
				clock: () => day * 86_400_000,
				random: () => random,
				logger: silent,
				runJob: (async () => {
					resolve(true);
					return { key: "", request: "" };
				}) as unknown as RunJob,
				send: () => true,
				changed() {},
			});
			renewals.set([{ outlet: 0, enrolled }]);
			setTimeout(() => {
				renewals.close();
				resolve(false);
			}, 60);
		});
	return Promise.all([asked(0, 59), asked(0, 61), asked(0.99, 66), asked(0.99, 68)]).then((when) =>
		expect(when).toEqual([false, true, false, true]),
	);
});
