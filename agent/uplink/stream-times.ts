// How long a stream to a console waits for what.

/** All in ms. */
export interface StreamTimes {
	/** A batch waits at most so long for more records. */
	readonly batch: number;
	readonly heartbeat: number;
	/** Without any answer for so long the connection is given up. */
	readonly answer: number;
	/** How often the sensor's status goes along with a heartbeat. */
	readonly status: number;
	/** Pauses between tries are random, up to a limit that doubles from the first to the last of these. */
	readonly firstRetry: number;
	readonly lastRetry: number;
	/** While another address serves, the first one is tried so often; less and less often while it does not answer. */
	readonly comeBack: number;
	/** Batches that wait longer than this for their acknowledgement let alerts go ahead of them. */
	readonly ahead: number;
	/** What `farewell` waits for the last acknowledgements. */
	readonly close: number;
}

export const defaultTimes: StreamTimes = {
	batch: 200,
	heartbeat: 20_000,
	answer: 10_000,
	status: 60_000,
	firstRetry: 1000,
	lastRetry: 60_000,
	comeBack: 300_000,
	ahead: 2000,
	close: 3000,
};
