// What every message about something asked of the kernel ends with.
import type { EventView } from "../model/event.ts";
import { resultName } from "../model/kernel-names.ts";
import type * as wire from "../model/picket.v1.ts";

export function resultOf({ result }: EventView): { result: string; returnValue: number } {
	return { result: resultName(result), returnValue: result };
}

export function fileOf({ device, inode }: EventView): { file?: wire.FileId } {
	return inode === 0 ? {} : { file: { device, inode: String(inode) } };
}
