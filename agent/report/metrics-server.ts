// /metrics and /healthz over HTTP on loopback: answers two questions and takes nothing in.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type * as wire from "../model/picket.v1.ts";
import { errorText, ReportError } from "./errors.ts";
import { illnesses, metricsText } from "./metrics.ts";

export interface MetricsServerOptions {
	/** Of loopback. */
	readonly host: string;
	/** 0 for any. */
	readonly port: number;
	readonly status: () => wire.Status;
	readonly policyHash: () => string;
	/** ms between two looks at whether events are read; 10,000 by default. */
	readonly lookMs?: number;
}

export interface MetricsServer {
	readonly port: number;
	close(): Promise<void>;
}

/** Throws ReportError when the address cannot be had. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
	const { host, port, status, policyHash } = options;
	let before = status();
	let ill = illnesses(before, undefined);
	const timer = setInterval(() => {
		const now = status();
		ill = illnesses(now, before);
		before = now;
	}, options.lookMs ?? 10_000).unref();

	/** Status, type of content, content. */
	const answerTo = (method: string | undefined, path: string | undefined): [number, string, string] => {
		if (method !== "GET" && method !== "HEAD") return [405, "text/plain", "only GET\n"];
		if (path === "/metrics")
			return [200, "text/plain; version=0.0.4; charset=utf-8", metricsText(status(), policyHash())];
		if (path !== "/healthz") return [404, "text/plain", "/metrics or /healthz\n"];
		const well = ill.length === 0;
		const body = { status: well ? "ok" : "failing", reasons: ill };
		return [well ? 200 : 503, "application/json", `${JSON.stringify(body)}\n`];
	};
	const answer = (request: IncomingMessage, response: ServerResponse): void => {
		request.resume();
		const [code, type, text] = answerTo(request.method, request.url?.split("?", 1)[0]);
		response.writeHead(code, { "content-type": type, "cache-control": "no-store" });
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
			`metrics cannot be served at ${host}:${port}: ${errorText(error)}`,
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
