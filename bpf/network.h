/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections, seen when connect(2) returns. The peer is read from the kernel's socket; where that
 * no longer knows it (a refused TCP connection is reset at once), from the caller's memory, and the
 * event says so. */
#ifndef PICKET_NETWORK_H
#define PICKET_NETWORK_H

#include "file.h"

struct sockaddr_bytes {
    __u16 family;
    __u8 bytes[126];
};

static __always_inline void address_v4(__u8 *to, __be32 address)
{
    *(__be32 *)to = address;
}

/* A v4 address that came in v6 clothes is a v4 connection on the wire, and is reported as one. */
static __always_inline bool unmap_v4(__u8 *address)
{
    __u32 *words = (__u32 *)address;
    if (words[0] || words[1] || words[2] != __builtin_bswap32(0x0000ffff))
        return false;
    words[0] = words[3];
    words[3] = 0;
    words[2] = 0;
    return true;
}

static __always_inline void unmap_ends(struct socket_event *event)
{
    if (event->family != AF_INET6)
        return;
    if (unmap_v4(event->remote_address)) {
        event->family = AF_INET;
        if (!unmap_v4(event->local_address))
            __builtin_memset(event->local_address, 0, 16);
    } else if (!event->remote_port && unmap_v4(event->local_address)) {
        event->family = AF_INET;
    }
}

static __always_inline struct unix_sock *unix_peer(struct sock *sock)
{
    struct unix_sock *unix_sock = (struct unix_sock *)sock;
    if (!bpf_core_field_exists(unix_sock->peer))
        return 0;
    return (struct unix_sock *)BPF_CORE_READ(unix_sock, peer);
}

/* Abstract and unnamed sockets have no file: their name is the address itself. */
static __always_inline void unix_name(struct socket_event *event, struct tail *tail,
                                      enum scratch_slot slot, struct unix_sock *sock)
{
    if (!bpf_core_field_exists(sock->path)) /* no CONFIG_UNIX */
        return;
    struct dentry *dentry = BPF_CORE_READ(sock, path.dentry);
    if (dentry) {
        tail_path(tail, &event->path,
                  path_resolve(path_of(&sock->path), slot, &event->header.flags));
        return;
    }
    struct unix_address *address = BPF_CORE_READ(sock, addr);
    if (!address)
        return;
    int length = BPF_CORE_READ(address, len);
    if (length <= 2 || length > 110)
        return;
    void *name = (void *)address + bpf_core_field_offset(struct unix_address, name) + 2;
    tail_kernel(tail, &event->path, name, (length - 2) & 127);
}

static __always_inline bool family_known(__u16 family)
{
    return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

static __always_inline bool family_asked(const struct settings *settings, __u16 family)
{
    if (family == AF_UNIX)
        return settings->connect_mask & CONNECT_UNIX;
    return family_known(family) && settings->connect_mask & (CONNECT_IP | CONNECT_PORTS);
}

/* A peer that only the caller's memory names is not left out because of what stands there. */
static __always_inline bool port_asked(const struct settings *settings,
                                       const struct socket_event *event)
{
    if (settings->connect_mask & CONNECT_IP || event->header.flags & FLAG_PEER_FROM_USER)
        return true;
    __u32 port = event->remote_port;
    return bpf_map_lookup_elem(&interest_ports, &port) != 0;
}

/* What the caller's memory says now. Another thread may have changed it since the kernel read it,
 * so nothing is left out because of what stands there. */
static __always_inline void peer_from_user(struct socket_event *event, struct tail *tail,
                                           const struct sockaddr_bytes *address, __u32 length)
{
    event->header.flags |= FLAG_PEER_FROM_USER;
    if (!family_known(address->family)) {
        event->header.flags |= FLAG_RAW_UNREADABLE;
        return;
    }
    event->family = address->family;
    if (address->family == AF_UNIX) {
        /* A path ends at its NUL, wherever the caller said it ends; an abstract name starts with
         * one. */
        if (address->bytes[0])
            tail_string(tail, &event->path, address->bytes, false);
        else
            tail_kernel(tail, &event->path, address->bytes, (length > 2 ? length - 2 : 0) & 127);
        return;
    }
    event->remote_port = __builtin_bswap16(*(__be16 *)&address->bytes[0]);
    if (address->family == AF_INET)
        __builtin_memcpy(event->remote_address, &address->bytes[2], 4);
    else
        __builtin_memcpy(event->remote_address, &address->bytes[6], 16);
}

static __always_inline struct sock *sock_behind(struct file *file)
{
    if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
        return 0;
    struct socket *socket = BPF_CORE_READ(file, private_data);
    return BPF_CORE_READ(socket, sk);
}

/* The socket behind a descriptor; 0 when it is none (any more). */
static __always_inline struct sock *sock_of(struct task_struct *task, __u32 descriptor)
{
    return sock_behind(file_of(task, descriptor));
}

/* Both ends as an IP socket has them. The remote one stays 0 where the kernel knows none. */
static __always_inline void ends_of(struct socket_event *event, struct sock *sock, bool connected)
{
    event->protocol = BPF_CORE_READ(sock, sk_protocol);
    event->local_port = BPF_CORE_READ(sock, __sk_common.skc_num);
    if (connected)
        event->remote_port = __builtin_bswap16(BPF_CORE_READ(sock, __sk_common.skc_dport));
    if (event->family == AF_INET) {
        address_v4(event->local_address, BPF_CORE_READ(sock, __sk_common.skc_rcv_saddr));
        if (connected)
            address_v4(event->remote_address, BPF_CORE_READ(sock, __sk_common.skc_daddr));
    } else if (bpf_core_field_exists(sock->__sk_common.skc_v6_daddr)) { /* CONFIG_IPV6 */
        bpf_core_read(event->local_address, 16, &sock->__sk_common.skc_v6_rcv_saddr);
        if (connected)
            bpf_core_read(event->remote_address, 16, &sock->__sk_common.skc_v6_daddr);
    }
}

/* A connect that is about to return. */
struct connect_call {
    struct sock *sock; /* 0 where the descriptor stands for none any more */
    struct sockaddr_bytes *address;
    __u32 length;
    __u32 flags;
    long result;
    __u16 family; /* of `sock` */
    __u16 syscall;
    enum scratch_slot slot;
};

static __always_inline int connect_report(const struct settings *settings,
                                          const struct connect_call *call);

/* The address is the caller's to change while the call waits, and so is what its descriptor stands
 * for: neither decides whether there is an event, unless the kernel agrees that nothing happened
 * (a dissolved UDP association). */
static __always_inline int connect_returns(long result)
{
    const struct settings *settings = settings_get();
    if (!wanted(settings, EVENT_CONNECT))
        return 0;
    struct task_struct *task = current_task();
    if ((__u32)LOAD(task, tgid) == settings->sensor_pid || !in_scope(settings))
        return 0;
    if (result == -EBADF || result == -ENOTSOCK)
        return 0;

    struct pt_regs *regs = syscall_regs();
    struct sock *sock = sock_of(task, syscall_argument(regs, 0));
    __u16 family = sock ? BPF_CORE_READ(sock, __sk_common.skc_family) : 0;
    if (sock && !family_asked(settings, family))
        return 0;

    /* The length is an int: what lies above it in the register is not the kernel's business. */
    struct sockaddr_bytes address = {};
    __u64 length = (__u32)syscall_argument(regs, 2);
    if (length > sizeof(address) - 1)
        length = sizeof(address) - 1;
    bound_to(length);
    bpf_probe_read_user(&address, length & (sizeof(address) - 1),
                        (void *)syscall_argument(regs, 1));
    const struct connect_call call = {.sock = sock,
                                      .address = &address,
                                      .length = length,
                                      .result = result,
                                      .family = family,
                                      .syscall = NUMBER_OF(CONNECT),
                                      .slot = SCRATCH_SOCKET};
    return connect_report(settings, &call);
}

static __always_inline int connect_report(const struct settings *settings,
                                          const struct connect_call *call)
{
    struct sock *sock = call->sock;
    const struct sockaddr_bytes *address = call->address;
    const __u32 length = call->length;
    const __u16 family = call->family;
    const long result = call->result;
    struct scratch *scratch = scratch_get(call->slot);
    if (!scratch)
        return 0;
    struct socket_event *event = &scratch->socket;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    __builtin_memset(event, 0, sizeof(*event));
    header_fill(&event->header, EVENT_CONNECT);
    event->header.syscall = call->syscall;
    event->header.flags = call->flags;
    /* What a signal interrupts goes on in the background; the caller sees EINTR, or calls again. */
    event->result = result == -ERESTARTSYS ? -EINTR : result;
    event->family = family;
    event->path.offset = sizeof(*event);
    bool connected = result == 0 || result == -EINPROGRESS || result == -EALREADY ||
                     result == -EINTR || result == -ERESTARTSYS;

    if (!sock) {
        peer_from_user(event, &tail, address, length);
    } else if (family == AF_UNIX) {
        struct unix_sock *peer = unix_peer(sock);
        if (connected && peer)
            unix_name(event, &tail, call->slot, peer);
        /* AF_UNSPEC dissolves an association: no new peer. */
        if (!peer && result == 0 && address->family == AF_UNSPEC)
            return 0;
        if (!event->path.size)
            peer_from_user(event, &tail, address, length);
    } else {
        ends_of(event, sock, connected);
        if (result == 0 && address->family == AF_UNSPEC && !event->remote_port)
            return 0;
        if (!connected)
            peer_from_user(event, &tail, address, length);
        unmap_ends(event);
        if (!port_asked(settings, event))
            return 0;
    }
    __u32 size = tail.at;
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, true);
    return 0;
}

SEC("tracepoint/syscalls/sys_exit_connect")
int on_connect(struct trace_event_raw_sys_exit *context)
{
    return connect_returns(context->ret);
}

SEC("fexit/" SYSCALL_FUNCTION("connect"))
int on_connect_function(const __u64 *context)
{
    return connect_returns(SYSCALL_RESULT(context));
}

#endif
