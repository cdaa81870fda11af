// A console with an authority of its own and hosts that enrol there, over real TLS on loopback.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { onTestFinished, vi } from "vitest";
import {
	type Authority,
	makeToken,
	openAuthority,
	type TokenOptions,
} from "../../../agent/console/authority.ts";
import {
	type AuthorityService,
	type AuthorityServiceOptions,
	startAuthorityService,
} from "../../../agent/console/authority-service.ts";
import { type RunningConsole, startConsole } from "../../../agent/console/console.ts";
import { makeKey, makeRequest } from "../../../agent/enrol/certificates.ts";
import { exchange } from "../../../agent/enrol/exchange.ts";
import { inspectCertificate } from "../../../agent/enrol/inspect.ts";
import type { EnrolledConsole } from "../../../agent/enrol/store.ts";
import { decodeToken } from "../../../agent/enrol/token.ts";
import { openStream } from "../../../agent/grpc/client.ts";
import type { ClientTls } from "../../../agent/tls.ts";
import { silent } from "../report/samples.ts";

export function until(check: () => unknown, timeout = 10_000): Promise<void> {
	return vi.waitFor(
		() => {
			if (!check()) throw new Error(`not yet: ${check}`);
		},
		{ timeout, interval: 10 },
	);
}

export function folder(): string {
	const path = mkdtempSync(join(tmpdir(), "picket-enrol-"));
	onTestFinished(() => rmSync(path, { recursive: true, force: true }));
	return path;
}

export interface TestConsole {
	readonly authority: Authority;
	readonly service: AuthorityService;
	readonly running: RunningConsole;
	readonly address: string;
	token(options?: TokenOptions): string;
}

export async function consoleWithAuthority(
	more: Partial<AuthorityServiceOptions> & { directory?: string; logger?: Logger } = {},
): Promise<TestConsole> {
	const authority = more.authority ?? (await openAuthority(more.directory ?? folder(), Date.now()));
	const service = await startAuthorityService({
		authority,
		names: ["hq.test"],
		logger: silent,
		clock: Date.now,
		lookMs: 20,
		...more,
	});
	const running = await startConsole({ listen: "127.0.0.1:0", authority: service, logger: silent });
	onTestFinished(async () => {
		service.close();
		await running.close();
	});
	service.listensOn(running.address);
	return {
		authority,
		service,
		running,
		address: running.address,
		token: (options) => makeToken(authority, Date.now(), options),
	};
}

/** What `picket enrol` does, in this process. */
export async function enrolHere(
	token: string,
	hostId: string,
	kept?: { key: string; request: string },
): Promise<EnrolledConsole> {
	const { key, request } = kept ?? (await requestFor(hostId));
	const answer = await exchange(decodeToken(token), { request, hostId, host: `${hostId}.test` }, Date.now);
	const { certificate, authorities } = answer;
	const life = inspectCertificate({ certificate, authorities, key, hostId, now: Date.now() });
	return {
		name: "hq",
		addresses: answer.addresses,
		hostId,
		...life,
		tls: { ca: authorities, cert: certificate, key, serverName: answer.serverName },
	};
}

export async function requestFor(hostId: string): Promise<{ key: string; request: string }> {
	const key = makeKey();
	return { key, request: await makeRequest(key, hostId) };
}

export interface Live {
	readonly welcomed: () => boolean;
	/** Answers to heartbeats. */
	readonly beats: () => number;
	/** Why it ended; undefined while it has not. */
	readonly problem: () => string | undefined;
	beat(): void;
	close(): void;
}

/** A sensor's stream in its barest form. */
export function connectAs(address: string, tls: ClientTls, hostId: string): Live {
	let welcomed = false;
	let beats = 0;
	let problem: string | undefined;
	const stream = openStream(address, tls, {
		message(message) {
			if (message.welcome !== undefined) welcomed = true;
			if (message.heartbeat !== undefined) beats++;
		},
		drain() {},
		end(text) {
			problem = text;
		},
	});
	stream.write({ hello: { hostId, bootId: "boot-1", host: "web-1" } });
	onTestFinished(() => stream.close());
	return {
		welcomed: () => welcomed,
		beats: () => beats,
		problem: () => problem,
		beat: () => void stream.write({ heartbeat: { time: new Date().toISOString() } }),
		close: () => stream.close(),
	};
}

/** Why the console does not let this host in. */
export async function refusalOf(address: string, tls: ClientTls, hostId: string): Promise<string> {
	const live = connectAs(address, tls, hostId);
	await until(() => live.problem() !== undefined || live.welcomed());
	return live.welcomed() ? "" : (live.problem() ?? "");
}
