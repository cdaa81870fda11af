/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A request to io_uring, and what is kept of it while it is carried out. */
#ifndef PICKET_IO_URING_REQUEST_H
#define PICKET_IO_URING_REQUEST_H

#include "network.h"

/* The kernel adds it to every open. */
#if defined(__TARGET_ARCH_x86)
#define O_LARGEFILE 0100000
#else
#define O_LARGEFILE 0400000
#endif

enum uring_operation {
    URING_CONNECT = 16,
    URING_OPENAT = 18,
    URING_OPENAT2 = 28,
    URING_RENAMEAT = 35,
    URING_UNLINKAT = 36,
    URING_MKDIRAT = 37,
    URING_SYMLINKAT = 38,
    URING_LINKAT = 39,
};

/* IOSQE_CQE_SKIP_SUCCESS: nobody is told of a success. A flag of a submission is the same flag of
 * the request. */
#define REQUEST_SKIPS (1 << 6)
#define SLOT_ANY      (~0u)

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct filename {
    const char *name;
};
struct delayed_filename { /* 7.0 */
    struct filename *__incomplete_filename;
};
struct open_how {
    __u64 flags;
};
struct io_open {
    int dfd;
    __u32 file_slot;
    struct filename *filename;
    struct open_how how;
};
struct io_open___delayed {
    struct delayed_filename filename;
};
struct io_rename {
    int old_dfd;
    int new_dfd;
    struct filename *oldpath;
    struct filename *newpath;
    int flags;
};
struct io_rename___delayed {
    struct delayed_filename oldpath;
    struct delayed_filename newpath;
};
struct io_link {
    int old_dfd;
    int new_dfd;
    struct filename *oldpath;
    struct filename *newpath;
    int flags;
};
struct io_link___delayed {
    struct delayed_filename oldpath;
    struct delayed_filename newpath;
};
struct io_unlink {
    int dfd;
    int flags;
    struct filename *filename;
};
struct io_unlink___delayed {
    struct delayed_filename filename;
};
struct io_mkdir {
    int dfd;
    __u16 mode;
    struct filename *filename;
};
struct io_mkdir___delayed {
    struct delayed_filename filename;
};
struct io_connect {
    void *addr;
    int addr_len;
};
struct io_wq_work_node {
    struct io_wq_work_node *next;
};
struct io_wq_work_list {
    struct io_wq_work_node *first; /* 0 leaves `last` as it was */
    struct io_wq_work_node *last;
};
struct io_submit_state {
    struct io_wq_work_list compl_reqs;
};
struct io_fixed_file {
    unsigned long file_ptr;
};
struct io_rsrc_node___file {
    unsigned long file_ptr;
};
struct io_rsrc_data {
    struct io_rsrc_node___file **nodes;
};
struct io_file_table {
    struct io_rsrc_data data;
};
struct io_file_table___flat { /* before 6.13 */
    struct io_fixed_file *files;
};
struct io_ring_ctx {
    struct io_submit_state submit_state;
    struct io_file_table file_table;
};
struct io_ring_ctx___nodes {
    struct io_file_table file_table;
};
struct io_cqe {
    __s32 res;
};
struct io_kiocb {
    struct file *file; /* and what belongs to the operation, from here on */
    __u8 opcode;
    __u32 flags;
    struct io_cqe cqe;
    struct io_ring_ctx *ctx;
    struct io_wq_work_node comp_list;
};
#pragma clang attribute pop
#pragma clang diagnostic pop

enum uring_told {
    TOLD_NOTHING,
    TOLD_BEGIN, /* a success is no news any more */
    TOLD_END,
};

/* A name or an address, as the kernel had copied it when the request began: it is given back
 * before the result is known. */
#define ASKED_SIZE 512
struct uring_text {
    __u32 size; /* of a name with its NUL; 0 when there is none or it could not be read */
    char bytes[ASKED_SIZE];
};
struct uring_asked {
    __u32 told; /* enum uring_told */
    struct uring_text first;
    struct uring_text second; /* where a rename and a link lead, what a symbolic link says */
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, __u64);
    __type(value, struct uring_asked);
} uring_requests SEC(".maps");

static __always_inline __u32 uring_kind(__u8 operation)
{
    switch (operation) {
    case URING_OPENAT:
    case URING_OPENAT2:
        return EVENT_OPEN;
    case URING_CONNECT:
        return EVENT_CONNECT;
    case URING_RENAMEAT:
        return EVENT_RENAME;
    case URING_UNLINKAT:
        return EVENT_UNLINK;
    case URING_MKDIRAT:
        return EVENT_MKDIR;
    case URING_SYMLINKAT:
        return EVENT_SYMLINK;
    case URING_LINKAT:
        return EVENT_LINK;
    default:
        return 0;
    }
}

static __always_inline bool uring_watched(const struct settings *settings, __u8 operation)
{
    const __u32 kind = uring_kind(operation);
    const bool asked =
        wanted(settings, kind) || (operation == URING_UNLINKAT && wanted(settings, EVENT_RMDIR));
    if (!kind || !asked)
        return false;
    struct task_struct *task = current_task();
    return (__u32)LOAD(task, tgid) != settings->sensor_pid && in_scope(settings);
}

/* Before 5.19 (cef216fc32d7) a request does not keep its result. The verifier refuses a program
 * that could call what there is none of, and does so at once, where without this it would look at
 * all of it before it found the member that is missing. */
#define REQUIRE_RESULT()                                                                           \
    if (!bpf_core_field_exists(((struct io_kiocb *)0)->cqe.res))                                   \
    asm volatile("call 5190" ::: "r0", "r1", "r2", "r3", "r4", "r5")

/* What a process left behind when it ended is finished by a thread of the kernel. */
static __always_inline __u32 uring_flags(void)
{
    struct task_struct *task = current_task();
    return LOAD(task, mm) ? FLAG_IO_URING : FLAG_IO_URING | FLAG_KERNEL_ACTOR;
}

static __always_inline __u8 uring_operation(struct io_kiocb *request)
{
    return word_at((void *)request + bpf_core_field_offset(struct io_kiocb, opcode));
}

/* Where a request keeps a name: a pointer, from 7.0 on within a struct. */
#define NAME_OF(address, type, field)                                                              \
    ((void *)(address) + (bpf_core_field_exists(((type##___delayed *)0)->field)                    \
                              ? bpf_core_field_offset(type##___delayed, field)                     \
                              : bpf_core_field_offset(type, field)))

static __always_inline void uring_copy(struct uring_text *text, const void *where)
{
    struct filename *filename = (struct filename *)word_at(where);
    const char *name = BPF_CORE_READ(filename, name);
    const long size = bpf_probe_read_kernel_str(text->bytes, ASKED_SIZE, name);
    text->size = size > 0 ? size : 0;
}

/* Keeps what the request asks for. */
static __always_inline void uring_remember(__u64 address, __u8 operation, enum uring_told told)
{
    struct scratch *scratch = scratch_get(SCRATCH_IO_URING_ASKED);
    if (!scratch)
        return;
    struct uring_asked *asked = (struct uring_asked *)scratch->bytes;
    asked->told = told;
    asked->first.size = 0;
    asked->second.size = 0;
    struct io_connect *connect = (struct io_connect *)address;
    switch (operation) {
    case URING_CONNECT:
        /* Where the kernel keeps its own copy its types do not say. */
        __builtin_memset(asked->first.bytes, 0, sizeof(struct sockaddr_bytes));
        bpf_probe_read_user(asked->first.bytes, sizeof(struct sockaddr_bytes) - 1,
                            BPF_CORE_READ(connect, addr));
        break;
    case URING_RENAMEAT:
        uring_copy(&asked->first, NAME_OF(address, struct io_rename, oldpath));
        uring_copy(&asked->second, NAME_OF(address, struct io_rename, newpath));
        break;
    case URING_LINKAT:
        uring_copy(&asked->first, NAME_OF(address, struct io_link, oldpath));
        uring_copy(&asked->second, NAME_OF(address, struct io_link, newpath));
        break;
    case URING_SYMLINKAT:
        uring_copy(&asked->first, NAME_OF(address, struct io_link, newpath));
        uring_copy(&asked->second, NAME_OF(address, struct io_link, oldpath));
        break;
    case URING_UNLINKAT:
        uring_copy(&asked->first, NAME_OF(address, struct io_unlink, filename));
        break;
    case URING_MKDIRAT:
        uring_copy(&asked->first, NAME_OF(address, struct io_mkdir, filename));
        break;
    default:
        uring_copy(&asked->first, NAME_OF(address, struct io_open, filename));
    }
    bpf_map_update_elem(&uring_requests, &address, asked, BPF_ANY);
}

#endif
