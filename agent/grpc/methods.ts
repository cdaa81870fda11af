// The calls of picket.v1 for gRPC: their paths, sizes, and messages that are canonical JSON objects on both sides.
import { logVerbosity, type MethodDefinition, setLogVerbosity } from "@grpc/grpc-js";
import type * as wire from "../model/picket.v1.ts";
import {
	type Codec,
	checkRequestCodec,
	checkResponseCodec,
	codecOf,
	messageLimit,
	requestCodec,
	responseCodec,
} from "../report/protojson.ts";

export const connectMethod = {
	path: "/picket.v1.SensorService/Connect",
	requestStream: true,
	responseStream: true,
	...serializers(requestCodec, responseCodec),
} as const satisfies MethodDefinition<wire.ConnectRequest | Buffer, wire.ConnectResponse>;
export const checkMethod = {
	path: "/picket.v1.HealthService/Check",
	requestStream: false,
	responseStream: false,
	...serializers(checkRequestCodec, checkResponseCodec),
} as const satisfies MethodDefinition<wire.CheckRequest | Buffer, wire.CheckResponse>;
export const enrolMethod = {
	path: "/picket.v1.EnrolmentService/Enrol",
	requestStream: false,
	responseStream: false,
	...serializers(codecOf<wire.EnrolRequest>("EnrolRequest"), codecOf<wire.EnrolResponse>("EnrolResponse")),
} as const satisfies MethodDefinition<wire.EnrolRequest | Buffer, wire.EnrolResponse>;
export const renewMethod = {
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

export const limits = {
	"grpc.max_receive_message_length": messageLimit,
	"grpc.max_send_message_length": messageLimit,
};
