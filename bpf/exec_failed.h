/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Executions that were refused: what the caller asked for, as its memory says when the call
 * returns. Shells that look through PATH make a lot of them. */
#ifndef PICKET_EXEC_FAILED_H
#define PICKET_EXEC_FAILED_H

#include "act.h"
#include "named.h"

#define FAILED_ARGUMENTS      16
#define FAILED_ARGUMENT_BYTES 256
#define FAILED_ARGS_BYTES     2048

/* Appends argument number `index` of the caller's vector to the record in SCRATCH_EXEC_FAILED, with
 * its NUL. Returns 0 to go on, FLAG_ARGS_* or 1 at the end. Of plain numbers like path_step(). */
__noinline int exec_failed_argument(__u64 vector, __u32 index, __u32 at)
{
    struct scratch *scratch = scratch_get(SCRATCH_EXEC_FAILED);
    if (!scratch || at > TAIL_LIMIT)
        return FLAG_ARGS_TRUNCATED;
    bound_to(at);
    struct exec_failed_event *event = &scratch->exec_failed;
    __u64 argument = 0;
    if (bpf_probe_read_user(&argument, sizeof(argument), (void *)(vector + index * 8ull)))
        return FLAG_ARGS_UNREADABLE;
    if (!argument)
        return 1;
    if (index >= FAILED_ARGUMENTS || event->args.size > FAILED_ARGS_BYTES - FAILED_ARGUMENT_BYTES)
        return FLAG_ARGS_TRUNCATED;
    long size =
        bpf_probe_read_user_str(&scratch->bytes[at], FAILED_ARGUMENT_BYTES, (void *)argument);
    if (size < 0 || size > FAILED_ARGUMENT_BYTES)
        return FLAG_ARGS_UNREADABLE;
    if (size == 0) { /* of an empty one older kernels read not even its NUL */
        scratch->bytes[at] = 0;
        size = 1;
    }
    event->args.size += size;
    if (size == FAILED_ARGUMENT_BYTES) {
        /* Just as long, or cut? */
        char last = 0;
        bpf_probe_read_user(&last, 1, (void *)(argument + FAILED_ARGUMENT_BYTES - 1));
        if (last)
            event->header.flags |= FLAG_ARGS_TRUNCATED;
    }
    return 0;
}

static __always_inline void exec_failed_arguments(struct exec_failed_event *event,
                                                  struct tail *tail, __u64 vector)
{
    event->args.offset = tail->at;
    event->args.size = 0;
    for (__u32 i = 0; vector && i <= FAILED_ARGUMENTS; i++) {
        const int end = exec_failed_argument(vector, i, tail->at + event->args.size);
        if (end > 1)
            event->header.flags |= end;
        if (end)
            break;
    }
    event->args_bytes = event->args.size;
    tail->at += event->args.size;
}

SEC("tracepoint")
int on_exec_failed(struct trace_event_raw_sys_exit *context)
{
    if (context->ret >= 0)
        return 0;
    const struct settings *settings = act_asked(EVENT_EXEC_FAILED);
    struct scratch *scratch = settings ? scratch_get(SCRATCH_EXEC_FAILED) : 0;
    if (!scratch)
        return 0;
    struct exec_failed_event *event = &scratch->exec_failed;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    struct pt_regs *regs = syscall_regs();
    const bool at = syscall_id(context) == NUMBER_OF(EXECVEAT);
    const __u64 raw = at ? syscall_argument(regs, 1) : syscall_argument(regs, 0);
    const __u64 vector = at ? syscall_argument(regs, 2) : syscall_argument(regs, 1);
    const int directory = at ? (int)syscall_argument(regs, 0) : AT_FDCWD;
    header_fill(&event->header, EVENT_EXEC_FAILED);
    event->header.syscall = syscall_id(context);
    event->result = context->ret;
    event->path.offset = 0;
    event->path.size = 0;
    const bool readable = tail_string(&tail, &event->raw, (const void *)raw, true);
    exec_failed_arguments(event, &tail, vector);
    __u32 cwd_flags = 0;
    tail_path(&tail, &event->cwd,
              path_resolve(named_base(AT_FDCWD), SCRATCH_EXEC_FAILED, &cwd_flags));
    if (cwd_flags || !event->cwd.size)
        event->header.flags |= FLAG_CWD_TRUNCATED;
    event->header.flags |=
        readable ? tail_absolute(&tail, &event->path, &event->raw, directory, SCRATCH_EXEC_FAILED)
                 : FLAG_RAW_UNREADABLE;
    __u32 size = tail.at;
    bound_to(size);
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, true);
    return 0;
}

#endif
