// The uplink: the process that speaks with consoles and other receivers off this host, so that the sensor, which is root,
// reads no byte of theirs. It loads its code, gives up all rights, and then hears from the core (descriptor 3) what to do.
// Whatever is loaded here is loaded before that: afterwards our own files are out of reach.
import { lookup } from "node:dns/promises";
import { Socket } from "node:net";
import { createSecureContext } from "node:tls";
import { giveUp, type Rights } from "../confine.ts";
import type { FromUplink, ToUplink } from "../model/delivery.ts";
import { errorText } from "../report/errors.ts";
import { createFrameReader, encodeFrame, frameTypes, readToUplink } from "./frames.ts";
import { createOutlets } from "./outlets.ts";

/** What consoles get to hear that we go, at most; ms. */
const leaveMs = 4000;
/** Of the core's frames; an answer with 512 KiB of records has some more around them. */
const mostBytes = 64 * 1024 * 1024;

/** `identity`: JSON of who to be from now on; {} to stay who we are. */
export async function runUplink(identity: string): Promise<void> {
	// The terminal and systemd tell every process of the group; only the core decides when we end.
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const) process.on(signal, () => {});
	await warm();
	const { holds, problems } = giveUpOrEnd(JSON.parse(identity) as Rights);

	const pipe = new Socket({ fd: 3, readable: true, writable: true });
	const send = (message: FromUplink): void => {
		if (!pipe.writable) return;
		for (const piece of encodeFrame(message)) pipe.write(piece);
	};
	const outlets = createOutlets(send, (level, message) =>
		send({ type: "log", level, message: message.slice(0, 2000) }),
	);
	let ending = false;
	const end = async (reason: "REASON_STOPPED" | "REASON_LOST"): Promise<void> => {
		if (ending) return;
		ending = true;
		setTimeout(() => process.exit(0), leaveMs);
		await outlets.end(reason);
		process.exit(0);
	};
	const take = (message: ToUplink) => {
		switch (message.type) {
			case "configure":
				return outlets.configure(message);
			case "records":
				return outlets.records(message.outlet, message.records);
			case "ahead":
				return outlets.ahead(message);
			case "result":
				return outlets.result(message.outlet, message.result);
			case "status":
				outlets.status(message);
				return send({ type: "alive", problems: outlets.problems() });
			case "renew":
				return outlets.renew(message);
			case "stop":
				return void end("REASON_STOPPED");
		}
	};
	const reader = createFrameReader({
		limit: (type) => (type < frameTypes.ready ? mostBytes : 0),
		frame: (type, head, payload) => take(readToUplink(type, head, payload)),
		broken(reason) {
			process.stderr.write(`the core said ${reason}\n`);
			process.exit(1);
		},
	});
	pipe.on("data", (chunk: Buffer) => reader.push(chunk));
	// The core is gone, and did not say so before.
	pipe.on("end", () => void end("REASON_LOST"));
	pipe.on("error", () => void end("REASON_LOST"));
	send({ type: "ready", confinement: holds, problems });
}

/** What the runtime and the C library load when they first need it. */
async function warm(): Promise<void> {
	createSecureContext();
	await lookup("localhost").catch(() => {});
}

/** Ends the process when it cannot become somebody without rights. It outlives the core by what it has to tell consoles. */
function giveUpOrEnd(rights: Rights): ReturnType<typeof giveUp> {
	try {
		return giveUp(rights, false);
	} catch (error) {
		process.stderr.write(`the uplink cannot give up root's rights and does not run: ${errorText(error)}\n`);
		process.exit(1);
	}
}
