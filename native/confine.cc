// See confine.h. The filter names what a network client never needs; whatever is newer than this
// list does not exist for it. A refusal is EPERM, so that a library that tries something carries
// on.
#include "confine.h"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace picket
{

namespace
{

#if defined(__x86_64__)
constexpr uint32_t native_arch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t native_arch = AUDIT_ARCH_AARCH64;
#else
#error "the filter is written for x86_64 and arm64"
#endif

// From 424 on a system call has the same number everywhere; Debian 11's headers name few of them.
constexpr uint32_t nr_pidfd_send_signal = 424, nr_io_uring_setup = 425, nr_io_uring_enter = 426,
                   nr_io_uring_register = 427, nr_open_tree = 428, nr_move_mount = 429,
                   nr_fsopen = 430, nr_fsconfig = 431, nr_fsmount = 432, nr_fspick = 433,
                   nr_pidfd_open = 434, nr_clone3 = 435, nr_openat2 = 437, nr_pidfd_getfd = 438,
                   nr_process_madvise = 440, nr_mount_setattr = 442, nr_quotactl_fd = 443,
                   nr_memfd_secret = 447, nr_process_mrelease = 448, nr_fchmodat2 = 452;
// What comes after it was not there when this list was made.
constexpr uint32_t newest_known = nr_fchmodat2;

constexpr uint32_t refused[] = {
    // Other programs.
    SYS_execve,
    SYS_execveat,
#ifdef SYS_fork
    SYS_fork,
    SYS_vfork,
    SYS_uselib,
#endif
    SYS_personality,
    SYS_acct,
    // Other processes.
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_move_pages,
    SYS_migrate_pages,
    nr_pidfd_send_signal,
    nr_pidfd_open,
    nr_pidfd_getfd,
    nr_process_madvise,
    nr_process_mrelease,
    // Another identity.
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
    SYS_capset,
    // Another view of the system.
    SYS_setns,
    SYS_unshare,
    SYS_chroot,
    SYS_pivot_root,
    SYS_mount,
    SYS_umount2,
    nr_open_tree,
    nr_move_mount,
    nr_fsopen,
    nr_fsconfig,
    nr_fsmount,
    nr_fspick,
    nr_mount_setattr,
    SYS_swapon,
    SYS_swapoff,
    SYS_quotactl,
    nr_quotactl_fd,
    // The kernel's wide doors.
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    nr_io_uring_setup,
    nr_io_uring_enter,
    nr_io_uring_register,
    nr_memfd_secret,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
    SYS_reboot,
    SYS_syslog,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_fanotify_init,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_lookup_dcookie,
    SYS_mbind,
    SYS_set_mempolicy,
    SYS_vhangup,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
    // Memory and messages shared with others.
    SYS_shmget,
    SYS_shmat,
    SYS_shmctl,
    SYS_msgget,
    SYS_semget,
    SYS_mq_open,
    SYS_mq_unlink,
    // Files: whatever changes one. Opening for writing is looked at below.
    SYS_unlinkat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_fchmod,
    SYS_fchmodat,
    nr_fchmodat2,
    SYS_fchown,
    SYS_fchownat,
    SYS_truncate,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_utimensat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_unlink
    SYS_unlink,
    SYS_rename,
    SYS_link,
    SYS_symlink,
    SYS_mkdir,
    SYS_rmdir,
    SYS_mknod,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_creat,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
#endif
};

class Filter
{
  public:
    void statement(uint16_t code, uint32_t k)
    {
        code_.push_back(BPF_STMT(code, k));
    }

    void load(size_t offset)
    {
        statement(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
    }

    // The lower half: every argument looked at here is an int for the kernel.
    void load_argument(size_t index)
    {
        load(offsetof(seccomp_data, args) + index * 8);
    }

    void give(uint32_t action)
    {
        statement(BPF_RET | BPF_K, action);
    }

    // What `body` writes runs when the value at hand passes the test, and is passed over otherwise.
    template <typename Body> void when(uint16_t test, uint32_t k, Body body)
    {
        const size_t jump = code_.size();
        statement(static_cast<uint16_t>(BPF_JMP | test | BPF_K), k);
        body();
        // The longest body has 30 instructions; a jump has room for 255.
        code_[jump].jf = static_cast<uint8_t>(code_.size() - jump - 1);
    }

    void when(uint16_t test, uint32_t k, uint32_t action)
    {
        when(test, k, [&] { give(action); });
    }

    sock_fprog program()
    {
        return {static_cast<unsigned short>(code_.size()), code_.data()};
    }

  private:
    std::vector<sock_filter> code_;
};

constexpr uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t absent = SECCOMP_RET_ERRNO | ENOSYS;
constexpr uint32_t allow = SECCOMP_RET_ALLOW;

void refuse_bits(Filter &filter, uint32_t number, size_t argument, uint32_t bits)
{
    filter.when(BPF_JEQ, number, [&] {
        filter.load_argument(argument);
        filter.when(BPF_JSET, bits, refuse);
        filter.give(allow);
    });
}

void allow_first(Filter &filter, uint32_t number, std::initializer_list<uint32_t> values)
{
    filter.when(BPF_JEQ, number, [&] {
        filter.load_argument(0);
        for (uint32_t value : values)
            filter.when(BPF_JEQ, value, allow);
        filter.give(refuse);
    });
}

// Unix, and TCP and UDP over IP; of netlink what getaddrinfo() asks about the host's addresses.
void sockets(Filter &filter)
{
    const auto protocols = [&](uint32_t own) {
        filter.load_argument(2);
        filter.when(BPF_JEQ, 0, allow);
        filter.when(BPF_JEQ, own, allow);
        filter.give(refuse);
    };
    const auto internet = [&] {
        filter.load_argument(1);
        filter.statement(BPF_ALU | BPF_AND | BPF_K, 0xf);
        filter.when(BPF_JEQ, SOCK_STREAM, [&] { protocols(IPPROTO_TCP); });
        filter.when(BPF_JEQ, SOCK_DGRAM, [&] { protocols(IPPROTO_UDP); });
        filter.give(refuse);
    };
    filter.when(BPF_JEQ, SYS_socket, [&] {
        filter.load_argument(0);
        filter.when(BPF_JEQ, AF_UNIX, allow);
        filter.when(BPF_JEQ, AF_INET, internet);
        filter.when(BPF_JEQ, AF_INET6, internet);
        filter.when(BPF_JEQ, AF_NETLINK, [&] { protocols(NETLINK_ROUTE); });
        filter.give(refuse);
    });
}

Filter build()
{
    Filter filter;
    filter.load(offsetof(seccomp_data, arch));
    filter.when(BPF_JEQ, native_arch, [&] {
        filter.load(offsetof(seccomp_data, nr));
        filter.statement(BPF_JMP | BPF_JA, 1);
    });
    filter.give(SECCOMP_RET_KILL_PROCESS);
    // The numbers of the x32 calls lie there, too.
    filter.when(BPF_JGT, newest_known, absent);
    // The C library takes clone() and openat() instead, whose flags can be looked at.
    filter.when(BPF_JEQ, nr_clone3, absent);
    filter.when(BPF_JEQ, nr_openat2, absent);
    for (uint32_t number : refused)
        filter.when(BPF_JEQ, number, refuse);
    filter.when(BPF_JEQ, SYS_clone, [&] {
        filter.load_argument(0);
        filter.when(BPF_JSET, CLONE_THREAD, allow);
        filter.give(refuse);
    });
    constexpr uint32_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;
    refuse_bits(filter, SYS_openat, 2, writing);
#ifdef SYS_open
    refuse_bits(filter, SYS_open, 1, writing);
#endif
    const uint32_t self = static_cast<uint32_t>(getpid());
    allow_first(filter, SYS_kill, {self});
    allow_first(filter, SYS_tgkill, {self});
    allow_first(filter, SYS_prlimit64, {0, self});
    allow_first(filter, SYS_prctl,
                {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS,
                 PR_CAPBSET_READ, 0x53564d41 /* PR_SET_VMA */});
    filter.when(BPF_JEQ, SYS_ioctl, [&] {
        filter.load_argument(1);
        filter.when(BPF_JEQ, TIOCSTI, refuse);
        filter.when(BPF_JEQ, TIOCLINUX, refuse);
        filter.give(allow);
    });
    sockets(filter);
    filter.give(allow);
    return filter;
}

// One line of a thread's /proc status, without its name; "" when it is not there.
std::string status_line(const std::string &thread, const std::string &name)
{
    std::ifstream file("/proc/self/task/" + thread + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.compare(0, name.size(), name) == 0 && line[name.size()] == ':')
            return line.substr(line.find_first_not_of(" \t", name.size() + 1));
    return "";
}

std::vector<std::string> threads()
{
    std::vector<std::string> found;
    DIR *folder = opendir("/proc/self/task");
    if (!folder)
        return found;
    while (const dirent *entry = readdir(folder))
        if (entry->d_name[0] != '.')
            found.emplace_back(entry->d_name);
    closedir(folder);
    return found;
}

// What the kernel says of each thread, and not what was asked for.
bool all_threads(const std::string &name, const std::string &value)
{
    const std::vector<std::string> found = threads();
    for (const std::string &thread : found)
        if (status_line(thread, name) != value)
            return false;
    return !found.empty();
}

bool nobody_is_root()
{
    const std::vector<std::string> found = threads();
    for (const std::string &thread : found)
        for (const char *name : {"Uid", "Gid"}) {
            const std::string ids = "\t" + status_line(thread, name) + "\t";
            if (ids.find("\t0\t") != std::string::npos || ids == "\t\t")
                return false;
        }
    return !found.empty();
}

} // namespace

int drop_bounding_set(bool keep_identity)
{
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
        const bool kept =
            capability == CAP_SETUID || capability == CAP_SETGID || capability == CAP_SETPCAP;
        if (!(kept && keep_identity) && prctl(PR_CAPBSET_DROP, capability))
            return -errno;
    }
    return 0;
}

bool is_root()
{
    return !nobody_is_root();
}

Confinement confine(bool with_parent)
{
    Confinement out;
    const auto must = [&](bool fine, const std::string &what) {
        if (fine)
            out.holds.push_back(what);
        else
            out.problems.push_back("cannot have: " + what);
    };
    // Not before now: to become somebody else clears it.
    if (with_parent)
        must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "ends with the sensor");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    syscall(SYS_capset, &header, none);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    // Neither a debugger nor another process of the same user looks into it or leaves a core of it.
    must(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "closed to debuggers and other processes");
    const rlimit nothing = {0, 0};
    const rlimit descriptors = {512, 512};
    must(setrlimit(RLIMIT_CORE, &nothing) == 0 && setrlimit(RLIMIT_FSIZE, &nothing) == 0 &&
             setrlimit(RLIMIT_NOFILE, &descriptors) == 0,
         "limits: no core file, no byte to a file, 512 descriptors");

    Filter filter = build();
    const sock_fprog program = filter.program();
    const long failed =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    const std::string words = "seccomp: no programs, processes, raw sockets, writing to files, "
                              "BPF, mounts, modules or keys";
    if (failed == 0)
        must(all_threads("Seccomp", "2"), words);
    else
        out.problems.push_back("cannot have: " + words + " (" +
                               (failed < 0 ? strerror(errno) : "a thread could not be reached") +
                               ")");
    must(all_threads("NoNewPrivs", "1"), "no new privileges");
    constexpr char zero[] = "0000000000000000";
    must(all_threads("CapEff", zero) && all_threads("CapPrm", zero) &&
             all_threads("CapInh", zero) && all_threads("CapAmb", zero),
         "no capability");
    // Node's helper threads keep three capabilities in theirs, which only an execution could use.
    must(status_line(std::to_string(getpid()), "CapBnd") == zero, "empty bounding set");
    return out;
}

} // namespace picket
