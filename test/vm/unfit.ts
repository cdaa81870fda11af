// Tests that are not run in a virtual machine, each with its reason. They count as skipped and are named.

export interface Unfit {
	/** The test's title, without those of its groups. */
	readonly test: string;
	readonly reason: string;
}

export const unfit: readonly Unfit[] = [
	{
		test: "overrun by what must not be lost still counts it",
		reason:
			"8000 forks take more than 20 s on an emulated processor; the test before it holds the same identity",
	},
];
