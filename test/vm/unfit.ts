// Tests that are not run in a virtual machine, each with its reason. They count as skipped and are named.

export interface Unfit {
	/** The test's title, without those of its groups. */
	readonly test: string;
	readonly reason: string;
}

const manyEntries =
	"thousands of entries of a table take an emulated processor 20 s to write; no kernel differs in that";

export const unfit: readonly Unfit[] = [
	{ test: "stays bounded when only the sum of both is too much for the tables", reason: manyEntries },
	{
		test: "looks at every read when the rules name more files than the table takes, and says why",
		reason: manyEntries,
	},
	{
		test: "overrun by what must not be lost still counts it",
		reason:
			"8000 forks take more than 20 s on an emulated processor; the test before it holds the same identity",
	},
];
