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
	type ServerUnaryCall,
	type ServiceError,
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

/**
 * Who ended a stream and how: this side; the other side with a reason of its own ("refused", as INVALID_ARGUMENT or
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
	/** Common name in the certificate the sensor has shown; undefined without one that was checked. */
	readonly identity: string | undefined;
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
const checkMethod = unaryMethod("HealthService/Check", checkRequestCodec, checkResponseCodec);
const enrolMethod = unaryMethod(
	"EnrolmentService/Enrol",
	codecOf<wire.EnrolRequest>("EnrolRequest"),
	codecOf<wire.EnrolResponse>("EnrolResponse"),
);
const renewMethod = unaryMethod(
	"EnrolmentService/Renew",
	codecOf<wire.RenewRequest>("RenewRequest"),
	codecOf<wire.RenewResponse>("RenewResponse"),
);

type UnaryMethod<Request, Response> = MethodDefinition<Request | Buffer, Response>;

function unaryMethod<Request, Response>(
	name: string,
	request: Codec<Request>,
	response: Codec<Response>,
): UnaryMethod<Request, Response> {
	return {
		path: `/picket.v1.${name}`,
		requestStream: false,
		responseStream: false,
		...serializers(request, response),
	};
}

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
/** What grpc-js says of a connection that broke, or of answers that this side cannot take. */
const notTheConsole = /RST_STREAM|client error|larger than max|parsing error|decompress|Protocol error/i;

function causeOf(error: ServiceError): EndCause {
	if (broken.has(error.code) || notTheConsole.test(error.details)) return "broken";
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

/** What a console answers to hosts that want a certificate. A refusal is an Error whose message they are told. */
export interface EnrolmentHandlers {
	enrol(request: wire.EnrolRequest, peer: string): Promise<wire.EnrolResponse>;
	/** `identity`: common name of the certificate that the host has shown and that was checked. */
	renew(request: wire.RenewRequest, peer: string, identity: string): Promise<wire.RenewResponse>;
}

export interface ServerOptions {
	/** "host:port", "[ipv6]:port" (port 0: any) or "unix:/path". */
	readonly listen: string;
	readonly tls?: ServerTls;
	/** A new sensor; what it says goes to the handlers returned. */
	connect(stream: ServerStream): StreamHandlers<wire.ConnectRequest>;
	health(): wire.CheckResponse;
	/** With it, TLS lets everybody in, but streams only those with a certificate that `clientCa` has signed. */
	readonly enrolment?: EnrolmentHandlers;
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
	checkProtected(endpoint, options.tls !== undefined, "listen", "Give a certificate and its key");
	if (endpoint.kind === "unix") await removeStaleSocket(endpoint.path);
	const server = new Server(limits);
	const security = serverSecurity(options.tls, options.enrolment !== undefined);
	const identified = options.tls?.clientCa !== undefined;
	const attend: handleBidiStreamingCall<wire.ConnectRequest | Buffer, wire.ConnectResponse> = (call) => {
		const identity = identityOf(call.getAuthContext());
		if (identity !== undefined || !identified) return accept(call, identity, options.connect);
		call.emit("error", {
			code: status.UNAUTHENTICATED,
			details: "a certificate of this console's authority is needed: enrol this host first",
		});
	};
	const check: handleUnaryCall<wire.CheckRequest | Buffer, wire.CheckResponse> = (_call, callback) =>
		callback(null, options.health());
	server.addService({ connect: connectMethod }, { connect: attend });
	server.addService({ check: checkMethod }, { check });
	if (options.enrolment !== undefined) {
		const { enrol, renew } = options.enrolment;
		server.addService(
			{ enrol: enrolMethod, renew: renewMethod },
			{
				enrol: answered((request: wire.EnrolRequest, call) => enrol(request, call.getPeer())),
				renew: answered((request: wire.RenewRequest, call) => {
					const identity = identityOf(call.getAuthContext());
					if (identity === undefined) throw new Error("a certificate that is still valid is needed");
					return renew(request, call.getPeer(), identity);
				}),
			},
		);
	}
	let bindTarget = "";
	const port = await new Promise<number>((resolve, reject) => {
		const target =
			endpoint.kind === "unix"
				? `unix:${endpoint.path}`
				: grpcTarget(endpoint).replace(/^(ipv4|ipv6|dns):/, "");
		server.bindAsync(target, security, (error, bound) => {
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
			if (!(security instanceof TlsServerCredentials)) return;
			security.take(tls);
			server.drain(bindTarget, 200);
		},
		close: () =>
			new Promise((resolve) => {
				const late = setTimeout(() => server.forceShutdown(), 500);
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
class TlsServerCredentials extends ServerCredentials {
	constructor(context: SecureContextOptions, wanted: boolean, demanded: boolean) {
		super({ requestCert: wanted, rejectUnauthorized: demanded }, context);
	}
	take(tls: ServerTls): void {
		this.updateSecureContextOptions(serverContext(tls));
	}
	_equals(other: ServerCredentials): boolean {
		return this === other;
	}
}

function serverSecurity(tls: ServerTls | undefined, enrolling: boolean): ServerCredentials {
	if (tls === undefined) return ServerCredentials.createInsecure();
	const wanted = tls.clientCa !== undefined;
	return new TlsServerCredentials(serverContext(tls), wanted, wanted && !enrolling);
}

function identityOf(
	context: ReturnType<ServerDuplexStream<unknown, unknown>["getAuthContext"]>,
): string | undefined {
	const name = context.sslPeerCertificate?.subject.CN;
	return Array.isArray(name) ? name[0] : name;
}

function answered<Request, Response>(
	answer: (request: Request, call: ServerUnaryCall<Request | Buffer, Response>) => Promise<Response>,
): handleUnaryCall<Request | Buffer, Response> {
	return (call, callback) => {
		Promise.resolve()
			.then(() => answer(call.request as Request, call))
			.then(
				(response) => callback(null, response),
				(error) => callback({ code: status.PERMISSION_DENIED, details: errorText(error) }),
			);
	};
}

function accept(
	call: ServerDuplexStream<wire.ConnectRequest | Buffer, wire.ConnectResponse>,
	identity: string | undefined,
	open: ServerOptions["connect"],
): void {
	let ended = false;
	const end = (problem: string, cause: EndCause): void => {
		if (ended) return;
		ended = true;
		handlers.end(problem, cause);
	};
	const handlers = open({
		peer: call.getPeer(),
		identity,
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

/** Asks a console how it is. Rejects with ReportError NO_ANSWER, the reason as text, after `timeoutMs`. */
export function checkHealth(
	address: string,
	tls: ClientTls | undefined,
	timeoutMs = 5000,
): Promise<wire.CheckResponse> {
	return ask(checkMethod, address, tls, {}, timeoutMs);
}

/** As checkHealth; the refusal is in the error's text. */
export function askEnrol(
	address: string,
	tls: ClientTls,
	request: wire.EnrolRequest,
	timeoutMs = 10_000,
): Promise<wire.EnrolResponse> {
	return ask(enrolMethod, address, tls, request, timeoutMs);
}

/** As checkHealth; `tls` holds the certificate that is to be renewed. */
export function askRenew(
	address: string,
	tls: ClientTls,
	request: wire.RenewRequest,
	timeoutMs = 10_000,
): Promise<wire.RenewResponse> {
	return ask(renewMethod, address, tls, request, timeoutMs);
}

function ask<Request, Response extends object>(
	method: UnaryMethod<Request, Response>,
	address: string,
	tls: ClientTls | undefined,
	request: Request,
	timeoutMs: number,
): Promise<Response> {
	const client = createClient(address, tls);
	return new Promise<Response>((resolve, reject) => {
		client.makeUnaryRequest(
			method.path,
			method.requestSerialize,
			method.responseDeserialize,
			request,
			new Metadata(),
			{ deadline: Date.now() + timeoutMs },
			(error, answer) => {
				if (error !== null)
					reject(new ReportError("NO_ANSWER", explainProblem(error, address, tls !== undefined), error));
				else resolve(answer ?? ({} as Response));
			},
		);
	}).finally(() => client.close());
}
