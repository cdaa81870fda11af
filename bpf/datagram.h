/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Datagrams to a peer that their socket did not send to just before. Seen where the kernel asks a
 * cgroup's programs for leave, which is the same for sendto, sendmsg, sendmmsg and io_uring: with
 * the address as the kernel took it, before any translation, and before it is known whether a route
 * leads there. Datagrams of a connected socket to its peer do not come here. */
#ifndef PICKET_DATAGRAM_H
#define PICKET_DATAGRAM_H

#include "network.h"

#define SOCK_DGRAM 2
#define DNS_PORT   53

/* Programs on cgroups may be interrupted by themselves, so they have no scratch area; and before
 * 5.15 they are not given typed tasks, before 6.10 not all of them the current process's number. */

static __always_inline struct task_struct *untyped_task(void)
{
    return (struct task_struct *)bpf_get_current_task();
}

static __always_inline void header_of_task(struct event_header *header, __u32 kind,
                                           struct task_struct *task)
{
    header->time = bpf_ktime_get_boot_ns();
    header->start = BPF_CORE_READ(task, group_leader, start_boottime);
    header->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
    header->pid = BPF_CORE_READ(task, tgid);
    header->tid = BPF_CORE_READ(task, pid);
    header->kind = kind;
    header->syscall = 0;
    /* Only kernel threads have no memory of their own. */
    header->flags = BPF_CORE_READ(task, mm) ? 0 : FLAG_KERNEL_ACTOR;
    header->user = BPF_CORE_READ(task, cred, uid.val);
    header->effective_user = BPF_CORE_READ(task, cred, euid.val);
}

static __always_inline void address_v6(__u8 *to, const __u32 *words)
{
    __u32 *out = (__u32 *)to;
    out[0] = words[0];
    out[1] = words[1];
    out[2] = words[2];
    out[3] = words[3];
}

/* Who last sent a question from a socket, by its cookie: answers come in interrupts, in which the
 * current process is anybody. */
struct asker {
    __u64 start;
    __u64 cgroup_id;
    __u32 pid;
    __u32 tid;
    __u64 flags;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, __u64);
    __type(value, struct asker);
} askers SEC(".maps");

static __always_inline void asker_remember(__u64 cookie, const struct event_header *header)
{
    struct asker asker = {.start = header->start,
                          .cgroup_id = header->cgroup_id,
                          .pid = header->pid,
                          .tid = header->tid,
                          .flags = header->flags};
    bpf_map_update_elem(&askers, &cookie, &asker, BPF_ANY);
}

/* The peer of a socket's last datagram, by its cookie. */
struct last_peer {
    __u64 address[2];
    __u64 port;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, __u64);
    __type(value, struct last_peer);
} last_peers SEC(".maps");

/* A datagram to the same peer again is no event and is not counted: it costs one look-up. */
static __always_inline void datagram_sent(struct bpf_sock_addr *context, const __u16 family,
                                          const struct last_peer *peer)
{
    const struct settings *settings = settings_get();
    const __u16 port = peer->port;
    const bool send = wanted(settings, EVENT_SEND);
    const bool question = port == DNS_PORT && wanted(settings, EVENT_DNS);
    if (!send && !question)
        return;
    __u64 cookie = bpf_get_socket_cookie(context);
    const struct last_peer *last = send ? bpf_map_lookup_elem(&last_peers, &cookie) : 0;
    const bool again = last && last->port == port && last->address[0] == peer->address[0] &&
                       last->address[1] == peer->address[1];
    if (again && !question)
        return;
    struct task_struct *task = untyped_task();
    struct socket_event event = {.family = family,
                                 .type = SOCK_DGRAM,
                                 .protocol = context->protocol,
                                 .remote_port = port,
                                 .descriptor = -1,
                                 .path.offset = sizeof(event)};
    header_of_task(&event.header, EVENT_SEND, task);
    const __u32 pid = event.header.pid;
    if (settings->scope & SCOPE_TASKS && !task_in_scope(settings, task, pid))
        return;
    if (question)
        asker_remember(cookie, &event.header);
    if (!send || again || pid == settings->sensor_pid)
        return;
    __builtin_memcpy(event.remote_address, peer->address, 16);
    if (family == AF_INET)
        address_v4(event.local_address, context->msg_src_ip4);
    else
        address_v6(event.local_address, context->msg_src_ip6);
    struct bpf_sock *sock = context->sk;
    if (sock)
        event.local_port = sock->src_port;
    struct class_counters *count = count_generated(EVENT_SEND);
    if (count && record_put(settings, count, &event.header, sizeof(event), true))
        bpf_map_update_elem(&last_peers, &cookie, peer, BPF_ANY);
}

SEC("cgroup/sendmsg4")
int on_send4(struct bpf_sock_addr *context)
{
    struct last_peer peer = {.port = __builtin_bswap16(context->user_port)};
    address_v4((__u8 *)peer.address, context->user_ip4);
    datagram_sent(context, AF_INET, &peer);
    return 1;
}

SEC("cgroup/sendmsg6")
int on_send6(struct bpf_sock_addr *context)
{
    struct last_peer peer = {.port = __builtin_bswap16(context->user_port)};
    address_v6((__u8 *)peer.address, context->user_ip6);
    datagram_sent(context, AF_INET6, &peer);
    return 1;
}

#endif
