// The process in which content is tried: started by trial-run.ts with bounds on its memory and time, confined as the
// uplink is before it reads the first byte, and gone after one answer. Standard input: a line of JSON (Question), then
// the signed bytes. Standard output: one JSON object, Answer.
import { constants, setPriority } from "node:os";
import { giveUpAll } from "../confine.ts";
import { readTemplate, templateNames } from "../policy/include.ts";
import { type Examined, examine, type Question, readCorpus } from "./examine.ts";
import { ContentRefusal } from "./model.ts";

export type Answer = ({ readonly ok: true } & Examined) | { readonly ok: false; readonly reason: string };

async function readInput(): Promise<{ question: Question; bytes: Buffer }> {
	const chunks: Buffer[] = [];
	for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
	const input = Buffer.concat(chunks);
	const end = input.indexOf(0x0a);
	return { question: JSON.parse(input.toString("utf8", 0, end)) as Question, bytes: input.subarray(end + 1) };
}

const corpus = readCorpus();
for (const name of templateNames()) readTemplate(name);
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
// The compilers of what it will meet are loaded and what it needs of the disk is read.
giveUpAll();
const { question, bytes } = await readInput();
let answer: Answer;
try {
	answer = { ok: true, ...examine(bytes, question, corpus) };
} catch (error) {
	if (!(error instanceof ContentRefusal)) throw error;
	answer = { ok: false, reason: error.message };
}
process.stdout.write(JSON.stringify(answer));
