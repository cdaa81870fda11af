// Fields of the Falco language that rules may name although no event of ours carries them yet: they load and read as
// missing. A name that is in neither table is an error, as in Falco. (Names: Falco's field reference, 2026.)
const plain = `evt.reltime evt.reltime.s evt.reltime.ns evt.latency evt.latency.s evt.latency.ns evt.latency.human
evt.deltatime evt.deltatime.s evt.deltatime.ns evt.outputtime evt.category evt.cpu evt.buffer evt.buflen evt.pluginname
evt.plugininfo evt.wait_latency evt.is_syslog evt.count.error.file evt.count.error.net evt.count.error.memory
evt.count.error.other evt.asynctype proc.pvid proc.is_exe_lower_layer proc.exe_ino.ctime_duration_pidns_start
proc.pidns_init_start_ts proc.fdopencount proc.fdlimit proc.fdusage proc.vmsize proc.vmrss proc.vmswap proc.nthreads
proc.nchilds proc.is_container_healthcheck proc.is_container_liveness_probe proc.is_container_readiness_probe
thread.pfmajor thread.pfminor thread.vmsize thread.vmrss thread.exectime thread.totexectime thread.vtid thread.cpu
thread.cpu.user thread.cpu.system thread.nthreads thread.nchilds user.homedir user.shell fd.proto fd.cproto fd.sproto
fd.lproto fd.rproto fd.is_upper_layer fd.is_lower_layer fd.lip.name fdlist.nums fdlist.names fdlist.cips fdlist.sips
fdlist.cports fdlist.sports container.ip container.cni.json container.healthcheck container.liveness_probe
container.readiness_probe container.host_pid container.host_network container.host_ipc k8s.pod.labels k8s.pod.ip
k8s.pod.cni.json k8s.rc.name k8s.rc.id k8s.rc.labels k8s.svc.name k8s.svc.id k8s.svc.labels k8s.ns.id k8s.ns.labels
k8s.rs.name k8s.rs.id k8s.rs.labels k8s.deployment.name k8s.deployment.id k8s.deployment.labels k8smeta.pod.name
k8smeta.pod.uid k8smeta.pod.ip k8smeta.pod.labels k8smeta.ns.name k8smeta.ns.uid k8smeta.ns.labels
k8smeta.deployment.name k8smeta.deployment.uid k8smeta.deployment.labels k8smeta.svc.name k8smeta.svc.uid
k8smeta.svc.labels k8smeta.rs.name k8smeta.rs.uid k8smeta.rs.labels k8smeta.rc.name k8smeta.rc.uid k8smeta.rc.labels
syslog.facility syslog.facility.str syslog.severity syslog.severity.str syslog.message`;
/** These want an argument, some of them also behind a dot. */
const withArgument =
	`evt.around evt.arg evt.rawarg container.mount.mode container.mount.propagation k8s.pod.label
k8s.rc.label k8s.svc.label k8s.ns.label k8s.rs.label k8s.deployment.label k8smeta.pod.label k8smeta.ns.label
k8smeta.deployment.label k8smeta.svc.label k8smeta.rs.label k8smeta.rc.label`.split(/\s+/);
const dotted = /^(evt\.(raw)?arg\.[a-z_0-9]+|k8s(meta)?\.[a-z]+\.label\..+)$/;

export const knownNames: ReadonlySet<string> = new Set([...plain.split(/\s+/), ...withArgument]);

/** A field of the language that no event here has. evt.arg.NAME is one for every NAME. */
export function isKnownField(name: string): boolean {
	return knownNames.has(name) || dotted.test(name);
}
