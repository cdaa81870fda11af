// The only file that knows gRPC: opens the sensor's stream, serves the console's end of it. Messages go in and
// out as canonical JSON objects; when to connect and what to say is decided elsewhere.

import { X509Certificate } from "node:crypto";
import { chmod, lstat, unlink } from "node:fs/promises";
import { connect, isIP } from "node:net";
import { checkServerIdentity, createSecureContext, type SecureContextOptions } from "node:tls";
import {
	type ChannelCredentials,
	Client,
	type ClientDuplexStream,
	credentials as clientCredentials,
	type handleBidiStreamingCall,
	type handleUnaryCall,
	logVerbosity,
	Metadata,
	type MethodDefinition,
	Server,
	ServerCredentials,
	type ServerDuplexStream,
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

/** PEM texts, not paths. */
export interface ClientTls {
	/** Who signed the console's certificate; the system's authorities when left out. */
	readonly ca?: string | Buffer;
	/** This sensor's own, for mutual TLS; both or neither. */
	readonly cert?: string | Buffer;
	readonly key?: string | Buffer;
	/** Name to expect in the certificate instead of the address's host. */
	readonly serverName?: string;
	/** Revoked certificates of consoles; their authority must have signed the list. */
	readonly crl?: string | Buffer;
}

export interface ServerTls {
	readonly cert: string | Buffer;
	readonly key: string | Buffer;
	/** When given, only sensors with a certificate signed by it get in. */
	readonly clientCa?: string | Buffer;
}

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

export interface StreamHandlers<Incoming> {
	message(message: Incoming): void;
	/** There is room again after `write` said false. */
	drain(): void;
	/** Exactly once, and the last call. `problem` is for people; "" when this side closed it. */
	end(problem: string): void;
}

export interface ClientStream {
	/** A ConnectRequest, or the bytes of one. False: wait for `drain`. */
	write(message: wire.ConnectRequest | Buffer): boolean;
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
	const end = (problem: string): void => {
		if (ended) return;
		ended = true;
		call.cancel();
		client.close();
		handlers.end(problem);
	};
	call.on("data", (message) => {
		if (!ended) handlers.message(message);
	});
	call.on("drain", () => {
		if (!ended) handlers.drain();
	});
	call.on("error", (error) => end(explainProblem(error, address, tls !== undefined)));
	call.on("end", () => end("the console ended the stream"));
	return {
		write(message) {
			if (ended) return false;
			return call.write(message);
		},
		close: () => end(""),
	};
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
		"grpc.ssl_target_name_override": sent,
		"grpc.default_authority": sent,
	});
}

/** `name`: host name or address that the console's certificate must be for. */
function clientSecurity(tls: ClientTls | undefined, name: string): ChannelCredentials {
	if (tls === undefined) return clientCredentials.createInsecure();
	try {
		// OpenSSL passes over what is no certificate in a list of authorities, and would then trust nobody.
		if (tls.ca !== undefined) new X509Certificate(tls.ca);
		const context = createSecureContext({
			...(tls.ca === undefined ? {} : { ca: tls.ca }),
			...(tls.cert === undefined ? {} : { cert: tls.cert }),
			...(tls.key === undefined ? {} : { key: tls.key }),
			...(tls.crl === undefined ? {} : { crl: tls.crl }),
			minVersion: "TLSv1.3",
		});
		return clientCredentials.createFromSecureContext(context, {
			checkServerIdentity: (_sent, certificate) => checkServerIdentity(name, certificate),
		});
	} catch (error) {
		throw certificateError(error);
	}
}

function pem(text: string | Buffer | undefined): Buffer | null {
	return text === undefined ? null : Buffer.from(text);
}

function certificateError(error: unknown): ReportError {
	return new ReportError(
		"CERTIFICATE",
		`certificate or key cannot be used: ${errorText(error)}. Give PEM files, and the key that belongs to the certificate`,
		error,
	);
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
	const port = await new Promise<number>((resolve, reject) => {
		const target =
			endpoint.kind === "unix"
				? `unix:${endpoint.path}`
				: grpcTarget(endpoint).replace(/^(ipv4|ipv6|dns):/, "");
		server.bindAsync(target, credentials, (error, bound) => {
			if (error === null) resolve(bound);
			else reject(new ReportError("LISTEN", `cannot listen on ${options.listen}: ${error.message}`, error));
		});
	});
	// Whoever can open the socket speaks as a sensor.
	if (endpoint.kind === "unix") await chmod(endpoint.path, 0o600);
	return {
		address: endpoint.kind === "unix" ? options.listen : options.listen.replace(/:\d+$/, `:${port}`),
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

function serverSecurity(tls: ServerTls | undefined): ServerCredentials {
	if (tls === undefined) return ServerCredentials.createInsecure();
	try {
		// grpc-js would find out only when it binds.
		createSecureContext({ cert: tls.cert, key: tls.key });
		if (tls.clientCa !== undefined) new X509Certificate(tls.clientCa);
		const pair = { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) };
		return ServerCredentials.createSsl(pem(tls.clientCa), [pair], tls.clientCa !== undefined);
	} catch (error) {
		throw certificateError(error);
	}
}

/** Asks sensors for a certificate and lets them in without: who has none can do nothing but enrol. */
class AuthorityCredentials extends ServerCredentials {
	constructor(context: SecureContextOptions) {
		super({ requestCert: true, rejectUnauthorized: false }, context);
	}
	replace(context: SecureContextOptions): void {
		this.updateSecureContextOptions(context);
	}
	_equals(other: ServerCredentials): boolean {
		return this === other;
	}
}

function authoritySecurity(authority: ServerAuthority): ServerCredentials {
	const context = (): SecureContextOptions => ({ ...authority.context(), minVersion: "TLSv1.3" });
	const credentials = new AuthorityCredentials(context());
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
	let identity: PeerIdentity | undefined;
	try {
		identity = authority?.identify(certificateOf(call));
	} catch (error) {
		call.on("error", () => {});
		call.emit("error", refusalStatus(error));
		return;
	}
	open(identity);
}

function accept(
	call: ServerDuplexStream<wire.ConnectRequest | Buffer, wire.ConnectResponse>,
	open: ServerOptions["connect"],
	identity: PeerIdentity | undefined,
): void {
	let ended = false;
	const end = (problem: string): void => {
		if (ended) return;
		ended = true;
		handlers.end(problem);
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
			end("");
		},
	});
	call.on("data", (message: wire.ConnectRequest) => {
		if (!ended) handlers.message(message);
	});
	call.on("drain", () => handlers.drain());
	call.on("cancelled", () => end("the sensor went away"));
	call.on("end", () => {
		call.end();
		end("the sensor ended the stream");
	});
	call.on("error", (error: Error) => end(errorText(error)));
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
