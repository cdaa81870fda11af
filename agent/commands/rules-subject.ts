// What `picket rules test` is about: the rules that would be loaded, those of them that are tested, and the options.
import type { Bounds, LoadedRule, RuleFile, RuleSet } from "../detect/load.ts";
import type { RuleFlags } from "./rules.ts";

export interface TestFlags extends RuleFlags {
	readonly recording?: string;
	readonly rule?: string[];
	/** A rule without samples is an error. */
	readonly strict?: boolean;
	/** Whole trees, also of samples that did as they should. */
	readonly trace?: boolean;
}

/** What is under test: the whole set is loaded as a sensor would, the rules of the files given are tested. */
export interface Subject {
	readonly set: RuleSet;
	readonly bounds: Bounds;
	readonly files: readonly RuleFile[];
	readonly rules: readonly LoadedRule[];
}
