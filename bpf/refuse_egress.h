/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Refusing what is sent: connections and datagrams to a peer where the kernel asks a cgroup's
 * programs for leave, and every packet of an isolated cgroup. Hooked up to the cgroups concerned
 * only, so that nobody else pays. Loopback always passes, Docker's own resolver (127.0.0.11) with
 * it. */
#ifndef PICKET_REFUSE_EGRESS_H
#define PICKET_REFUSE_EGRESS_H

#include "refuse.h"

#define PASS 1
#define DROP 0

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 8192);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct refusal_network_key);
    __type(value, struct refusal_ports);
} refusal_networks SEC(".maps");

/* As two words and a third, so that it can be handed to a global function. */
struct peer {
    __u64 high; /* of the address, as it lies in memory */
    __u64 low;
    __u64 rest; /* PEER_REST */
    __u64 cgroup;
};
#define PEER_REST(port, family, protocol, packet)                                                  \
    ((__u64)(port) | (__u64)(family) << 16 | (__u64)(protocol) << 24 | (__u64)(packet) << 32)
#define PEER_PORT(rest)     ((__u16)(rest))
#define PEER_FAMILY(rest)   ((__u8)((rest) >> 16))
#define PEER_PROTOCOL(rest) ((__u8)((rest) >> 24))
#define PEER_PACKET(rest)   ((rest) >> 32 & 1)

static __always_inline bool peer_listed(__u32 slot, __u64 high, __u64 low, __u64 rest)
{
    struct refusal_network_key key = {
        .prefix_bits = 8 * (sizeof(key) - sizeof(key.prefix_bits)),
        .rule = slot,
        .family = PEER_FAMILY(rest),
    };
    __builtin_memcpy(key.address, &high, 8);
    __builtin_memcpy(key.address + 8, &low, 8);
    const struct refusal_ports *ports = bpf_map_lookup_elem(&refusal_networks, &key);
    const __u16 port = PEER_PORT(rest);
    for (__u32 i = 0; ports && i < REFUSAL_PORT_RANGES && i < ports->count; i++) {
        if (port >= ports->ranges[2 * i] && port <= ports->ranges[2 * i + 1])
            return true;
    }
    return false;
}

/* Returns 1 when the rule refuses the peer. Global like path_step(). */
__noinline int egress_rule(__u32 slot, __u64 high, __u64 low, __u64 rest, __u64 cgroup)
{
    const struct refusal_rule *rule = bpf_map_lookup_elem(&refusal_rules, &slot);
    if (!rule)
        return 0;
    const bool isolates = rule->kind == REFUSAL_ISOLATE;
    if (!rule_in_force(rule, isolates ? REFUSAL_ISOLATE : REFUSAL_EGRESS))
        return 0;
    if (!isolates && peer_listed(slot, high, low, rest) == !!(rule->flags & REFUSAL_ALLOW_ONLY))
        return 0;
    struct refusal_event event = {
        .family = PEER_FAMILY(rest), .port = PEER_PORT(rest), .protocol = PEER_PROTOCOL(rest)};
    refusal_fill(&event, slot, rule, cgroup);
    __builtin_memcpy(event.address, &high, 8);
    __builtin_memcpy(event.address + 8, &low, 8);
    /* A packet may be sent in an interrupt, in which the current process is anybody. */
    if (!PEER_PACKET(rest)) {
        struct task_struct *task = refuse_task();
        event.start = BPF_CORE_READ(task, group_leader, start_boottime);
        event.pid = BPF_CORE_READ(task, tgid);
    }
    event.count = refusal_count(&event, high ^ low << 1 ^ rest << 2);
    if (event.count)
        refusal_put(&event, sizeof(event));
    return event.refused;
}

/* Returns 1 when a rule of a cgroup refuses the peer. */
static __always_inline int egress_rules(__u64 id, __u32 kind, const struct peer *peer)
{
    const struct refusal_scope *scope = scope_find(id, kind);
    int refused = 0;
    for (__u32 i = 0; scope && i < REFUSAL_SCOPE_RULES && i < scope->count; i++)
        refused |= egress_rule(scope->rules[i], peer->high, peer->low, peer->rest, peer->cgroup);
    return refused != 0;
}

__noinline int egress_scope(__u64 id, __u64 high, __u64 low, __u64 rest, __u64 cgroup)
{
    const struct peer peer = {.high = high, .low = low, .rest = rest, .cgroup = cgroup};
    int refused = egress_rules(id, REFUSAL_ISOLATE, &peer);
    if (!PEER_PACKET(rest))
        refused |= egress_rules(id, REFUSAL_EGRESS, &peer);
    return refused;
}

static __always_inline int egress_scope_of(__u64 id, void *of)
{
    const struct peer *peer = of;
    return egress_scope(id, peer->high, peer->low, peer->rest, peer->cgroup);
}

static __always_inline bool is_loopback(const __u32 *address, __u8 family)
{
    const __u8 first = address[0];
    if (family == AF_INET)
        return first == 127 || !address[0];
    return !address[0] && !address[1] && !address[2] &&
           (!address[3] || address[3] == __builtin_bswap32(1));
}

/* `address`: four words in network order, changed. `sock`: the socket's place in the kernel. */
static __always_inline int egress_verdict(__u32 *address, __u8 family, __u64 rest, __u64 sock)
{
    if (family == AF_INET6 && !address[0] && !address[1] &&
        address[2] == __builtin_bswap32(0x0000ffff)) {
        address[0] = address[3];
        address[2] = 0;
        address[3] = 0;
        family = AF_INET;
    }
    if (is_loopback(address, family))
        return PASS;
    struct cgroup *cgroup = sock_cgroup(sock);
    if (!cgroup)
        return PASS;
    struct peer peer = {.rest = rest | (__u64)family << 16,
                        .high = address[0] | (__u64)address[1] << 32,
                        .low = address[2] | (__u64)address[3] << 32,
                        .cgroup = BPF_CORE_READ(cgroup, kn, id)};
    return scope_walk(cgroup, egress_scope_of, &peer) ? DROP : PASS;
}

/* A pointer to a socket, which the verifier knows as one, as a plain number. */
static __always_inline __u64 number_of(struct bpf_sock *sock)
{
    __u64 number = 0;
    bpf_probe_read_kernel(&number, sizeof(number), &sock);
    return number;
}

static __always_inline int egress_asked(struct bpf_sock_addr *context, __u32 *address, __u8 family)
{
    struct bpf_sock *sock = context->sk;
    const __u16 port = __builtin_bswap16(context->user_port);
    const __u8 protocol = context->protocol;
    if (!sock || refuse_exempt(refuse_task()))
        return PASS;
    return egress_verdict(address, family, PEER_REST(port, 0, protocol, 0), number_of(sock));
}

static __always_inline int egress_asked_v4(struct bpf_sock_addr *context)
{
    __u32 address[4] = {context->user_ip4};
    return egress_asked(context, address, AF_INET);
}

static __always_inline int egress_asked_v6(struct bpf_sock_addr *context)
{
    __u32 address[4] = {context->user_ip6[0], context->user_ip6[1], context->user_ip6[2],
                        context->user_ip6[3]};
    return egress_asked(context, address, AF_INET6);
}

SEC("cgroup/connect4")
int refuse_connect4(struct bpf_sock_addr *context)
{
    return egress_asked_v4(context);
}

SEC("cgroup/connect6")
int refuse_connect6(struct bpf_sock_addr *context)
{
    return egress_asked_v6(context);
}

SEC("cgroup/sendmsg4")
int refuse_send4(struct bpf_sock_addr *context)
{
    return egress_asked_v4(context);
}

SEC("cgroup/sendmsg6")
int refuse_send6(struct bpf_sock_addr *context)
{
    return egress_asked_v6(context);
}

struct packet_v4 {
    __u8 version;
    __u8 before[8];
    __u8 protocol;
    __u8 between[6];
    __u32 to;
};
struct packet_v6 {
    __u8 before[6];
    __u8 protocol;
    __u8 between[17];
    __u32 to[4];
};

SEC("cgroup_skb/egress")
int refuse_packet(struct __sk_buff *context)
{
    struct bpf_sock *sock = context->sk;
    if (!sock)
        return PASS;
    const __u64 number = number_of(sock);
    __u32 address[4] = {};
    struct packet_v4 plain;
    if (bpf_skb_load_bytes(context, 0, &plain, sizeof(plain)))
        return PASS;
    if (plain.version >> 4 == 4) {
        address[0] = plain.to;
        return egress_verdict(address, AF_INET, PEER_REST(0, 0, plain.protocol, 1), number);
    }
    struct packet_v6 packet;
    if (plain.version >> 4 != 6 || bpf_skb_load_bytes(context, 0, &packet, sizeof(packet)))
        return PASS;
    __builtin_memcpy(address, packet.to, sizeof(address));
    return egress_verdict(address, AF_INET6, PEER_REST(0, 0, packet.protocol, 1), number);
}

#endif
