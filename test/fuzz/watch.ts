// How long one record takes, on a machine that has other things to do as well.
import { limitMs } from "./counts.ts";

export class Watch {
	/** As the clock says. */
	slowestMs = 0;
	/** Of our own: what is judged. */
	slowestOwnMs = 0;

	/** Throws with `what` when `act` takes too long, and as long when it is repeated. */
	time(act: () => void, what: () => string): void {
		let own = this.#once(act);
		// Collecting garbage, or compiling, may fall on any record: one that is slow is slow again.
		for (let again = 0; again < 2 && own > limitMs; again++) own = Math.min(own, this.#once(act));
		this.slowestOwnMs = Math.max(this.slowestOwnMs, own);
		if (own > limitMs) throw new Error(`${own} ms: ${what()}`);
	}

	#once(act: () => void): number {
		const cpu = process.threadCpuUsage();
		const begun = performance.now();
		act();
		const took = performance.now() - begun;
		const { user, system } = process.threadCpuUsage(cpu);
		this.slowestMs = Math.max(this.slowestMs, took);
		return Math.min(took, (user + system) / 1000);
	}
}
