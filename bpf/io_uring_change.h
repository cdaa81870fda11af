/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Changes of files' names through io_uring: by the kernel's own copy of what was named, made
 * absolute without looking. All of them: hardly anybody does that, and a name says too little of
 * where it leads to leave one out for it. */
#ifndef PICKET_IO_URING_CHANGE_H
#define PICKET_IO_URING_CHANGE_H

#include "io_uring_request.h"
#include "named.h"

/* Adds what was asked for. Returns false when that is not known, or not whole. */
static __always_inline bool uring_raw(struct tail *tail, struct text *text,
                                      const struct uring_text *asked)
{
    text->offset = tail->at;
    if (!asked->size)
        return false;
    return tail_string(tail, text, asked->bytes, false) && asked->size < ASKED_SIZE;
}

/* Adds that made absolute. Returns FLAG_PATH_*. */
static __always_inline __u32 uring_absolute(struct tail *tail, struct text *text,
                                            const struct uring_text *asked, const struct text *raw,
                                            int directory, __u32 slot)
{
    const struct text name = *raw;
    if (!name.size)
        return FLAG_PATH_FROM_USER | FLAG_PATH_INCOMPLETE;
    const __u32 flags = tail_absolute(tail, text, &name, directory, slot);
    return asked->size < ASKED_SIZE ? flags : flags | FLAG_PATH_TRUNCATED;
}

static __always_inline void uring_change_fill(struct file_event *event, __u64 address,
                                              int *directory, int *target)
{
    struct io_rename *rename = (struct io_rename *)address;
    struct io_link *link = (struct io_link *)address;
    struct io_unlink *unlink = (struct io_unlink *)address;
    struct io_mkdir *mkdir = (struct io_mkdir *)address;
    switch (event->header.kind) {
    case EVENT_RENAME:
        *directory = BPF_CORE_READ(rename, old_dfd);
        *target = BPF_CORE_READ(rename, new_dfd);
        event->call_flags = BPF_CORE_READ(rename, flags);
        break;
    case EVENT_LINK:
        *directory = BPF_CORE_READ(link, old_dfd);
        *target = BPF_CORE_READ(link, new_dfd);
        event->call_flags = BPF_CORE_READ(link, flags);
        break;
    case EVENT_SYMLINK:
        *directory = BPF_CORE_READ(link, new_dfd);
        break;
    case EVENT_MKDIR:
        *directory = BPF_CORE_READ(mkdir, dfd);
        event->new_mode = BPF_CORE_READ(mkdir, mode);
        break;
    default:
        *directory = BPF_CORE_READ(unlink, dfd);
        event->call_flags = BPF_CORE_READ(unlink, flags);
        if (event->call_flags & AT_REMOVEDIR)
            event->header.kind = EVENT_RMDIR;
    }
}

/* A global function of plain numbers for the reason path_step() is. */
__noinline int uring_change(__u64 address, __u32 slot, int result)
{
    REQUIRE_RESULT();
    const struct settings *settings = settings_get();
    struct scratch *scratch = scratch_get(slot);
    struct uring_asked *asked = bpf_map_lookup_elem(&uring_requests, &address);
    if (!settings || !scratch || !asked)
        return 0;
    struct file_event *event = &scratch->file;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    int directory = AT_FDCWD;
    int target = AT_FDCWD;
    __builtin_memset(event, 0, sizeof(*event));
    header_fill(&event->header, uring_kind(uring_operation((struct io_kiocb *)address)));
    event->header.syscall = NUMBER_OF(IO_URING_ENTER);
    event->header.flags = uring_flags();
    event->result = result;
    uring_change_fill(event, address, &directory, &target);
    const __u32 kind = event->header.kind;
    if (!wanted(settings, kind))
        return 0;
    if (!uring_raw(&tail, &event->raw, &asked->first))
        event->header.flags |= FLAG_RAW_UNREADABLE;
    event->header.flags |=
        uring_absolute(&tail, &event->path, &asked->first, &event->raw, directory, slot);
    if (kind == EVENT_RENAME || kind == EVENT_LINK || kind == EVENT_SYMLINK) {
        if (!uring_raw(&tail, &event->target_raw, &asked->second))
            event->header.flags |= FLAG_TARGET_RAW_UNREADABLE;
    }
    if (kind == EVENT_RENAME || kind == EVENT_LINK)
        event->header.flags |= target_flags(uring_absolute(&tail, &event->target, &asked->second,
                                                           &event->target_raw, target, slot));
    const __u32 size = tail.at;
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, true);
    return 0;
}

#endif
