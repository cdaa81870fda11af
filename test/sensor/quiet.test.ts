// Ordinary work on a host under a real sensor with its default rules: nothing above notice, and what notices there are
// is written down here. All of it happens on a throw-away copy of the machine, without a network.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OwnMachine } from "./own-machine.ts";
import { SensorProcess } from "./process.ts";

const machine = new OwnMachine();
let sensor: SensorProcess;

beforeAll(async () => {
	await machine.ready();
	const rules = join(machine.folder, "sign.yaml");
	writeFileSync(rules, signRule);
	const own = ["--scope-pid", String(process.pid), "--events", "none", "--rules", rules];
	sensor = new SensorProcess({ args: own });
	await sensor.ready();
});
afterAll(async () => {
	await sensor?.dispose();
	await machine.dispose();
});

/** Told for certain and in order: what work raised is there before the sign that follows it. */
const signRule = `- rule: Sign
  desc: The test says where it is.
  condition: evt.type = execve and proc.args startswith sign-of-the-test-
  output: "%proc.args"
  priority: DEBUG
`;

/** Work as root without a terminal, then what it raises besides nothing. */
const works: readonly (readonly [title: string, script: string, notices: readonly string[]])[] = [
	[
		"installing, upgrading and removing a package that brings a service, a cron file and a set-user-ID program",
		`set -e; umask 022; mkdir -p /root/p/DEBIAN /root/p/usr/bin /root/p/etc/cron.d /root/p/lib/systemd/system; cd /root
		cp /bin/true p/usr/bin/shoptool; printf '#!/usr/bin/make -f\\nall:\\n\\tchmod 4755 p/usr/bin/shoptool\\n' > rules; make -f rules
		echo '0 3 * * * root true' > p/etc/cron.d/shop; printf '[Service]\\nExecStart=/bin/true\\n' > p/lib/systemd/system/shop.service
		printf '#!/bin/sh\\nset -e\\nadduser --system --no-create-home shop || true\\necho x > /etc/shop.conf\\nsed -i s/x/y/ /etc/shop.conf\\n' > p/DEBIAN/postinst
		chmod 755 p/DEBIAN/postinst
		for v in 1 2; do
			printf "Package: shoptool\\nVersion: $v\\nArchitecture: all\\nMaintainer: A <a@example.org>\\nDescription: shop\\n" > p/DEBIAN/control
			dpkg-deb --build p s$v.deb && apt-get install -y --allow-downgrades ./s$v.deb
		done
		apt-get purge -y shoptool`,
		[],
	],
	[
		"npm ci with install scripts",
		`set -e; mkdir -p /srv/shop/dep; cd /srv/shop
		echo '{"name":"dep","version":"1.0.0","scripts":{"install":"node -e 0 && sh -c true"}}' > dep/package.json
		echo '{"name":"shop","version":"1.0.0","dependencies":{"dep":"file:dep"}}' > package.json
		npm install --offline --no-audit --no-fund --install-links; npm ci --offline --no-audit --no-fund --install-links`,
		[],
	],
	[
		"a compile",
		`set -e; mkdir -p /srv/c; cd /srv/c; printf 'int main(void){return 0;}\\n' > m.c
		printf 'm: m.o\\n\\t$(CC) -o m m.o\\ninstall: m\\n\\tinstall -m 755 m /usr/local/bin/m\\n' > Makefile; make; make install; ./m`,
		[],
	],
	[
		"the jobs of cron",
		`set -e; mkdir -p /srv/jobs; printf '#!/bin/sh\\nfind /var/log -name "*.gz" -mtime +30 -delete\\ntar cf /var/backups/etc.tar /etc/hostname\\n' > /srv/jobs/backup
		chmod 755 /srv/jobs/backup; run-parts /srv/jobs`,
		[],
	],
	[
		"logrotate",
		`set -e; mkdir -p /var/log/shop; for n in 1 2 3; do echo line; done > /var/log/shop/error.log; touch /var/log/auth.log; chmod 755 /var/log /var/log/shop
		printf '/var/log/shop/error.log /var/log/auth.log {\\n su root root\\n rotate 2\\n compress\\n copytruncate\\n postrotate\\n true\\n endscript\\n}\\n' > /root/rotate.conf
		chmod 644 /root/rotate.conf; logrotate -f -s /root/rotate.state /root/rotate.conf`,
		[],
	],
	[
		"git",
		`set -e; export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=user.email GIT_CONFIG_VALUE_0=a@example.org GIT_CONFIG_KEY_1=user.name GIT_CONFIG_VALUE_1=a
		git init -q /srv/g; cd /srv/g; echo a > a; git add a; git commit -qm a; git clone -q /srv/g /srv/g2; cd /srv/g2; git pull -q; git gc -q`,
		[],
	],
	[
		"looking around, packing, copying and editing files",
		`set -e; find /etc -name '*.conf' | xargs grep -l host > /dev/null || true; cp -a /etc/apt /root/apt; tar czf /root/apt.tgz -C /root apt; tar xzf /root/apt.tgz -C /srv
		sed -i 's/a/b/' /root/apt/*/* 2>/dev/null || true; awk '{print $1}' /etc/hosts | sort -u; printf 'x\\n' > /root/notes; vi -es -c 's/x/y/' -c wq /root/notes < /dev/null || true
		tail -n 3 /var/log/dpkg.log; ls -la /root /tmp; df; ps ax; rm -rf /root/apt /srv/apt; head -c 100 /dev/zero | base64 | base64 -d | wc -c`,
		[],
	],
	[
		"an agent that reads the state of every process",
		`for p in /proc/[0-9]*; do cat $p/stat $p/status $p/cmdline $p/io; readlink $p/exe; done > /dev/null 2>&1; cat /proc/meminfo /proc/net/tcp > /dev/null; python3 -c 'import os; print(len(os.listdir("/proc")))'`,
		[],
	],
	[
		"scripts of Python, Perl and Node, and a service that asks itself how it is",
		`set -e; cd /srv; echo 'import json, subprocess; print(subprocess.run(["uname", "-r"]))' > s.py; python3 s.py; perl -e 'print 1'; node -e 'require("child_process").execSync("id")'
		python3 -m http.server 8099 --bind 127.0.0.1 > /dev/null 2>&1 & server=$!; i=0
		until python3 -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:8099/")' 2>/dev/null; do i=$((i+1)); [ $i -lt 50 ]; sleep 0.1; done; kill $server`,
		[],
	],
	[
		"an administrator's session at a terminal",
		`echo 1000 > /proc/self/loginuid 2>/dev/null || true
		script -qec 'bash -lc "id; w; last -n 1; ss -tln; cat /var/log/dpkg.log | tail -n 2; sed -i s/a/a/ /etc/hosts; crontab -l; systemctl status; getent passwd root; find / -maxdepth 1"' /dev/null < /dev/null`,
		[],
	],
];

describe("a host that goes about its work", () => {
	it.each(works)("raises nothing above notice: %s", async (_, script, notices) => {
		const before = sensor.records.length;
		const { status, out } = await machine.run(script);
		expect(status, out).toBe(0);
		const sign = `sign-of-the-test-${before}`;
		await machine.run(`/bin/echo ${sign}`);
		await sensor.record("the sign", ({ alert }) => alert?.summary === sign);
		const alerts = sensor.records
			.slice(before)
			.flatMap(({ alert }) => (alert && alert.rule !== "Sign" ? [alert] : []));
		const loud = alerts.filter(({ priority }) => priority !== "Notice");
		expect(loud.map(({ rule, summary }) => `${rule}: ${summary}`)).toEqual([]);
		expect([...new Set(alerts.map(({ rule }) => rule))].sort()).toEqual([...notices].sort());
	});
});
