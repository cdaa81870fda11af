// The canary: an execution of our own that has to come back through kernel, ring, decoding and the rules in force.

/** Name of the rule that is compiled with every rule set, and of the alert that it was missed. */
export const canaryRule = "picket/canary";

/** Each canary's one argument: this and 32 random hexadecimal digits. */
export const canaryMarker = "picket-canary-";
