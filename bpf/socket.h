/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What else a process does with sockets, seen when the system call returns: accept, bind, listen,
 * socket of the less common sorts, and duplicates that become standard input, output or error. */
#ifndef PICKET_SOCKET_H
#define PICKET_SOCKET_H

#include "network.h"

#define AF_NETLINK      16
#define AF_VSOCK        40
#define SOCK_RAW        3
#define SOCK_PACKET     10
#define SOCK_TYPE_MASK  15
#define EAGAIN          11
#define F_DUPFD         0
#define F_DUPFD_CLOEXEC 1030

static __always_inline struct socket_event *
socket_event(struct tail *tail, const struct trace_event_raw_sys_exit *context, __u32 kind)
{
    /* Not connect's slot: its hook on the function may be preempted by a program of these. */
    struct scratch *scratch = scratch_get(SCRATCH_SOCKET_CALL);
    if (!scratch)
        return 0;
    struct socket_event *event = &scratch->socket;
    tail->scratch = scratch;
    tail->at = sizeof(*event);
    __builtin_memset(event, 0, sizeof(*event));
    header_fill(&event->header, kind);
    event->header.syscall = syscall_id(context);
    event->result = context->ret;
    event->path.offset = sizeof(*event);
    return event;
}

static __always_inline void socket_submit(const struct settings *settings,
                                          struct socket_event *event, const struct tail *tail)
{
    __u32 size = tail->at;
    if (size <= sizeof(struct scratch))
        record_submit(settings, &event->header, size, true);
}

static __always_inline bool watched(const struct settings *settings, struct task_struct *task)
{
    return (__u32)LOAD(task, tgid) != settings->sensor_pid && in_scope(settings);
}

static __always_inline __u32 socket_kind(__u32 call)
{
    switch (call) {
    case NUMBER_OF(ACCEPT):
    case NUMBER_OF(ACCEPT4):
        return EVENT_ACCEPT;
    case NUMBER_OF(BIND):
        return EVENT_BIND;
    case NUMBER_OF(LISTEN):
        return EVENT_LISTEN;
    case NUMBER_OF(SOCKET):
        return EVENT_SOCKET;
    default:
        return 0;
    }
}

/* What a program opens every day says nothing; raw sockets and the rest of the families do, of
 * which most have been the way into a kernel. */
static __always_inline bool socket_uncommon(__u32 family, __u32 type)
{
    if (family == AF_INET || family == AF_INET6)
        return type == SOCK_RAW || type == SOCK_PACKET;
    return family != AF_UNSPEC && family != AF_UNIX && family != AF_NETLINK;
}

static __always_inline void socket_made(const struct settings *settings,
                                        const struct trace_event_raw_sys_exit *context)
{
    struct pt_regs *regs = syscall_regs();
    const __u32 family = syscall_argument(regs, 0);
    const __u32 type = syscall_argument(regs, 1) & SOCK_TYPE_MASK;
    if (!socket_uncommon(family, type) || !watched(settings, current_task()))
        return;
    struct tail tail;
    struct socket_event *event = socket_event(&tail, context, EVENT_SOCKET);
    if (!event)
        return;
    event->family = family;
    event->type = type;
    event->protocol = syscall_argument(regs, 2);
    event->descriptor = -1;
    socket_submit(settings, event, &tail);
}

/* The end that a failed bind asked for stands in the caller's memory only. */
static __always_inline void local_from_user(struct socket_event *event, struct tail *tail,
                                            struct pt_regs *regs)
{
    struct sockaddr_bytes address = {};
    __u64 length = (__u32)syscall_argument(regs, 2);
    if (length > sizeof(address) - 1)
        length = sizeof(address) - 1;
    bound_to(length);
    bpf_probe_read_user(&address, length & (sizeof(address) - 1),
                        (void *)syscall_argument(regs, 1));
    peer_from_user(event, tail, &address, length);
    event->local_port = event->remote_port;
    event->remote_port = 0;
    __builtin_memcpy(event->local_address, event->remote_address, 16);
    __builtin_memset(event->remote_address, 0, 16);
}

static __always_inline void socket_used(const struct settings *settings,
                                        const struct trace_event_raw_sys_exit *context, __u32 kind)
{
    struct task_struct *task = current_task();
    if (!watched(settings, task))
        return;
    const long result = context->ret;
    struct pt_regs *regs = syscall_regs();
    const int descriptor = syscall_argument(regs, 0);
    const bool accepted = kind == EVENT_ACCEPT && result >= 0;
    struct sock *sock = sock_of(task, accepted ? result : descriptor);
    /* Closed by another thread already: the one that listened still has its end. */
    const bool gone = accepted && !sock;
    if (gone)
        sock = sock_of(task, descriptor);
    if (!sock && kind != EVENT_BIND)
        return;
    const __u16 family = sock ? BPF_CORE_READ(sock, __sk_common.skc_family) : 0;
    if (sock && !family_known(family))
        return;
    if (kind == EVENT_ACCEPT && family == AF_UNIX && !(settings->connect_mask & CONNECT_UNIX))
        return;

    struct tail tail;
    struct socket_event *event = socket_event(&tail, context, kind);
    if (!event)
        return;
    event->descriptor = descriptor;
    event->family = family;
    if (sock) {
        event->type = BPF_CORE_READ(sock, sk_type);
        event->protocol = BPF_CORE_READ(sock, sk_protocol);
    }
    if (kind == EVENT_LISTEN)
        event->argument = syscall_argument(regs, 1);
    if (kind == EVENT_BIND && (result || !sock))
        local_from_user(event, &tail, regs);
    else if (family == AF_UNIX)
        unix_name(event, &tail, SCRATCH_SOCKET_CALL, (struct unix_sock *)sock);
    else
        ends_of(event, sock, accepted && !gone);
    unmap_ends(event);
    socket_submit(settings, event, &tail);
}

SEC("tracepoint")
int on_socket_call(struct trace_event_raw_sys_exit *context)
{
    const struct settings *settings = settings_get();
    const __u32 kind = socket_kind(syscall_id(context));
    const long result = context->ret;
    if (!kind || !wanted(settings, kind))
        return 0;
    if (kind == EVENT_SOCKET) {
        socket_made(settings, context);
        return 0;
    }
    if (result == -EBADF || result == -ENOTSOCK)
        return 0;
    /* Nobody is there: how every event loop ends its round. */
    if (kind == EVENT_ACCEPT && (result == -EAGAIN || result == -ERESTARTSYS))
        return 0;
    socket_used(settings, context, kind);
    return 0;
}

/* Hooks fcntl, too: what has another result than 0, 1 or 2 leaves at once. */
SEC("tracepoint")
int on_dup(struct trace_event_raw_sys_exit *context)
{
    const long result = context->ret;
    if (result < 0 || result > 2)
        return 0;
    struct pt_regs *regs = syscall_regs();
    if (syscall_id(context) == NUMBER_OF(FCNTL)) {
        const __u32 command = syscall_argument(regs, 1);
        if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
            return 0;
    }
    const struct settings *settings = settings_get();
    struct task_struct *task = current_task();
    const int descriptor = syscall_argument(regs, 0);
    if (!wanted(settings, EVENT_DUP) || descriptor == result || !watched(settings, task))
        return 0;
    struct sock *sock = sock_of(task, result);
    const __u16 family = sock ? BPF_CORE_READ(sock, __sk_common.skc_family) : 0;
    if (!family_known(family) && family != AF_VSOCK)
        return 0;
    struct tail tail;
    struct socket_event *event = socket_event(&tail, context, EVENT_DUP);
    if (!event)
        return 0;
    event->descriptor = descriptor;
    event->family = family;
    event->type = BPF_CORE_READ(sock, sk_type);
    if (family == AF_UNIX) {
        struct unix_sock *peer = unix_peer(sock);
        if (peer)
            unix_name(event, &tail, SCRATCH_SOCKET_CALL, peer);
    } else if (family != AF_VSOCK) {
        ends_of(event, sock, true);
        unmap_ends(event);
    }
    socket_submit(settings, event, &tail);
    return 0;
}

#endif
