/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Refusing executions: where the kernel asks BPF programs for leave (LSM), before anything has
 * happened, for a script and for its interpreter; else by SIGKILL once the new image is laid out,
 * before its first instruction. There the script's file is closed already, so that of a script only
 * the name is known by which it was started. */
#ifndef PICKET_REFUSE_EXEC_H
#define PICKET_REFUSE_EXEC_H

#include "refuse.h"

/* Put together by thread, not by CPU: these programs may be preempted by others of their kind. */
#define PATH_MAP   BPF_MAP_TYPE_HASH
#define PATH_SLOTS 64
#include "path_walk.h"

#define SIGKILL     9
#define TMPFS_MAGIC 0x01021994

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 8192);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct refusal_path_key);
    __type(value, __u8);
} refusal_paths SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct refusal_name_key);
    __type(value, __u8);
} refusal_names SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct refusal_inode_key);
    __type(value, __u8);
} refusal_inodes SEC(".maps");

enum exec_path {
    EXEC_PATH_NOT_ASKED,
    EXEC_PATH_KNOWN,
    EXEC_PATH_UNKNOWN,
};

/* An execution while it is looked at. */
struct exec_work {
    __u64 dentry;
    __u64 vfsmount;
    __u64 inode;
    __u64 cgroup;
    __u64 script; /* tells scripts apart; 0 for a file */
    __u32 device;
    __u32 written;   /* since the container was made */
    __u32 path;      /* enum exec_path */
    __u32 path_size; /* of what is to be told */
    __u32 slash;     /* of a script's name: where the last one is */
    __u32 odd;       /* the name may lead elsewhere than it seems */
    struct refusal_path_key key;
    struct refusal_name_key name;
    struct refusal_event event;
    char text[PATH_SIZE + 256]; /* behind the event, as in the ring */
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, PATH_SLOTS);
    __type(key, __u32);
    __type(value, struct exec_work);
} exec_works SEC(".maps");

/* What the entries of exec_works and of the paths' maps begin with; large enough for each. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct exec_work);
} exec_nothing SEC(".maps");
_Static_assert(sizeof(struct exec_work) >= sizeof(struct path_walk), "exec_nothing is too small");
_Static_assert(sizeof(struct exec_work) >= sizeof(struct path_text), "exec_nothing is too small");

/* The execution of a thread that was looked at last: of the two programs that kill, the second one
 * has nothing to do. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, __u64);
} exec_looked_at SEC(".maps");

static __always_inline struct exec_work *exec_work_of(__u32 tid)
{
    return bpf_map_lookup_elem(&exec_works, &tid);
}

/* Finds the path of the file; how it went is in the work's `path`. Global and of plain numbers like
 * path_step(). */
__noinline int exec_path_find(__u32 tid)
{
    struct exec_work *work = exec_work_of(tid);
    if (!work || work->path != EXEC_PATH_NOT_ASKED)
        return 0;
    work->path = EXEC_PATH_UNKNOWN;
    __u32 zero = 0;
    const void *nothing = bpf_map_lookup_elem(&exec_nothing, &zero);
    if (!nothing || bpf_map_update_elem(&path_walks, &tid, nothing, BPF_ANY))
        return 0;
    if (!bpf_map_update_elem(&path_texts, &tid, nothing, BPF_ANY)) {
        const int flags = path_walk(tid, work->dentry, work->vfsmount);
        const struct path_text *path = bpf_map_lookup_elem(&path_texts, &tid);
        if (flags >= 0 && path) {
            __u32 size = path->size & PATH_MASK;
            /* Where the tree that the file hangs in is attached nowhere, "/x" may be anybody's.
             * What has no directory at all has no slash, and is known not to be what is named. */
            if (!(flags & FLAG_PATH_INCOMPLETE) || path->text[0] != '/')
                work->path = EXEC_PATH_KNOWN;
            bpf_probe_read_kernel(work->key.text, REFUSAL_PATH_SIZE, path->text);
            if (!bpf_probe_read_kernel(work->text, size, path->text))
                work->path_size = size;
            /* The end of a path that is too long must not pass for one. */
            if (flags & FLAG_PATH_TRUNCATED)
                work->key.text[0] = 0;
        }
        bpf_map_delete_elem(&path_texts, &tid);
    }
    bpf_map_delete_elem(&path_walks, &tid);
    return 0;
}

static __always_inline bool exec_named(struct exec_work *work, __u32 slot)
{
    work->name.rule = slot;
    return work->name.text[0] && bpf_map_lookup_elem(&refusal_names, &work->name);
}

/* Is it one of the rule's programs? Negative when that cannot be told. */
static __always_inline int exec_matches(struct exec_work *work, __u32 slot, __u32 flags, __u32 tid)
{
    /* Of a link the file has been looked at already. */
    const bool link = work->script && work->inode;
    if (flags & REFUSAL_ANY && !link)
        return true;
    if (flags & REFUSAL_NOT_FROM_IMAGE && work->written)
        return true;
    if (flags & REFUSAL_INODES && !work->script) {
        const struct refusal_inode_key key = {
            .inode = work->inode, .device = work->device, .rule = slot};
        if (bpf_map_lookup_elem(&refusal_inodes, &key))
            return true;
    }
    if (flags & REFUSAL_NAMES && exec_named(work, slot))
        return true;
    if (!(flags & REFUSAL_PATHS))
        return false;
    exec_path_find(tid);
    if (work->path != EXEC_PATH_KNOWN)
        return -1;
    work->key.prefix_bits = (REFUSAL_PATH_SIZE + sizeof(work->key.rule)) * 8;
    work->key.rule = slot;
    return bpf_map_lookup_elem(&refusal_paths, &work->key) != 0;
}

/* Returns 1 when the rule refuses the execution. Global like path_step(). */
__noinline int exec_rule(__u32 slot, __u32 tid)
{
    const struct refusal_rule *rule = bpf_map_lookup_elem(&refusal_rules, &slot);
    struct exec_work *work = exec_work_of(tid);
    if (!rule || !work || !rule_in_force(rule, REFUSAL_EXEC))
        return 0;
    const __u32 flags = rule->flags;
    /* A name may lead to the file by many ways: it is enough to deny by, not to know what else. */
    if (flags & REFUSAL_ALLOW_ONLY && work->script)
        return 0;
    const int matches = exec_matches(work, slot, flags, tid);
    if (matches < 0 || !matches == !(flags & REFUSAL_ALLOW_ONLY))
        return 0;
    struct refusal_event *event = &work->event;
    struct task_struct *task = refuse_task();
    refusal_fill(event, slot, rule, work->cgroup);
    event->start = BPF_CORE_READ(task, group_leader, start_boottime);
    event->pid = BPF_CORE_READ(task, tgid);
    event->count = refusal_count(event, work->inode ^ (__u64)work->device << 32 ^ work->script);
    if (event->count) {
        exec_path_find(tid);
        refusal_put(event, sizeof(*event) + (work->path_size & PATH_MASK));
    }
    return event->refused;
}

/* Returns 1 when a rule of a cgroup refuses the execution. */
__noinline int exec_scope(__u64 id, __u32 tid)
{
    const struct refusal_scope *scope = scope_find(id, REFUSAL_EXEC);
    int refused = 0;
    for (__u32 i = 0; scope && i < REFUSAL_SCOPE_RULES && i < scope->count; i++)
        refused |= exec_rule(scope->rules[i], tid);
    return refused != 0;
}

static __always_inline int exec_scope_of(__u64 id, void *tid)
{
    return exec_scope(id, *(__u32 *)tid);
}

static __always_inline struct exec_work *exec_begin(struct task_struct *task, __u32 tid)
{
    __u32 zero = 0;
    const void *nothing = bpf_map_lookup_elem(&exec_nothing, &zero);
    if (!nothing || bpf_map_update_elem(&exec_works, &tid, nothing, BPF_ANY)) {
        struct refusal_counters *counts = refuse_counts();
        if (counts)
            __sync_fetch_and_add(&counts->unchecked, 1);
        return 0;
    }
    struct exec_work *work = exec_work_of(tid);
    if (work)
        work->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
    return work;
}

static __always_inline int exec_end(struct task_struct *task, __u32 tid)
{
    struct cgroup *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
    const int refused = scope_walk(cgroup, exec_scope_of, &tid);
    bpf_map_delete_elem(&exec_works, &tid);
    return refused;
}

static __always_inline __u64 magic_of(struct inode *inode)
{
    return BPF_CORE_READ(inode, i_sb, s_magic);
}

/* Was the file written since the container was made: in its overlay's upper layer, or in memory?
 * Only where the process's root is an overlay; a volume may hold what the image's maker meant. */
static __always_inline bool exec_written(struct task_struct *task, struct inode *inode)
{
    if (magic_of(BPF_CORE_READ(task, fs, root.dentry, d_inode)) != OVERLAYFS_SUPER_MAGIC)
        return false;
    return magic_of(inode) == TMPFS_MAGIC || inode_in_upper_layer(inode);
}

/* Returns 1 when the execution of a file is refused. */
static __always_inline int exec_refused(struct task_struct *task, struct file *file)
{
    const __u32 tid = BPF_CORE_READ(task, pid);
    if (!file || refuse_exempt(task))
        return 0;
    struct exec_work *work = exec_begin(task, tid);
    if (!work)
        return 0;
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
    work->dentry = (__u64)dentry;
    work->vfsmount = (__u64)BPF_CORE_READ(file, f_path.mnt);
    work->inode = BPF_CORE_READ(inode, i_ino);
    work->device = BPF_CORE_READ(inode, i_sb, s_dev);
    work->written = exec_written(task, inode);
    if (BPF_CORE_READ(dentry, d_name.len) < REFUSAL_NAME_SIZE)
        bpf_probe_read_kernel_str(work->name.text, REFUSAL_NAME_SIZE,
                                  BPF_CORE_READ(dentry, d_name.name));
    return exec_end(task, tid);
}

/* Looks at one byte of a script's name. Returns 1 at its end. Global like path_step(). */
__noinline int script_step(__u32 tid, __u32 at)
{
    struct exec_work *work = exec_work_of(tid);
    if (!work || at >= REFUSAL_PATH_SIZE - 1 || !work->key.text[at])
        return 1;
    work->script = (work->script ^ work->key.text[at]) * 0x100000001b3;
    if (work->key.text[at] != '/')
        return 0;
    const char next = work->key.text[at + 1];
    const char after = at + 2 < REFUSAL_PATH_SIZE ? work->key.text[at + 2] : 0;
    if (next == '/' || (next == '.' && (after == '/' || after == '.')))
        work->odd = 1;
    work->slash = at;
    return 0;
}

/* Puts the absolute name together by which a script was started. Whether links lead elsewhere is
 * not looked at; a name with "/./", "/../" or "//" in it is not known. */
__noinline int script_name(__u32 tid, __u64 name)
{
    struct exec_work *work = exec_work_of(tid);
    if (!work)
        return 0;
    char first[2] = {};
    bpf_probe_read_kernel(first, sizeof(first), (void *)name);
    __u32 at = 0;
    if (first[0] != '/') {
        struct task_struct *task = refuse_task();
        work->dentry = (__u64)BPF_CORE_READ(task, fs, pwd.dentry);
        work->vfsmount = (__u64)BPF_CORE_READ(task, fs, pwd.mnt);
        exec_path_find(tid);
        if (work->path != EXEC_PATH_KNOWN || work->path_size >= REFUSAL_PATH_SIZE)
            return 0;
        at = work->path_size > 1 ? work->path_size : 0;
        work->text[at & 255] = '/';
        at++;
        if (first[0] == '.' && first[1] == '/')
            name += 2;
    }
    work->path = EXEC_PATH_UNKNOWN;
    const long size = bpf_probe_read_kernel_str(&work->text[at & 255], PATH_SIZE, (void *)name);
    if (size <= 0)
        return 0;
    work->path_size = at + size - 1;
    bpf_probe_read_kernel(work->key.text, REFUSAL_PATH_SIZE, work->text);
    work->script = 0xcbf29ce484222325; /* FNV-1a */
    work->odd = work->path_size >= REFUSAL_PATH_SIZE;
    for (__u32 i = 0; i < REFUSAL_PATH_SIZE - 1; i++) {
        if (script_step(tid, i))
            break;
    }
    const __u32 last = work->slash & 255;
    bpf_probe_read_kernel_str(work->name.text, REFUSAL_NAME_SIZE, &work->text[last + 1]);
    /* A name as long as that may be the beginning of a longer one. */
    if (work->name.text[REFUSAL_NAME_SIZE - 2])
        work->name.text[0] = 0;
    work->script |= 1;
    if (!work->odd)
        work->path = EXEC_PATH_KNOWN;
    return 0;
}

/* Is the file's own name the last part of the one it was started by? Global like path_step(). */
__noinline int exec_is_own_name(__u32 tid, __u64 dentry)
{
    const struct exec_work *work = exec_work_of(tid);
    char own[REFUSAL_NAME_SIZE] = {};
    if (!work)
        return 1;
    bpf_probe_read_kernel_str(own, sizeof(own),
                              BPF_CORE_READ((struct dentry *)dentry, d_name.name));
    int differs = 0;
    for (__u32 i = 0; i < REFUSAL_NAME_SIZE - 1; i++)
        differs |= own[i] ^ work->name.text[i];
    return !differs;
}

/* Returns 1 when the execution of a script, or of `file` by a link of another name, is refused for
 * the name it was started by. */
static __always_inline int name_refused(struct task_struct *task, const char *name,
                                        struct file *file)
{
    const __u32 tid = BPF_CORE_READ(task, pid);
    if (refuse_exempt(task))
        return 0;
    struct exec_work *work = exec_begin(task, tid);
    if (!work)
        return 0;
    work->script = 1;
    work->inode = file ? BPF_CORE_READ(file, f_inode, i_ino) : 0;
    script_name(tid, (__u64)name);
    if (file && exec_is_own_name(tid, (__u64)BPF_CORE_READ(file, f_path.dentry))) {
        bpf_map_delete_elem(&exec_works, &tid);
        return 0;
    }
    return exec_end(task, tid);
}

/* Asked for the program itself, and for each interpreter. */
SEC("lsm/bprm_check_security")
int BPF_PROG(refuse_exec, struct linux_binprm *bprm, int before)
{
    if (before)
        return before;
    struct task_struct *task = refuse_task();
    struct file *file = BPF_CORE_READ(bprm, file);
    const char *name = BPF_CORE_READ(bprm, filename);
    if (exec_refused(task, file))
        return -EPERM;
    if (name == BPF_CORE_READ(bprm, interp) && name_refused(task, name, file))
        return -EPERM;
    return 0;
}

/* Was this execution looked at already? */
static __always_inline bool exec_again(struct task_struct *task)
{
    const __u32 tid = BPF_CORE_READ(task, pid);
    const __u64 image =
        BPF_CORE_READ(task, self_exec_id) ^ BPF_CORE_READ(task, group_leader, start_boottime) << 16;
    const __u64 *last = bpf_map_lookup_elem(&exec_looked_at, &tid);
    if (last && *last == image)
        return true;
    bpf_map_update_elem(&exec_looked_at, &tid, &image, BPF_ANY);
    return false;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(kill_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
    struct file *file = BPF_CORE_READ(bprm, file);
    int refused = !exec_again(task) && exec_refused(task, file);
    const char *name = BPF_CORE_READ(bprm, filename);
    if (!refused)
        refused = name_refused(task, name, name == BPF_CORE_READ(bprm, interp) ? file : 0);
    if (refused)
        bpf_send_signal(SIGKILL);
    return 0;
}

/* From 7.0 on the one above may be skipped, see process.h. */
SEC("tracepoint/sched/sched_process_exec")
int kill_exec_again(const void *context)
{
    struct task_struct *task = refuse_task();
    if (!exec_again(task) && exec_refused(task, BPF_CORE_READ(task, mm, exe_file)))
        bpf_send_signal(SIGKILL);
    return 0;
}

#endif
