// Records as the kernel would write them, for the tests of the decoder and of what comes behind it.
export { memoryOf, recordOf, sizesOf, type Value } from "../../../agent/model/encode.ts";
export { structs } from "../../../agent/model/structs.ts";
