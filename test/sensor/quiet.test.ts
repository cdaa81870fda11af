// Ordinary work on a host under a real sensor with its default rules: nothing above notice, and what notices there are
// is written down here. All of it happens on a throw-away copy of the machine, without a network.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { OwnMachine } from "./own-machine.ts";
import { SensorProcess } from "./process.ts";
import { expectQuiet, raisedBy, withSign } from "./quiet-work.ts";

const machine = new OwnMachine();
let sensor: SensorProcess;

beforeAll(async () => {
	await machine.ready();
	const prepared = await machine.run(prepare);
	expect(prepared.status, prepared.out).toBe(0);
	sensor = new SensorProcess({ args: ["--scope-pid", String(process.pid), ...withSign(machine.folder)] });
	await sensor.ready();
});
afterAll(async () => {
	await sensor?.dispose();
	await machine.dispose();
});

/** An own ssh server; `$way` is how it is reached, `$server` its pid. Keys are made once, before the sensor watches. */
const sshServer = `dropbear -F -E -s -r /root/host -p 127.0.0.1:2222 2> /root/dropbear.log & server=$!; way="-y -i /root/client -p 2222 root@127.0.0.1"
		i=0; until dbclient $way true 2> /dev/null; do i=$((i+1)); [ $i -lt 100 ]; sleep 0.1; done`;
const prepare = `set -e; dropbearkey -t ed25519 -f /root/host > /dev/null; mkdir -p -m 700 /root/.ssh
	dropbearkey -t ed25519 -f /root/client | grep ^ssh- > /root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys
	echo 'port = 80' > /etc/shop.conf`;

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
		rm -rf /srv/g /srv/g2; git init -q /srv/g; cd /srv/g; echo a > a; git add a; git commit -qm a; git clone -q /srv/g /srv/g2; cd /srv/g2; git pull -q; git gc -q`,
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
	[
		"cron, which runs a job at its start",
		`set -e; mkdir -p /srv/jobs /run/lock; printf '#!/bin/sh\\nfind /var/cache -name "*.old" -delete\\ndf; uptime; id; uname -a; w; ss -tln; ps ax > /srv/jobs/ps\\n' > /srv/jobs/report
		chmod 755 /srv/jobs/report; rm -f /run/crond.reboot /srv/jobs/ps
		printf 'SHELL=/bin/sh\\nPATH=/usr/bin:/bin\\n@reboot cd /srv/jobs && ./report > /dev/null\\n' > /root/jobs; crontab /root/jobs; crontab -l > /dev/null
		cron -f & cron=$!; i=0; until [ -s /srv/jobs/ps ]; do i=$((i+1)); [ $i -lt 300 ]; sleep 0.1; done; kill $cron; crontab -r`,
		[],
	],
	[
		"an administrator who logs in by ssh, looks around, edits, and restarts a service",
		`set -e; ${sshServer}
		busybox httpd -f -p 127.0.0.1:8090 > /dev/null 2>&1 & echo $! > /run/shop.pid
		printf '%s\\n' 'id; w; last -n 2; uptime; uname -a; df -h; ps aux | head -n 3; ss -tln; ip a' 'tail -n 3 /var/log/dpkg.log; grep -c . /etc/ssh/* /etc/hosts; ls -la /etc /root/.ssh' \
			'sed -i s/80/81/ /etc/shop.conf; vi -es -c s/81/82/ -c wq /etc/shop.conf; crontab -l' 'kill $(cat /run/shop.pid); nohup busybox httpd -f -p 127.0.0.1:8091 > /dev/null 2>&1 & echo $! > /run/shop.pid' exit > /root/typed
		script -qec "dbclient -t $way" /dev/null < /root/typed; kill $(cat /run/shop.pid); kill $server`,
		[],
	],
	[
		"a deployment by ssh: files copied with tar, rsync and a pipe, commands without a terminal",
		`set -e; ${sshServer}
		mkdir -p /root/app; echo 'console.log(1)' > /root/app/m.js; echo '#!/bin/sh' > /root/app/start; chmod 755 /root/app/start
		tar cf - -C /root app | dbclient $way 'tar xf - -C /srv'; rsync -a --delete -e "dbclient -y -p 2222 -i /root/client" /root/app/ root@127.0.0.1:/srv/app2/
		dbclient $way 'cat > /srv/app/notes' < /etc/hostname; dbclient $way cat /srv/app/notes > /dev/null
		dbclient $way 'id; whoami; uname -a; uptime; df; free; ps aux; ss -tln; ip route; hostname' > /dev/null
		dbclient $way 'cd /srv/app && node m.js && chmod +x start && ./start && ln -sfn /srv/app /srv/current && pkill -HUP nobody-has-this-name; true'; kill $server`,
		[],
	],
];

describe("a host that goes about its work", () => {
	it.each(works)("raises nothing above notice: %s", async (_, script, notices) => {
		const alerts = await raisedBy(sensor, () => doing(script));
		expectQuiet(alerts, notices);
	});

	it.runIf(process.env.PICKET_SOAK === "1")(
		"stays quiet and cheap however often and in what order",
		async () => {
			const raised: wire.Alert[] = [];
			const begun = Date.now();
			const before = cpuMs();
			for (const order of [works.toReversed(), works, [...works.slice(7), ...works.slice(0, 7)]]) {
				for (const [, script] of order) raised.push(...(await raisedBy(sensor, () => doing(script))));
			}
			const minutes = (Date.now() - begun) / 60_000;
			const share = (cpuMs() - before) / 600 / minutes;
			process.stdout.write(
				`${raised.length} alerts in ${minutes.toFixed(1)} minutes; the sensor took ${share.toFixed(1)} % of a core\n`,
			);
			expectQuiet(raised, [...new Set(works.flatMap(([, , notices]) => notices))]);
		},
	);
});

async function doing(script: string): Promise<void> {
	// In a file: no shell anywhere is started with all of it as one argument.
	machine.write("/root/work", script);
	const { status, out } = await machine.run("sh /root/work");
	expect(status, out).toBe(0);
}

/** What the sensor has used so far; a tick is 10 ms. */
function cpuMs(): number {
	const stat = readFileSync(`/proc/${sensor.child.pid}/stat`, "latin1");
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return (Number(fields[11]) + Number(fields[12])) * 10;
}
