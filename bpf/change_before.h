/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a change by name is about, noted from the kernel's own objects before the act: afterwards
 * the file is gone, or has another name. Whoever changes the caller's memory or swaps a directory
 * on the way does not change what is noted here, for the kernel has looked the names up by now. */
#ifndef PICKET_CHANGE_BEFORE_H
#define PICKET_CHANGE_BEFORE_H

#include "change_calls.h"
#include "path.h"

/* Of a longer name the end is kept, and the event says so. */
#define NOTED_PATH 1024
#define NOTED_NAME 256

struct change_note {
    __u64 seed; /* of the settings then in force: under others the note may be left over */
    __u64 inode;
    __u32 device;
    __u32 mode;
    __u32 flags; /* FLAG_PATH_*, FLAG_TARGET_* */
    __u32 call;
    __u32 path_size; /* 0 when there is none */
    __u32 target_size;
    __u32 name_size;
    __u32 reserved;
    char path[NOTED_PATH];
    char target[NOTED_PATH];
    char name[NOTED_NAME];
};

/* By thread, which is in one call at a time: taken out again when it returns. A note that others
 * have pushed out is missed, and the caller's own words are told instead. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, struct change_note);
} change_notes SEC(".maps");

/* How many of these programs are at work on this CPU. They share a scratch slot, and where the
 * kernel can be preempted one may interrupt another: it then notes nothing. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} change_notes_busy SEC(".maps");

/* Puts the name of a file into the note in the scratch slot. Of plain numbers like path_step(). */
__noinline int note_path(__u64 dentry, __u64 vfsmount, __u32 is_target)
{
    __u32 slot = SCRATCH_CHANGE_BEFORE;
    struct scratch *scratch = scratch_get(slot);
    const int flags = path_walk(slot, dentry, vfsmount);
    struct path_text *path = bpf_map_lookup_elem(&path_texts, &slot);
    if (!scratch || !path || flags < 0)
        return 0;
    struct change_note *note = (struct change_note *)scratch->bytes;
    __u32 size = path->size & PATH_MASK;
    __u32 skipped = 0;
    if (size > NOTED_PATH - 1) {
        skipped = size - (NOTED_PATH - 1);
        size = NOTED_PATH - 1;
    }
    bound_to(size);
    size &= NOTED_PATH - 1;
    bound_to(skipped);
    skipped &= PATH_MASK;
    if (bpf_probe_read_kernel(is_target ? note->target : note->path, size, path->text + skipped))
        return 0;
    const __u32 all = flags | (skipped ? FLAG_PATH_TRUNCATED : 0);
    if (is_target) {
        note->target_size = size;
        note->flags |= all << TARGET_SHIFT;
    } else {
        note->path_size = size;
        note->flags |= all;
    }
    return 0;
}

/* The kind of change that the call in progress was made for; 0 when it is none of ours: an open
 * that makes a file asks for mknod, too, and what goes through a ring is told elsewhere. */
static __always_inline bool change_in_progress(__u32 kind, __u32 *call)
{
    *call = syscall_number(syscall_regs());
    if (*call >= CHANGE_CALLS)
        return false;
    const __u32 made_for = change_shape(*call)->kind;
    return made_for == kind || (kind == EVENT_RMDIR && *call == NUMBER_OF(UNLINKAT));
}

struct change_objects {
    struct vfsmount *mount; /* 0: no path */
    struct dentry *dentry;
    struct vfsmount *target_mount;
    struct dentry *target;
    const char *name;
};

static __always_inline void note_write(struct change_note *note, const struct settings *settings,
                                       const struct change_objects *objects, __u32 call)
{
    note->seed = settings->seed;
    note->inode = 0;
    note->device = 0;
    note->mode = 0;
    note->flags = 0;
    note->call = call;
    note->path_size = 0;
    note->target_size = 0;
    note->name_size = 0;
    note->reserved = 0;
    struct dentry *dentry = objects->dentry;
    struct inode *inode = BPF_CORE_READ(dentry, d_inode);
    if (inode) {
        note->inode = BPF_CORE_READ(inode, i_ino);
        note->device = BPF_CORE_READ(inode, i_sb, s_dev);
        note->mode = BPF_CORE_READ(inode, i_mode);
    }
    if (objects->mount)
        note_path((__u64)dentry, (__u64)objects->mount, false);
    if (objects->target)
        note_path((__u64)objects->target, (__u64)objects->target_mount, true);
    if (objects->name) {
        const long size = bpf_probe_read_kernel_str(note->name, sizeof(note->name), objects->name);
        note->name_size = size > 1 ? size - 1 : 0;
    }
}

static __always_inline int note_change(__u32 kind, const struct change_objects *objects)
{
    const struct settings *settings = settings_get();
    __u32 call = 0;
    if (!wanted(settings, kind) || !change_in_progress(kind, &call))
        return 0;
    struct task_struct *task = current_task();
    if ((__u32)LOAD(task, tgid) == settings->sensor_pid || !in_scope(settings))
        return 0;
    __u32 zero = 0;
    __u32 thread = (__u32)bpf_get_current_pid_tgid();
    __u64 *busy = bpf_map_lookup_elem(&change_notes_busy, &zero);
    struct scratch *scratch = scratch_get(SCRATCH_CHANGE_BEFORE);
    if (!busy || !scratch)
        return 0;
    __sync_fetch_and_add(busy, 1);
    if (*(volatile __u64 *)busy == 1) {
        struct change_note *note = (struct change_note *)scratch->bytes;
        note_write(note, settings, objects, call);
        bpf_map_update_elem(&change_notes, &thread, note, BPF_ANY);
    }
    __sync_fetch_and_add(busy, -1);
    return 0;
}

/* The hooked function's arguments as plain numbers: pointers with types of their own may not be
 * passed on to a global function. */
struct hook_arguments {
    __u64 at[4];
};

static __always_inline struct hook_arguments hook_arguments(const __u64 *context)
{
    struct hook_arguments arguments = {};
    bpf_probe_read_kernel(&arguments, sizeof(arguments), context);
    return arguments;
}

static __always_inline struct vfsmount *mount_at(__u64 path)
{
    return path_of((struct path *)path).mnt;
}

/* security_path_* take the directory as a path, and what is in it as a dentry. */
#define BEFORE_IN_DIRECTORY(name, event)                                                           \
    SEC("fentry/security_path_" #name)                                                             \
    int before_##name(const __u64 *context)                                                        \
    {                                                                                              \
        const struct hook_arguments arguments = hook_arguments(context);                           \
        const struct change_objects objects = {.mount = mount_at(arguments.at[0]),                 \
                                               .dentry = (struct dentry *)arguments.at[1]};        \
        return note_change(event, &objects);                                                       \
    }

BEFORE_IN_DIRECTORY(unlink, EVENT_UNLINK)
BEFORE_IN_DIRECTORY(rmdir, EVENT_RMDIR)
BEFORE_IN_DIRECTORY(mkdir, EVENT_MKDIR)
BEFORE_IN_DIRECTORY(mknod, EVENT_MKNOD)
BEFORE_IN_DIRECTORY(symlink, EVENT_SYMLINK)

/* The file itself as a path. */
#define BEFORE_OF_PATH(name, event)                                                                \
    SEC("fentry/security_path_" #name)                                                             \
    int before_##name(const __u64 *context)                                                        \
    {                                                                                              \
        const struct path path = path_of((struct path *)hook_arguments(context).at[0]);            \
        const struct change_objects objects = {.mount = path.mnt, .dentry = path.dentry};          \
        return note_change(event, &objects);                                                       \
    }

BEFORE_OF_PATH(chmod, EVENT_CHMOD)
BEFORE_OF_PATH(chown, EVENT_CHOWN)
BEFORE_OF_PATH(truncate, EVENT_TRUNCATE)

SEC("fentry/security_path_rename")
int before_rename(const __u64 *context)
{
    const struct hook_arguments arguments = hook_arguments(context);
    const struct change_objects objects = {.mount = mount_at(arguments.at[0]),
                                           .dentry = (struct dentry *)arguments.at[1],
                                           .target_mount = mount_at(arguments.at[2]),
                                           .target = (struct dentry *)arguments.at[3]};
    return note_change(EVENT_RENAME, &objects);
}

/* Both names of a file lie on one mount: the kernel refuses others before it asks. */
SEC("fentry/security_path_link")
int before_link(const __u64 *context)
{
    const struct hook_arguments arguments = hook_arguments(context);
    struct vfsmount *mount = mount_at(arguments.at[1]);
    const struct change_objects objects = {.mount = mount,
                                           .dentry = (struct dentry *)arguments.at[0],
                                           .target_mount = mount,
                                           .target = (struct dentry *)arguments.at[2]};
    return note_change(EVENT_LINK, &objects);
}

/* By which mount the file was reached is not known here: its numbers are noted, and the attribute.
 */
#define BEFORE_ATTRIBUTE(call)                                                                     \
    SEC("fentry/security_inode_" #call)                                                            \
    int before_##call(const __u64 *context)                                                        \
    {                                                                                              \
        const struct hook_arguments arguments = hook_arguments(context);                           \
        const int mapping = XATTR_MAPPED ? 1 : 0;                                                  \
        const struct change_objects objects = {.dentry = (struct dentry *)arguments.at[mapping],   \
                                               .name = (const char *)arguments.at[mapping + 1]};   \
        return note_change(EVENT_SETXATTR, &objects);                                              \
    }

BEFORE_ATTRIBUTE(setxattr)
BEFORE_ATTRIBUTE(removexattr)

#endif
