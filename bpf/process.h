/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* exec, fork and exit: the life of a process. */
#ifndef PICKET_PROCESS_H
#define PICKET_PROCESS_H

#include "path.h"

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
    event->uid = BPF_CORE_READ(cred, uid.val);
    event->gid = BPF_CORE_READ(cred, gid.val);
    event->euid = BPF_CORE_READ(cred, euid.val);
    event->egid = BPF_CORE_READ(cred, egid.val);
    /* Two u32 up to 6.2 (f122a08b197d), one u64 since: the same eight bytes on a little-endian
     * machine. */
    bpf_probe_read_kernel(&event->capabilities, sizeof(event->capabilities),
                          (void *)cred + bpf_core_field_offset(struct cred, cap_effective));
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
    event->mount_namespace = BPF_CORE_READ(nsproxy, mnt_ns, ns.inum);
    event->network_namespace = BPF_CORE_READ(nsproxy, net_ns, ns.inum);
    event->uts_namespace = BPF_CORE_READ(nsproxy, uts_ns, ns.inum);
    event->ipc_namespace = BPF_CORE_READ(nsproxy, ipc_ns, ns.inum);
    event->cgroup_namespace = BPF_CORE_READ(nsproxy, cgroup_ns, ns.inum);
    event->pid_namespace = 0;
    event->namespace_pid = namespace_pid(task, &event->pid_namespace);
}

/* The arguments as the kernel has just laid them out for the new image, before its first
 * instruction: the pages were written a moment ago, so they are resident, and nobody else can have
 * changed them. */
static __always_inline void exec_arguments(struct exec_event *event, struct tail *tail,
                                           struct task_struct *task)
{
    unsigned long start = BPF_CORE_READ(task, mm, arg_start);
    __u64 size = BPF_CORE_READ(task, mm, arg_end) - start;
    __u32 at = tail->at;
    event->args_bytes = size;
    event->args.offset = at;
    event->args.size = 0;
    if (!size || at > TAIL_LIMIT)
        return;
    bound_to(at);
    if (size > TEXT_MAX) {
        size = TEXT_MAX;
        event->header.flags |= FLAG_ARGS_TRUNCATED;
    }
    size &= TEXT_MAX;
    if (bpf_probe_read_user(&tail->scratch->bytes[at], size, (void *)start)) {
        event->header.flags |= FLAG_ARGS_UNREADABLE;
        return;
    }
    event->args.size = size;
    tail->at = at + size;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
    const struct settings *settings = settings_get();
    if (!wanted(settings, EVENT_EXEC) || !in_scope(settings))
        return 0;
    struct scratch *scratch = scratch_get(SCRATCH_EXEC);
    if (!scratch)
        return 0;
    struct exec_event *event = &scratch->exec;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    header_fill(&event->header, EVENT_EXEC);

    struct task_struct *parent = BPF_CORE_READ(task, real_parent, group_leader);
    event->parent_pid = BPF_CORE_READ(parent, tgid);
    event->parent_start = BPF_CORE_READ(parent, start_boottime);
    event->tty = terminal_device(task);
    exec_credentials(event, task);
    exec_namespaces(event, task);

    struct file *file = BPF_CORE_READ(bprm, file);
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    event->inode = BPF_CORE_READ(inode, i_ino);
    event->device = BPF_CORE_READ(inode, i_sb, s_dev);
    if (BPF_CORE_READ(inode, i_nlink) == 0)
        event->header.flags |= FLAG_UNLINKED;

    tail_string(&tail, &event->comm, (void *)task + bpf_core_field_offset(struct task_struct, comm),
                false);

    struct path_text *path =
        path_resolve(path_of(&file->f_path), SCRATCH_EXEC, &event->header.flags);
    if (path && path->size > 6 && (event->header.flags & FLAG_PATH_INCOMPLETE) &&
        path->text[0] == 'm' && path->text[1] == 'e' && path->text[2] == 'm' &&
        path->text[3] == 'f' && path->text[4] == 'd' && path->text[5] == ':') {
        /* A memfd has no link from the start; that it is none of a deleted file is what tells them
         * apart. */
        event->header.flags |= FLAG_FROM_MEMFD;
        event->header.flags &= ~(FLAG_UNLINKED | FLAG_PATH_INCOMPLETE);
    }
    tail_path(&tail, &event->path, path);

    const char *filename = BPF_CORE_READ(bprm, filename);
    const char *interpreter = BPF_CORE_READ(bprm, interp);
    if (!tail_string(&tail, &event->raw, filename, false))
        event->header.flags |= FLAG_RAW_UNREADABLE;
    event->interpreter.offset = tail.at;
    event->interpreter.size = 0;
    if (interpreter != filename)
        tail_string(&tail, &event->interpreter, interpreter, false);

    exec_arguments(event, &tail, task);

    __u32 cwd_flags = 0;
    struct fs_struct *fs = BPF_CORE_READ(task, fs);
    tail_path(&tail, &event->cwd, path_resolve(path_of(&fs->pwd), SCRATCH_EXEC, &cwd_flags));
    if (cwd_flags || !event->cwd.size)
        event->header.flags |= FLAG_CWD_TRUNCATED;

    __u32 size = tail.at;
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, false);
    return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
    const struct settings *settings = settings_get();
    __u32 pid = BPF_CORE_READ(child, tgid);
    if (!settings || (__u32)BPF_CORE_READ(child, pid) != pid)
        return 0; /* a thread */
    if (!in_scope(settings))
        return 0;
    if (settings->scope & SCOPE_PIDS) {
        __u8 one = 1;
        bpf_map_update_elem(&scope_pids, &pid, &one, BPF_ANY);
    }
    if (!wanted(settings, EVENT_FORK))
        return 0;
    struct fork_event event = {};
    header_fill(&event.header, EVENT_FORK);
    event.child_pid = pid;
    event.child_start = BPF_CORE_READ(child, start_boottime);
    event.child_cgroup_id = BPF_CORE_READ(child, cgroups, dfl_cgrp, kn, id);
    event.child_namespace_pid = namespace_pid(child, &event.child_pid_namespace);
    event.child_parent_pid = BPF_CORE_READ(child, real_parent, tgid);
    record_submit(settings, &event.header, sizeof(event), false);
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
 * before (do_exit), so it is 0 for the last thread, but threads that exit together may all read 0:
 * the one that gets its entry into `exiting` reports. The number of threads does not tell who was
 * alone: another may have been counted out already while this one still gave its memory back. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    const struct settings *settings = settings_get();
    if (!settings || BPF_CORE_READ(task, signal, live.counter) != 0)
        return 0;
    if (!in_scope(settings))
        return 0;
    __u32 pid = BPF_CORE_READ(task, tgid);
    __u64 key = BPF_CORE_READ(task, group_leader, start_boottime) ^ (__u64)pid << 40;
    __u8 one = 1;
    if (bpf_map_update_elem(&exiting, &key, &one, BPF_NOEXIST) == -EEXIST)
        return 0;
    if (settings->scope & SCOPE_PIDS)
        bpf_map_delete_elem(&scope_pids, &pid);
    if (!wanted(settings, EVENT_EXIT))
        return 0;
    struct exit_event event = {};
    header_fill(&event.header, EVENT_EXIT);
    if (BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT)
        event.result = BPF_CORE_READ(task, signal, group_exit_code);
    else
        event.result = BPF_CORE_READ(task, group_leader, exit_code);
    event.reaper_pid = reaper_of(task);
    record_submit(settings, &event.header, sizeof(event), false);
    return 0;
}

#endif
