// The only file that knows gRPC: opens the sensor's stream, serves the console's end of it. Messages go in and
// out as canonical JSON objects; when to connect and what to say is decided elsewhere.

import { chmod, lstat, unlink } from "node:fs/promises";
import { connect, isIP } from "node:net";
import { checkServerIdentity, type SecureContextOptions } from "node:tls";
import {
	type ChannelCredentials,
	Client,
	type ClientDuplexStream,
	credentials as clientCredentials,
	compressionAlgorithms,
	type handleBidiStreamingCall,
	type handleUnaryCall,
	logVerbosity,
	Metadata,
	type MethodDefinition,
	Server,
	ServerCredentials,
	type ServerDuplexStream,
	type ServiceError,
	type sendUnaryData,
	setLogVerbosity,
	status,
} from "@grpc/grpc-js";
import type * as wire from "./model/picket.v1.ts";
import { checkProtected, grpcTarget, parseEndpoint } from "./report/address.ts";
import { explainProblem } from "./report/connection-problem.ts";
import { errorText, ReportError } from "./report/errors.ts";
import {
	type Codec,
	checkRequestCodec,
	checkResponseCodec,
	codecOf,
	messageLimit,
	requestCodec,
	responseCodec,
} from "./report/protojson.ts";
import { type ClientTls, clientContext, type ServerTls, serverContext } from "./tls.ts";

export type { ClientTls, ServerTls };

/** A console's own authority: it decides for each call who may. */
export interface ServerAuthority {
	/** PEM: the console's certificate with its chain, its key, who signs the sensors' certificates. */
	context(): { readonly cert: string; readonly key: string; readonly ca: string };
	/** Called when `context` has become another; one listener. Streams that are open stay. */
	onContext(listener: () => void): void;
	/**
	 * Whose certificate it is (DER); TLS has found it signed by the authority and in time. Undefined: there is none, or
	 * not such a one. Throws ReportError REFUSED.
	 */
	identify(certificate: Buffer | undefined): PeerIdentity;
	/** Rejects with ReportError REFUSED or BUSY, whose message the sensor gets. `peer`: address without port. */
	enrol(request: wire.EnrolRequest, peer: string): Promise<wire.EnrolResponse>;
	renew(request: wire.RenewRequest, identity: PeerIdentity): Promise<wire.RenewResponse>;
}

export interface PeerIdentity {
	readonly hostId: string;
	/** Of the certificate, hex in lower case. */
	readonly serial: string;
}

/**
 * Who ended a stream and how: this side, also for an answer that it cannot take; the other side with a reason of its own ("refused", as INVALID_ARGUMENT or
 * UNKNOWN) or because we may not be there ("barred"); or the connection broke, whoever it was.
 */
export type EndCause = "here" | "refused" | "barred" | "broken";

export interface StreamHandlers<Incoming> {
	message(message: Incoming): void;
	/** There is room again after `write` said false. */
	drain(): void;
	/** Exactly once, and the last call. `problem` is for people; "" when this side closed it. */
	end(problem: string, cause: EndCause): void;
}

export interface ClientStream {
	/** A ConnectRequest, or the bytes of one. False: wait for `drain`. */
	write(message: wire.ConnectRequest | Buffer): boolean;
	/** No more to write; the other side ends the stream when it has read all. */
	finish(): void;
	close(): void;
}

export interface ServerStream {
	/** "ipv4:10.0.0.7:41234". */
	readonly peer: string;
	/** Who that is by its certificate; only with an authority of the console's own. */
	readonly identity?: PeerIdentity;
	write(message: wire.ConnectResponse): boolean;
	pause(): void;
	resume(): void;
	/** `problem`: told to the other side; a clean end without. */
	close(problem?: string): void;
}

const connectMethod = {
	path: "/picket.v1.SensorService/Connect",
	requestStream: true,
	responseStream: true,
	...serializers(requestCodec, responseCodec),
} as const satisfies MethodDefinition<wire.ConnectRequest | Buffer, wire.ConnectResponse>;
const checkMethod = {
	path: "/picket.v1.HealthService/Check",
	requestStream: false,
	responseStream: false,
	...serializers(checkRequestCodec, checkResponseCodec),
} as const satisfies MethodDefinition<wire.CheckRequest | Buffer, wire.CheckResponse>;
const enrolMethod = {
	path: "/picket.v1.EnrolmentService/Enrol",
	requestStream: false,
	responseStream: false,
	...serializers(codecOf<wire.EnrolRequest>("EnrolRequest"), codecOf<wire.EnrolResponse>("EnrolResponse")),
} as const satisfies MethodDefinition<wire.EnrolRequest | Buffer, wire.EnrolResponse>;
const renewMethod = {
	path: "/picket.v1.EnrolmentService/Renew",
	requestStream: false,
	responseStream: false,
	...serializers(codecOf<wire.RenewRequest>("RenewRequest"), codecOf<wire.RenewResponse>("RenewResponse")),
} as const satisfies MethodDefinition<wire.RenewRequest | Buffer, wire.RenewResponse>;

function serializers<Request, Response>(request: Codec<Request>, response: Codec<Response>) {
	return {
		requestSerialize: (value: Request | Buffer) => (Buffer.isBuffer(value) ? value : request.encode(value)),
		requestDeserialize: (bytes: Buffer) => request.decode(bytes),
		responseSerialize: (value: Response) => response.encode(value),
		responseDeserialize: (bytes: Buffer) => response.decode(bytes),
	};
}

// It writes to stderr on its own account; all it has to say comes back as errors.
setLogVerbosity(logVerbosity.NONE);

const limits = {
	"grpc.max_receive_message_length": messageLimit,
	"grpc.max_send_message_length": messageLimit,
};
const clientOptions = {
	...limits,
	// Retrying and pooling are the caller's: one client is one try.
	"grpc.use_local_subchannel_pool": 1,
	"grpc.enable_retries": 0,
	"grpc.enable_http_proxy": 0,
	"grpc.keepalive_time_ms": 20_000,
	"grpc.keepalive_timeout_ms": 10_000,
};

/**
 * Checks where a console is and how it is reached, without a connection.
 * Throws ReportError ADDRESS, PLAINTEXT or CERTIFICATE.
 */
export function checkConsole(address: string, tls: ClientTls | undefined): void {
	const endpoint = parseEndpoint(address, "console");
	checkProtected(endpoint, tls !== undefined, "console", "Set its TLS certificate authority");
	clientSecurity(tls, "");
}

/** Throws as checkConsole does; all that goes wrong later comes through `handlers.end`. */
export function openStream(
	address: string,
	tls: ClientTls | undefined,
	handlers: StreamHandlers<wire.ConnectResponse>,
): ClientStream {
	const { client, call } = dial(address, tls);
	let ended = false;
	const end = (problem: string, cause: EndCause): void => {
		if (ended) return;
		ended = true;
		call.cancel();
		client.close();
		handlers.end(problem, cause);
	};
	call.on("data", (message) => {
		if (!ended) handlers.message(message);
	});
	call.on("drain", () => {
		if (!ended) handlers.drain();
	});
	call.on("error", (error: ServiceError) =>
		end(explainProblem(error, address, tls !== undefined), causeOf(error)),
	);
	// The status comes after the end, and may tell why.
	call.on("end", () => setImmediate(end, "the console ended the stream", "refused"));
	return {
		write(message) {
			if (ended) return false;
			return call.write(message);
		},
		finish() {
			if (!ended) call.end();
		},
		close: () => end("", "here"),
	};
}

const broken = new Set<number>([status.UNAVAILABLE, status.CANCELLED, status.DEADLINE_EXCEEDED]);
const barred = new Set<number>([status.UNAUTHENTICATED, status.PERMISSION_DENIED, status.UNIMPLEMENTED]);
/** What grpc-js says of a connection that broke, and of answers that this side does not take. */
const brokenText = /RST_STREAM|client error/i;
const unfitText = /larger than max|parsing error|decompress|compress|Protocol error/i;

function causeOf(error: ServiceError): EndCause {
	if (unfitText.test(error.details)) return "here";
	if (broken.has(error.code) || brokenText.test(error.details)) return "broken";
	return barred.has(error.code) ? "barred" : "refused";
}

function dial(address: string, tls: ClientTls | undefined) {
	const client = createClient(address, tls);
	const call: ClientDuplexStream<wire.ConnectRequest | Buffer, wire.ConnectResponse> =
		client.makeBidiStreamRequest(
			connectMethod.path,
			connectMethod.requestSerialize,
			connectMethod.responseDeserialize,
			new Metadata(),
			{},
		);
	return { client, call };
}

function createClient(address: string, tls: ClientTls | undefined): Client {
	const endpoint = parseEndpoint(address, "console");
	checkProtected(endpoint, tls !== undefined, "console", "Set its TLS certificate authority");
	const name = tls?.serverName ?? (endpoint.kind === "tcp" ? endpoint.host : "localhost");
	// An address may not stand in the TLS server name (RFC 6066); what the certificate must say is checked below.
	const sent = isIP(name) === 0 ? name : "localhost";
	return new Client(grpcTarget(endpoint), clientSecurity(tls, name), {
		...clientOptions,
		// Records are text and shrink to a fifth; between processes of one host the time is worth more.
		...(endpoint.kind === "tcp" && {
			"grpc.default_compression_algorithm": compressionAlgorithms.gzip,
		}),
		"grpc.ssl_target_name_override": sent,
		"grpc.default_authority": sent,
	});
}

/** `name`: host name or address that the console's certificate must be for. */
function clientSecurity(tls: ClientTls | undefined, name: string): ChannelCredentials {
	if (tls === undefined) return clientCredentials.createInsecure();
	return clientCredentials.createFromSecureContext(clientContext(tls), {
		checkServerIdentity: (_sent, certificate) => checkServerIdentity(name, certificate),
	});
}

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

/** Asks a console how it is. Rejects with ReportError NO_ANSWER or REFUSED after at most `timeoutMs`. */
export function checkHealth(
	address: string,
	tls: ClientTls | undefined,
	timeoutMs = 5000,
): Promise<wire.CheckResponse> {
	return callOnce(address, tls, checkMethod, {}, timeoutMs);
}

/** As checkHealth. */
export function callEnrol(
	address: string,
	tls: ClientTls,
	request: wire.EnrolRequest,
	timeoutMs: number,
): Promise<wire.EnrolResponse> {
	return callOnce(address, tls, enrolMethod, request, timeoutMs);
}

/** As checkHealth; `tls` has the certificate that is to be renewed. */
export function callRenew(
	address: string,
	tls: ClientTls,
	request: wire.RenewRequest,
	timeoutMs: number,
): Promise<wire.RenewResponse> {
	return callOnce(address, tls, renewMethod, request, timeoutMs);
}

const refusals: readonly number[] = [
	status.UNAUTHENTICATED,
	status.PERMISSION_DENIED,
	status.RESOURCE_EXHAUSTED,
	status.FAILED_PRECONDITION,
	status.INVALID_ARGUMENT,
];

async function callOnce<Request, Response extends object>(
	address: string,
	tls: ClientTls | undefined,
	method: MethodDefinition<Request | Buffer, Response>,
	request: Request,
	timeoutMs: number,
): Promise<Response> {
	const client = createClient(address, tls);
	try {
		return await new Promise<Response>((resolve, reject) => {
			client.makeUnaryRequest(
				method.path,
				method.requestSerialize,
				method.responseDeserialize,
				request,
				new Metadata(),
				{ deadline: Date.now() + timeoutMs },
				(error, answer) => {
					if (error === null) resolve(answer as Response);
					else if (refusals.includes(error.code)) {
						reject(new ReportError("REFUSED", error.details.slice(0, 500), error));
					} else {
						reject(new ReportError("NO_ANSWER", explainProblem(error, address, tls !== undefined), error));
					}
				},
			);
		});
	} finally {
		client.close();
	}
}
