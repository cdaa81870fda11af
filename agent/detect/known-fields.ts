// Fields of the Falco language that rules may name although no event of ours carries them yet: they load and read as
// missing. A name that is in neither table is an error, as in Falco. (Names: Falco's field reference, 2026.)
const plain = `evt.reltime evt.latency evt.latency.s evt.latency.ns evt.latency.human evt.deltatime evt.deltatime.s evt.deltatime.ns
evt.outputtime evt.type.is evt.syscall.type evt.category evt.cpu evt.buffer evt.buflen evt.pluginname evt.plugininfo
evt.is_io evt.is_io_read evt.is_io_write evt.io_dir evt.is_wait evt.wait_latency evt.is_syslog evt.count.error
evt.count.error.file evt.count.error.net evt.count.error.memory evt.count.error.other evt.count.exit evt.asynctype
evt.around proc.pvid proc.aenv proc.is_exe_lower_layer proc.exe_ino.ctime_duration_pidns_start
proc.pidns_init_start_ts proc.thread.cap_permitted proc.fdopencount proc.fdlimit proc.fdusage proc.vmsize proc.vmrss
proc.vmswap thread.pfmajor thread.pfminor thread.vmsize thread.vmrss thread.exectime thread.totexectime thread.cgroups
thread.vtid thread.cpu thread.nthreads thread.nchilds group.name group.loginname user.homedir user.shell
fd.containername fd.containerdirectory fd.proto fd.cproto fd.sproto fd.lproto fd.rproto fd.uid fd.is_upper_layer
fd.is_lower_layer fd.lip.name fd.lport.name fd.rport.name container.ip container.cni.json container.healthcheck
container.liveness_probe container.readiness_probe container.host_pid container.host_network container.host_ipc
container.labels k8s.pod.sandbox_id k8s.pod.full_sandbox_id
k8s.pod.labels k8s.pod.ip k8s.pod.cni.json k8s.rc.name k8s.rc.id k8s.rc.labels k8s.svc.name k8s.svc.id k8s.svc.labels
k8s.rs.name k8s.rs.id k8s.rs.labels k8s.deployment.name k8s.deployment.id k8s.deployment.labels syslog.facility
syslog.facility.str syslog.severity syslog.severity.str syslog.message`;
const withArgument = [
	"evt.around",
	"evt.type.is",
	"evt.abspath",
	"proc.aenv",
	"proc.apid",
	"fd.types",
	"container.mount",
	"container.mount.dest",
	"container.mount.source",
	"container.mount.mode",
	"container.mount.rdwr",
	"container.mount.propagation",
	"k8s.pod.label",
	"k8s.ns.label",
	"k8s.rc.label",
	"k8s.svc.label",
	"k8s.rs.label",
	"k8s.deployment.label",
];
export const knownNames: ReadonlySet<string> = new Set([...plain.split(/\s+/), ...withArgument]);

/** A field of the language that no event here has. evt.arg.NAME is one for every NAME. */
export function isKnownField(name: string): boolean {
	return knownNames.has(name) || /^evt\.(raw)?arg\.[a-z_0-9]+$/.test(name);
}
