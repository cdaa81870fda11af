// Acts of a process on itself and on others. Prints one JSON object for each: the system call, what
// the kernel answered, and what /proc says afterwards, for tests to compare with the event.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "act: %s: %s\n", what, strerror(errno));
    exit(99);
}

static long call(long number, long a, long b, long c, long d, long e)
{
    long result = syscall(number, a, b, c, d, e, 0);
    return result < 0 ? -errno : result;
}

static void say(long number, long result)
{
    printf("{\"pid\":%d,\"syscall\":%ld,\"result\":%ld", getpid(), number, result);
}

static void say_number(const char *name, unsigned long long number)
{
    printf(",\"%s\":%llu", name, number);
}

static void end(void)
{
    puts("}");
    fflush(stdout);
}

static void identity(long number, long a, long b, long c)
{
    say(number, call(number, a, b, c, 0, 0));
    FILE *status = fopen("/proc/thread-self/status", "r");
    if (!status)
        die("status");
    char line[256];
    while (fgets(line, sizeof(line), status)) {
        unsigned real, effective, saved, file;
        unsigned long long set;
        if (sscanf(line, "Uid: %u %u %u %u", &real, &effective, &saved, &file) == 4)
            printf(",\"uid\":%u,\"euid\":%u,\"savedUid\":%u,\"fileUid\":%u", real, effective, saved,
                   file);
        else if (sscanf(line, "Gid: %u %u %u %u", &real, &effective, &saved, &file) == 4)
            printf(",\"gid\":%u,\"egid\":%u,\"savedGid\":%u,\"fileGid\":%u", real, effective, saved,
                   file);
        else if (sscanf(line, "CapInh: %llx", &set) == 1)
            say_number("inheritableCapabilities", set);
        else if (sscanf(line, "CapPrm: %llx", &set) == 1)
            say_number("permittedCapabilities", set);
        else if (sscanf(line, "CapEff: %llx", &set) == 1)
            say_number("capabilities", set);
    }
    fclose(status);
    end();
}

static void set_capabilities(__u32 effective, __u32 permitted, __u32 inheritable)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = effective, .permitted = permitted, .inheritable = inheritable},
    };
    identity(SYS_capset, (long)&header, (long)data, 0);
}

// All that a process can do to its own identity, from root down to nobody.
static void act_identity(void)
{
    identity(SYS_setresgid, 1, 2, 3);
    identity(SYS_setregid, 4, -1, 0);
    identity(SYS_setfsgid, 7, 0, 0);
    identity(SYS_setgid, 6, 0, 0);
    identity(SYS_setuid, 0, 0, 0); // changes nothing
    set_capabilities(1 << CAP_SETUID, 1 << CAP_SETUID | 1 << CAP_KILL, 1 << CAP_KILL);
    identity(SYS_setresuid, 11, 12, 13);
    identity(SYS_setreuid, 12, 13, 0);
    identity(SYS_setfsuid, 12, 0, 0);
    identity(SYS_setuid, 0, 0, 0);
    identity(SYS_setreuid, 0, 0, 0);
    identity(SYS_setresuid, 0, -1, -1);
    identity(SYS_setgid, 0, 0, 0);
    identity(SYS_setregid, 0, 0, 0);
    identity(SYS_setresgid, 0, -1, -1);
    set_capabilities(-1, -1, 0);
}

static unsigned long namespace_number(const char *name)
{
    char path[64];
    struct stat file;
    snprintf(path, sizeof(path), "/proc/thread-self/ns/%s", name);
    // pid_for_children names nothing before its first child.
    return stat(path, &file) ? 0 : file.st_ino;
}

static void namespaces(long number, long a, long b)
{
    say(number, call(number, a, b, 0, 0, 0));
    say_number("mountNamespace", namespace_number("mnt"));
    say_number("networkNamespace", namespace_number("net"));
    say_number("userNamespace", namespace_number("user"));
    say_number("utsNamespace", namespace_number("uts"));
    say_number("ipcNamespace", namespace_number("ipc"));
    say_number("cgroupNamespace", namespace_number("cgroup"));
    say_number("pidNamespace", namespace_number("pid_for_children"));
    end();
}

static void act_namespaces(void)
{
    int uts = open("/proc/self/ns/uts", O_RDONLY), self = syscall(SYS_pidfd_open, getpid(), 0);
    if (uts < 0 || self < 0)
        die("descriptors");
    namespaces(SYS_unshare, CLONE_NEWUTS | CLONE_NEWIPC, 0);
    namespaces(SYS_unshare, CLONE_NEWNS | CLONE_NEWCGROUP, 0);
    namespaces(SYS_setns, uts, CLONE_NEWUTS);
    namespaces(SYS_setns, self, CLONE_NEWUTS | CLONE_NEWIPC);
    namespaces(SYS_setns, uts, 0);
    namespaces(SYS_setns, uts, CLONE_NEWNET);               // of another sort
    namespaces(SYS_unshare, CLONE_NEWUTS | CLONE_PIDFD, 0); // no such flag
    namespaces(SYS_unshare, CLONE_NEWPID, 0);
}

static void act_calls(void)
{
    long number = SYS_userfaultfd;
    say(number, call(number, O_CLOEXEC | O_NONBLOCK, 0, 0, 0, 0));
    say_number("argument", O_CLOEXEC | O_NONBLOCK);
    end();
    say(number, call(number, 0x7000, 0, 0, 0, 0));
    say_number("argument", 0x7000);
    end();
    unsigned parameters[30] = {[2] = 1 << 3 /* IORING_SETUP_CQSIZE */, [1] = 64};
    number = SYS_io_uring_setup;
    say(number, call(number, 8, (long)parameters, 0, 0, 0));
    say_number("argument", 8);
    say_number("flags", parameters[2]);
    end();
    say(number, call(number, 0, (long)parameters, 0, 0, 0));
    say_number("argument", 0);
    say_number("flags", parameters[2]);
    end();
}

// A child that waits to be killed; of another user when `user` is not 0.
static pid_t victim(unsigned user)
{
    int ready[2];
    char byte;
    if (pipe(ready))
        die("pipe");
    pid_t child = fork();
    if (child == 0) {
        signal(SIGUSR1, SIG_IGN);
        if (user && syscall(SYS_setresuid, user, user + 1, user))
            die("setresuid");
        if (write(ready[1], "", 1) != 1)
            die("write");
        for (;;)
            pause();
    }
    if (child < 0 || read(ready[0], &byte, 1) != 1)
        die("victim");
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void finish(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

// What /proc says of the process that was acted on.
static void say_target(pid_t pid)
{
    char path[64], text[1024] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *stat = fopen(path, "r");
    if (!stat || !fgets(text, sizeof(text), stat))
        die(path);
    fclose(stat);
    unsigned long long start = 0;
    char *at = strrchr(text, ')');
    sscanf(at + 2,
           "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
           &start);
    say_number("targetPid", pid);
    say_number("targetTid", pid);
    say_number("startTicks", start);
}

static void trace(long request, pid_t pid, long address, long data)
{
    say(SYS_ptrace, call(SYS_ptrace, request, pid, address, data, 0));
    say_number("request", request);
    say_number("address", address);
    if (kill(pid, 0) == 0)
        say_target(pid);
    else
        say_number("nobody", pid);
    end();
}

static void act_ptrace(void)
{
    static long word = 1;
    pid_t child = victim(1234), other = victim(0);
    trace(PTRACE_SEIZE, other, 0, 0);
    trace(PTRACE_ATTACH, child, 0, 0);
    waitpid(child, NULL, 0);
    trace(PTRACE_POKETEXT, child, (long)&word, 2);
    trace(PTRACE_POKEDATA, child, (long)&word, 2);
    trace(PTRACE_POKEDATA, child, 8, 2);
    trace(PTRACE_ATTACH, child, 0, 0); // is traced already
    struct user_regs_struct regs;
    struct iovec set = {&regs, sizeof(regs)};
    ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &set); // no news
    ptrace(PTRACE_PEEKDATA, child, &word, 0);
    trace(PTRACE_SETREGSET, child, NT_PRSTATUS, (long)&set);
#if defined(__x86_64__)
    struct user_fpregs_struct floating;
    ptrace(PTRACE_GETFPREGS, child, 0, &floating);
    trace(PTRACE_SETREGS, child, 0, (long)&regs);
    trace(PTRACE_SETFPREGS, child, 0, (long)&floating);
    trace(PTRACE_POKEUSER, child, 0, 0);
#endif
    trace(PTRACE_SEIZE, 0x3ffffff0, 0, 0);
    finish(child);
    finish(other);
    child = fork();
    if (child == 0) {
        trace(PTRACE_TRACEME, getpid(), 0, 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void write_to(pid_t pid, void *address, unsigned long size)
{
    static char bytes[64];
    struct iovec from = {bytes, size}, to = {address, size};
    const long number = SYS_process_vm_writev;
    say(number, call(number, pid, (long)&from, 1, (long)&to, 1));
    say_number("address", (unsigned long)address);
    say_number("size", size);
    say_number("targetNamespacePid", pid);
    say_number("targetPid", pid);
    end();
}

static void act_vm_write(void)
{
    static char room[64];
    pid_t child = victim(0);
    write_to(child, room, 24);
    write_to(child, (void *)8, 16);
    write_to(0x3ffffff0, room, 8);
    finish(child);
}

static void say_kill(long number, long result, int signal, pid_t target)
{
    say(number, result);
    say_number("request", signal);
    if (result == 0)
        say_target(target);
    else
        say_number("refusedPid", target);
}

static void queue(pid_t target, int code)
{
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = code};
    const long number = SYS_rt_sigqueueinfo;
    say_kill(number, call(number, target, SIGUSR1, (long)&info, 0, 0), SIGUSR1, target);
    end();
}

static void finish_told(pid_t child, int namespace_pid)
{
    say_kill(SYS_kill, 0, SIGKILL, child);
    say_number("targetNamespacePid", namespace_pid);
    end();
    finish(child);
}

// Every way to signal another user's process, and the ways that are no news.
static void act_kill(void)
{
    pid_t other = victim(1234), own = victim(0);
    int pidfd = syscall(SYS_pidfd_open, other, 0);
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    kill(own, SIGUSR1);
    kill(other, 0);
    say_kill(SYS_kill, call(SYS_kill, other, SIGUSR1, 0, 0, 0), SIGUSR1, other);
    end();
    say_kill(SYS_tkill, call(SYS_tkill, other, SIGUSR1, 0, 0, 0), SIGUSR1, other);
    end();
    say_kill(SYS_tgkill, call(SYS_tgkill, other, other, SIGUSR1, 0, 0), SIGUSR1, other);
    end();
    say_kill(SYS_pidfd_send_signal, call(SYS_pidfd_send_signal, pidfd, SIGUSR1, 0, 0, 0), SIGUSR1,
             other);
    end();
    queue(other, SI_QUEUE);
    queue(other, SI_TIMER); // a disguise
    long number = SYS_rt_tgsigqueueinfo;
    say_kill(number, call(number, other, other, SIGUSR1, (long)&info, 0), SIGUSR1, other);
    end();
    say_kill(SYS_kill, call(SYS_kill, getppid(), SIGWINCH, 0, 0, 0), SIGWINCH, getppid());
    end();
    finish_told(other, other);
    finish(own);
}

// A user signals root's process, which is refused.
static void act_refused(void)
{
    pid_t target = getppid(), self = getpid();
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    if (syscall(SYS_setresuid, 1234, 1234, 1234))
        die("setresuid");
    const long calls[][5] = {
        {SYS_kill, target, SIGUSR1},
        {SYS_kill, target, 0},
        {SYS_tkill, target, SIGUSR1},
        {SYS_tgkill, target, target, SIGUSR1},
        {SYS_rt_sigqueueinfo, target, SIGUSR1, (long)&info},
        {SYS_rt_tgsigqueueinfo, target, target, SIGUSR1, (long)&info},
        {SYS_pidfd_send_signal, syscall(SYS_pidfd_open, target, 0), SIGUSR1},
    };
    for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        const long *of = calls[i];
        const int signal = of[2] == target ? of[3] : of[2];
        say_kill(of[0], call(of[0], of[1], of[2], of[3], of[4], 0), signal, target);
        end();
    }
    call(SYS_kill, 0x3ffffff0, SIGUSR1, 0, 0, 0); // there is nobody: no news
    call(SYS_kill, self, SIGURG, 0, 0, 0);
}

// Over the border of a pid namespace, and within one.
static void act_inside(void)
{
    if (syscall(SYS_unshare, CLONE_NEWPID))
        die("unshare");
    pid_t init = victim(0), other = victim(1234);
    say_kill(SYS_kill, call(SYS_kill, init, SIGUSR1, 0, 0, 0), SIGUSR1, init);
    say_number("targetNamespacePid", 1);
    end();
    pid_t actor = fork();
    if (actor == 0) {
        long traced = call(SYS_ptrace, PTRACE_SEIZE, 2, 0, 0, 0);
        call(SYS_kill, 1, SIGUSR1, 0, 0, 0);
        long signalled = call(SYS_kill, 2, SIGUSR1, 0, 0, 0);
        call(SYS_ptrace, PTRACE_SEIZE, 77, 0, 0, 0);
        _exit(traced || signalled);
    }
    int status;
    waitpid(actor, &status, 0);
    printf("{\"pid\":%d,\"syscall\":%d,\"result\":%d", actor, (int)SYS_kill, status);
    say_target(other);
    say_number("targetNamespacePid", 2);
    end();
    finish_told(other, 2);
    finish_told(init, 1);
}

static void execute(long number, int directory, const char *path, char **arguments, int flags)
{
    char *environment[] = {NULL};
    long result =
        number == SYS_execveat
            ? call(number, directory, (long)path, (long)arguments, (long)environment, flags)
            : call(number, (long)path, (long)arguments, (long)environment, 0, 0);
    say(number, result);
    end();
}

// exec FOLDER: a text file, a folder and nothing lie there.
static void act_exec(const char *folder)
{
    static char text[300];
    memset(text, 'x', sizeof(text) - 1);
    char just[256];
    memcpy(just, text, sizeof(just) - 1);
    just[255] = 0;
    char *few[] = {"name", "", "tab\there", NULL}, *none[] = {NULL}, *cut[] = {text, NULL};
    char *many[40], *full[17] = {NULL}, *unreadable[] = {"name", (char *)8, NULL},
                    *fits[] = {just, NULL};
    for (int i = 0; i < 39; i++)
        many[i] = just;
    many[39] = NULL;
    for (int i = 0; i < 16; i++)
        full[i] = "b";
    if (chdir(folder))
        die(folder);
    int directory = open(folder, O_PATH | O_DIRECTORY);
    int file = open("text", O_RDONLY);
    char absolute[512];
    snprintf(absolute, sizeof(absolute), "%s/text", folder);
    execute(SYS_execve, 0, absolute, few, 0);
    execute(SYS_execve, 0, "./nothing", none, 0);
    execute(SYS_execveat, AT_FDCWD, "text", fits, 0);
    execute(SYS_execveat, directory, "text", cut, 0);
    execute(SYS_execveat, file, "", many, AT_EMPTY_PATH);
    execute(SYS_execve, 0, (char *)8, few, 0);
    execute(SYS_execve, 0, "text", unreadable, 0);
    if (chdir("/"))
        die("/");
    execute(SYS_execve, 0, "nothing", full, 0);
    execute(SYS_execveat, 77, "nothing", few, 0);
}

static void mounted(long number, long a, long b, long c, long d, long e)
{
    say(number, call(number, a, b, c, d, e));
    end();
}

static void attach(const char *source, const char *target, const char *type, unsigned long flags,
                   const void *data)
{
    mounted(SYS_mount, (long)source, (long)target, (long)type, flags, (long)data);
}

// mount FOLDER: in a mount namespace of its own, below a folder that has "a" and "b" in it.
static void act_mount(const char *folder)
{
    static const char binary[] = "some\1bytes";
    if (unshare(CLONE_NEWNS) || chdir(folder))
        die(folder);
    char absolute[512];
    snprintf(absolute, sizeof(absolute), "%s/a", folder);
    attach("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    attach("memory", absolute, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=700");
    attach(absolute, "b", NULL, MS_BIND, NULL);
    attach("x", "a", "no-such-type", 0, binary);
    attach("x", (char *)8, "tmpfs", 0, (char *)8);
    mounted(SYS_umount2, (long)"b", MNT_DETACH, 0, 0, 0);
    mounted(SYS_umount2, (long)"b", 0, 0, 0, 0);
    int directory = open(folder, O_PATH | O_DIRECTORY);
    mounted(SYS_move_mount, AT_FDCWD, (long)"a", directory, (long)"b", 0);
    int context = syscall(SYS_fsopen, "tmpfs", 0);
    if (context < 0 || syscall(SYS_fsconfig, context, 6 /* create */, NULL, NULL, 0))
        die("fsconfig");
    int fresh = syscall(SYS_fsmount, context, 0, 0);
    struct stat file;
    if (fresh < 0 || fstat(fresh, &file))
        die("fsmount");
    say(SYS_move_mount, call(SYS_move_mount, fresh, (long)"", directory, (long)"a", 4));
    say_number("device", (unsigned long)major(file.st_dev) << 20 | minor(file.st_dev));
    end();
    mounted(SYS_move_mount, directory, (long)"missing", AT_FDCWD, (long)"/nowhere", 0);
}

static void module(long number, long a, long b, long c)
{
    say(number, call(number, a, b, c, 0, 0));
    end();
}

// module FILE: which is none.
static void act_module(const char *path)
{
    int file = open(path, O_RDONLY);
    if (file < 0)
        die(path);
    module(SYS_finit_module, file, (long)"debug=1 name=x", 1);
    module(SYS_init_module, (long)"no module", 10, (long)"first=2");
    module(SYS_delete_module, (long)"picket_none", O_NONBLOCK, 0);
}

// Returns what the kernel answered.
static int bpf(int command, union bpf_attr *attributes, __u32 id, __u32 type)
{
    long result = call(SYS_bpf, command, (long)attributes, sizeof(*attributes), 0, 0);
    say(SYS_bpf, result);
    say_number("command", command);
    if (!id && result > 0) {
        // The least of both infos: type, id.
        __u32 info[20] = {0};
        union bpf_attr ask = {.info = {.bpf_fd = result, .info_len = sizeof(info)}};
        ask.info.info = (unsigned long)info;
        if (call(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, (long)&ask, sizeof(ask), 0, 0))
            die("info");
        id = info[1];
    }
    say_number("id", id);
    say_number("type", type);
    end();
    return result;
}

static void act_bpf(void)
{
    struct bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8};
    map.max_entries = 1;
    strcpy(map.map_name, "a_map");
    int made = bpf(BPF_MAP_CREATE, &map, 0, BPF_MAP_TYPE_ARRAY);
    __u32 key = 0;
    __u64 value = 1;
    union bpf_attr element = {.map_fd = made, .key = (unsigned long)&key};
    element.value = (unsigned long)&value;
    call(SYS_bpf, BPF_MAP_UPDATE_ELEM, (long)&element, sizeof(element), 0, 0); // no news
    map.max_entries = 0;
    bpf(BPF_MAP_CREATE, &map, 0, BPF_MAP_TYPE_ARRAY);

    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_SKB, .insn_cnt = 2};
    load.insns = (unsigned long)code;
    load.license = (unsigned long)"GPL";
    strcpy(load.prog_name, "a_program");
    int program = bpf(BPF_PROG_LOAD, &load, 0, BPF_PROG_TYPE_CGROUP_SKB);
    union bpf_attr ask = {.info = {.bpf_fd = program, .info_len = 8}};
    __u32 info[2];
    ask.info.info = (unsigned long)info;
    if (call(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, (long)&ask, sizeof(ask), 0, 0))
        die("info");
    load.insn_cnt = 1; // no exit
    bpf(BPF_PROG_LOAD, &load, 0, BPF_PROG_TYPE_CGROUP_SKB);

    union bpf_attr attach = {.target_fd = -1, .attach_bpf_fd = program};
    attach.attach_type = BPF_CGROUP_INET_EGRESS;
    bpf(BPF_PROG_ATTACH, &attach, info[1], BPF_CGROUP_INET_EGRESS);
    bpf(BPF_PROG_DETACH, &attach, info[1], BPF_CGROUP_INET_EGRESS);
    union bpf_attr link = {.link_create = {.prog_fd = program, .target_fd = -1}};
    link.link_create.attach_type = BPF_CGROUP_INET_INGRESS;
    bpf(BPF_LINK_CREATE, &link, info[1], BPF_CGROUP_INET_INGRESS);
    union bpf_attr pin = {.pathname = (unsigned long)"/tmp/not-a-bpf-file-system",
                          .bpf_fd = program};
    bpf(BPF_OBJ_PIN, &pin, info[1], 0);
    union bpf_attr raw = {.raw_tracepoint = {.name = (unsigned long)"no_such_point"}};
    raw.raw_tracepoint.prog_fd = 0;
    bpf(BPF_RAW_TRACEPOINT_OPEN, &raw, 0, 0);
}

#define PAGE 4096

static void *map(void *at, int protection, int flags, int file)
{
    void *address = mmap(at, PAGE, protection, flags | (at ? MAP_FIXED : 0), file, 0);
    if (address == MAP_FAILED)
        die("mmap");
    return address;
}

static void protect(long number, void *address, long size, long protection)
{
    say(number, call(number, (long)address, size, protection, -1, 0));
    say_number("address", (unsigned long)address);
    say_number("size", size);
    say_number("protection", protection);
    end();
}

static void mapped(long size, long protection, long flags, int file)
{
    const long number = SYS_mmap;
    // Not by call(): there is a sixth argument, and the result is an address.
    long result = syscall(number, 0, size, protection, flags, file, 0);
    say(number, result == -1 ? -errno : 0);
    say_number("address", result == -1 ? 0 : result);
    say_number("size", size);
    say_number("protection", protection);
    say_number("callFlags", flags);
    end();
}

// protect FILE: of some pages.
static void act_protect(const char *path)
{
    const int private = MAP_PRIVATE | MAP_ANONYMOUS, both = PROT_READ | PROT_WRITE;
    int file = open(path, O_RDWR);
    if (file < 0)
        die(path);
    map(NULL, PROT_READ | PROT_EXEC, MAP_PRIVATE, file); // an ordinary library
    mapped(2 * PAGE, both | PROT_EXEC, MAP_PRIVATE, file);
    mapped(PAGE, PROT_WRITE | PROT_EXEC, private, -1);
    for (int i = 0; i < 9; i++)
        map(NULL, PROT_WRITE | PROT_EXEC, private, -1); // no news any more
    mapped(PAGE, PROT_READ | PROT_EXEC, private, -1);
    mapped(0, PROT_EXEC, private, -1);

    char *clean = map(NULL, both, private, -1), *page = map(NULL, both, private, -1);
    if (mprotect(clean, PAGE, PROT_READ | PROT_EXEC)) // nobody wrote there
        die("mprotect");
    map(page, both, MAP_SHARED, file);
    protect(SYS_mprotect, page, PAGE, PROT_EXEC);
    map(page, both, MAP_PRIVATE, file);
    *page = 1;
    protect(SYS_pkey_mprotect, page, PAGE, PROT_READ | PROT_EXEC);
    map(page, both, private, -1);
    *page = 1;
    protect(SYS_mprotect, page, PAGE, PROT_READ | PROT_EXEC);
    map(page, both, private, -1);
    protect(SYS_mprotect, page, 100, both | PROT_EXEC);
    // What was written lies behind what was not.
    char *two = mmap(NULL, 2 * PAGE, both, private, -1, 0);
    map(two, PROT_READ, MAP_PRIVATE, file);
    two[PAGE] = 1;
    protect(SYS_pkey_mprotect, two, 2 * PAGE, PROT_EXEC);
    protect(SYS_pkey_mprotect, two + 1, PAGE, both | PROT_EXEC);
}

int main(int count, char **arguments)
{
    const char *act = count > 1 ? arguments[1] : "";
    if (!strcmp(act, "identity"))
        act_identity();
    else if (!strcmp(act, "namespaces"))
        act_namespaces();
    else if (!strcmp(act, "calls"))
        act_calls();
    else if (!strcmp(act, "ptrace"))
        act_ptrace();
    else if (!strcmp(act, "vm_write"))
        act_vm_write();
    else if (!strcmp(act, "kill"))
        act_kill();
    else if (!strcmp(act, "refused"))
        act_refused();
    else if (!strcmp(act, "inside"))
        act_inside();
    else if (!strcmp(act, "exec") && count > 2)
        act_exec(arguments[2]);
    else if (!strcmp(act, "mount") && count > 2)
        act_mount(arguments[2]);
    else if (!strcmp(act, "module") && count > 2)
        act_module(arguments[2]);
    else if (!strcmp(act, "protect") && count > 2)
        act_protect(arguments[2]);
    else if (!strcmp(act, "bpf"))
        act_bpf();
    else
        die("usage: act identity|namespaces|calls|ptrace|vm_write|kill|refused|inside|bpf, "
            "act exec|mount FOLDER, act module|protect FILE");
    return 0;
}
