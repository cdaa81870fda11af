// The official vocabulary: no field and no event type of Falco's own lists is unknown, and what the official rules use
// can be evaluated as far as events here have it. (Names: Falco's field and event reference, engine 0.63.)
import { describe, expect, it } from "vitest";
import { findField } from "../../../agent/detect/fields.ts";
import { deliveredTypes, knownTypes } from "../../../agent/detect/known-event-types.ts";
import { errorsOf, load, ruleText } from "./rig.ts";

const words = (text: string): string[] => text.trim().split(/\s+/);

/** The 71 fields of the official rules' conditions, with an argument where they have one. */
const inConditions =
	words(`evt.type proc.name evt.num container.id fd.typechar proc.cmdline fd.name proc.pname fd.num
container.image.repository evt.is_open_write evt.rawres evt.res fd.directory proc.aname[2] fd.net evt.is_open_read fd.ip
proc.args proc.exe fd.l4proto fd.connected fd.name_changed k8s.ns.name fd.snet proc.vpid proc.pcmdline user.name
fd.filename evt.arg.flags user.uid fd.sport evt.arg.path proc.tty evt.arg.oldpath container.privileged evt.arg.newpath
fd.sip.name fd.type thread.cap_effective evt.arg.request thread.cap_permitted proc.env fd.sip evt.arg.name evt.arg.mode
evt.arg.filename user.loginuid fd.nameraw proc.duration proc.pexe evt.arg.target evt.arg.domain proc.cwd
proc.is_exe_upper_layer proc.is_exe_from_memfd proc.exepath fd.sockfamily fd.port evt.arg.uid proc.aexe[2] fd.rnet
evt.arg.cmd fd.cip fd.cnet fd.cip.name k8s.pod.name container.mount.dest[/proc*] evt.is_open_exec evt.buffer
proc.is_vpgid_leader`);
const inOutputs =
	words(`container.mounts container.start_ts evt.arg.fd evt.arg.linkpath evt.args fd.lip.name fd.lport
fd.rip fd.rip.name fd.rport group.gid group.name proc.aexepath[2] proc.exe_ino.ctime proc.exe_ino.mtime
proc.exe_ino.ctime_duration_proc_start proc.pexepath proc.sname user.loginname`);
/** What no event here carries: bytes that were received, and the name of this host's own address. */
const notHere = ["evt.buffer", "fd.lip.name"];

const official = words(`evt.num evt.time evt.time.s evt.time.iso8601 evt.datetime evt.datetime.s evt.rawtime
evt.rawtime.s evt.rawtime.ns evt.reltime evt.reltime.s evt.reltime.ns evt.pluginname evt.plugininfo evt.source
evt.is_async evt.asynctype evt.hostname evt.latency evt.latency.s evt.latency.ns evt.latency.human evt.deltatime
evt.deltatime.s evt.deltatime.ns evt.outputtime evt.dir evt.type evt.type.is.open evt.type.is[open] syscall.type
evt.category evt.cpu evt.args evt.arg.fd evt.arg[0] evt.arg[name] evt.rawarg.fd evt.info evt.buffer evt.buflen evt.res
evt.rawres evt.failed evt.is_io evt.is_io_read evt.is_io_write evt.io_dir evt.is_wait evt.wait_latency evt.is_syslog
evt.count evt.count.error evt.count.error.file evt.count.error.net evt.count.error.memory evt.count.error.other
evt.count.exit evt.around[1] evt.abspath evt.abspath.src evt.abspath.dst evt.is_open_read evt.is_open_write
evt.is_open_exec evt.is_open_create
proc.exe proc.pexe proc.aexe proc.aexe[1] proc.exepath proc.pexepath proc.aexepath proc.name proc.pname proc.aname
proc.args proc.args[0] proc.aargs proc.aargs[1] proc.cmdline proc.pcmdline proc.acmdline proc.cmdnargs proc.cmdlenargs
proc.exeline proc.env proc.env[PATH] proc.aenv proc.aenv[2] proc.aenv[PATH] proc.cwd proc.loginshellid proc.tty proc.pid
proc.ppid proc.apid proc.apid[1] proc.vpid proc.pvpid proc.sid proc.sname proc.sid.exe proc.sid.exepath proc.vpgid
proc.vpgid.name proc.vpgid.exe proc.vpgid.exepath proc.pgid proc.pgid.name proc.pgid.exe proc.pgid.exepath proc.duration
proc.ppid.duration proc.pid.ts proc.ppid.ts proc.is_exe_writable proc.is_exe_upper_layer proc.is_exe_lower_layer
proc.is_exe_from_memfd proc.is_sid_leader proc.is_vpgid_leader proc.is_pgid_leader proc.exe_ino proc.exe_ino.ctime
proc.exe_ino.mtime proc.exe_ino.ctime_duration_proc_start proc.exe_ino.ctime_duration_pidns_start
proc.pidns_init_start_ts thread.cap_permitted thread.cap_inheritable thread.cap_effective proc.fdopencount proc.fdlimit
proc.fdusage proc.vmsize proc.vmrss proc.vmswap thread.pfmajor thread.pfminor thread.tid thread.ismain thread.vtid
thread.exectime thread.totexectime thread.cgroups thread.cgroup.cpuacct thread.cgroup[memory] proc.nthreads proc.nchilds
thread.cpu thread.cpu.user thread.cpu.system thread.vmsize thread.vmrss proc.stdin.type proc.stdout.type
proc.stderr.type proc.stdin.name proc.stdout.name proc.stderr.name
user.uid user.name user.homedir user.shell user.loginuid user.loginname group.gid group.name
fd.num fd.type fd.typechar fd.name fd.directory fd.filename fd.ip fd.cip fd.sip fd.lip fd.rip fd.port fd.cport fd.sport
fd.lport fd.rport fd.l4proto fd.sockfamily fd.is_server fd.uid fd.containername fd.containerdirectory fd.proto fd.cproto
fd.sproto fd.lproto fd.rproto fd.net fd.cnet fd.snet fd.lnet fd.rnet fd.connected fd.name_changed fd.cip.name
fd.sip.name fd.lip.name fd.rip.name fd.dev fd.dev.major fd.dev.minor fd.ino fd.nameraw fd.types fd.types[0]
fd.is_upper_layer fd.is_lower_layer
fs.path.name fs.path.nameraw fs.path.source fs.path.sourceraw fs.path.target fs.path.targetraw
fdlist.nums fdlist.names fdlist.cips fdlist.sips fdlist.cports fdlist.sports
container.id container.full_id container.name container.image container.image.id container.type container.privileged
container.mounts container.mount[0] container.mount[/usr/*] container.mount.source[0] container.mount.dest[0]
container.mount.mode[0] container.mount.rdwr[0] container.mount.propagation[0] container.image.repository
container.image.tag container.image.digest container.healthcheck container.liveness_probe container.readiness_probe
container.start_ts container.duration container.ip container.cni.json container.host_pid container.host_network
container.host_ipc container.label.foo container.label[foo] container.labels proc.is_container_healthcheck
proc.is_container_liveness_probe proc.is_container_readiness_probe
k8s.pod.name k8s.ns.name k8s.pod.id k8s.pod.uid k8s.pod.sandbox_id k8s.pod.full_sandbox_id k8s.pod.label.foo
k8s.pod.label[app.kubernetes.io/name] k8s.pod.labels k8s.pod.ip k8s.pod.cni.json k8s.rc.name k8s.rc.id k8s.rc.label[foo]
k8s.rc.labels k8s.svc.name k8s.svc.id k8s.svc.label[foo] k8s.svc.labels k8s.ns.id k8s.ns.label[foo] k8s.ns.labels
k8s.rs.name k8s.rs.id k8s.rs.label[foo] k8s.rs.labels k8s.deployment.name k8s.deployment.id k8s.deployment.label[foo]
k8s.deployment.labels`);

/** Every event of the official rules. */
const ruleTypes =
	words(`execve execveat openat openat2 open connect accept listen accept4 sendmsg sendto rename unlink
unlinkat renameat2 renameat rmdir recvfrom ptrace creat chmod fchmod fchmodat recvmsg mkdirat mkdir symlinkat symlink
link linkat socket dup2 dup dup3 finit_module init_module setns unshare setuid bpf userfaultfd`);
const otherTypes =
	words(`close read write brk poll nanosleep futex kill tgkill bind umount umount2 mount stat fstat pipe
pipe2 eventfd eventfd2 signalfd4 timerfd_create inotify_init1 getcwd chdir fchdir mkdirat clone clone3 fork vfork
procexit switch signaldeliver page_fault container drop asyncevent pluginevent cpu_hotplug io_uring_enter
process_vm_readv memfd_create pidfd_open newfstatat delete_module prlimit64 setsockopt shutdown sendfile splice quotactl`);

function parts(shown: string): [name: string, argument: string | undefined] {
	const [, name = shown, argument] = /^([^[]*)\[(.*)\]$/.exec(shown) ?? [];
	return [name, argument];
}

describe("of the fields of the official rules", () => {
	it("none is unknown", () => {
		expect(inConditions.length).toBe(71);
		for (const name of [...inConditions, ...inOutputs])
			expect(errorsOf(load(ruleText(`${name} exists`, { output: `%${name}` }))), name).toEqual([]);
	});

	it("each is carried by events here but those two", () => {
		const missing = [...inConditions, ...inOutputs].filter((name) => !findField(...parts(name)));
		expect(missing).toEqual(notHere);
	});
});

describe("Falco's own list", () => {
	it.each(official)("knows %s in a condition and an output", (name) => {
		const set = load(ruleText(`${name} exists or evt.num > 0`, { output: `x %${name} y` }));
		expect(set.problems.filter(({ level }) => level === "error")).toEqual([]);
		const [rule] = set.rules;
		if (findField(...parts(name))) {
			const environment = "the environment is captured only with environment_bytes set in picket.yaml";
			const reasons = /^proc\.a?env/.test(name) ? [environment] : [];
			expect(rule).toMatchObject({ status: "evaluable", reasons });
		} else {
			expect(rule).toMatchObject({ status: "degraded" });
			expect(rule?.reasons).toContain(`these fields are never set: ${name}`);
			expect(rule?.reasons).toContain(`the output's ${name} is always <NA> here`);
		}
	});

	it.each([
		"evt.tipe",
		"proc.nam",
		"container.label",
		"thread.cgroup",
		"evt.type.is",
		"container.mount",
		"k8s.pod.lable.x",
	])("does not have %s", (name) => {
		const [error] = errorsOf(load(ruleText(`${name} exists`)));
		expect(error?.message).toContain(name);
	});
});

describe("evt.type", () => {
	it.each(ruleTypes)("may be %s", (type) => {
		const [rule] = load(ruleText(`evt.type = ${type}`)).rules;
		// Receiving is not captured: where it alone is asked for, the rule says so.
		const captured = !type.startsWith("recv");
		expect(deliveredTypes.has(type)).toBe(captured);
		expect(rule?.status).toBe(captured ? "evaluable" : "not-evaluable");
	});

	it.each(otherTypes.filter((type) => !deliveredTypes.has(type)))(
		"may be %s, which is not captured",
		(type) => {
			expect(knownTypes.has(type)).toBe(true);
			const set = load(ruleText(`evt.type in (openat, ${type})`));
			expect(errorsOf(set)).toEqual([]);
			expect(set.rules[0]).toMatchObject({
				status: "degraded",
				reasons: [`these events are not captured: ${type}`],
			});
		},
	);

	it.each([
		["evt.type = opnat", "opnat", "did you mean openat?"],
		["evt.type in (open, execv)", "execv", "did you mean execve?"],
		["evt.type != conect", "conect", "did you mean connect?"],
		["evt.type = quux", "quux", "see Falco's list of events"],
		["syscall.type = opnat", "opnat", "did you mean openat?"],
	])("%s is an error", (condition, name, remedy) => {
		const set = load(ruleText(condition));
		expect(errorsOf(set)).toMatchObject([{ remedy }]);
		expect(errorsOf(set)[0]?.message).toBe(`there is no event ${name}`);
		expect(set.rules[0]?.status).toBe("error");
	});
});
