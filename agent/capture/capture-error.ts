// Why capture cannot start, in words that say what to do.
import type { NativeError } from "./addon.ts";

/** `message` says what is wrong, `remedy` what to do. */
export class CaptureError extends Error {
	readonly code: "NOT_PERMITTED" | "UNSUPPORTED" | "REFUSED" | "NOT_BUILT";
	readonly remedy: string;
	constructor(code: CaptureError["code"], message: string, remedy: string) {
		super(message);
		this.code = code;
		this.remedy = remedy;
	}
}

export function isPermission(error: NativeError): boolean {
	// EPERM, and EACCES with no verifier log: not a refusal of this program but of all.
	return error.errno === 1;
}

/** Of what the verifier or the library said, the line that tells. */
export function lastLine(error: NativeError): string {
	const lines = (error.log ?? "").split("\n").filter((line) => line !== "" && !line.startsWith("processed "));
	// REQUIRE_RESULT in bpf/io_uring_request.h.
	if (lines.some((line) => line.includes("unknown#5190"))) return "a request does not keep its result";
	// What the verifier says is more than that the library failed.
	return lines.findLast((line) => !/^(libbpf: |-- )/.test(line)) ?? lines.at(-1) ?? error.message;
}

/** What a failure of the addon means for whoever wanted to start. */
export function explain(error: NativeError): Error {
	if (error instanceof CaptureError) return error;
	if (error.code === undefined) return new CaptureError("NOT_BUILT", error.message, "npm run setup");
	if (isPermission(error) && process.getuid?.() !== 0) {
		return new CaptureError("NOT_PERMITTED", "loading BPF programs needs root", "start it with sudo");
	}
	if (isPermission(error)) {
		return new CaptureError(
			"NOT_PERMITTED",
			`the kernel does not permit BPF programs (${error.message})`,
			"in a container: run it privileged, or with CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE; on a host: look for lockdown in /sys/kernel/security/lockdown",
		);
	}
	if (error.code === "LAYOUT") return new CaptureError("NOT_BUILT", error.message, "npm run setup");
	return new CaptureError(
		"REFUSED",
		`${error.message}${error.program ? ` at ${error.program}` : ""}: ${lastLine(error)}`,
		"a kernel from 5.10 with BTF (/sys/kernel/btf/vmlinux); `picket doctor` says what is missing",
	);
}
