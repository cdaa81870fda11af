// Addresses: as bytes shown to people, and as users write them for a console ("host:port", "unix:/path").
import { isIPv4, isIPv6 } from "node:net";
import { ReportError } from "./errors.ts";

export type Endpoint =
	| { readonly kind: "unix"; readonly path: string }
	| { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly loopback: boolean };

/** Throws ReportError ADDRESS. `where` names the setting, for the message. */
export function parseEndpoint(text: string, where: string): Endpoint {
	if (text.startsWith("unix:")) {
		const path = text.slice(5).replace(/^\/\//, "");
		// sun_path holds 108 bytes with its closing NUL.
		if (!path.startsWith("/") || Buffer.byteLength(path) > 107) {
			throw new ReportError(
				"ADDRESS",
				`${where}: "${text}": write unix: and an absolute path of at most 107 bytes, "unix:/run/x.sock"`,
			);
		}
		return { kind: "unix", path };
	}
	const match = /^(?:\[([^\]]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(text);
	const host = match?.[1] ?? match?.[2] ?? "";
	const port = Number(match?.[3] ?? -1);
	const bracketed = match?.[1] !== undefined;
	const numeric = /^[\d.]+$/.test(host);
	if (match === null || port > 65_535 || (bracketed && !isIPv6(host)) || (numeric && !isIPv4(host))) {
		throw new ReportError(
			"ADDRESS",
			`${where}: "${text}" is no address: write "host:port", "[ipv6]:port" or "unix:/path"`,
		);
	}
	return { kind: "tcp", host, port, loopback: isLoopback(host) };
}

function isLoopback(host: string): boolean {
	return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/** The target in grpc-js's words. "localhost" goes to 127.0.0.1, not to what a resolver makes of it. */
export function grpcTarget(endpoint: Endpoint): string {
	if (endpoint.kind === "unix") return `unix:${endpoint.path}`;
	if (endpoint.host === "localhost") return `ipv4:127.0.0.1:${endpoint.port}`;
	if (isIPv4(endpoint.host)) return `ipv4:${endpoint.host}:${endpoint.port}`;
	if (isIPv6(endpoint.host)) return `ipv6:[${endpoint.host}]:${endpoint.port}`;
	return `dns:${endpoint.host}:${endpoint.port}`;
}

/** Throws ReportError PLAINTEXT when records and commands would cross a network unprotected. */
export function checkProtected(endpoint: Endpoint, tls: boolean, where: string, remedy: string): void {
	if (tls || endpoint.kind === "unix" || endpoint.loopback) return;
	throw new ReportError(
		"PLAINTEXT",
		`${where}: ${endpoint.host}:${endpoint.port} without TLS is refused: anybody on the way could read ` +
			`records and forge commands. ${remedy}, or use a loopback address or unix:/path`,
	);
}
