/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is asked for through io_uring: the same events as those of the system calls. On the hook on
 * the function that carries out a request the truth is looked up at once, by the thread that did
 * it. Elsewhere it is looked up when the result is made known, or when the same thread goes on to
 * its next request, whichever comes first. Before 5.19 (cef216fc32d7) a request does not keep its
 * result, and the programs are refused there. */
#ifndef PICKET_IO_URING_H
#define PICKET_IO_URING_H

#include "io_uring_change.h"

/* The file that an open left in the table of descriptors or in a slot of the ring. */
static __always_inline struct file *uring_opened(struct io_kiocb *request, __u32 slot, __u32 result)
{
    if (!slot)
        return file_of(current_task(), result);
    const __u32 index = slot == SLOT_ANY ? result : slot - 1;
    struct io_ring_ctx *ring = BPF_CORE_READ(request, ctx);
    unsigned long word;
    struct io_file_table___flat *flat = (struct io_file_table___flat *)&ring->file_table;
    if (bpf_core_field_exists(flat->files)) {
        struct io_fixed_file *files = BPF_CORE_READ(flat, files);
        word = word_at(&files[index]);
    } else {
        struct io_ring_ctx___nodes *table = (struct io_ring_ctx___nodes *)ring;
        struct io_rsrc_node___file **nodes = BPF_CORE_READ(table, file_table.data.nodes);
        struct io_rsrc_node___file *node = (struct io_rsrc_node___file *)word_at(&nodes[index]);
        word = BPF_CORE_READ(node, file_ptr);
    }
    return (struct file *)(word & ~7ul); /* FFS_*, from 6.13 on two of them */
}

/* These two are global functions of plain numbers for the reason path_step() is. `begun`: that it
 * was asked for is all that will be known. */
__noinline int uring_open(__u64 address, __u32 slot, int result, bool begun)
{
    REQUIRE_RESULT();
    const struct settings *settings = settings_get();
    if (!settings)
        return 0;
    struct io_open *open = (struct io_open *)address;
    struct uring_asked *asked = bpf_map_lookup_elem(&uring_requests, &address);
    struct open_call call = {.task = current_task(),
                             .raw_kernel = true,
                             .directory = BPF_CORE_READ(open, dfd),
                             .result = result,
                             .flags = BPF_CORE_READ(open, how.flags) & ~O_LARGEFILE,
                             .header_flags = uring_flags(),
                             .syscall = NUMBER_OF(IO_URING_ENTER),
                             .slot = slot};
    if (asked && asked->first.size) {
        call.raw = asked->first.bytes;
        if (asked->first.size == ASKED_SIZE)
            call.header_flags |= FLAG_RAW_UNREADABLE;
    } else {
        call.header_flags |= FLAG_RAW_UNREADABLE;
    }
    if (result >= 0 && !begun)
        call.file =
            uring_opened((struct io_kiocb *)address, BPF_CORE_READ(open, file_slot), result);
    const __u32 interest = open_interest(settings, &call);
    if (interest)
        open_ends(settings, &call, interest);
    return 0;
}

__noinline int uring_connect(__u64 address, __u32 slot, int result, bool begun)
{
    REQUIRE_RESULT();
    const struct settings *settings = settings_get();
    if (!settings || result == -EBADF || result == -ENOTSOCK)
        return 0;
    /* The request holds on to its file, whatever became of the descriptor. */
    struct io_kiocb *request = (struct io_kiocb *)address;
    struct file *file = BPF_CORE_READ(request, file);
    struct sock *sock = begun ? 0 : sock_behind(file);
    struct io_connect *connect = (struct io_connect *)address;
    __u32 length = BPF_CORE_READ(connect, addr_len);
    if (length > sizeof(struct sockaddr_bytes) - 1)
        length = sizeof(struct sockaddr_bytes) - 1;
    bound_to(length);
    struct sockaddr_bytes peer = {};
    struct uring_asked *asked = bpf_map_lookup_elem(&uring_requests, &address);
    if (asked)
        bpf_probe_read_kernel(&peer, sizeof(peer), asked->first.bytes);
    const struct connect_call call = {
        .sock = sock,
        .address = &peer,
        .length = length,
        .flags = uring_flags(),
        .result = result,
        .family = sock ? BPF_CORE_READ(sock, __sk_common.skc_family) : 0,
        .syscall = NUMBER_OF(IO_URING_ENTER),
        .slot = slot,
    };
    if ((sock || begun) && !family_asked(settings, sock ? call.family : peer.family))
        return 0;
    return connect_report(settings, &call);
}

static __always_inline void uring_report(__u64 request, __u8 operation, __u32 slot, int result,
                                         bool begun)
{
    if (operation == URING_CONNECT)
        uring_connect(request, slot, result, begun);
    else if (operation == URING_OPENAT || operation == URING_OPENAT2)
        uring_open(request, slot, result, begun);
    else
        uring_change(request, slot, result);
}

/* A pointer with a type is no number to the verifier; the copy of it is. */
static __always_inline __u64 uring_address(const __u64 *argument)
{
    __u64 address = 0;
    bpf_probe_read_kernel(&address, sizeof(address), argument);
    return address;
}

/* Reports a request that has its result, unless that was done. */
static __always_inline void uring_ends(__u64 address, __u8 operation, __u32 slot)
{
    struct io_kiocb *request = (struct io_kiocb *)address;
    const int result = BPF_CORE_READ(request, cqe.res);
    struct uring_asked *asked = bpf_map_lookup_elem(&uring_requests, &address);
    if (!asked || asked->told == TOLD_NOTHING || (asked->told == TOLD_BEGIN && result < 0))
        uring_report(address, operation, slot, result, false);
    if (asked)
        bpf_map_delete_elem(&uring_requests, &address);
}

SEC("fentry/io_issue_sqe")
int on_uring_begins(const __u64 *context)
{
    REQUIRE_RESULT();
    const __u8 operation = uring_operation((struct io_kiocb *)context[0]);
    const struct settings *settings = settings_get();
    if (settings && uring_watched(settings, operation))
        uring_remember(uring_address(&context[0]), operation, TOLD_NOTHING);
    return 0;
}

SEC("fexit/io_issue_sqe")
int on_uring_issue(const __u64 *context)
{
    REQUIRE_RESULT();
    const __u8 operation = uring_operation((struct io_kiocb *)context[0]);
    const int returned = context[2];
    const struct settings *settings = settings_get();
    if (returned == 0 && settings && uring_watched(settings, operation))
        uring_ends(uring_address(&context[0]), operation, SCRATCH_IO_URING);
    return 0;
}

/* Where hooks on functions are refused. */
SEC("tp_btf/io_uring_complete")
int on_uring_complete(const __u64 *context)
{
    REQUIRE_RESULT();
    const __u64 address = context[1];
    if (!address) /* a further result of a request, or no request's */
        return 0;
    struct io_kiocb *request = (struct io_kiocb *)address;
    const __u8 operation = uring_operation(request);
    const struct settings *settings = settings_get();
    if (settings && uring_watched(settings, operation))
        uring_ends(address, operation, SCRATCH_IO_URING);
    return 0;
}

static __always_inline int uring_submitted(const __u64 *context)
{
    REQUIRE_RESULT();
    const struct settings *settings = settings_get();
    if (!settings)
        return 0;
    /* The one before may be done; what this one does to descriptors must not show in its event. */
    struct io_kiocb *request = (struct io_kiocb *)context[0];
    struct io_ring_ctx *ring = BPF_CORE_READ(request, ctx);
    if (BPF_CORE_READ(ring, submit_state.compl_reqs.first)) {
        struct io_wq_work_node *last = BPF_CORE_READ(ring, submit_state.compl_reqs.last);
        __u64 before = (__u64)last - bpf_core_field_offset(struct io_kiocb, comp_list);
        const __u8 operation = uring_operation((struct io_kiocb *)before);
        struct uring_asked *asked = 0;
        if (uring_watched(settings, operation))
            asked = bpf_map_lookup_elem(&uring_requests, &before);
        if (asked && asked->told == TOLD_NOTHING) {
            struct io_kiocb *done = (struct io_kiocb *)before;
            uring_report(before, operation, SCRATCH_IO_URING_ASKED, BPF_CORE_READ(done, cqe.res),
                         false);
            asked->told = TOLD_END;
        }
    }
    const __u8 operation = uring_operation(request);
    if (!uring_watched(settings, operation))
        return 0;
    const __u64 address = uring_address(&context[0]);
    __u32 flags = 0;
    bpf_core_read(&flags, sizeof(flags), &request->flags);
    const bool skips = flags & REQUEST_SKIPS;
    uring_remember(address, operation, skips ? TOLD_BEGIN : TOLD_NOTHING);
    if (skips) {
        uring_report(address, operation, SCRATCH_IO_URING_ASKED,
                     operation == URING_CONNECT ? -EINPROGRESS : 0, true);
    }
    return 0;
}

SEC("tp_btf/io_uring_submit_req")
int on_uring_submit(const __u64 *context)
{
    return uring_submitted(context);
}

/* What it was called before 6.4 (2ad57931db64). */
SEC("tp_btf/io_uring_submit_sqe")
int on_uring_submit_sqe(const __u64 *context)
{
    return uring_submitted(context);
}

#endif
