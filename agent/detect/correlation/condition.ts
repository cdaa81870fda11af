// What a correlation compares: the thresholds of a document and whether a measured number satisfies them.

export type CorrelationType =
	| "event_count"
	| "value_count"
	| "value_sum"
	| "value_avg"
	| "value_percentile"
	| "value_median"
	| "temporal"
	| "temporal_ordered";
export const correlationTypes: readonly CorrelationType[] = [
	"event_count",
	"value_count",
	"value_sum",
	"value_avg",
	"value_percentile",
	"value_median",
	"temporal",
	"temporal_ordered",
];

export const comparisons = {
	gt: (value: number, limit: number) => value > limit,
	gte: (value: number, limit: number) => value >= limit,
	lt: (value: number, limit: number) => value < limit,
	lte: (value: number, limit: number) => value <= limit,
	eq: (value: number, limit: number) => value === limit,
	neq: (value: number, limit: number) => value !== limit,
} as const;
export type Comparison = keyof typeof comparisons;
export const comparisonNames = Object.keys(comparisons) as Comparison[];

/** All of them have to hold: two make a range. */
export type Thresholds = readonly { readonly comparison: Comparison; readonly limit: number }[];

export function satisfies(thresholds: Thresholds, value: number): boolean {
	return thresholds.every(({ comparison, limit }) => comparisons[comparison](value, limit));
}

export const symbols: Readonly<Record<Comparison, string>> = {
	gt: ">",
	gte: "≥",
	lt: "<",
	lte: "≤",
	eq: "=",
	neq: "≠",
};
