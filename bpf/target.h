/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one process does to another: ptrace, process_vm_writev and signals. The other one is named
 * by the kernel's objects where they are at hand, else by what the caller passed, and then the
 * event says so. */
#ifndef PICKET_TARGET_H
#define PICKET_TARGET_H

#include "act.h"
#include "process.h"

/* A tracer with more tracees than this: the ones it attached to last are found. */
#define TRACEES 16

/* Requests that take over another process or write to it; what a debugger asks all the time is
 * left out. */
#define PTRACE_TRACEME   0
#define PTRACE_POKETEXT  4
#define PTRACE_POKEDATA  5
#define PTRACE_POKEUSR   6
#define PTRACE_SETREGS   13
#define PTRACE_SETFPREGS 15
#define PTRACE_ATTACH    16
#define PTRACE_SETREGSET 0x4205
#define PTRACE_SEIZE     0x4206

#define PIDTYPE_TGID 1
#define PID_FS_MAGIC 0x50494446
#define PIDFD_NAME   0x005d64666469705bull /* "[pidfd]" */

#define SI_USER    0
#define SI_TIMER   (-2)
#define SI_ASYNCIO (-4)
#define EAGAIN     11
/* include/trace/events/signal.h */
#define TRACE_SIGNAL_OVERFLOW_FAIL 3

static __always_inline bool ptrace_request_told(__u32 request)
{
    switch (request) {
    case PTRACE_TRACEME:
    case PTRACE_POKETEXT:
    case PTRACE_POKEDATA:
    case PTRACE_POKEUSR:
    case PTRACE_ATTACH:
    case PTRACE_SEIZE:
    case PTRACE_SETREGSET:
#if defined(__TARGET_ARCH_x86)
    case PTRACE_SETREGS:
    case PTRACE_SETFPREGS:
#endif
        return true;
    default:
        return false;
    }
}

/* The number of `task` in the innermost pid namespace of the calling process, 0 when it has none.
 */
static __always_inline __u32 pid_as_seen(struct task_struct *task, struct upid *caller,
                                         __u32 caller_level)
{
    struct pid *pid = BPF_CORE_READ(task, thread_pid);
    if (!pid || caller_level > 32 || BPF_CORE_READ(pid, level) < caller_level)
        return 0;
    struct upid *number = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
                          caller_level * bpf_core_type_size(struct upid);
    return BPF_CORE_READ(number, ns) == BPF_CORE_READ(caller, ns) ? BPF_CORE_READ(number, nr) : 0;
}

/* The thread that the caller traces under this number, 0 for none. A global function for the reason
 * path_step() is. */
__noinline __u64 tracee_of(__u32 number)
{
    struct task_struct *task = current_task();
    struct upid *caller = innermost_pid(task);
    const __u32 level = BPF_CORE_READ(task, thread_pid, level);
    const __u32 entry = bpf_core_field_offset(struct task_struct, ptrace_entry);
    void *head = (void *)task + bpf_core_field_offset(struct task_struct, ptraced);
    void *at = (void *)word_at(head);
    for (int i = 0; i < TRACEES; i++) {
        if (!at || at == head)
            return 0;
        struct task_struct *tracee = at - entry;
        if (pid_as_seen(tracee, caller, level) == number)
            return (__u64)tracee;
        at = (void *)word_at(at);
    }
    return 0;
}

static __always_inline void target_known(struct target_event *event, struct task_struct *task)
{
    __u32 pid_namespace;
    if (!task)
        return;
    event->target_pid = BPF_CORE_READ(task, tgid);
    event->target_tid = BPF_CORE_READ(task, pid);
    event->target_start = BPF_CORE_READ(task, group_leader, start_boottime);
    event->target_namespace_pid = namespace_pid(task, &pid_namespace);
    event->target_uid = BPF_CORE_READ(task, cred, uid.val);
    event->target_euid = BPF_CORE_READ(task, cred, euid.val);
}

/* What the caller passed is also our number when its pid namespace is the first one. */
static __always_inline void target_named(struct target_event *event, int pid)
{
    struct task_struct *task = current_task();
    event->header.flags |= FLAG_PID_FROM_USER;
    event->target_namespace_pid = pid;
    if (pid > 0 && BPF_CORE_READ(task, thread_pid, level) == 0)
        event->target_pid = pid;
}

/* Only here is the sensor's pid of that time known: a recording does not tell it. */
static __always_inline void target_submit(const struct settings *settings,
                                          struct target_event *event, bool bulk)
{
    if (event->target_pid && event->target_pid == settings->sensor_pid)
        event->header.flags |= FLAG_TARGET_IS_SENSOR;
    record_submit(settings, &event->header, sizeof(*event), bulk);
}

static __always_inline void ptrace_fill(struct target_event *event, struct pt_regs *regs)
{
    const __u32 number = syscall_argument(regs, 1);
    event->request = syscall_argument(regs, 0);
    event->address = syscall_argument(regs, 2);
    if (event->request == PTRACE_TRACEME) {
        target_known(event, current_task());
        return;
    }
    struct task_struct *tracee = (struct task_struct *)tracee_of(number);
    if (tracee)
        target_known(event, tracee);
    else
        target_named(event, number);
}

static __always_inline void vm_write_fill(struct target_event *event, struct pt_regs *regs)
{
    struct {
        __u64 base;
        __u64 size;
    } remote = {};
    bpf_probe_read_user(&remote, sizeof(remote), (void *)syscall_argument(regs, 3));
    event->address = remote.base;
    event->size = remote.size;
    target_named(event, syscall_argument(regs, 0));
}

/* The process that a pidfd stands for, 0 when the descriptor is none or the process is gone. Such
 * files have a file system of their own from 6.9 on (cb12fd8e0dab). */
static __always_inline struct task_struct *pidfd_task(__u32 descriptor)
{
    struct file *file = file_of(current_task(), descriptor);
    if (!file)
        return 0;
    struct pid *pid = 0;
    if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) == PID_FS_MAGIC)
        pid = BPF_CORE_READ(file, f_inode, i_private);
    else if (word_at(BPF_CORE_READ(file, f_path.dentry, d_name.name)) == PIDFD_NAME)
        pid = BPF_CORE_READ(file, private_data);
    struct hlist_node *link = pid ? BPF_CORE_READ(pid, tasks[PIDTYPE_TGID].first) : 0;
    if (!link)
        return 0;
    return (void *)link - bpf_core_field_offset(struct task_struct, pid_links) -
           PIDTYPE_TGID * bpf_core_type_size(struct hlist_node);
}

/* A signal that was refused: of its target there is what the caller passed. */
static __always_inline void refused_fill(struct target_event *event, struct pt_regs *regs,
                                         __u32 call)
{
    switch (call) {
    case NUMBER_OF(TGKILL):
    case NUMBER_OF(RT_TGSIGQUEUEINFO):
        event->target_tid = syscall_argument(regs, 1);
        event->request = syscall_argument(regs, 2);
        target_named(event, syscall_argument(regs, 0));
        break;
    case NUMBER_OF(PIDFD_SEND_SIGNAL):
        event->request = syscall_argument(regs, 1);
        target_known(event, pidfd_task(syscall_argument(regs, 0)));
        break;
    default:
        event->request = syscall_argument(regs, 1);
        target_named(event, syscall_argument(regs, 0));
    }
}

SEC("tracepoint")
int on_target(struct trace_event_raw_sys_exit *context)
{
    const __u32 call = syscall_id(context);
    const __u32 kind = call == NUMBER_OF(PTRACE)              ? EVENT_PTRACE
                       : call == NUMBER_OF(PROCESS_VM_WRITEV) ? EVENT_VM_WRITE
                                                              : EVENT_KILL;
    if (kind == EVENT_KILL && context->ret != -EPERM)
        return 0;
    struct pt_regs *regs = syscall_regs();
    if (kind == EVENT_PTRACE && !ptrace_request_told(syscall_argument(regs, 0)))
        return 0;
    const struct settings *settings = act_asked(kind);
    if (!settings)
        return 0;
    struct target_event event = {};
    header_fill(&event.header, kind);
    event.header.syscall = call;
    event.result = context->ret;
    if (kind == EVENT_PTRACE)
        ptrace_fill(&event, regs);
    else if (kind == EVENT_VM_WRITE)
        vm_write_fill(&event, regs);
    else
        refused_fill(&event, regs, call);
    target_submit(settings, &event, kind != EVENT_PTRACE);
    return 0;
}

/* Sent by a process, and not by the kernel? A process may queue a signal with any negative code;
 * those of timers and of asynchronous I/O come from interrupts, where the process is a guess,
 * unless it is just about to queue one. */
static __always_inline bool sent_by_process(const struct kernel_siginfo *info, __u32 call)
{
    if (info <= (const struct kernel_siginfo *)1)
        return !info; /* SEND_SIG_NOINFO; 1 is SEND_SIG_PRIV, the kernel's own */
    const int code = BPF_CORE_READ(info, si_code);
    if (code != SI_TIMER && code != SI_ASYNCIO)
        return code <= SI_USER;
    return call == NUMBER_OF(RT_SIGQUEUEINFO) || call == NUMBER_OF(RT_TGSIGQUEUEINFO) ||
           call == NUMBER_OF(PIDFD_SEND_SIGNAL);
}

/* Does it cross a border: to another user, another pid namespace, or to the sensor? */
static __always_inline bool signal_told(const struct settings *settings, struct task_struct *task,
                                        struct task_struct *target)
{
    const __u32 pid = BPF_CORE_READ(target, tgid);
    if (pid == (__u32)LOAD(task, tgid))
        return false;
    if (pid == settings->sensor_pid)
        return true;
    if (BPF_CORE_READ(task, cred, euid.val) != BPF_CORE_READ(target, cred, uid.val))
        return true;
    struct upid *mine = innermost_pid(task), *its = innermost_pid(target);
    return BPF_CORE_READ(mine, ns) != BPF_CORE_READ(its, ns);
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_kill, int signal, struct kernel_siginfo *info, struct task_struct *target,
             int group, int result)
{
    const struct settings *settings = settings_get();
    if (!wanted(settings, EVENT_KILL))
        return 0;
    const __u32 call = syscall_number(syscall_regs());
    struct task_struct *task = current_task();
    if (!sent_by_process(info, call) || (__u32)LOAD(task, tgid) == settings->sensor_pid ||
        !signal_told(settings, task, target) || !in_scope(settings))
        return 0;
    struct target_event event = {};
    header_fill(&event.header, EVENT_KILL);
    event.header.syscall = call;
    event.request = signal;
    event.result = result == TRACE_SIGNAL_OVERFLOW_FAIL ? -EAGAIN : 0;
    target_known(&event, target);
    target_submit(settings, &event, true);
    return 0;
}

#endif
