/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of files, taken from the kernel's dentries: what was really opened, as the process itself
 * would name it (up to its own root). Never from the string it passed. Who includes this says where
 * the text is put together: maps of type PATH_MAP with PATH_SLOTS entries, keyed by a slot. */
#ifndef PICKET_PATH_WALK_H
#define PICKET_PATH_WALK_H

#include "event.h"
#include "kernel.h"

#define PATH_SIZE  4096
#define PATH_STEPS 256
/* From FLAG_PATH_* to FLAG_TARGET_*. */
#define TARGET_SHIFT 14

/* `text` is filled from its end towards the front; `start` is where the path begins. The slack
 * behind it is what the verifier believes a name at the very end could need. */
struct path_walk {
    struct dentry *dentry;
    struct mount *mount;
    struct dentry *root_dentry;
    struct mount *root_mount;
    __u32 start;
    __u32 flags;
    char text[PATH_SIZE + 256];
};

/* The finished path from its first byte, NUL-terminated: also the key for the interest tries. */
struct path_text {
    __u32 name; /* where its last part starts, when that was looked for */
    __u32 size;
    __u32 prefix_bits;
    char text[PATH_SIZE + 256];
};

struct {
    __uint(type, PATH_MAP);
    __uint(max_entries, PATH_SLOTS);
    __type(key, __u32);
    __type(value, struct path_walk);
} path_walks SEC(".maps");

struct {
    __uint(type, PATH_MAP);
    __uint(max_entries, PATH_SLOTS);
    __type(key, __u32);
    __type(value, struct path_text);
} path_texts SEC(".maps");

static __always_inline struct mount *mount_of(struct vfsmount *vfsmount)
{
    return (struct mount *)((char *)vfsmount - bpf_core_field_offset(struct mount, mnt));
}

/* One step upwards. Returns 0 to go on, 1 at the end. A global function, so that the verifier looks
 * at it once and not once for each of PATH_STEPS rounds (unrolled, the walk exceeds its million
 * instructions; bpf_loop() would do as well, but only from 5.17 on). It takes nothing but a number
 * for the same reason: before 5.12 a global function may not be given memory. */
__noinline int path_step(__u32 slot)
{
    struct path_walk *walk = bpf_map_lookup_elem(&path_walks, &slot);
    if (!walk)
        return 1;
    struct dentry *dentry = walk->dentry;
    struct mount *mount = walk->mount;
    if (dentry == walk->root_dentry && mount == walk->root_mount)
        return 1;

    struct dentry *mount_root = BPF_CORE_READ(mount, mnt.mnt_root);
    if (dentry == mount_root) {
        struct mount *parent = BPF_CORE_READ(mount, mnt_parent);
        if (parent == mount) {
            /* The top of the mount tree, and not this process's root: outside its chroot, or on a
             * mount that is attached nowhere, where "/shadow" may be anybody's. */
            walk->flags |= FLAG_PATH_INCOMPLETE;
            return 1;
        }
        walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
        walk->mount = parent;
        return 0;
    }
    struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
    struct qstr name = {};
    bpf_core_read(&name, sizeof(name), &dentry->d_name);
    __u32 size = name.len;
    __u32 start = walk->start;
    if (parent == dentry) {
        /* A file that has no directory (memfd, pipe, socket): its name alone, without a slash. */
        if (size > 255)
            size = 255;
        if (size <= start && size) {
            start = (start - size) & PATH_MASK;
            if (!bpf_probe_read_kernel(&walk->text[start], size & 255, name.name))
                walk->start = start;
        }
        walk->flags |= FLAG_PATH_INCOMPLETE;
        return 1;
    }
    if (size > 255 || size + 1 > start) {
        walk->flags |= FLAG_PATH_TRUNCATED;
        return 1;
    }
    start = (start - size) & PATH_MASK;
    if (bpf_probe_read_kernel(&walk->text[start], size & 255, name.name)) {
        walk->flags |= FLAG_PATH_INCOMPLETE;
        return 1;
    }
    start = (start - 1) & PATH_MASK;
    walk->text[start] = '/';
    walk->start = start;
    walk->dentry = parent;
    return 0;
}

/* From where the walk in this slot stands up to its root: the text is then in the slot of
 * path_texts, until this slot's next walk. Returns FLAG_PATH_*, or -1. Global and of plain numbers
 * like path_step(). */
__noinline int path_climb(__u32 slot)
{
    struct path_walk *walk = bpf_map_lookup_elem(&path_walks, &slot);
    struct path_text *out = bpf_map_lookup_elem(&path_texts, &slot);
    if (!walk || !out)
        return -1;
    walk->start = PATH_SIZE - 1;
    walk->flags = 0;
    bool done = false;
    for (int i = 0; i < PATH_STEPS; i++) {
        if (path_step(slot)) {
            done = true;
            break;
        }
    }
    __u32 start = walk->start;
    if (!done)
        walk->flags |= FLAG_PATH_TRUNCATED;
    if (start == PATH_SIZE - 1) {
        start = (start - 1) & PATH_MASK;
        walk->text[start] = '/';
    }
    __u32 size = (PATH_SIZE - 1 - start) & PATH_MASK;
    out->size = 0;
    if (bpf_probe_read_kernel(out->text, size, &walk->text[start & PATH_MASK]))
        return -1;
    out->text[size] = 0;
    out->size = size;
    return walk->flags;
}

/* Names what `dentry` and `vfsmount` stand for as a process with the directories `fs` would. */
__noinline int path_walk(__u32 slot, __u64 dentry, __u64 vfsmount)
{
    struct path_walk *walk = bpf_map_lookup_elem(&path_walks, &slot);
    if (!walk)
        return -1;
    struct task_struct *task = current_task();
    struct fs_struct *fs = LOAD(task, fs);
    walk->dentry = (struct dentry *)dentry;
    walk->mount = mount_of((struct vfsmount *)vfsmount);
    walk->root_dentry = LOAD(fs, root.dentry);
    walk->root_mount = mount_of(LOAD(fs, root.mnt));
    return path_climb(slot);
}

/* The text of that, or NULL; adds FLAG_PATH_* to `flags`. */
static __always_inline struct path_text *path_resolve(struct path path, __u32 slot, __u32 *flags)
{
    int found = path_walk(slot, (__u64)path.dentry, (__u64)path.mnt);
    if (found < 0)
        return 0;
    *flags |= found;
    return bpf_map_lookup_elem(&path_texts, &slot);
}

static __always_inline struct path path_of(struct path *of)
{
    const struct words words = words_at(of);
    return (struct path){.mnt = (struct vfsmount *)words.first,
                         .dentry = (struct dentry *)words.second};
}

#endif
