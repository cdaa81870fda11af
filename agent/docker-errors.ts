// Every error the Docker side of the agent gives, each with a code and a way out.

export type DockerErrorCode =
	| "DOCKER_ABSENT"
	| "DOCKER_DENIED"
	| "DOCKER_DOWN"
	| "DOCKER_SLOW"
	| "DOCKER_MALFORMED"
	| "DOCKER_NOT_FOUND"
	| "DOCKER_CONFLICT"
	| "DOCKER_FAILED";

export class DockerError extends Error {
	override readonly name = "DockerError";
	readonly code: DockerErrorCode;
	readonly remedy: string;
	constructor(code: DockerErrorCode, message: string, remedy: string) {
		super(message);
		this.code = code;
		this.remedy = remedy;
	}
}

export type DockerErrors = ReturnType<typeof createDockerErrors>;

/** `timeout` in ms, as it is told in DOCKER_SLOW. */
export function createDockerErrors(socketPath: string, timeout: number) {
	return { translate, refusal, badName, malformed, failed, down };

	/** From what Node says of a socket; `aborted` when our own time limit ended the call. */
	function translate(error: unknown, aborted: boolean): DockerError {
		if (error instanceof DockerError) return error;
		if (aborted) {
			const message = `the Docker engine at ${socketPath} did not answer within ${timeout} ms`;
			return new DockerError("DOCKER_SLOW", message, "see whether the engine hangs: docker ps");
		}
		const code = error instanceof Error && "code" in error ? String(error.code) : "";
		switch (code) {
			case "ENOENT":
			case "ENOTDIR":
				return new DockerError(
					"DOCKER_ABSENT",
					`there is no Docker socket at ${socketPath}`,
					"if Docker runs on this host, name its socket in /etc/picket/picket.yaml; if not, nothing is amiss",
				);
			case "EACCES":
			case "EPERM":
				return new DockerError(
					"DOCKER_DENIED",
					`the Docker socket at ${socketPath} may not be opened (${code})`,
					"run the sensor as root, or give its user the socket's group",
				);
			case "ECONNREFUSED":
				return down("does not listen");
			case "ECONNRESET":
			case "EPIPE":
				return down("broke the connection");
			default:
				if (code.startsWith("HPE_")) return malformed(`does not speak HTTP (${code})`);
				return failed(`could not be asked: ${error instanceof Error ? error.message : "unknown error"}`);
		}
	}

	/** From an answer with a status of 400 and above. */
	function refusal(status: number, body: Buffer): DockerError {
		const said = reason(body);
		if (status === 404) return new DockerError("DOCKER_NOT_FOUND", said, "look for its name with: docker ps");
		if (status === 409) return new DockerError("DOCKER_CONFLICT", said, "look at its state with: docker ps");
		return failed(`answered with status ${status}: ${said}`);
	}

	function badName(): DockerError {
		const message = "no container can have such a name";
		return new DockerError(
			"DOCKER_NOT_FOUND",
			message,
			"give a container's id or name, as docker ps shows it",
		);
	}

	function malformed(what: string): DockerError {
		const message = `what listens at ${socketPath} ${what}`;
		return new DockerError("DOCKER_MALFORMED", message, "see whether this is a Docker engine's socket");
	}

	function failed(what: string): DockerError {
		const message = `the Docker engine at ${socketPath} ${what}`;
		return new DockerError("DOCKER_FAILED", message, "look into the engine's log: journalctl -u docker");
	}

	function down(what: string): DockerError {
		const message = `the Docker engine at ${socketPath} ${what}`;
		return new DockerError("DOCKER_DOWN", message, "start it: systemctl start docker");
	}
}

/** The engine's own words, {"message": "…"}, fit for a line of a log. */
function reason(body: Buffer): string {
	let said = "no reason given";
	try {
		const answer: unknown = JSON.parse(body.toString("utf8"));
		if (typeof answer === "object" && answer !== null && "message" in answer) said = String(answer.message);
	} catch {
		// Not JSON: said stays as it is.
	}
	return said.replace(/\p{Cc}/gu, " ").slice(0, 300);
}
