// The console's end: listens, takes the sensors' streams, answers single calls.
import { chmod, lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import type { SecureContextOptions } from "node:tls";
import {
	type handleBidiStreamingCall,
	type handleUnaryCall,
	Server,
	ServerCredentials,
	type ServerDuplexStream,
	type sendUnaryData,
	status,
} from "@grpc/grpc-js";
import type * as wire from "../model/picket.v1.ts";
import { checkProtected, grpcTarget, parseEndpoint } from "../report/address.ts";
import { errorText, ReportError } from "../report/errors.ts";
import { type ServerTls, serverContext } from "../tls.ts";
import { checkMethod, connectMethod, enrolMethod, limits, renewMethod } from "./methods.ts";
import type { EndCause, PeerIdentity, ServerAuthority, ServerStream, StreamHandlers } from "./streams.ts";

export interface ServerOptions {
	/** "host:port", "[ipv6]:port" (port 0: any) or "unix:/path". */
	readonly listen: string;
	readonly tls?: ServerTls;
	/** In place of `tls`. */
	readonly authority?: ServerAuthority;
	/** A new sensor; what it says goes to the handlers returned. */
	connect(stream: ServerStream): StreamHandlers<wire.ConnectRequest>;
	health(): wire.CheckResponse;
}

export interface RunningServer {
	/** As `listen`, with the port it really got. */
	readonly address: string;
	/**
	 * Takes other certificates or revocations into use, without restart. Everybody is sent away and has to show a
	 * certificate again. Throws ReportError CERTIFICATE; what was in force then stays.
	 */
	renewTls(tls: ServerTls): void;
	close(): Promise<void>;
}

/** Throws ReportError ADDRESS, PLAINTEXT, CERTIFICATE or LISTEN. */
export async function serve(options: ServerOptions): Promise<RunningServer> {
	const endpoint = parseEndpoint(options.listen, "listen");
	const { authority } = options;
	const secured = options.tls !== undefined || authority !== undefined;
	checkProtected(endpoint, secured, "listen", "Give a certificate and its key");
	if (endpoint.kind === "unix") await removeStaleSocket(endpoint.path);
	const server = new Server(limits);
	const attend: handleBidiStreamingCall<wire.ConnectRequest | Buffer, wire.ConnectResponse> = (call) =>
		admit(call, authority, (identity) => accept(call, options.connect, identity));
	const check: handleUnaryCall<wire.CheckRequest | Buffer, wire.CheckResponse> = (call, callback) =>
		answer(callback, async () => {
			authority?.identify(certificateOf(call));
			return options.health();
		});
	server.addService({ connect: connectMethod }, { connect: attend });
	server.addService({ check: checkMethod }, { check });
	if (authority !== undefined) addEnrolment(server, authority);
	const credentials = authority === undefined ? serverSecurity(options.tls) : authoritySecurity(authority);
	let bindTarget = "";
	const port = await new Promise<number>((resolve, reject) => {
		const target =
			endpoint.kind === "unix"
				? `unix:${endpoint.path}`
				: grpcTarget(endpoint).replace(/^(ipv4|ipv6|dns):/, "");
		server.bindAsync(target, credentials, (error, bound) => {
			bindTarget = target.replace(/:0$/, `:${bound}`);
			if (error === null) resolve(bound);
			else reject(new ReportError("LISTEN", `cannot listen on ${options.listen}: ${error.message}`, error));
		});
	});
	// Whoever can open the socket speaks as a sensor.
	if (endpoint.kind === "unix") await chmod(endpoint.path, 0o600);
	return {
		address: endpoint.kind === "unix" ? options.listen : options.listen.replace(/:\d+$/, `:${port}`),
		renewTls(tls) {
			if (!(credentials instanceof TlsCredentials)) return;
			credentials.replace(serverContext(tls));
			server.drain(bindTarget, 200);
		},
		close: () =>
			new Promise((resolve) => {
				const late = setTimeout(() => {
					server.forceShutdown();
					// Half-open connections may never tell that they are gone.
					setTimeout(resolve, 200);
				}, 500);
				server.tryShutdown(() => {
					clearTimeout(late);
					resolve();
				});
			}),
	};
}

/** A console that was killed leaves its socket behind, and nothing could listen there again. */
async function removeStaleSocket(path: string): Promise<void> {
	const dead = await new Promise<boolean>((resolve) => {
		const probe = connect({ path });
		probe.once("connect", () => {
			probe.destroy();
			resolve(false);
		});
		probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
	});
	if (dead && (await lstat(path)).isSocket()) await unlink(path);
}

/** grpc-js's own have neither a revocation list nor certificates that are wanted and not demanded. */
class TlsCredentials extends ServerCredentials {
	constructor(context: SecureContextOptions, wanted: boolean, demanded: boolean) {
		super({ requestCert: wanted, rejectUnauthorized: demanded }, context);
	}
	replace(context: SecureContextOptions): void {
		this.updateSecureContextOptions(context);
	}
	_equals(other: ServerCredentials): boolean {
		return this === other;
	}
}

function serverSecurity(tls: ServerTls | undefined): ServerCredentials {
	if (tls === undefined) return ServerCredentials.createInsecure();
	const demanded = tls.clientCa !== undefined;
	return new TlsCredentials(serverContext(tls), demanded, demanded);
}

/** Asks sensors for a certificate and lets them in without: who has none can do nothing but enrol. */
function authoritySecurity(authority: ServerAuthority): ServerCredentials {
	const context = (): SecureContextOptions => ({ ...authority.context(), minVersion: "TLSv1.3" });
	const credentials = new TlsCredentials(context(), true, false);
	authority.onContext(() => credentials.replace(context()));
	return credentials;
}

/** The certificate of the other side, DER; undefined also for one that TLS does not accept. */
function certificateOf(
	call: Pick<Parameters<handleUnaryCall<unknown, unknown>>[0], "getAuthContext">,
): Buffer | undefined {
	return call.getAuthContext().sslPeerCertificate?.raw;
}

function addEnrolment(server: Server, authority: ServerAuthority): void {
	const enrol: handleUnaryCall<wire.EnrolRequest | Buffer, wire.EnrolResponse> = (call, callback) =>
		answer(callback, () =>
			authority.enrol(call.request as wire.EnrolRequest, call.getPeer().replace(/:\d+$/, "")),
		);
	const renew: handleUnaryCall<wire.RenewRequest | Buffer, wire.RenewResponse> = (call, callback) =>
		answer(callback, async () =>
			authority.renew(call.request as wire.RenewRequest, authority.identify(certificateOf(call))),
		);
	server.addService({ enrol: enrolMethod, renew: renewMethod }, { enrol, renew });
}

function answer<T>(callback: sendUnaryData<T>, make: () => Promise<T>): void {
	make().then(
		(value) => callback(null, value),
		(error) => callback(refusalStatus(error)),
	);
}

/** Of other errors nothing goes out: they may name files. */
function refusalStatus(error: unknown): { code: status; details: string } {
	const known = error instanceof ReportError;
	if (known && error.code === "REFUSED") return { code: status.UNAUTHENTICATED, details: error.message };
	if (known && error.code === "BUSY") return { code: status.RESOURCE_EXHAUSTED, details: error.message };
	return { code: status.INTERNAL, details: "the console could not do it; its own log says why" };
}

function admit(
	call: ServerDuplexStream<wire.ConnectRequest | Buffer, wire.ConnectResponse>,
	authority: ServerAuthority | undefined,
	open: (identity?: PeerIdentity) => void,
): void {
	try {
		open(authority?.identify(certificateOf(call)));
	} catch (error) {
		call.on("error", () => {});
		call.emit("error", refusalStatus(error));
	}
}

function accept(
	call: ServerDuplexStream<wire.ConnectRequest | Buffer, wire.ConnectResponse>,
	open: ServerOptions["connect"],
	identity: PeerIdentity | undefined,
): void {
	let ended = false;
	const end = (problem: string, cause: EndCause): void => {
		if (ended) return;
		ended = true;
		handlers.end(problem, cause);
	};
	const handlers = open({
		peer: call.getPeer(),
		...(identity === undefined ? {} : { identity }),
		write: (message) => !ended && call.write(message),
		pause: () => {
			call.pause();
		},
		resume: () => {
			call.resume();
		},
		close(problem) {
			if (ended) return;
			if (problem === undefined) call.end();
			else call.emit("error", { code: status.FAILED_PRECONDITION, details: problem });
			end("", "here");
		},
	});
	call.on("data", (message: wire.ConnectRequest) => {
		if (!ended) handlers.message(message);
	});
	call.on("drain", () => handlers.drain());
	call.on("cancelled", () => end("the sensor went away", "broken"));
	call.on("end", () => {
		call.end();
		end("the sensor ended the stream", "refused");
	});
	call.on("error", (error: Error) => end(errorText(error), "broken"));
}
