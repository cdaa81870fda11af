// Rule files for the benchmarks: our own signatures, and as many others as are wanted, in the shapes that files of
// both languages have. Every value is one that an event of an ordinary host could hold; the same rules at every call.
import { readdirSync, readFileSync } from "node:fs";
import type { RuleFile } from "../../agent/detect/load.ts";
import { Random } from "../unit/detect/rig.ts";

const folder = new URL("../../agent/detect/signatures/", import.meta.url).pathname;
const words = (text: string): string[] => text.trim().split(/\s+/);

const tools =
	words(`nmap masscan zmap hydra medusa john hashcat socat ncat netcat telnet tftp rsync scp sftp rclone restic
	aws gcloud az kubectl helm docker podman crictl ctr nerdctl runc nsenter unshare chroot pivot_root mount umount losetup
	insmod modprobe rmmod kmod dmesg sysctl iptables ip6tables nft ufw firewall-cmd tcpdump tshark dumpcap strace ltrace gdb
	perf bpftool bpftrace xxd hexdump base32 base64 openssl gpg age tar zip 7z gzip xz zstd split shred wipe dd mkfs.ext4
	crontab at atd systemctl service chkconfig update-rc.d useradd usermod userdel groupadd passwd chpasswd visudo sudo su
	doas pkexec chattr lsattr setfacl getfacl setcap getcap chmod chown install ln mkfifo mknod xargs find locate awk gawk
	perl ruby lua php node deno bun python3 pip npm gem cargo go gcc make ld as objdump readelf nm strings curl wget lynx w3m
	ftp whois dig nslookup host arp route ip ss netstat lsof fuser who w last lastlog id uname hostname env printenv history
	git svn hg xmrig minerd cpuminer ngrok frpc chisel cloudflared tor proxychains ligolo sliver msfconsole mimipenguin
	linpeas pspy lynis rkhunter aide auditctl ausearch journalctl logger logrotate screen tmux nohup setsid script expect`);
const shells = words("sh bash dash zsh ash ksh fish csh busybox");
const services =
	words(`nginx apache2 httpd lighttpd caddy haproxy php-fpm tomcat java mysqld mariadbd postgres mongod
	redis-server memcached rabbitmq beam.smp elasticsearch logstash grafana prometheus named unbound dnsmasq postfix exim4
	dovecot sshd vsftpd proftpd smbd nmbd cupsd rpcbind nfsd sshguard fail2ban jenkins gitlab-runner containerd dockerd`);
const vendors =
	words(`acme contoso initech umbrella hooli globex stark wayne tyrell cyberdyne soylent aperture massive
	vandelay dunder pied wonka oscorp wernham nakatomi`);
const options =
	words(`-e -c -i -o -O -x -k -d -f -p -u -s -L -R -D -N -T --exec --config --output --upload-file --post-file
	--insecure --proxy --url --user --password --no-check-certificate --privileged --pid=host --net=host --cap-add --volume
	--daemon --background --quiet --interface --rate --script --import --decode --reset --remove --force --recursive --flush`);
const places =
	words(`/etc/shadow /etc/passwd /etc/sudoers /etc/crontab /etc/ld.so.preload /root/.ssh/ /var/spool/cron/
	/etc/cron.d/ /etc/init.d/ /etc/systemd/system/ /lib/modules/ /var/log/auth.log /var/log/wtmp /dev/shm/ /dev/mem /dev/tcp/
	/proc/self/mem /proc/kcore /sys/kernel/debug/ /boot/grub/ /run/secrets/ /var/run/docker.sock /etc/kubernetes/ .aws/credentials
	.kube/config .docker/config.json .git-credentials .netrc .pgpass .my.cnf .bash_history .ssh/id_rsa .gnupg/ .config/gcloud/`);
const verbs =
	words(`stop disable mask enable start restart add delete insert append flush list dump export import attach
	clone pull push exec run create apply download upload scan brute connect listen tunnel forward inject hook patch load`);

/** What one rule is about; each value is used by few rules, as in files that many people wrote. */
class Values {
	readonly #random: Random;
	constructor(random: Random) {
		this.#random = random;
	}
	of<T>(from: readonly T[]): T {
		return this.#random.pick(from);
	}
	several(least: number, most: number, make: () => string): string {
		return [...new Set(this.#random.several(least, most, make))].join(", ");
	}
	tools = (): string => this.several(1, 6, () => this.of(tools));
	services = (): string => this.several(2, 8, () => this.of(services));
	quoted(text: string): string {
		return JSON.stringify(text);
	}
	/** "--exec /opt/acme/run4.sh", "push s3://acme-17", "0x7f4e2c". */
	phrase = (): string => {
		const of = <T>(from: readonly T[]): T => this.of(from);
		const number = this.#random.below(1000);
		return this.of([
			() => `${of(options)} ${of(places)}`,
			() => `${of(tools)} ${of(options)} `,
			() => `${of(verbs)} ${of(services)}`,
			() => `/opt/${of(vendors)}/${of(verbs)}${number}`,
			() => `${of(vendors)}-${of(verbs)}.${of(words("sh py pl php elf so jar service timer"))}`,
			() => `${of(verbs)}_${of(tools)}`,
			() => `${of(words("http https ftp tcp stratum+tcp s3 ldap"))}://${of(vendors)}${number}.`,
			() => `${of(options)}${of(words("= : ,"))}${of(verbs)}`,
			() => `${of(tools)}${of(words("| ; && >"))}${of(tools)}`,
			() => number.toString(16).padStart(6, "0x"),
			() => `import ${of(vendors)}`,
			() => ` ${of(verbs)} ${of(places)}`,
		])();
	};
	/** Short words that ordinary command lines hold, which never stand alone in a rule. */
	common = (): string => this.of(words("/tmp/ -c -o http -e /bin/ sh root -f config :// /usr/ -p admin .sh"));
	path = (): string => {
		const number = this.#random.below(400);
		return this.of([
			() => `/etc/${this.of(services)}/${this.of(verbs)}.conf`,
			() => `/opt/${this.of(vendors)}/${this.of(verbs)}${number}/`,
			() => `/var/lib/${this.of(services)}/${this.of(verbs)}${number}`,
			() => `/usr/lib/${this.of(vendors)}/${this.of(tools)}`,
			() => `/home/${this.of(vendors)}/.${this.of(tools)}/`,
			() => `/srv/${this.of(vendors)}/${number}/`,
			() => `/etc/${this.of(tools)}.d/`,
			() => `/tmp/.${this.of(vendors)}${number}`,
		])();
	};
	address = (): string =>
		[100 + this.#random.below(90), ...this.#random.several(3, 3, () => String(this.#random.below(256)))].join(
			".",
		);
	port = (): string => String(1024 + this.#random.below(60_000));
}

const exec = "evt.type in (execve, execveat)";
const write = "evt.type in (open, openat, openat2, creat) and evt.is_open_write = true and fd.num >= 0";
const read = "evt.type in (open, openat, openat2) and evt.is_open_read = true";
const connect = "evt.type = connect and fd.typechar in (4, 6)";

type Shape = (values: Values) => string;

/** As often as each stands here: two thirds are about executions, as in the public sets. */
const shapes: readonly Shape[] = [
	// Falco's
	(v) => `${exec} and proc.name in (${v.tools()}) and proc.cmdline contains ${v.quoted(v.phrase())}`,
	(v) =>
		`${exec} and (proc.cmdline contains ${v.quoted(v.phrase())} or proc.cmdline contains ${v.quoted(v.phrase())} or proc.args contains ${v.quoted(v.phrase())})`,
	(v) =>
		`${exec} and proc.name in (${v.tools()}) and proc.args contains allof (${v.quoted(v.common())}, ${v.quoted(v.phrase())}) and not proc.pname in (${v.services()})`,
	(v) =>
		`${exec} and proc.name in (${shells.join(", ")}) and proc.pname in (${v.services()}) and not proc.cmdline startswith ${v.quoted(`sh -c ${v.phrase()}`)}`,
	(v) =>
		`${exec} and proc.name in (${shells.join(", ")}) and proc.aname in (${v.services()}) and proc.cmdline contains ${v.quoted(v.phrase())}`,
	(v) => `${exec} and proc.args regex ${v.quoted(`.*${v.of(tools)} +[^ ]*${v.of(verbs)}[a-z0-9_-]*( .*)?`)}`,
	(v) =>
		`${exec} and proc.exepath glob ${v.quoted(`/opt/${v.of(vendors)}/*/${v.of(tools)}`)} and user.uid != 0`,
	(v) => `${exec} and proc.exepath startswith ${v.path()} and container.id = host`,
	(v) => `${exec} and proc.cmdline startswith ${v.quoted(`${v.of(tools)} ${v.of(options)} ${v.phrase()}`)}`,
	(v) =>
		`${exec} and container.id != host and proc.name in (${v.tools()}) and proc.args contains anyof (${v.several(2, 6, () => v.quoted(v.phrase()))})`,
	// Sigma's: without regard to case, image by its end, several words that all have to be there
	(v) =>
		`${exec} and proc.exepath endswith anyof (${v.several(1, 5, () => `/${v.of(tools)}`)}) and proc.exeline icontains allof (${v.quoted(v.phrase())}, ${v.quoted(v.common())})`,
	(v) => `${exec} and proc.exeline icontains anyof (${v.several(2, 8, () => v.quoted(v.phrase()))})`,
	(v) =>
		`${exec} and proc.exeline icontains allof (${v.quoted(v.common())}, ${v.quoted(v.phrase())}, ${v.quoted(v.phrase())})`,
	(v) =>
		`${exec} and proc.exepath endswith anyof (${v.several(1, 4, () => `/${v.of(tools)}`)}) and (proc.exeline icontains anyof (${v.several(2, 6, () => v.quoted(v.phrase()))}) or proc.exeline icontains allof (${v.quoted(v.common())}, ${v.quoted(v.phrase())})) and not proc.pexepath endswith /${v.of(services)}`,
	(v) =>
		`${exec} and proc.pexepath endswith anyof (${v.several(1, 5, () => `/${v.of(services)}`)}) and proc.exepath endswith anyof (${v.several(2, 5, () => `/${v.of(tools)}`)})`,
	(v) => `${exec} and tolower(proc.exeline) contains ${v.quoted(v.phrase().toLowerCase())}`,
	// files
	(v) => `${write} and fd.name startswith ${v.path()} and not proc.name in (${v.tools()})`,
	(v) =>
		`${write} and (fd.name endswith ${v.quoted(`/${v.of(vendors)}.${v.of(tools)}`)} or fd.name in (${v.several(1, 6, v.path)}))`,
	(v) => `${write} and fd.name icontains ${v.quoted(`/${v.of(vendors)}-${v.of(verbs)}`)}`,
	(v) =>
		`${write} and fd.directory in (${v.several(1, 4, () => v.path().replace(/\/$/, ""))}) and proc.name in (${v.tools()})`,
	(v) => `${read} and fd.name in (${v.several(1, 6, v.path)}) and not proc.pname in (${v.services()})`,
	(v) =>
		`${read} and fd.filename in (${v.several(1, 4, () => `${v.of(vendors)}.${v.of(words("key pem conf json db kdbx"))}`)})`,
	(v) => `${read} and fd.name glob ${v.quoted(`/home/*/.${v.of(tools)}/${v.of(verbs)}*`)} and user.uid != 0`,
	(v) =>
		`evt.type in (rename, renameat, renameat2, unlink, unlinkat) and (evt.arg.path startswith ${v.path()} or evt.arg.oldpath startswith ${v.path()})`,
	(v) =>
		`evt.type in (chmod, fchmod, fchmodat) and evt.arg.mode contains S_IXUSR and evt.arg.filename startswith ${v.path()}`,
	// connections
	(v) => `${connect} and fd.sip in (${v.several(1, 8, v.address)})`,
	(v) => `${connect} and fd.sport in (${v.several(1, 4, v.port)}) and proc.name in (${v.tools()})`,
	(v) => `${connect} and fd.sport = ${v.port()} and not fd.snet in ("10.0.0.0/8", "192.168.0.0/16")`,
];

export function signatureFiles(): RuleFile[] {
	return readdirSync(folder)
		.filter((name) => /\.ya?ml$/.test(name))
		.sort()
		.map((name): RuleFile => ({ path: name, text: readFileSync(folder + name, "utf8"), origin: "picket" }));
}

/** That many rules of all shapes, thirty a file. */
export function generatedFiles(count: number): RuleFile[] {
	const values = new Values(new Random(17));
	const items = Array.from({ length: count }, (_, index) =>
		[
			`- rule: Generated ${index}`,
			"  desc: Made for a benchmark",
			`  condition: >\n    ${(shapes[index % shapes.length] as Shape)(values)}`,
			"  output: It happened (process=%proc.name command=%proc.cmdline file=%fd.name user=%user.name)",
			"  priority: WARNING",
			"  tags: [mitre_execution, T1059]\n",
		].join("\n"),
	);
	return Array.from({ length: Math.ceil(count / 30) }, (_, index) => ({
		path: `generated-${index}.yaml`,
		text: items.slice(30 * index, 30 * index + 30).join("\n"),
		origin: "falco",
	}));
}
