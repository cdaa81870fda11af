// /metrics and /healthz over HTTP on loopback: answers two questions and takes nothing in.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type * as wire from "../model/picket.v1.ts";
import { errorText, ReportError } from "../report/errors.ts";
import { illnesses, metricsText } from "../report/metrics.ts";

export interface MetricsOptions {
	/** "127.0.0.1:9469" or "[::1]:9469", of loopback, as the configuration has checked it; port 0 for any. */
	readonly listen: string;
	/** The newest one; undefined before the first. The same object again counts as nothing new. */
	readonly status: () => wire.Status | undefined;
	/** SHA-256 of the policy in force. */
	readonly policyHash: () => string;
	/** ms between two looks at whether events are read; 10,000 by default. */
	readonly lookMs?: number;
	/** ms after which a status says nothing about now; 30,000 by default. */
	readonly staleMs?: number;
}

export interface Metrics {
	readonly port: number;
	close(): Promise<void>;
}

/** Throws ReportError when the address cannot be had. */
export async function createMetrics(options: MetricsOptions): Promise<Metrics> {
	const { status, policyHash, lookMs = 10_000, staleMs = 30_000 } = options;
	const { host, port } = listenOf(options.listen);
	/** Found by comparing two looks, so they are true until the next. */
	let unread: string[] = [];
	let before: wire.Status | undefined;
	let newest: wire.Status | undefined;
	let newestAt = performance.now();
	const current = (): wire.Status | undefined => {
		const now = status();
		if (now !== newest) newestAt = performance.now();
		newest = now;
		return now;
	};
	const look = (): void => {
		const now = current();
		if (now === undefined || now === before) return;
		const alone = new Set(illnesses(now, undefined));
		unread = illnesses(now, before).filter((reason) => !alone.has(reason));
		before = now;
	};
	look();
	const timer = setInterval(look, lookMs).unref();

	const reasons = (): string[] => {
		const now = current();
		const age = performance.now() - newestAt;
		if (now === undefined) return ["the sensor has said nothing of itself yet"];
		if (age > staleMs) return [`the sensor has said nothing of itself for ${Math.round(age / 1000)} s`];
		return [...illnesses(now, undefined), ...unread];
	};
	/** Status, type of content, content. */
	const answerTo = (method: string | undefined, path: string | undefined): [number, string, string] => {
		if (method !== "GET" && method !== "HEAD") return [405, "text/plain", "only GET\n"];
		if (path === "/metrics") {
			const now = current();
			const up = "# HELP picket_up 1 while the sensor tells of itself.\n# TYPE picket_up gauge\npicket_up ";
			const fresh = now !== undefined && performance.now() - newestAt <= staleMs;
			// Old numbers would look like a sensor at rest.
			const text = fresh ? `${up}1\n${metricsText(now, policyHash())}` : `${up}0\n`;
			return [200, "text/plain; version=0.0.4; charset=utf-8", text];
		}
		if (path !== "/healthz") return [404, "text/plain", "/metrics or /healthz\n"];
		const ill = reasons();
		const body = { status: ill.length === 0 ? "ok" : "failing", reasons: ill };
		return [ill.length === 0 ? 200 : 503, "application/json", `${JSON.stringify(body)}\n`];
	};
	const answer = (request: IncomingMessage, response: ServerResponse): void => {
		request.resume();
		const [code, type, text] = answerTo(request.method, request.url?.split("?", 1)[0]);
		const headers = {
			"content-type": type,
			"cache-control": "no-store",
			"x-content-type-options": "nosniff",
		};
		response.writeHead(code, code === 405 ? { ...headers, allow: "GET, HEAD" } : headers);
		response.end(request.method === "HEAD" ? undefined : text);
	};
	const server = createServer({ requestTimeout: 5000, headersTimeout: 5000, maxHeaderSize: 8192 }, answer);
	server.maxConnections = 16;
	server.on("clientError", (_error, socket) => socket.destroy());
	try {
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(port, host, resolve);
		});
	} catch (error) {
		clearInterval(timer);
		throw new ReportError(
			"LISTEN",
			`metrics cannot be served at ${options.listen}: ${errorText(error)}`,
			error,
		);
	}
	return {
		port: (server.address() as AddressInfo).port,
		async close() {
			clearInterval(timer);
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
		},
	};
}

function listenOf(address: string): { host: string; port: number } {
	const at = address.lastIndexOf(":");
	return { host: address.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(address.slice(at + 1)) };
}
