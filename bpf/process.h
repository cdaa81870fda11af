/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* exec, fork and exit: the life of a process.
 *
 * From 7.0 on (a46023d5616e) a tracepoint's programs can be preempted, and the kernel does not run
 * a program for whoever preempts it on the same CPU. So each has a second one on the same place, as
 * a perf event's: those cannot be preempted. It does nothing where the first one has been. */
#ifndef PICKET_PROCESS_H
#define PICKET_PROCESS_H

#include "credentials.h"
#include "network.h"

/* The process's number in its own pid namespace, and that namespace. */
static __always_inline struct upid *innermost_pid(struct task_struct *task)
{
    struct pid *pid = BPF_CORE_READ(task, thread_pid);
    __u32 level = BPF_CORE_READ(pid, level);
    /* MAX_PID_NS_LEVEL is 32. */
    if (!pid || level > 32)
        return 0;
    return (void *)pid + bpf_core_field_offset(struct pid, numbers) +
           level * bpf_core_type_size(struct upid);
}

static __always_inline __u32 namespace_pid(struct task_struct *task, __u32 *pid_namespace)
{
    struct upid *number = innermost_pid(task);
    *pid_namespace = BPF_CORE_READ(number, ns, ns.inum);
    return BPF_CORE_READ(number, nr);
}

/* Kernel-internal device number of the controlling terminal, 0 for none. */
static __always_inline __u32 terminal_device(struct task_struct *task)
{
    struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
    if (!tty)
        return 0;
    __u32 major = BPF_CORE_READ(tty, driver, major);
    __u32 minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
    return major << 20 | minor;
}

static __always_inline void exec_credentials(struct exec_event *event, struct task_struct *task)
{
    const struct cred *cred = BPF_CORE_READ(task, cred);
    CREDENTIALS_FILL(event, cred);
    event->user_namespace = BPF_CORE_READ(cred, user_ns, ns.inum);
    event->login_uid = -1;
    event->session_id = -1;
    /* Absent without CONFIG_AUDIT. */
    if (bpf_core_field_exists(task->loginuid)) {
        event->login_uid = BPF_CORE_READ(task, loginuid.val);
        event->session_id = BPF_CORE_READ(task, sessionid);
    }
}

static __always_inline void exec_namespaces(struct exec_event *event, struct task_struct *task)
{
    struct nsproxy *nsproxy = BPF_CORE_READ(task, nsproxy);
    NAMESPACES_FILL(event, nsproxy);
    event->pid_namespace = 0;
    event->namespace_pid = namespace_pid(task, &event->pid_namespace);
}

/* What the kernel has just laid out for the new image, before its first instruction: the pages were
 * written a moment ago, so they are resident, and nobody else can have changed them. At most
 * `limit` bytes, itself at most TEXT_MAX. Returns `truncated` when that is not all,
 * FLAG_ARGS_UNREADABLE when it cannot be read. */
static __always_inline __u32 exec_memory(struct tail *tail, struct text *text, unsigned long start,
                                         __u64 size, __u64 limit, __u32 truncated)
{
    __u64 at = tail->at;
    __u32 flags = 0;
    text->offset = at;
    text->size = 0;
    bound_to(at);
    if (!size || at > TAIL_LIMIT)
        return size ? truncated : 0;
    bound_to(at);
    if (size > limit) {
        size = limit;
        flags = truncated;
    }
    bound_to(size);
    size &= TEXT_MAX;
    if (bpf_probe_read_user(&tail->scratch->bytes[at], size, (void *)start))
        return FLAG_ARGS_UNREADABLE;
    text->size = size;
    tail->at = at + size;
    return flags;
}

static __always_inline void exec_file(struct exec_event *event, struct inode *inode)
{
    struct super_block *super = BPF_CORE_READ(inode, i_sb);
    event->inode = BPF_CORE_READ(inode, i_ino);
    event->device = BPF_CORE_READ(super, s_dev);
    event->file_mode = BPF_CORE_READ(inode, i_mode);
    event->file_uid = BPF_CORE_READ(inode, i_uid.val);
    event->file_gid = BPF_CORE_READ(inode, i_gid.val);
    event->file_changed = inode_time(inode, true);
    event->file_modified = inode_time(inode, false);
    if (BPF_CORE_READ(inode, i_nlink) == 0)
        event->header.flags |= FLAG_UNLINKED;
    if (inode_in_upper_layer(inode))
        event->header.flags |= FLAG_UPPER_LAYER;
}

/* `number`: 0 to 2. */
static __always_inline void exec_stream(struct standard_stream *stream, struct task_struct *task,
                                        __u32 number)
{
    __builtin_memset(stream, 0, sizeof(*stream));
    struct file *file = file_of(task, number);
    if (!file)
        return;
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    stream->inode = BPF_CORE_READ(inode, i_ino);
    stream->type = BPF_CORE_READ(inode, i_mode) >> 12;
    if (stream->type != S_IFSOCK >> 12)
        return;
    struct socket *socket = BPF_CORE_READ(file, private_data);
    struct sock *sock = BPF_CORE_READ(socket, sk);
    stream->family = BPF_CORE_READ(sock, __sk_common.skc_family);
    if (stream->family != AF_INET && stream->family != AF_INET6)
        return;
    stream->local_port = BPF_CORE_READ(sock, __sk_common.skc_num);
    stream->remote_port = __builtin_bswap16(BPF_CORE_READ(sock, __sk_common.skc_dport));
    if (stream->family == AF_INET) {
        address_v4(stream->remote_address, BPF_CORE_READ(sock, __sk_common.skc_daddr));
    } else if (bpf_core_field_exists(sock->__sk_common.skc_v6_daddr)) {
        bpf_core_read(stream->remote_address, 16, &sock->__sk_common.skc_v6_daddr);
        if (unmap_v4(stream->remote_address))
            stream->family = AF_INET;
    }
}

static __always_inline __u32 leader_of(struct task_struct *task, int type)
{
    return BPF_CORE_READ(task, signal, pids[type], numbers[0].nr);
}

/* False when this was told already. */
static __always_inline struct told_key told_key_of(__u32 kind, struct task_struct *task,
                                                   __u32 image)
{
    const __u64 pid = BPF_CORE_READ(task, tgid);
    const struct told_key key = {
        .process = BPF_CORE_READ(task, group_leader, start_boottime) ^ pid << 40,
        .kind = kind,
        .image = image,
    };
    return key;
}

static __always_inline bool told_first(__u32 kind, struct task_struct *task, __u32 image)
{
    const struct told_key key = told_key_of(kind, task, image);
    /* An entry that is refused costs ten times as much as one that is found. */
    if (bpf_map_lookup_elem(&told, &key))
        return false;
    const __u8 one = 1;
    return bpf_map_update_elem(&told, &key, &one, BPF_NOEXIST) != -EEXIST;
}

struct exec_call {
    struct file *file;
    const char *filename;    /* as the caller named it */
    const char *interpreter; /* 0 when not known */
    __u32 slot;
};

/* Returns false when this execution was told already. */
static __always_inline bool exec_report(struct task_struct *task, const struct exec_call *call)
{
    const __u32 slot = call->slot;
    const struct settings *settings = settings_get();
    if (!wanted(settings, EVENT_EXEC) || !in_scope(settings))
        return true;
    if (!told_first(EVENT_EXEC, task, BPF_CORE_READ(task, self_exec_id)))
        return false;
    struct scratch *scratch = scratch_get(slot);
    if (!scratch)
        return true;
    struct exec_event *event = &scratch->exec;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    header_fill(&event->header, EVENT_EXEC);

    struct task_struct *parent = BPF_CORE_READ(task, real_parent, group_leader);
    event->parent_pid = BPF_CORE_READ(parent, tgid);
    event->parent_start = BPF_CORE_READ(parent, start_boottime);
    event->tty = terminal_device(task);
    exec_credentials(event, task);
    exec_namespaces(event, task);

    struct file *file = call->file;
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    exec_file(event, inode);
    for (int number = 0; number < 3; number++)
        exec_stream(&event->stream[number], task, number);
    event->process_group = leader_of(task, PIDTYPE_PGID);
    event->session = leader_of(task, PIDTYPE_SID);
    event->reserved = 0;

    tail_string(&tail, &event->comm, (void *)task + bpf_core_field_offset(struct task_struct, comm),
                false);

    struct path_text *path = path_resolve(path_of(&file->f_path), slot, &event->header.flags);
    if (path && path->size > 6 && (event->header.flags & FLAG_PATH_INCOMPLETE) &&
        path->text[0] == 'm' && path->text[1] == 'e' && path->text[2] == 'm' &&
        path->text[3] == 'f' && path->text[4] == 'd' && path->text[5] == ':') {
        /* A memfd has no link from the start; that it is none of a deleted file is what tells them
         * apart. */
        event->header.flags |= FLAG_FROM_MEMFD;
        event->header.flags &= ~(FLAG_UNLINKED | FLAG_PATH_INCOMPLETE);
    }
    tail_path(&tail, &event->path, path);

    if (!tail_string(&tail, &event->raw, call->filename, false))
        event->header.flags |= FLAG_RAW_UNREADABLE;
    event->interpreter.offset = tail.at;
    event->interpreter.size = 0;
    if (call->interpreter && call->interpreter != call->filename)
        tail_string(&tail, &event->interpreter, call->interpreter, false);

    struct mm_struct *mm = BPF_CORE_READ(task, mm);
    unsigned long start = BPF_CORE_READ(mm, arg_start);
    __u64 bytes = BPF_CORE_READ(mm, arg_end) - start;
    event->args_bytes = bytes;
    event->header.flags |=
        exec_memory(&tail, &event->args, start, bytes, TEXT_MAX, FLAG_ARGS_TRUNCATED);

    __u32 cwd_flags = 0;
    struct fs_struct *fs = BPF_CORE_READ(task, fs);
    tail_path(&tail, &event->cwd, path_resolve(path_of(&fs->pwd), slot, &cwd_flags));
    if (cwd_flags || !event->cwd.size)
        event->header.flags |= FLAG_CWD_TRUNCATED;

    start = BPF_CORE_READ(mm, env_start);
    bytes = BPF_CORE_READ(mm, env_end) - start;
    event->environment_bytes = bytes;
    __u64 limit = settings->environment;
    if (limit > TEXT_MAX)
        limit = TEXT_MAX;
    if (exec_memory(&tail, &event->environment, start, limit ? bytes : 0, limit, 1))
        event->header.flags |= FLAG_ENVIRONMENT_TRUNCATED;

    __u32 size = tail.at;
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, false);
    return true;
}

/* Which of the two programs comes first depends on who else listens there, and the second one does
 * not know the interpreter: when it comes first it must leave to the other what that will see. Both
 * find out by whether the other has told the execution before. */
enum exec_order { ORDER_UNKNOWN, ORDER_FIRST_ONE_FIRST, ORDER_SECOND_ONE_FIRST };
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} exec_order SEC(".maps");

static __always_inline __u32 *exec_order_get(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&exec_order, &zero);
}

/* Only where it changes: all processors read it. */
static __always_inline void exec_order_set(__u32 *order, __u32 found)
{
    if (*order != found)
        *order = found;
}

/* How many threads are within on_exec() on this CPU: while there is one, others are skipped. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} exec_busy SEC(".maps");

static __always_inline __u64 *exec_busy_here(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&exec_busy, &zero);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
    const struct exec_call call = {.file = BPF_CORE_READ(bprm, file),
                                   .filename = BPF_CORE_READ(bprm, filename),
                                   .interpreter = BPF_CORE_READ(bprm, interp),
                                   .slot = SCRATCH_EXEC};
    __u64 *busy = exec_busy_here();
    __u32 *order = exec_order_get();
    if (!busy || !order)
        return 0;
    __sync_fetch_and_add(busy, 1);
    if (!exec_report(task, &call))
        exec_order_set(order, ORDER_SECOND_ONE_FIRST);
    __sync_fetch_and_add(busy, -1);
    return 0;
}

SEC("tracepoint/sched/sched_process_exec")
int on_exec_again(struct trace_event_raw_sched_process_exec *context)
{
    struct task_struct *task = current_task();
    const struct settings *settings = settings_get();
    const __u64 *busy = exec_busy_here();
    __u32 *order = exec_order_get();
    if (!settings || !busy || !order)
        return 0;
    const struct told_key key = told_key_of(EVENT_EXEC, task, BPF_CORE_READ(task, self_exec_id));
    if (bpf_map_lookup_elem(&told, &key)) {
        exec_order_set(order, ORDER_FIRST_ONE_FIRST);
        return 0;
    }
    /* Where the first one comes first it was skipped; where it may come later only when another
     * thread is within it now. */
    if (*order != ORDER_FIRST_ONE_FIRST && !*busy && !settings->exec_alone)
        return 0;
    const struct exec_call call = {.file = BPF_CORE_READ(task, mm, exe_file),
                                   .filename = (const char *)context +
                                               (context->__data_loc_filename & 0xffff),
                                   .slot = SCRATCH_EXEC_AGAIN};
    exec_report(task, &call);
    return 0;
}

static __always_inline void fork_report(struct task_struct *child)
{
    const struct settings *settings = settings_get();
    __u32 pid = BPF_CORE_READ(child, tgid);
    if (!settings || (__u32)BPF_CORE_READ(child, pid) != pid)
        return; /* a thread */
    if (!in_scope(settings))
        return;
    if (settings->scope & SCOPE_PIDS) {
        __u8 one = 1;
        bpf_map_update_elem(&scope_pids, &pid, &one, BPF_ANY);
    }
    if (!wanted(settings, EVENT_FORK) || !told_first(EVENT_FORK, child, 0))
        return;
    struct fork_event event = {};
    header_fill(&event.header, EVENT_FORK);
    event.child_pid = pid;
    event.child_start = BPF_CORE_READ(child, start_boottime);
    event.child_cgroup_id = BPF_CORE_READ(child, cgroups, dfl_cgrp, kn, id);
    event.child_namespace_pid = namespace_pid(child, &event.child_pid_namespace);
    event.child_parent_pid = BPF_CORE_READ(child, real_parent, tgid);
    record_submit(settings, &event.header, sizeof(event), false);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
    fork_report(child);
    return 0;
}

/* A child that was just put at the end of its parent's list; a few of its siblings may have come
 * behind it by now. */
static __always_inline struct task_struct *youngest_child(struct task_struct *parent, __u32 pid)
{
    struct list_head *at = BPF_CORE_READ(parent, children.prev);
    for (int i = 0; i < 8; i++) {
        struct task_struct *child = (void *)at - bpf_core_field_offset(struct task_struct, sibling);
        if ((__u32)BPF_CORE_READ(child, pid) == pid)
            return child;
        at = BPF_CORE_READ(at, prev);
    }
    return 0;
}

SEC("tracepoint/sched/sched_process_fork")
int on_fork_again(struct trace_event_raw_sched_process_fork *context)
{
    struct task_struct *task = current_task();
    const __u32 pid = context->child_pid;
    struct task_struct *child = youngest_child(task, pid);
    if (!child) /* CLONE_PARENT, and of each thread */
        child = youngest_child(BPF_CORE_READ(task, real_parent), pid);
    if (child)
        fork_report(child);
    return 0;
}

/* Who inherits the children of a process that is about to end: the nearest ancestor that has made
 * itself a subreaper, else the init of its pid namespace (find_new_reaper() does the same a moment
 * later). */
static __always_inline __u32 reaper_of(struct task_struct *task)
{
    struct signal_struct *signal = BPF_CORE_READ(task, signal);
    /* Children hang on the thread that made them; of several we would have to ask all. */
    struct list_head *children = (void *)task + bpf_core_field_offset(struct task_struct, children);
    if (BPF_CORE_READ(signal, nr_threads) == 1 && BPF_CORE_READ(task, children.next) == children)
        return 0;
    if (BPF_CORE_READ_BITFIELD_PROBED(signal, has_child_subreaper)) {
        struct task_struct *at = BPF_CORE_READ(task, real_parent);
        for (int level = 0; level < 24; level++) {
            if (BPF_CORE_READ(at, pid) == 0)
                break;
            struct signal_struct *above = BPF_CORE_READ(at, signal);
            if (BPF_CORE_READ_BITFIELD_PROBED(above, is_child_subreaper))
                return BPF_CORE_READ(at, tgid);
            at = BPF_CORE_READ(at, real_parent);
        }
    }
    struct upid *number = innermost_pid(task);
    return BPF_CORE_READ(number, ns, child_reaper, tgid);
}

/* Fires for every thread; the process is gone when its last one is. `signal->live` has been lowered
 * before (do_exit), so it is 0 for the last thread, but threads that exit together may all read 0.
 * The number of threads does not tell who was alone: another may have been counted out already
 * while this one still gave its memory back. */
static __always_inline void exit_report(struct task_struct *task)
{
    const struct settings *settings = settings_get();
    if (!settings || BPF_CORE_READ(task, signal, live.counter) != 0)
        return;
    if (!in_scope(settings) || !told_first(EVENT_EXIT, task, 0))
        return;
    __u32 pid = BPF_CORE_READ(task, tgid);
    if (settings->scope & SCOPE_PIDS)
        bpf_map_delete_elem(&scope_pids, &pid);
    if (!wanted(settings, EVENT_EXIT))
        return;
    struct exit_event event = {};
    header_fill(&event.header, EVENT_EXIT);
    if (BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT)
        event.result = BPF_CORE_READ(task, signal, group_exit_code);
    else
        event.result = BPF_CORE_READ(task, group_leader, exit_code);
    event.reaper_pid = reaper_of(task);
    record_submit(settings, &event.header, sizeof(event), false);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    exit_report(task);
    return 0;
}

SEC("tracepoint/sched/sched_process_exit")
int on_exit_again(const void *context)
{
    exit_report(current_task());
    return 0;
}

#endif
