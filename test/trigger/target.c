// Acts of a process on another one, with what /proc says of that.
#define _GNU_SOURCE
#include "say.h"
#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

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

int main(int count, char **arguments)
{
    const char *act = count > 1 ? arguments[1] : "";
    if (!strcmp(act, "ptrace"))
        act_ptrace();
    else if (!strcmp(act, "vm_write"))
        act_vm_write();
    else if (!strcmp(act, "kill"))
        act_kill();
    else if (!strcmp(act, "refused"))
        act_refused();
    else if (!strcmp(act, "inside"))
        act_inside();
    else
        die("usage: target ptrace|vm_write|kill|refused|inside");
    return 0;
}
