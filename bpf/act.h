/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process does to itself and to others, seen when the system call returns: identities,
 * namespaces, and calls that are telling by themselves. One program for all, by the call's number.
 */
#ifndef PICKET_ACT_H
#define PICKET_ACT_H

#include "credentials.h"
#include "file.h"

/* Settings when an event of this kind by the calling process is asked for, else NULL. */
static __always_inline const struct settings *act_asked(__u32 kind)
{
    const struct settings *settings = settings_get();
    if (!wanted(settings, kind))
        return 0;
    const __u32 pid = bpf_get_current_pid_tgid() >> 32;
    return pid != settings->sensor_pid && in_scope(settings) ? settings : 0;
}

static __always_inline int identity_report(const struct settings *settings, __u32 kind,
                                           struct trace_event_raw_sys_exit *context, int arguments)
{
    struct identity_event event = {};
    header_fill(&event.header, kind);
    event.header.syscall = syscall_id(context);
    struct task_struct *task = current_task();
    const struct cred *cred = LOAD(task, cred);
    CREDENTIALS_FILL(&event, cred);
    event.saved_uid = BPF_CORE_READ(cred, suid.val);
    event.saved_gid = BPF_CORE_READ(cred, sgid.val);
    event.file_uid = BPF_CORE_READ(cred, fsuid.val);
    event.file_gid = BPF_CORE_READ(cred, fsgid.val);
    event.result = context->ret;
    struct pt_regs *regs = syscall_regs();
    if (kind == EVENT_CAPSET) {
        /* Low words of effective, permitted, inheritable, as the caller's memory has them now. */
        bpf_probe_read_user(event.asked, sizeof(event.asked), (void *)syscall_argument(regs, 1));
    } else {
        event.asked[0] = syscall_argument(regs, 0);
        event.asked[1] = arguments > 1 ? syscall_argument(regs, 1) : -1;
        event.asked[2] = arguments > 2 ? syscall_argument(regs, 2) : -1;
    }
    record_submit(settings, &event.header, sizeof(event), kind != EVENT_CAPSET);
    return 0;
}

static __always_inline int namespace_report(const struct settings *settings, __u32 kind,
                                            struct trace_event_raw_sys_exit *context)
{
    struct namespace_event event = {};
    header_fill(&event.header, kind);
    event.header.syscall = syscall_id(context);
    event.call_flags = syscall_argument(syscall_regs(), kind == EVENT_SETNS);
    event.result = context->ret;
    struct task_struct *task = current_task();
    struct nsproxy *nsproxy = LOAD(task, nsproxy);
    NAMESPACES_FILL(&event, nsproxy);
    event.pid_namespace = BPF_CORE_READ(nsproxy, pid_ns_for_children, ns.inum);
    event.user_namespace = BPF_CORE_READ(task, cred, user_ns, ns.inum);
    record_submit(settings, &event.header, sizeof(event), false);
    return 0;
}

static __always_inline int call_report(const struct settings *settings, __u32 kind,
                                       struct trace_event_raw_sys_exit *context)
{
    struct call_event event = {};
    header_fill(&event.header, kind);
    event.header.syscall = syscall_id(context);
    event.result = context->ret;
    struct pt_regs *regs = syscall_regs();
    event.argument[0] = syscall_argument(regs, 0);
    if (kind == EVENT_IO_URING) {
        /* IORING_SETUP_*: the third word of struct io_uring_params. */
        __u32 flags = 0;
        bpf_probe_read_user(&flags, sizeof(flags), (void *)syscall_argument(regs, 1) + 8);
        event.argument[1] = flags;
    }
    record_submit(settings, &event.header, sizeof(event), true);
    return 0;
}

static __always_inline __u32 act_kind(__u32 call)
{
    switch (call) {
    case NUMBER_OF(SETUID):
    case NUMBER_OF(SETREUID):
    case NUMBER_OF(SETRESUID):
    case NUMBER_OF(SETFSUID):
        return EVENT_SETUID;
    case NUMBER_OF(SETGID):
    case NUMBER_OF(SETREGID):
    case NUMBER_OF(SETRESGID):
    case NUMBER_OF(SETFSGID):
        return EVENT_SETGID;
    case NUMBER_OF(CAPSET):
        return EVENT_CAPSET;
    case NUMBER_OF(UNSHARE):
        return EVENT_UNSHARE;
    case NUMBER_OF(SETNS):
        return EVENT_SETNS;
    case NUMBER_OF(USERFAULTFD):
        return EVENT_USERFAULTFD;
    case NUMBER_OF(IO_URING_SETUP):
        return EVENT_IO_URING;
    default:
        return 0;
    }
}

/* How many identities the call takes. */
static __always_inline int identity_arguments(__u32 call)
{
    switch (call) {
    case NUMBER_OF(SETREUID):
    case NUMBER_OF(SETREGID):
        return 2;
    case NUMBER_OF(SETRESUID):
    case NUMBER_OF(SETRESGID):
        return 3;
    default:
        return 1;
    }
}

SEC("tracepoint")
int on_act(struct trace_event_raw_sys_exit *context)
{
    const __u32 kind = act_kind(syscall_id(context));
    const struct settings *settings = kind ? act_asked(kind) : 0;
    if (!settings)
        return 0;
    switch (kind) {
    case EVENT_UNSHARE:
    case EVENT_SETNS:
        return namespace_report(settings, kind, context);
    case EVENT_USERFAULTFD:
    case EVENT_IO_URING:
        return call_report(settings, kind, context);
    default:
        return identity_report(settings, kind, context, identity_arguments(syscall_id(context)));
    }
}

#endif
