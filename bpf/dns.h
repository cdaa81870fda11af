/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Questions to name servers and their answers, over UDP to and from port 53, read off the packets
 * as they pass the root of the cgroup tree. These programs see every packet of every socket: what
 * is no DNS leaves after a few loads. They never refuse one. */
#ifndef PICKET_DNS_H
#define PICKET_DNS_H

#include "datagram.h"

#define IPPROTO_UDP 17
#define DNS_PAYLOAD 512
/* Most messages are shorter than this and take no more of the ring. */
#define DNS_SHORT 128

struct dns_packet {
    __u32 offset; /* of the UDP header */
    __u16 source; /* ports, network byte order */
    __u16 destination;
    __u8 *address; /* of the source; that of the destination follows */
    __u32 length;  /* of an address; 0 for no UDP */
};

/* The headers are together in the packet's first piece: the kernel writes them there, or has pulled
 * them there to find the socket. Extension headers of IPv6 before UDP are not looked through. */
static __always_inline struct dns_packet dns_packet(const struct __sk_buff *packet)
{
    struct dns_packet out = {};
    __u8 *data = (__u8 *)(long)packet->data;
    const __u8 *end = (__u8 *)(long)packet->data_end;
    if (data + 28 > end)
        return out;
    if (data[0] >> 4 == 4) {
        /* Only the first fragment has ports. */
        if (data[9] != IPPROTO_UDP || data[6] & 0x1f || data[7])
            return out;
        out.offset = (data[0] & 15) * 4;
        out.address = data + 12;
        out.length = 4;
    } else {
        if (data[6] != IPPROTO_UDP || data + 48 > end)
            return out;
        out.offset = 40;
        out.address = data + 8;
        out.length = 16;
    }
    const __u8 *udp = data + out.offset;
    if (udp + 8 > end) {
        out.length = 0;
        return out;
    }
    out.source = *(__u16 *)udp;
    out.destination = *(__u16 *)(udp + 2);
    return out;
}

static __always_inline void dns_ends(struct dns_event *event, const struct dns_packet *from,
                                     bool response)
{
    __u8 *source = response ? event->remote_address : event->local_address;
    __u8 *destination = response ? event->local_address : event->remote_address;
    if (from->length == 4) {
        event->family = AF_INET;
        address_v4(source, *(__u32 *)from->address);
        address_v4(destination, *(__u32 *)(from->address + 4));
    } else {
        event->family = AF_INET6;
        address_v6(source, (__u32 *)from->address);
        address_v6(destination, (__u32 *)(from->address + 16));
    }
    event->remote_port = __builtin_bswap16(response ? from->source : from->destination);
    event->local_port = __builtin_bswap16(response ? from->destination : from->source);
}

/* The message as it is in the ring, with room for the longest or for a short one. */
struct dns_record {
    struct dns_event event;
    __u8 payload[DNS_PAYLOAD];
};

static __always_inline void dns_record(struct __sk_buff *packet, const struct dns_event *event,
                                       struct class_counters *count, __u32 at, __u64 flags,
                                       const __u32 room)
{
    struct dns_record *record = bpf_ringbuf_reserve(&ring, sizeof(*event) + room, 0);
    if (!record) {
        __sync_fetch_and_add(&count->lost, 1);
        return;
    }
    record->event = *event;
    __builtin_memset(record->payload, 0, room);
    __u32 size = event->payload_bytes;
    if (size > room)
        size = room;
    /* Older verifiers learn no least number from "not zero": it has to be made. */
    __u32 beyond_first = size - 1;
    bound_to(beyond_first);
    beyond_first &= room - 1;
    if (size && !bpf_skb_load_bytes(packet, at, record->payload, beyond_first + 1))
        record->event.payload.size = size;
    else
        record->event.header.flags |= FLAG_RAW_UNREADABLE;
    bpf_ringbuf_submit(record, flags);
    __sync_fetch_and_add(&count->submitted, 1);
}

static __always_inline void dns_report(const struct settings *settings, struct __sk_buff *packet,
                                       struct dns_event *event, __u32 at)
{
    event->payload_bytes = packet->len - at;
    event->payload.offset = sizeof(*event);
    if (event->payload_bytes > DNS_PAYLOAD)
        event->header.flags |= FLAG_PAYLOAD_TRUNCATED;
    struct class_counters *count = count_generated(EVENT_DNS);
    __u64 flags;
    if (!count || !record_admit(settings, count, &event->header, true, &flags))
        return;
    if (event->payload_bytes <= DNS_SHORT)
        dns_record(packet, event, count, at, flags, DNS_SHORT);
    else
        dns_record(packet, event, count, at, flags, DNS_PAYLOAD);
}

SEC("cgroup_skb/egress")
int on_dns_query(struct __sk_buff *packet)
{
    const struct dns_packet udp = dns_packet(packet);
    if (!udp.length)
        return 1;
    /* The packet's address may be translated already, as it is for Docker's own name server: a
     * connected socket still says where it believes to be heading. */
    const bool translated = udp.destination != __builtin_bswap16(DNS_PORT);
    if (translated && packet->remote_port != __builtin_bswap32(DNS_PORT))
        return 1;
    const struct settings *settings = settings_get();
    if (!wanted(settings, EVENT_DNS) || packet->len <= udp.offset + 8)
        return 1;
    struct task_struct *task = untyped_task();
    struct dns_event event = {};
    header_of_task(&event.header, EVENT_DNS, task);
    const __u32 pid = event.header.pid;
    if (settings->scope & SCOPE_TASKS && !task_in_scope(settings, task, pid))
        return 1;
    __u64 cookie = bpf_get_socket_cookie(packet);
    asker_remember(cookie, &event.header);
    if (pid == settings->sensor_pid)
        return 1;
    dns_ends(&event, &udp, false);
    if (translated) {
        event.remote_port = DNS_PORT;
        if (event.family == AF_INET)
            address_v4(event.remote_address, packet->remote_ip4);
        else
            address_v6(event.remote_address, packet->remote_ip6);
    }
    dns_report(settings, packet, &event, udp.offset + 8);
    return 1;
}

SEC("cgroup_skb/ingress")
int on_dns_response(struct __sk_buff *packet)
{
    const struct dns_packet udp = dns_packet(packet);
    if (!udp.length || udp.source != __builtin_bswap16(DNS_PORT))
        return 1;
    const struct settings *settings = settings_get();
    if (!wanted(settings, EVENT_DNS) || packet->len <= udp.offset + 8)
        return 1;
    __u64 cookie = bpf_get_socket_cookie(packet);
    const struct asker *asker = bpf_map_lookup_elem(&askers, &cookie);
    struct dns_event event = {};
    event.header.time = bpf_ktime_get_boot_ns();
    event.header.kind = EVENT_DNS;
    event.header.flags = FLAG_DNS_RESPONSE;
    event.header.user = -1; /* as far as is known by now */
    event.header.effective_user = -1;
    if (asker) { /* was in scope when it asked */
        if (asker->pid == settings->sensor_pid)
            return 1;
        event.header.start = asker->start;
        event.header.cgroup_id = asker->cgroup_id;
        event.header.pid = asker->pid;
        event.header.tid = asker->tid;
        event.header.flags |= asker->flags;
    } else {
        /* Nobody is known to have asked; the socket's own group pays for it. */
        if (settings->scope & SCOPE_TASKS)
            return 1;
        event.header.cgroup_id = bpf_skb_cgroup_id(packet);
        event.header.flags |= FLAG_KERNEL_ACTOR;
    }
    dns_ends(&event, &udp, true);
    dns_report(settings, packet, &event, udp.offset + 8);
    return 1;
}

#endif
