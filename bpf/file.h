/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Opens, seen when the system call returns: the arguments are still in the saved registers, the
 * opened file is in the table of descriptors, and an open that nobody asked for costs nothing on
 * the way in. */
#ifndef PICKET_FILE_H
#define PICKET_FILE_H

#include "interest.h"

#define FMODE_CREATED 0x100000 /* since 4.19, 73a09dd94377 */

static __always_inline struct file *file_of(struct task_struct *task, __u32 descriptor)
{
    struct files_struct *files = LOAD(task, files);
    struct fdtable *table = LOAD(files, fdt);
    if (descriptor >= LOAD(table, max_fds))
        return 0;
    struct file **slots = LOAD(table, fd);
    return (struct file *)word_at(&slots[descriptor]);
}

/* Does anybody but the table of descriptors hold the file? Of one that was opened just now nobody
 * should: another thread has put it where ours was, or is about to use ours already. */
static __always_inline bool file_is_shared(struct file *file)
{
    if (bpf_core_field_exists(file->f_ref))
        return word_at((void *)file + bpf_core_field_offset(struct file, f_ref)) != 0;
    return word_at((void *)file + bpf_core_field_offset(struct file___counted, f_count)) != 1;
}

/* An open that is about to return. */
struct open_call {
    struct task_struct *task;
    struct file *file; /* of a successful one; 0 when its descriptor is no longer sure to be it */
    struct path path;  /* the file's; of a failed open what `raw` starts from */
    __u64 fingerprint; /* of `path`; 0 for none */
    struct path_text *text; /* of `path`, when it was needed already */
    __u32 text_flags;
    const char *raw;
    bool nameless;   /* the call takes no name */
    bool raw_kernel; /* `raw` is the kernel's memory, not the caller's */
    __s32 directory; /* what a relative `raw` starts from */
    long result;
    __u32 flags;
    __u32 header_flags;
    __u32 generation;       /* of the file's inode */
    __u16 syscall;          /* its number */
    enum scratch_slot slot; /* each program has its own */
};

/* What is asked of opens of this file: from memory, or from the tables. */
static __always_inline __u32 file_interest(const struct settings *settings, struct open_call *call)
{
    const __u32 all = settings->open_mask & (OPEN_READ | OPEN_WRITE);
    if (!call->file) /* whoever closes it that fast may have something to hide */
        return OPEN_READ | OPEN_WRITE;
    if (!(settings->open_mask & OPEN_PATHS) || all == (OPEN_READ | OPEN_WRITE))
        return all;
    call->fingerprint =
        path_fingerprint(settings->seed, (__u64)call->path.dentry, (__u64)call->path.mnt);
    __u32 *known = bpf_map_lookup_elem(&verdicts, &call->fingerprint);
    if (known && call->fingerprint)
        return all | *known;
    call->text = path_resolve(call->path, call->slot, &call->text_flags);
    __u32 interest =
        call->text ? path_interest(call->slot, (__u64)call->path.dentry) : (OPEN_READ | OPEN_WRITE);
    if (call->fingerprint)
        bpf_map_update_elem(&verdicts, &call->fingerprint, &interest, BPF_ANY);
    return all | interest;
}

/* By this an open is the same as another: the same thread of the same image, with the same rights,
 * opens the same file by the same words with the same outcome. Nothing that a rule could tell
 * apart. Returns false when this open cannot be told apart from others well enough. */
static __always_inline bool open_repeat_key(const struct settings *settings, struct open_call *call,
                                            struct open_event *event, struct open_repeat_key *key)
{
    if (!settings->repeat_window || settings->scope & SCOPE_PATHS || !call->path.dentry ||
        event->raw.size >= RAW_HASHED || event->header.flags & FLAG_RAW_UNREADABLE)
        return false;
    if (!call->fingerprint)
        call->fingerprint =
            path_fingerprint(settings->seed, (__u64)call->path.dentry, (__u64)call->path.mnt);
    struct task_struct *task = call->task;
    key->start = LOAD(task, start_boottime);
    key->image = LOAD(task, self_exec_id);
    key->credentials = (__u64)LOAD(task, cred);
    key->path = call->fingerprint;
    key->raw = raw_hash(call->slot, settings->seed, event->raw.size);
    key->inode = event->inode;
    key->device = event->device;
    key->generation = call->generation;
    key->tid = event->header.tid;
    key->flags = event->open_flags;
    key->result = event->result;
    key->reserved = 0;
    return call->fingerprint;
}

static __always_inline void open_report(const struct settings *settings, struct open_call *call)
{
    struct scratch *scratch = scratch_get(call->slot);
    if (!scratch)
        return;
    struct open_event *event = &scratch->open;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    header_fill(&event->header, EVENT_OPEN);
    event->header.syscall = call->syscall;
    event->header.flags = call->header_flags;
    event->open_flags = call->flags;
    event->result = call->result;
    event->inode = 0;
    event->device = 0;
    event->mode = 0;
    event->repeats = 0;
    event->reserved = 0;
    if (call->file) {
        struct file *file = call->file;
        struct inode *inode = BPF_CORE_READ(file, f_inode);
        event->inode = BPF_CORE_READ(inode, i_ino);
        event->device = BPF_CORE_READ(inode, i_sb, s_dev);
        event->mode = BPF_CORE_READ(inode, i_mode);
        call->generation = BPF_CORE_READ(inode, i_generation);
        if (BPF_CORE_READ(file, f_mode) & FMODE_CREATED)
            event->header.flags |= FLAG_CREATED;
    } else if (call->path.dentry) {
        event->header.flags |= FLAG_PATH_IS_BASE;
    }
    event->raw.offset = tail.at;
    event->raw.size = 0;
    if (!call->nameless && !tail_string(&tail, &event->raw, call->raw, !call->raw_kernel))
        event->header.flags |= FLAG_RAW_UNREADABLE;
    const __u32 end = tail.at;
    if (end <= TAIL_LIMIT) /* raw_hash() takes whole words */
        __builtin_memset(&scratch->bytes[end], 0, 8);

    /* Only this thread has this key, so nobody else writes to the entry. */
    struct open_repeat_key key;
    const bool repeatable = open_repeat_key(settings, call, event, &key);
    struct open_repeat *repeat = repeatable ? bpf_map_lookup_elem(&open_repeats, &key) : 0;
    struct class_counters *count;
    if (repeat) {
        if (event->header.time - repeat->since < settings->repeat_window) {
            count = count_generated(EVENT_OPEN);
            if (count)
                __sync_fetch_and_add(&count->repeated, 1);
            repeat->count++;
            return;
        }
        event->repeats = repeat->count;
    }

    struct path_text *path = call->text;
    if (path)
        event->header.flags |= call->text_flags;
    else if (call->path.dentry)
        path = path_resolve(call->path, call->slot, &event->header.flags);
    if (!path)
        event->header.flags |= FLAG_PATH_INCOMPLETE;
    else if ((settings->scope & SCOPE_PATHS) && !path_in_trie(&scope_paths, path))
        return;
    tail_path(&tail, &event->path, path);
    __u32 size = tail.at;
    if (size > sizeof(*scratch))
        return;
    count = count_generated(EVENT_OPEN);
    if (!count || !record_put(settings, count, &event->header, size, true))
        return; /* nobody heard of it: the next one is no repeat */
    if (repeat) {
        repeat->since = event->header.time;
        repeat->count = 0;
    } else if (repeatable) {
        struct open_repeat first = {.since = event->header.time};
        bpf_map_update_elem(&open_repeats, &key, &first, BPF_ANY);
    }
}

/* What is asked of opens with this outcome; 0 for nothing. */
static __always_inline __u32 open_interest(const struct settings *settings, struct open_call *call)
{
    if (call->result < 0)
        return settings->open_mask & OPEN_FAILED;
    if (call->file && file_is_shared(call->file))
        call->file = 0;
    if (call->file)
        call->path = path_of(&call->file->f_path);
    return file_interest(settings, call);
}

/* The rest, once flags and name are known, too. */
static __always_inline void open_ends(const struct settings *settings, struct open_call *call,
                                      __u32 interest)
{
    if (call->result >= 0) {
        const bool reads = !(call->flags & (O_ACCMODE | O_CREAT | O_TRUNC));
        if (!(interest & (reads ? OPEN_READ : OPEN_WRITE)))
            return;
    }
    if (!call->file && !call->nameless) {
        if (call->result >= 0)
            call->header_flags |= FLAG_PATH_FROM_USER;
        struct task_struct *task = call->task;
        if (call->directory == AT_FDCWD) {
            struct fs_struct *fs = LOAD(task, fs);
            call->path = path_of(&fs->pwd);
        } else {
            struct file *base = file_of(task, call->directory);
            if (base)
                call->path = path_of(&base->f_path);
        }
    }
    open_report(settings, call);
}

static __always_inline int open_returns(const struct settings *settings, long result, __u16 number,
                                        enum scratch_slot syscall)
{
    struct task_struct *task = current_task();
    struct open_call call = {
        .result = result, .task = task, .directory = AT_FDCWD, .syscall = number, .slot = syscall};
    if ((__u32)LOAD(task, tgid) == settings->sensor_pid || !in_scope(settings))
        return 0;
    if (result >= 0)
        call.file = file_of(task, result);
    const __u32 interest = open_interest(settings, &call);
    if (!interest)
        return 0;

    struct pt_regs *regs = syscall_regs();
    if (syscall == SCRATCH_OPENAT || syscall == SCRATCH_OPENAT2) {
        call.directory = syscall_argument(regs, 0);
        call.raw = (const char *)syscall_argument(regs, 1);
    } else if (syscall == SCRATCH_OPEN_BY_HANDLE) {
        call.nameless = true;
    } else {
        call.raw = (const char *)syscall_argument(regs, 0);
    }
    if (syscall == SCRATCH_OPENAT || syscall == SCRATCH_OPEN_BY_HANDLE) {
        call.flags = syscall_argument(regs, 2);
    } else if (syscall == SCRATCH_OPEN) {
        call.flags = syscall_argument(regs, 1);
    } else if (syscall == SCRATCH_CREAT) {
        call.flags = O_CREAT | O_WRONLY | O_TRUNC;
    } else {
        /* They lie in the caller's memory, which it may have changed since; of a file that was
         * opened the access mode is taken from the file itself. */
        __u64 how = 0;
        bpf_probe_read_user(&how, sizeof(how), (void *)syscall_argument(regs, 2));
        call.flags = how;
        struct file *file = call.file;
        if (file)
            call.flags = (call.flags & ~O_ACCMODE) | (BPF_CORE_READ(file, f_flags) & O_ACCMODE);
    }
    open_ends(settings, &call, interest);
    return 0;
}

static __always_inline int open_event(long result, __u16 number, enum scratch_slot syscall)
{
    const struct settings *settings = settings_get();
    if (!wanted(settings, EVENT_OPEN) || (result < 0 && !(settings->open_mask & OPEN_FAILED)))
        return 0;
    return open_returns(settings, result, number, syscall);
}

/* Each call once as a tracepoint, which every kernel takes, and once as a hook on its function,
 * which slows down no other system call. */
#define OPEN_PROGRAMS(name, number, syscall)                                                       \
    SEC("tracepoint/syscalls/sys_exit_" #name)                                                     \
    int on_##name(struct trace_event_raw_sys_exit *context)                                        \
    {                                                                                              \
        return open_event(context->ret, number, syscall);                                          \
    }                                                                                              \
    SEC("fexit/" SYSCALL_FUNCTION(#name))                                                          \
    int on_##name##_function(const __u64 *context)                                                 \
    {                                                                                              \
        return open_event(SYSCALL_RESULT(context), number, syscall);                               \
    }

OPEN_PROGRAMS(openat, NUMBER_OF(OPENAT), SCRATCH_OPENAT)
OPEN_PROGRAMS(openat2, NUMBER_OF(OPENAT2), SCRATCH_OPENAT2)
OPEN_PROGRAMS(open_by_handle_at, NUMBER_OF(OPEN_BY_HANDLE_AT), SCRATCH_OPEN_BY_HANDLE)
/* open and creat exist on x86 only. */
OPEN_PROGRAMS(open, X86_64_OPEN, SCRATCH_OPEN)
OPEN_PROGRAMS(creat, X86_64_CREAT, SCRATCH_CREAT)

#endif
