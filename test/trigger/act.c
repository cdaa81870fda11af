// Acts of a process on itself and on the system, with what /proc says afterwards.
#define _GNU_SOURCE
#include "say.h"
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

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
    const char *act = count > 1 ? arguments[1] : "", *name = count > 2 ? arguments[2] : "";
    if (!strcmp(act, "identity"))
        act_identity();
    else if (!strcmp(act, "namespaces"))
        act_namespaces();
    else if (!strcmp(act, "calls"))
        act_calls();
    else if (!strcmp(act, "exec"))
        act_exec(name);
    else if (!strcmp(act, "mount"))
        act_mount(name);
    else if (!strcmp(act, "module"))
        act_module(name);
    else if (!strcmp(act, "protect"))
        act_protect(name);
    else if (!strcmp(act, "bpf"))
        act_bpf();
    else
        die("usage: act identity|namespaces|calls|bpf, act exec|mount FOLDER, act module|protect "
            "FILE");
    return 0;
}
