/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Mounts made, moved and taken away. Where they went is what the caller named: after the call its
 * name leads to what is mounted there, and not to it any more once that is gone. */
#ifndef PICKET_MOUNT_H
#define PICKET_MOUNT_H

#include "act.h"
#include "named.h"

#define OPTION_BYTES            256
#define MOVE_MOUNT_F_EMPTY_PATH 0x4

/* How much of the text at `at` in the record is one: some file systems take a structure there. Of
 * plain numbers like path_step(). */
__noinline int mount_printable(__u32 at, __u32 size)
{
    struct scratch *scratch = scratch_get(SCRATCH_CALL);
    if (!scratch || at > TAIL_LIMIT)
        return 0;
    bound_to(at);
    for (__u32 i = 0; i < OPTION_BYTES; i++) {
        if (i >= size)
            break;
        const __u8 byte = scratch->bytes[at + i];
        if (byte < ' ' || byte == 127)
            return i;
    }
    return size;
}

static __always_inline void mount_options(struct mount_event *event, struct tail *tail, __u64 from)
{
    __u32 at = tail->at;
    bound_to(at);
    event->options.offset = at;
    if (!from || at > TAIL_LIMIT)
        return;
    bound_to(at);
    const long size =
        bpf_probe_read_user_str(&tail->scratch->bytes[at], OPTION_BYTES, (void *)from);
    if (size <= 1 || size > OPTION_BYTES)
        return;
    event->options.size = mount_printable(at, size - 1);
    tail->at = at + event->options.size;
}

/* A mount that was not attached anywhere yet has no name, but a file system. */
static __always_inline void mount_detached(struct mount_event *event, struct tail *tail,
                                           __u32 descriptor)
{
    struct file *file = file_of(current_task(), descriptor);
    struct super_block *super = file ? BPF_CORE_READ(file, f_inode, i_sb) : 0;
    if (!super)
        return;
    event->device = BPF_CORE_READ(super, s_dev);
    tail_string(tail, &event->filesystem, BPF_CORE_READ(super, s_type, name), false);
}

SEC("tracepoint")
int on_mount(struct trace_event_raw_sys_exit *context)
{
    const __u32 call = syscall_id(context);
    const __u32 kind = call == NUMBER_OF(UMOUNT2) ? EVENT_UMOUNT : EVENT_MOUNT;
    const struct settings *settings = act_asked(kind);
    struct scratch *scratch = settings ? scratch_get(SCRATCH_CALL) : 0;
    if (!scratch)
        return 0;
    struct mount_event *event = &scratch->mount;
    __builtin_memset(event, 0, sizeof(*event));
    header_fill(&event->header, kind);
    event->header.syscall = call;
    event->result = context->ret;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    struct pt_regs *regs = syscall_regs();
    __u64 raw = syscall_argument(regs, 1);
    int directory = AT_FDCWD;
    if (call == NUMBER_OF(UMOUNT2)) {
        raw = syscall_argument(regs, 0);
        event->call_flags = (__u32)syscall_argument(regs, 1);
    } else if (call == NUMBER_OF(MOVE_MOUNT)) {
        directory = syscall_argument(regs, 2);
        raw = syscall_argument(regs, 3);
        event->call_flags = (__u32)syscall_argument(regs, 4);
        tail_string(&tail, &event->source, (const void *)syscall_argument(regs, 1), true);
        if (event->call_flags & MOVE_MOUNT_F_EMPTY_PATH && !event->source.size)
            mount_detached(event, &tail, syscall_argument(regs, 0));
    } else {
        event->call_flags = syscall_argument(regs, 3);
        tail_string(&tail, &event->source, (const void *)syscall_argument(regs, 0), true);
        tail_string(&tail, &event->filesystem, (const void *)syscall_argument(regs, 2), true);
        mount_options(event, &tail, syscall_argument(regs, 4));
    }
    event->header.flags |=
        tail_string(&tail, &event->raw, (const void *)raw, true)
            ? tail_absolute(&tail, &event->path, &event->raw, directory, SCRATCH_CALL)
            : FLAG_RAW_UNREADABLE;
    const __u32 size = tail.at;
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, false);
    return 0;
}

#endif
