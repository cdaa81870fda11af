// Acts of a process on itself and on others. Prints one JSON object for each: the system call, what
// the kernel answered, and what /proc says afterwards, for tests to compare with the event.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "act: %s: %s\n", what, strerror(errno));
    exit(99);
}

static long call(long number, long a, long b, long c, long d, long e)
{
    long result = syscall(number, a, b, c, d, e);
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
    namespaces(SYS_setns, uts, CLONE_NEWNET);                         // of another sort
    namespaces(SYS_unshare, 1 << 30 | CLONE_NEWUTS | CLONE_PIDFD, 0); // no such flag
    namespaces(SYS_unshare, CLONE_NEWPID, 0);
}

static void act_calls(void)
{
    long number = SYS_userfaultfd;
    say(number, call(number, O_CLOEXEC | 1 /* user mode only */, 0, 0, 0, 0));
    say_number("argument", O_CLOEXEC | 1);
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

int main(int count, char **arguments)
{
    const char *act = count > 1 ? arguments[1] : "";
    if (!strcmp(act, "identity"))
        act_identity();
    else if (!strcmp(act, "namespaces"))
        act_namespaces();
    else if (!strcmp(act, "calls"))
        act_calls();
    else
        die("usage: act identity|namespaces|calls");
    return 0;
}
