import { describe, expect, it } from "vitest";
import { createProtection } from "../../../agent/respond/protect.ts";
import { makeRoot, web } from "./host.ts";

const compose = {
	"com.docker.compose.project": "shop",
	"com.docker.compose.service": "db",
};

async function why(labels: Record<string, string>, containers: string[] = [], name = web.name) {
	const protection = createProtection({
		root: makeRoot(),
		self: 1,
		extra: () => ({ addresses: [], containers, processes: [] }),
		resolve: async () => [],
		blocked: () => [],
		clock: Date.now,
	});
	return protection.container({ ...web, name, labels });
}

describe("a container that is never touched", () => {
	it.each(["picket.protected", "io.picket.protected"])("is labelled %s", async (label) => {
		expect(await why({ [label]: "true" })).toContain(label);
		expect(await why({ [label]: "false" })).toBeUndefined();
	});

	it.each(["web-1", "abababababab", "shop", "shop/db"])("is configured as %s", async (name) => {
		expect(await why(compose, [name])).toContain("protected by configuration");
	});

	it.each(["web", "abab", "db", "shop/web", ""])("is not configured as %j", async (name) => {
		expect(await why(compose, [name])).toBeUndefined();
	});

	it.each([
		{ "io.kubernetes.docker.type": "podsandbox" },
		{ "io.cri-containerd.kind": "sandbox" },
		{ "io.kubernetes.cri-o.ContainerType": "sandbox" },
	])("keeps a pod's namespaces: %j", async (labels) => {
		expect(await why(labels)).toContain("Kubernetes pod");
	});

	it("keeps a pod's namespaces, by the name that only the kubelet gives", async () => {
		expect(await why({}, [], "k8s_POD_web_default_0")).toContain("Kubernetes pod");
		expect(await why({}, [], "k8s_web_web_default_0")).toBeUndefined();
	});
});
