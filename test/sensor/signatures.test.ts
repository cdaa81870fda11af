// Real acts that the field's stock rules exempt or that hide their names, under a real sensor with its default rules.
// They happen on a machine of their own, whose files may be ruined.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { OwnMachine } from "./own-machine.ts";
import { SensorProcess } from "./process.ts";

const machine = new OwnMachine();
let sensor: SensorProcess;

beforeAll(async () => {
	await machine.ready();
	sensor = new SensorProcess({ args: ["--scope-pid", String(process.pid), "--events", "none"] });
	await sensor.ready();
	await machine.run(`mkdir -p /home/ann/.ssh /home/ann/.aws && echo key > /home/ann/.ssh/id_rsa
		echo key > /home/ann/.aws/credentials; cp /bin/busybox /usr/local/lib/bb
		for last in 7 8 9 10; do ip address add 198.51.100.$last/32 dev lo; done
		busybox nc -ll -p 4444 -e /bin/true > /dev/null 2>&1 &`);
});
afterAll(async () => {
	await sensor?.dispose();
	await machine.dispose();
});

interface Act {
	readonly title: string;
	/** Scripts for bash. */
	readonly act: string;
	readonly raises: string;
	/** Part of its alert's sentence. */
	readonly shows: string;
	/** The nearest thing that is no such act. */
	readonly miss: string;
}

const acts: readonly Act[] = [
	{
		title: "a shell that reads the password hashes with its own words",
		act: "while read -r line; do :; done < /etc/shadow",
		raises: "Password hashes read",
		shows: "/etc/shadow was read",
		miss: "while read -r line; do :; done < /etc/passwd",
	},
	{
		title: "a shell that maps the password hashes into an array",
		act: "exec -a innocent bash -c 'mapfile -t lines < /etc/gshadow'",
		raises: "Password hashes read",
		shows: "/etc/gshadow was read",
		miss: "exec -a innocent bash -c 'mapfile -t lines < /etc/group'",
	},
	{
		title: "the password hashes through the root of another process",
		act: "ln -s /proc/self/root/etc /tmp/way; cat /tmp/way//./shadow-",
		raises: "Password hashes read",
		shows: "/etc/shadow- was read",
		miss: "cat /tmp/way//./passwd-",
	},
	{
		title: "a BusyBox applet on the password hashes",
		act: "cd /etc; busybox cat ../etc/shadow",
		raises: "Password hashes read",
		shows: "executable=/usr/bin/busybox",
		miss: "cd /etc; busybox cat ../etc/passwd",
	},
	{
		title: "a line appended to a shell's start-up file",
		act: "echo '# x' >> ~/.bashrc",
		raises: "Shell start-up file written",
		shows: "/root/.bashrc",
		miss: "echo '# x' >> ~/.bashrc.txt",
	},
	{
		title: "a start-up file replaced by rename, as `sed -i` does it",
		act: "sed -i '$ a # y' ~/.profile",
		raises: "Shell start-up file written",
		shows: "/root/.profile",
		miss: "cp ~/.profile ~/p; sed -i '$ a # y' ~/p",
	},
	{
		title: "accounts replaced by rename",
		act: "sed -i 's/^games:x:5:/games:x:0:/' /etc/passwd",
		raises: "File that grants rights put in place under another name",
		shows: "to=/etc/passwd",
		miss: "cp /etc/passwd /root/passwd; sed -i 's/^games:x:5:/games:x:0:/' /root/passwd",
	},
	{
		title: "a BusyBox applet that replaces a cron file",
		act: "cp /etc/hosts /root/j; cd /root; busybox mv j ../etc/cron.d/j",
		raises: "File that grants rights put in place under another name",
		shows: "to=/etc/cron.d/j",
		miss: "cp /etc/hosts /root/j; cd /root; busybox mv j ../srv/j",
	},
	{
		title: "cloud credentials read by a tool under another name",
		act: "ln -s /usr/bin/cat /usr/local/bin/app; env -i /usr/local/bin/app /home/ann/.aws/../.aws/credentials",
		raises: "Cloud or cluster credentials read by an unusual program",
		shows: "file=/home/ann/.aws/credentials command=app",
		miss: "echo x > /home/ann/.aws/config; cat /home/ann/.aws/config",
	},
	{
		title: "a private key read by a renamed BusyBox",
		act: "exec -a busybox /usr/local/lib/bb base64 /home/ann/.ssh/id_rsa",
		raises: "SSH private key read",
		shows: "/home/ann/.ssh/id_rsa",
		miss: "exec -a busybox /usr/local/lib/bb base64 /home/ann/.ssh/../.bashrc",
	},
	{
		title: "a payload decoded into a shell",
		act: 'bash -c "echo dHJ1ZQ== | base64 -d | sh; exit"',
		raises: "Encoded payload decoded into a shell",
		shows: "base64 -d | sh",
		miss: 'bash -c "echo dHJ1ZQ== | base64 -d | sha256sum"',
	},
	{
		title: "a program that runs from memory",
		act: `python3 -c '
import os
f = os.memfd_create("x")
os.write(f, open("/bin/true", "rb").read())
os.execv("/proc/self/fd/%d" % f, ["x"])'`,
		raises: "Program ran from memory without a file",
		shows: "memfd:x",
		miss: "/usr/bin/true",
	},
	{
		title: "a program that shows itself as a part of the system",
		act: "cp /bin/true /tmp/x; exec -a /usr/sbin/sshd /tmp/x -D",
		raises: "Program pretends to be a part of the system",
		shows: "shown=/usr/sbin/sshd name=x executable=/tmp/x",
		miss: "exec -a /usr/sbin/sshd /bin/true -D",
	},
	{
		title: "a program that shows itself as a kernel thread",
		act: "exec -a '[kworker/u8:1]' /bin/true",
		raises: "Program pretends to be a kernel thread",
		shows: "name=[kworker/u8:1]",
		miss: "exec -a kworkers /bin/true",
	},
	{
		title: "inline code of Python that connects out",
		act: `python3 -Ic 'import socket
s = socket.socket(); s.setblocking(False); s.connect_ex(("198.51.100.7", 4444))'`,
		raises: "Inline code of an interpreter connected out",
		shows: "198.51.100.7:4444 command=python3",
		miss: `python3 -Ic 'import socket
s = socket.socket(); s.setblocking(False); s.connect_ex(("127.0.0.1", 4444))'`,
	},
	{
		title: "inline code of Perl that connects out",
		act: `perl -w -MIO::Socket::INET -e '
IO::Socket::INET->new(PeerAddr => "198.51.100.8:4444", Blocking => 0)'`,
		raises: "Inline code of an interpreter connected out",
		shows: "198.51.100.8:4444 command=perl",
		miss: "perl -e 1",
	},
	{
		title: "inline code of Node that connects out",
		act: `node --no-warnings --eval '
require("net").connect(4444, "198.51.100.9").on("error", () => {})'`,
		raises: "Inline code of an interpreter connected out",
		shows: "198.51.100.9:4444 command=node",
		miss: `node -e 1`,
	},
	{
		title: "inline code that opens a shell",
		act: `python3 -c 'import subprocess as s; s.run(["/bin/sh", "-i"], stdin=s.DEVNULL)'`,
		raises: "Shell opened by an interpreter's inline code",
		shows: "command=sh -i",
		miss: `python3 -c 'import subprocess as s; s.run(["/bin/sh", "-c", "true; exit"], stdin=s.DEVNULL)'`,
	},
	{
		title: "a shell that connects by itself",
		act: "exec 3<> /dev/tcp/198.51.100.10/4444",
		raises: "Shell connected to the internet by itself",
		shows: "198.51.100.10:4444",
		miss: "exec 3<> /dev/tcp/127.0.0.1/4444",
	},
	{
		title: "a script run from shared memory by a relative name",
		act: "cd /dev/shm; echo true > s; sh ./s",
		raises: "Program ran from shared memory",
		shows: "command=sh ./s",
		miss: "cd /tmp; echo true > s; sh ./s",
	},
	{
		title: "a private key searched for",
		act: "ln -s /usr/bin/find /usr/local/bin/ls2; /usr/local/bin/ls2 /home -maxdepth 1 -name 'ID_RSA*'",
		raises: "Passwords and keys searched for",
		shows: "ID_RSA",
		miss: "find /home -maxdepth 1 -name 'notes*'",
	},
	{
		title: "a log emptied by the shell itself",
		act: "> /var/log/auth.log",
		raises: "System log emptied",
		shows: "/var/log/auth.log",
		miss: "> /var/log/own.log",
	},
	{
		title: "a program made to run with root's rights by a system call of its own",
		act: "cp /bin/true /usr/local/bin/su2; python3 -c 'import os; os.chmod(\"/usr/local/bin/../bin/su2\", 0o4755)'",
		raises: "Set-user-ID bit given to a program",
		shows: "/usr/local/bin/su2",
		miss: "cp /bin/true /usr/local/bin/su3; chmod 755 /usr/local/bin/su3",
	},
];

const alertsOf = (rule: string): wire.Alert[] =>
	sensor.records.flatMap(({ alert }) => (alert?.rule === rule ? [alert] : []));

describe("is told of under its own name, and the nearest thing is not:", () => {
	it.each(acts.map((each) => [each.title, each] as const))("%s", async (_, { act, miss, raises, shows }) => {
		const before = alertsOf(raises).length;
		await machine.run(miss, "/bin/bash");
		const done = await machine.run(act, "/bin/bash");
		await sensor
			.until(raises, () => alertsOf(raises).some(({ summary }) => summary?.includes(shows)))
			.catch((error) => {
				throw new Error(`${done.out}\n${String(error).slice(0, 3000)}`);
			});
		// Alerts come in the order of the acts: what the near miss raised would be there by now.
		const others = alertsOf(raises)
			.slice(before)
			.filter(({ summary }) => !summary?.includes(shows));
		expect(others.map(({ summary }) => summary)).toEqual([]);
	});
});
