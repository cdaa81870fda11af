// What a Falco file asks of whoever loads it: a version of the engine, plugins that bring further fields.
import type { Problem } from "../model/verdict.ts";
import type { Item } from "./rule-file.ts";
import { asList, asMap, asText } from "./yaml-values.ts";

type Report = (item: Item, key: string, message: string, remedy: string, level?: Problem["level"]) => void;

/** Falco's engine version this language level corresponds to. */
const engine = [0, 63, 0] as const;
/** Plugins whose fields are known here. */
const plugins = new Set(["container", "k8smeta"]);
const semver = /^(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?$/;

/** The plain number of old files is the middle one of the three. */
function versionOf(text: string): readonly number[] | undefined {
	const found = semver.exec(/^\d+$/.test(text) ? `0.${text}.0` : text);
	return found?.slice(1, 4).map((part) => Number(part ?? 0));
}

function isSupported([major, minor = 0, patch = 0]: readonly number[]): boolean {
	if (major !== engine[0] || minor > engine[1]) return false;
	return minor < engine[1] || patch <= engine[2];
}

/** For required_engine_version and required_plugin_versions; other items are passed over. */
export function checkRequirement(item: Item, report: Report): void {
	if (item.is === "required_engine_version") {
		const version = versionOf(item.name);
		if (!version) report(item, item.is, `${item.name} is no version`, 'write three numbers such as "0.57.0"');
		else if (!isSupported(version))
			report(
				item,
				item.is,
				`the file needs engine ${item.name}, this is ${engine.join(".")}`,
				"use a newer version of Picket, or an older file",
			);
	} else if (item.is === "required_plugin_versions") {
		for (const each of asList(item.values[item.is])) {
			const { alternatives, ...wanted } = asMap(each);
			const any = [wanted, ...asList(alternatives).map(asMap)];
			const wrong = any.find(({ name, version }) => asText(name) === "" || !semver.test(asText(version)));
			if (wrong)
				report(
					item,
					item.is,
					"a plugin lacks its name or its version",
					"write name: and version: such as 0.4.0",
				);
			else if (!any.some(({ name }) => plugins.has(asText(name))))
				report(
					item,
					item.is,
					`the plugin ${any.map(({ name }) => asText(name)).join(" or ")} is unknown here`,
					"rules that use its fields or its events cannot match",
					"warning",
				);
		}
	}
}
