// Samples of correlations: acts one after another, which a test runs through the real engine.
import type { Observation } from "../../model/event.ts";
import { observationOf, type Sample } from "../sample.ts";

/** A sample that happens `repeat` times, in whose texts {n} is which of these it is, from 1. */
export interface Step extends Sample {
	/** 1 when left out. */
	readonly repeat?: string;
	/** Seconds between two of them; 0.1 when left out. */
	readonly every?: string;
	/** Seconds since the step before; the same as `every` when left out. */
	readonly after?: string;
}

/** The events in order, with times and numbers of their own. Throws an Error that says what is wrong with a step. */
export function observationsOf(steps: readonly Step[]): Observation[] {
	const found: Observation[] = [];
	let time = 1e12;
	for (const { repeat = "1", every = "0.1", after = every, ...sample } of steps) {
		for (let n = 1; n <= Number(repeat); n++) {
			time += Number(n === 1 ? after : every) * 1e9;
			const written = JSON.parse(JSON.stringify(sample).replaceAll("{n}", String(n)));
			found.push(at(observationOf(written), Math.round(time), found.length + 1));
		}
	}
	return found;
}

/** The observation with its event at that time, ns since boot, under that number. */
export function at(observation: Observation, time: number, number: number): Observation {
	Object.defineProperties(observation.event, { time: { value: time }, number: { value: number } });
	return observation;
}
