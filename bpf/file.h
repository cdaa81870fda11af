/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Opens, seen when the system call returns: the arguments are still in the saved registers, the
 * opened file is in the table of descriptors, and an open that nobody asked for costs nothing on
 * the way in. */
#ifndef PICKET_FILE_H
#define PICKET_FILE_H

#include "path.h"

static __always_inline struct file *file_of(struct task_struct *task, __u32 descriptor)
{
    struct fdtable *table = BPF_CORE_READ(task, files, fdt);
    if (descriptor >= BPF_CORE_READ(table, max_fds))
        return 0;
    struct file **slots = BPF_CORE_READ(table, fd);
    struct file *file = 0;
    bpf_probe_read_kernel(&file, sizeof(file), &slots[descriptor]);
    return file;
}

static __always_inline bool open_wanted(const struct settings *settings, long result, __u32 flags)
{
    if (result < 0)
        return settings->open_mask & OPEN_FAILED;
    if ((flags & O_ACCMODE) != 0 || (flags & (O_CREAT | O_TRUNC)))
        return settings->open_mask & OPEN_WRITE;
    return settings->open_mask & (OPEN_READ | OPEN_READ_PATHS);
}

/* `directory` is what a relative `raw` starts from (AT_FDCWD: the working directory). */
static __always_inline void open_report(const struct settings *settings, struct task_struct *task,
                                        long result, int directory, const char *raw, __u32 flags)
{
    struct scratch *scratch = scratch_get(SCRATCH_OPEN);
    if (!scratch)
        return;
    struct open_event *event = &scratch->open;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    __u32 path_flags = 0;
    struct path_text *path = 0;
    struct file *file = 0;
    if (result >= 0) {
        file = file_of(task, result);
        if (file)
            path = path_resolve(task, &file->f_path, SCRATCH_OPEN, &path_flags);
        bool reading = (flags & O_ACCMODE) == 0 && !(flags & (O_CREAT | O_TRUNC));
        if (reading && path && !(settings->open_mask & OPEN_READ)) {
            if (!path_in_trie(&interest_paths, path) &&
                !name_of_interest(BPF_CORE_READ(file, f_path.dentry)))
                return;
        }
        if ((settings->scope & SCOPE_PATHS) && path && !path_in_trie(&scope_paths, path))
            return;
    } else if (directory == AT_FDCWD) {
        struct fs_struct *fs = BPF_CORE_READ(task, fs);
        path = path_resolve(task, &fs->pwd, SCRATCH_OPEN, &path_flags);
        path_flags |= FLAG_PATH_IS_BASE;
    } else {
        file = file_of(task, directory);
        if (file)
            path = path_resolve(task, &file->f_path, SCRATCH_OPEN, &path_flags);
        path_flags |= FLAG_PATH_IS_BASE;
        file = 0;
    }
    if (!path) /* the descriptor was closed before we looked */
        path_flags |= FLAG_PATH_INCOMPLETE;
    header_fill(&event->header, EVENT_OPEN);
    event->header.flags = path_flags;
    event->open_flags = flags;
    event->result = result;
    event->inode = 0;
    event->device = 0;
    event->mode = 0;
    if (file) {
        struct inode *inode = BPF_CORE_READ(file, f_inode);
        event->inode = BPF_CORE_READ(inode, i_ino);
        event->device = BPF_CORE_READ(inode, i_sb, s_dev);
        event->mode = BPF_CORE_READ(inode, i_mode);
    }
    tail_path(&tail, &event->path, path);
    if (!tail_string(&tail, &event->raw, raw, true))
        event->header.flags |= FLAG_RAW_UNREADABLE;
    __u32 size = tail.at;
    if (size <= sizeof(*scratch))
        record_submit(settings, event, size, EVENT_OPEN, true, false);
}

/* What the programs below have in common: the call that is about to return. */
struct open_call {
    const struct settings *settings;
    struct task_struct *task;
    struct pt_regs *regs;
    long result;
};

static __always_inline bool open_returning(struct open_call *call,
                                           struct trace_event_raw_sys_exit *context)
{
    call->settings = settings_get();
    if (!wanted(call->settings, EVENT_OPEN))
        return false;
    if (bpf_get_current_pid_tgid() >> 32 == call->settings->sensor_pid || !in_scope(call->settings))
        return false;
    call->task = (struct task_struct *)bpf_get_current_task();
    call->regs = syscall_regs(call->task);
    call->result = BPF_CORE_READ(context, ret);
    return true;
}

static __always_inline int open_returned(struct open_call *call, int directory, __u64 raw,
                                         __u32 flags)
{
    if (open_wanted(call->settings, call->result, flags))
        open_report(call->settings, call->task, call->result, directory, (const char *)raw, flags);
    return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int on_openat(struct trace_event_raw_sys_exit *context)
{
    struct open_call call;
    if (!open_returning(&call, context))
        return 0;
    return open_returned(&call, syscall_argument(call.regs, 0), syscall_argument(call.regs, 1),
                         syscall_argument(call.regs, 2));
}

/* The flags of openat2 lie in the caller's memory, which it may have changed since; of a file that
 * was opened the access mode is taken from the file itself. */
SEC("tracepoint/syscalls/sys_exit_openat2")
int on_openat2(struct trace_event_raw_sys_exit *context)
{
    struct open_call call;
    if (!open_returning(&call, context))
        return 0;
    __u64 how = 0;
    bpf_probe_read_user(&how, sizeof(how), (void *)syscall_argument(call.regs, 2));
    __u32 flags = how;
    struct file *file = call.result >= 0 ? file_of(call.task, call.result) : 0;
    if (file)
        flags = (flags & ~O_ACCMODE) | (BPF_CORE_READ(file, f_flags) & O_ACCMODE);
    return open_returned(&call, syscall_argument(call.regs, 0), syscall_argument(call.regs, 1),
                         flags);
}

/* open and creat exist on x86 only. */
SEC("tracepoint/syscalls/sys_exit_open")
int on_open(struct trace_event_raw_sys_exit *context)
{
    struct open_call call;
    if (!open_returning(&call, context))
        return 0;
    return open_returned(&call, AT_FDCWD, syscall_argument(call.regs, 0),
                         syscall_argument(call.regs, 1));
}

SEC("tracepoint/syscalls/sys_exit_creat")
int on_creat(struct trace_event_raw_sys_exit *context)
{
    struct open_call call;
    if (!open_returning(&call, context))
        return 0;
    return open_returned(&call, AT_FDCWD, syscall_argument(call.regs, 0),
                         O_CREAT | O_WRONLY | O_TRUNC);
}

#endif
