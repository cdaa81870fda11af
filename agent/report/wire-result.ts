// What every message about something asked of the kernel ends with.
import { type EventName, type EventView, eventNames } from "../model/event.ts";
import { resultName } from "../model/kernel-names.ts";
import type * as wire from "../model/picket.v1.ts";
import { structs } from "../model/structs.ts";

export function resultOf({ result }: EventView): { result: string; returnValue: number } {
	return { result: resultName(result), returnValue: result };
}

/** To the last digit: overlayfs, NFS and FUSE make up inode numbers that no double holds. */
export function fileOf(event: EventView): { file?: wire.FileId } {
	if (event.inode === 0) return {};
	const at = structs[eventNames[event.kind - 1] as EventName].inode as number;
	return { file: { device: event.device, inode: String(event.big(at)) } };
}
