// Delivered content on disk, below <state>/content/KIND: a folder for each version that is kept, with the signed bytes,
// the files in them and their hashes, and state.json, which says what is in force. Everything is written aside, synced
// and renamed. What is damaged is passed over for the version before it, and told.
import { createHash } from "node:crypto";
import {
	closeSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { syncFolder } from "../durable.ts";
import { failureText } from "../failure.ts";
import { type Delivered, policyOf, ruleFilesOf } from "./join.ts";
import { type Bundle, bundleSchema, type ContentKind, contentKinds, highestVersion } from "./model.ts";
import { verifyContent } from "./verify.ts";

const version = z.int().min(0).max(highestVersion);
const stateSchema = z.strictObject({
	/** 0 for none, as everywhere here. */
	current: version,
	previous: version,
	highest: version,
	/** Unix ms since when the current one is in force. */
	since: z.int().min(0),
	/** Unix ms; 0 when it has passed. */
	probationUntil: z.int().min(0),
	/** Why a version was taken back; "" when none was since. */
	problem: z.string().max(2000),
});
export type KindState = z.output<typeof stateSchema>;

const manifestSchema = z.strictObject({
	kind: z.enum(contentKinds),
	version,
	created: z.int(),
	author: z.string(),
	bundle: z.string(),
	files: z.array(z.strictObject({ name: z.string(), sha256: z.string() })),
});

export interface Store {
	state(kind: ContentKind): KindState;
	/** Of the version in force; undefined when there is none. */
	bundle(kind: ContentKind): Bundle | undefined;
	/** What is in force, for the loaders. */
	inForce(): Delivered;
	/** Keeps a version, in force or not. Throws what the file system says; then nothing of it is there. */
	save(bundle: Bundle, bytes: Buffer, signature: Buffer): void;
	/** Says what is in force, on the disk first. Throws; then it is as it was. */
	put(kind: ContentKind, state: KindState): void;
	/** The same, for as long as this process lives, when the disk does not take it. Returns why it did not. */
	force(kind: ContentKind, state: KindState): string;
	/** Removes versions that are neither current nor previous. */
	prune(kind: ContentKind): void;
	/** What could not be read. */
	problems(): readonly string[];
	/** "rules 5, policy 2"; "" when nothing is in force. */
	describe(): string;
}

const none: KindState = { current: 0, previous: 0, highest: 0, since: 0, probationUntil: 0, problem: "" };

export function contentFolder(stateDir: string): string {
	return join(stateDir, "content");
}

/** `trust`: paths of keys; content whose key is trusted no more is not in force. Never throws. */
export function openStore(folder: string, trust: readonly string[]): Store {
	const problems: string[] = [];
	const states = new Map<ContentKind, KindState>();
	const bundles = new Map<ContentKind, Bundle>();
	const at = (kind: ContentKind, ...names: string[]) => join(folder, kind, ...names);
	let made: Delivered | undefined;

	const read = (kind: ContentKind, number: number): Bundle =>
		readVersion(at(kind, String(number)), kind, number, trust);
	/** Sets what is in force in memory; throws when that version cannot be used. */
	const take = (kind: ContentKind, state: KindState): void => {
		const bundle = state.current === 0 ? undefined : read(kind, state.current);
		// A policy that this version of the program cannot read must not come in force by halves.
		if (bundle && kind === "policy") policyOf(bundle.files, at(kind, String(state.current)));
		if (bundle) bundles.set(kind, bundle);
		else bundles.delete(kind);
		states.set(kind, state);
		made = undefined;
	};
	const load = (kind: ContentKind): void => {
		const present = versions(at(kind));
		let state = none;
		try {
			state = readState(at(kind)) ?? none;
		} catch (error) {
			problems.push(`what was in force of delivered ${kind} is not known: ${failureText(error).message}`);
			state = { ...none, current: present[0] ?? 0 };
		}
		state = { ...state, highest: Math.max(state.highest, ...present) };
		const older = present.filter((number) => number < state.current);
		const wanted =
			state.previous > 0 ? [state.previous, ...older.filter((one) => one !== state.previous)] : older;
		for (const number of [state.current, ...wanted, 0]) {
			try {
				const changed = number !== state.current;
				take(kind, changed ? { ...state, current: number, previous: 0, probationUntil: 0 } : state);
				return;
			} catch (error) {
				problems.push(
					`delivered ${kind} version ${number} are not in force: ${failureText(error).message}; ` +
						"an older version or none takes their place: deliver a new one",
				);
			}
		}
	};
	for (const kind of contentKinds) load(kind);

	const put = (kind: ContentKind, state: KindState): void => {
		const before = states.get(kind) ?? none;
		take(kind, state);
		try {
			mkdirSync(at(kind), { recursive: true, mode: 0o700 });
			const text = withHash(JSON.stringify(state));
			for (const name of ["state.backup.json", "state.json"]) writeWhole(at(kind), name, text);
		} catch (error) {
			take(kind, before);
			throw error;
		}
	};
	return {
		state: (kind) => states.get(kind) ?? none,
		bundle: (kind) => bundles.get(kind),
		inForce() {
			if (made) return made;
			const filesOf = (kind: ContentKind) => bundles.get(kind)?.files ?? [];
			const place = (kind: ContentKind) => at(kind, String(bundles.get(kind)?.version), "files");
			const intel = ruleFilesOf(filesOf("intel"), place("intel"));
			const rules = ruleFilesOf(filesOf("rules"), place("rules"));
			const policy = bundles.has("policy") ? policyOf(filesOf("policy"), place("policy")) : undefined;
			made = { intel, rules, files: [...intel, ...rules], policy };
			return made;
		},
		save({ files, ...head }, bytes, signature) {
			const final = at(head.kind, String(head.version));
			const aside = at(head.kind, `.new-${head.version}`);
			rmSync(aside, { recursive: true, force: true });
			try {
				mkdirSync(join(aside, "files"), { recursive: true, mode: 0o700 });
				for (const { name, text } of files) writeSynced(join(aside, "files", name), text);
				writeSynced(join(aside, "bundle"), bytes);
				writeSynced(join(aside, "signature"), signature);
				const listed = files.map(({ name, text }) => ({ name, sha256: sha256(text) }));
				writeSynced(
					join(aside, "manifest.json"),
					withHash(JSON.stringify({ ...head, bundle: sha256(bytes), files: listed })),
				);
				for (const folder of [join(aside, "files"), aside]) syncFolder(folder);
				// Left over from a try that was refused later.
				rmSync(final, { recursive: true, force: true });
				renameSync(aside, final);
				syncFolder(at(head.kind));
			} catch (error) {
				rmSync(aside, { recursive: true, force: true });
				throw error;
			}
		},
		put,
		force(kind, state) {
			try {
				put(kind, state);
				return "";
			} catch (error) {
				take(kind, state);
				return failureText(error).message;
			}
		},
		prune(kind) {
			const { current, previous } = states.get(kind) ?? none;
			for (const number of versions(at(kind)))
				if (number !== current && number !== previous)
					rmSync(at(kind, String(number)), { recursive: true, force: true });
		},
		problems: () => problems,
		describe: () =>
			contentKinds
				.flatMap((kind) => (bundles.has(kind) ? [`${kind} ${bundles.get(kind)?.version}`] : []))
				.join(", "),
	};
}

/** Highest first. */
function versions(folder: string): number[] {
	try {
		return readdirSync(folder)
			.filter((name) => /^[1-9]\d{0,15}$/.test(name))
			.map(Number)
			.sort((a, b) => b - a);
	} catch {
		return [];
	}
}

/** Undefined when nothing was ever delivered. Throws when neither copy can be read. */
function readState(folder: string): KindState | undefined {
	let problem: unknown;
	for (const name of ["state.json", "state.backup.json"]) {
		try {
			return stateSchema.parse(JSON.parse(hashed(readFileSync(join(folder, name), "utf8"))));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") problem = error;
		}
	}
	if (problem !== undefined) throw problem;
	return undefined;
}

function readVersion(folder: string, kind: ContentKind, number: number, trust: readonly string[]): Bundle {
	const manifest = manifestSchema.parse(
		JSON.parse(hashed(readFileSync(join(folder, "manifest.json"), "utf8"))),
	);
	if (manifest.kind !== kind || manifest.version !== number)
		throw new Error("it is another one than it says");
	const bytes = readFileSync(join(folder, "bundle"));
	if (sha256(bytes) !== manifest.bundle) throw new Error("its signed bytes are damaged");
	verifyContent(bytes, readFileSync(join(folder, "signature")), trust);
	const files = manifest.files.map(({ name, sha256: wanted }) => {
		const text = readFileSync(join(folder, "files", name), "utf8");
		if (sha256(text) !== wanted) throw new Error(`its file ${name} is damaged`);
		return { name, text };
	});
	const { created, author } = manifest;
	return bundleSchema.parse({ kind, version: number, created, author, files });
}

function sha256(data: string | Buffer): string {
	return createHash("sha256").update(data).digest("hex");
}

/** A line of text and one with its hash, so that damage shows. */
export function withHash(line: string): string {
	return `${line}\n${sha256(line)}\n`;
}

/** Throws when it is not as it was written. */
export function hashed(text: string): string {
	const [line = "", hash = ""] = text.split("\n");
	if (sha256(line) !== hash) throw new Error("its record is damaged");
	return line;
}

function writeSynced(path: string, data: string | Buffer): void {
	const file = openSync(path, "w", 0o600);
	try {
		writeFileSync(file, data);
		fsyncSync(file);
	} finally {
		closeSync(file);
	}
}

/** The file has its old text or the new one, whatever happens. Throws what the file system says. */
export function writeWhole(folder: string, name: string, text: string): void {
	const aside = join(folder, `.${name}.new`);
	writeSynced(aside, text);
	renameSync(aside, join(folder, name));
	syncFolder(folder);
}
