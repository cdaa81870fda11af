// The sensor's end: one stream or one call to a console, one try each. When to connect and what to say is decided
// elsewhere.
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import {
	type ChannelCredentials,
	Client,
	type ClientDuplexStream,
	credentials as clientCredentials,
	compressionAlgorithms,
	Metadata,
	type MethodDefinition,
	type ServiceError,
	status,
} from "@grpc/grpc-js";
import type * as wire from "../model/picket.v1.ts";
import { checkProtected, grpcTarget, parseEndpoint } from "../report/address.ts";
import { explainProblem } from "../report/connection-problem.ts";
import { ReportError } from "../report/errors.ts";
import { type ClientTls, clientContext } from "../tls.ts";
import { checkMethod, connectMethod, enrolMethod, limits, renewMethod } from "./methods.ts";
import type { ClientStream, EndCause, StreamHandlers } from "./streams.ts";

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
