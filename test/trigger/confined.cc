// Confines itself as the uplink does and tries what must not work any more, in its first thread and
// in one that was there before. Prints a JSON object: of each attempt the errno, 0 when it went
// through.
#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "../../native/confine.h"

namespace
{

bool first = true;

template <typename Attempt> void attempt(const char *thread, const char *name, Attempt act)
{
    errno = 0;
    const long result = act();
    printf("%s\"%s %s\": %d", first ? "{" : ",\n", thread, name, result < 0 ? errno : 0);
    first = false;
}

void attempts(const char *thread)
{
    const auto call = [&](const char *name, auto... arguments) {
        attempt(thread, name, [&] { return syscall(arguments...); });
    };
    const char *const program[] = {"/bin/true", nullptr};
    call("execve", SYS_execve, program[0], program, nullptr);
    call("execveat", SYS_execveat, AT_FDCWD, program[0], program, nullptr, 0);
    call("clone", SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0);
    call("ptrace", SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
    call("process_vm_readv", SYS_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0);
    call("kill", SYS_kill, getppid(), 0);
    call("tgkill", SYS_tgkill, getppid(), getppid(), 0);
    call("bpf", SYS_bpf, 0, nullptr, 0);
    call("perf_event_open", SYS_perf_event_open, nullptr, 0, -1, -1, 0);
    call("io_uring_setup", 425, 1, nullptr);
    call("userfaultfd", SYS_userfaultfd, 0);
    call("mount", SYS_mount, "none", "/mnt", "tmpfs", 0, nullptr);
    call("unshare", SYS_unshare, 0x10000000 /* CLONE_NEWUSER */);
    call("setns", SYS_setns, 0, 0);
    call("chroot", SYS_chroot, "/");
    call("keyctl", SYS_keyctl, 0, 0, 0, 0, 0);
    call("init_module", SYS_init_module, nullptr, 0, "");
    call("setuid", SYS_setuid, 0);
    call("chmod", SYS_fchmodat, AT_FDCWD, "/tmp", 0777);
    call("unlink", SYS_unlinkat, AT_FDCWD, "/nowhere", 0);
    call("write", SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY, 0);
    call("create", SYS_openat, AT_FDCWD, "/tmp/picket-confined", O_RDONLY | O_CREAT, 0600);
    call("shadow", SYS_openat, AT_FDCWD, "/etc/shadow", O_RDONLY, 0);
    call("packet", SYS_socket, AF_PACKET, SOCK_RAW, 0);
    call("raw", SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP);
    call("ping", SYS_socket, AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    call("audit", SYS_socket, AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */);
    call("dumpable", SYS_prctl, 4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0);
    call("newest", 100000);
    // And what it is there for.
    call("tcp", SYS_socket, AF_INET, SOCK_STREAM, 0);
    call("udp", SYS_socket, AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
    call("unix", SYS_socket, AF_UNIX, SOCK_STREAM, 0);
    call("hosts", SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
    attempt(thread, "resolve", [] {
        addrinfo *found = nullptr;
        return getaddrinfo("localhost", "443", nullptr, &found) ? -1 : 0;
    });
}

} // namespace

int main()
{
    if (getuid() == 0 && (setgroups(0, nullptr) || setgid(65534) || setuid(65534)))
        return 1;
    int gate[2];
    if (pipe(gate))
        return 1;
    std::thread early([&] {
        char byte;
        if (read(gate[0], &byte, 1) == 1)
            attempts("early");
    });
    const picket::Confinement confinement = picket::confine(false);
    for (const std::string &problem : confinement.problems)
        fprintf(stderr, "%s\n", problem.c_str());
    attempts("first");
    if (write(gate[1], "x", 1) != 1)
        return 1;
    early.join();
    // A thread of its own is still to be had.
    std::thread([] { attempt("late", "thread", [] { return 0; }); }).join();
    printf("}\n");
    return 0;
}
