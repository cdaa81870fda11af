// Renews this host's certificates in time, in the core: makes key and request (in a child), has the uplink ask the
// console, checks what came (in a child) and stores it in one step. Until then the old one stays in force.
import type { Logger } from "pino";
import { z } from "zod";
import type { FromUplink, ToUplink } from "../model/delivery.ts";
import { neutralise } from "../report/shown.ts";
import { iso, splitPem } from "./inspect.ts";
import { type EnrolledConsole, readEnrolled, writeEnrolled } from "./store.ts";
import { pem, type RunJob } from "./unprivileged.ts";

export interface RenewalOptions {
	readonly stateDir: string;
	/** To the uplink. False when there is none right now. */
	readonly send: (frame: Extract<ToUplink, { type: "renew" }>) => boolean;
	/** The files of this console are new: read them again, configure the uplink, and call `set`. */
	readonly changed: (name: string) => void;
	readonly runJob: RunJob;
	/** Unix ms. */
	readonly clock: () => number;
	/** 0 to below 1. */
	readonly random: () => number;
	readonly logger: Logger;
	/** What the uplink has for an answer, ms; 60 s by default. */
	readonly answerMs?: number;
}

export interface Renewals {
	/** The consoles in force, with their outlets' ids. What is under way for one that stays goes on. */
	set(consoles: readonly { readonly outlet: number; readonly enrolled: EnrolledConsole }[]): void;
	/** Resolves when it is dealt with; never rejects. */
	renewed(frame: Extract<FromUplink, { type: "renewed" }>): Promise<void>;
	/** For status: certificates that will soon end, or have. */
	problems(): string[];
	close(): void;
}

interface Watched {
	readonly outlet: number;
	readonly enrolled: EnrolledConsole;
	/** Unix ms. */
	due: number;
	tries: number;
	problem: string;
	/** Of the renewal under way. */
	asked?: { readonly key: string; readonly until: number };
	making: boolean;
}

interface Life {
	/** Unix ms. */
	readonly issued: number;
	readonly expires: number;
}

const firstRetryMs = 30_000;
const lastRetryMs = 3_600_000;
/** A clock that jumps, or a host that slept, is noticed after so long. */
const lookMs = 60_000;
const minute = 60_000;

/** From here on a certificate is renewed, Unix ms. */
export function renewalTime({ issued, expires }: Life): number {
	return issued + Math.floor(((expires - issued) * 2) / 3);
}

export function createRenewals(options: RenewalOptions): Renewals {
	const { clock, random, logger } = options;
	let watched = new Map<string, Watched>();
	let timer: NodeJS.Timeout | undefined;
	let closed = false;

	const plan = (): void => {
		clearTimeout(timer);
		if (closed || watched.size === 0) return;
		const next = Math.min(...[...watched.values()].map((one) => one.asked?.until ?? one.due));
		timer = setTimeout(look, Math.max(10, Math.min(lookMs, next - clock()))).unref();
	};
	const look = (): void => {
		const now = clock();
		for (const one of watched.values()) {
			if (one.asked !== undefined && now >= one.asked.until) fail(one, "the uplink gave no answer");
			if (one.asked === undefined && !one.making && now >= one.due) void ask(one);
		}
		plan();
	};
	const ask = async (one: Watched): Promise<void> => {
		one.making = true;
		// Not asked again before this has an end.
		one.due = clock() + minute;
		try {
			const { key, request } = await options.runJob({ job: "request", hostId: one.enrolled.hostId });
			if (closed || watched.get(one.enrolled.name) !== one) return;
			one.asked = { key, until: clock() + (options.answerMs ?? minute) };
			if (!options.send({ type: "renew", outlet: one.outlet, key, request }))
				fail(one, "the uplink is not there");
		} catch (error) {
			fail(one, textOf(error));
		} finally {
			one.making = false;
			plan();
		}
	};
	const fail = (one: Watched, why: string): void => {
		delete one.asked;
		const life = one.enrolled.expires - one.enrolled.issued;
		const first = Math.min(firstRetryMs, life / 100);
		const limit = Math.min(lastRetryMs, life / 20, first * 2 ** Math.min(one.tries++, 30));
		one.due = clock() + random() * limit;
		if (one.problem !== why) {
			logger.warn({ console: one.enrolled.name, problem: why }, "certificate not renewed, trying again");
		}
		one.problem = why;
		plan();
	};
	const take = async (one: Watched, key: string, frame: z.infer<typeof frameForm>): Promise<void> => {
		const { certificate, authorities, revoked } = frame;
		const { name, hostId } = one.enrolled;
		// Else an uplink that was taken over once could name an authority that is trusted ever after.
		if (!isWithin(authorities, one.enrolled.tls.ca))
			throw new Error(
				"the console has another authority than this host was enrolled with: enrol it anew if that is right",
			);
		const life = await options.runJob({ job: "inspect", certificate, authorities, key, hostId });
		// Removed or enrolled anew meanwhile: that is the admin's word.
		const present = readEnrolled(options.stateDir).consoles.find((each) => each.name === name);
		if (closed || present === undefined || present.tls.cert !== one.enrolled.tls.cert) return;
		writeEnrolled(options.stateDir, {
			...present,
			...life,
			tls: {
				...present.tls,
				cert: certificate,
				key,
				ca: authorities,
				...(revoked === "" ? {} : { crl: revoked }),
			},
		});
		one.problem = "";
		one.tries = 0;
		logger.info({ console: name, until: iso(life.expires) }, "certificate renewed");
		options.changed(name);
	};

	return {
		set(consoles) {
			const before = watched;
			watched = new Map();
			for (const { outlet, enrolled } of consoles) {
				const old = before.get(enrolled.name);
				const same = old?.outlet === outlet && old.enrolled.tls.cert === enrolled.tls.cert;
				// A fleet that was enrolled in one go must not come back in one go.
				const jitter = (random() * (enrolled.expires - enrolled.issued)) / 12;
				const fresh = {
					outlet,
					enrolled,
					due: renewalTime(enrolled) + jitter,
					tries: 0,
					problem: "",
					making: false,
				};
				watched.set(enrolled.name, same ? old : fresh);
			}
			plan();
		},
		async renewed(frame) {
			const one = [...watched.values()].find(({ outlet }) => outlet === frame.outlet);
			const asked = one?.asked;
			if (one === undefined || asked === undefined) return;
			delete one.asked;
			try {
				if (frame.problem !== "") return fail(one, neutralise(frame.problem.slice(0, 1000)));
				const checked = frameForm.safeParse(frame);
				if (!checked.success) return fail(one, "what the console sent are no certificates");
				await take(one, asked.key, checked.data);
			} catch (error) {
				fail(one, textOf(error));
			}
		},
		problems: () => [...watched.values()].flatMap((one) => problemOf(one, clock())),
		close() {
			closed = true;
			clearTimeout(timer);
		},
	};
}

const frameForm = z.object({
	certificate: pem("CERTIFICATE"),
	authorities: pem("CERTIFICATE"),
	revoked: z.union([z.literal(""), pem("X509 CRL", 256 * 1024)]),
});

/** Whether each certificate of the one PEM text is in the other, however it is wrapped. */
function isWithin(some: string, all: string): boolean {
	const bodies = (text: string) => splitPem(text).map((each) => each.replace(/\s/g, ""));
	const known = new Set(bodies(all));
	return bodies(some).every((body) => known.has(body));
}

function problemOf({ enrolled, problem }: Watched, now: number): string[] {
	const { name, issued, expires } = enrolled;
	const why = problem === "" ? "" : `: ${problem}`;
	if (now >= expires) {
		return [
			`console ${name}: this host's certificate ended at ${iso(expires)}${why}. Get a token from the console, then: ` +
				`picket enrol --remove ${name}; picket enrol TOKEN --name ${name}`,
		];
	}
	if (expires - now > (expires - issued) / 6) return [];
	return [
		`console ${name}: this host's certificate ends at ${iso(expires)} and could not be renewed${why}. Is the console ` +
			"running and reachable, and are both clocks right?",
	];
}

function textOf(error: unknown): string {
	return neutralise(error instanceof Error ? error.message : String(error));
}
