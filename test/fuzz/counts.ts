// How much is tried, and from which seed: short for `npm test`, long for `npm run soak`.

/** The long form is wanted. */
export const soak = process.env.PICKET_SOAK === "1";

/** PICKET_SEED repeats a run that failed. */
export const seed = Number(process.env.PICKET_SEED ?? 1) >>> 0;

/** No single record may take longer, ms. */
export const limitMs = 50;

/** For the test; a soak, which may take minutes, has half an hour. */
export const timeout = soak ? 1_800_000 : 120_000;

/** One line among the results. */
export function tell(line: string): void {
	process.stdout.write(`${line}\n`);
}
