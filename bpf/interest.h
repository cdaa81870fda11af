/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which opens somebody asked for. What the interest tables say of a path is kept by the path's
 * fingerprint, so that an uninteresting file costs a few loads a directory and one lookup, and
 * neither its name nor the tables are looked at again. */
#ifndef PICKET_INTEREST_H
#define PICKET_INTEREST_H

#include "path.h"

#define FINGERPRINT_STEPS 24
#define RAW_HASHED        512
#define CHANGE_LOOKED_AT  512

struct dentry_names {
    struct dentry *parent;
    __u64 name_hash; /* 32 bits over the name and the address of the parent, and its length */
};
struct mount_names {
    struct mount *parent;
    struct dentry *mountpoint;
    struct dentry *root;
};

/* Neighbours in every kernel so far, and then read at once. */
static __always_inline struct dentry_names dentry_names(struct dentry *dentry)
{
    const __u32 parent = bpf_core_field_offset(struct dentry, d_parent);
    struct dentry_names names;
    if (bpf_core_field_offset(struct dentry, d_name) == parent + 8) {
        const struct words words = words_at((void *)dentry + parent);
        names.parent = (struct dentry *)words.first;
        names.name_hash = words.second;
    } else {
        names.parent = BPF_CORE_READ(dentry, d_parent);
        names.name_hash = BPF_CORE_READ(dentry, d_name.hash_len);
    }
    return names;
}
static __always_inline struct mount_names mount_names(struct mount *mount)
{
    const __u32 parent = bpf_core_field_offset(struct mount, mnt_parent);
    struct mount_names names;
    if (bpf_core_field_offset(struct mount, mnt_mountpoint) == parent + 8) {
        const struct words words = words_at((void *)mount + parent);
        names.parent = (struct mount *)words.first;
        names.mountpoint = (struct dentry *)words.second;
    } else {
        names.parent = BPF_CORE_READ(mount, mnt_parent);
        names.mountpoint = BPF_CORE_READ(mount, mnt_mountpoint);
    }
    const __u32 root = bpf_core_field_offset(struct mount, mnt.mnt_root);
    names.root = (struct dentry *)word_at((void *)mount + root);
    return names;
}

static __always_inline __u64 mix(__u64 sum, __u64 value)
{
    sum = (sum ^ value) * 0x9e3779b97f4a7c15;
    return sum ^ sum >> 32;
}

/* A number for the path as this process would name it now: over the kernel's own hashes of the
 * names from the file up to the process's root. Made anew for each open, so there is nothing that a
 * rename, a link, a mount or a chroot would have to take back. 0 for a file without a path of its
 * own (memfd, deleted directory, outside the root) or with a very long one.
 *
 * A collision would need two names of one length with one 32-bit hash; who would make them must
 * know the kernel's address of a directory entry and the seed.
 *
 * This function and the two below are global ones of plain numbers for the reason path_step() is.
 */
__noinline __u64 path_fingerprint(__u64 seed, __u64 dentry_address, __u64 vfsmount_address)
{
    struct task_struct *task = current_task();
    struct fs_struct *fs = LOAD(task, fs);
    struct dentry *root_dentry = LOAD(fs, root.dentry);
    struct mount *root_mount = mount_of(LOAD(fs, root.mnt));
    struct dentry *dentry = (struct dentry *)dentry_address;
    struct mount *mount = mount_of((struct vfsmount *)vfsmount_address);
    struct mount_names up = {};
    if (mount != root_mount)
        up = mount_names(mount);
    __u64 sum = seed;
    for (int i = 0; i < FINGERPRINT_STEPS; i++) {
        if (mount == root_mount && dentry == root_dentry)
            return sum | 1;
        if (mount != root_mount && dentry == up.root) {
            if (up.parent == mount)
                return 0;
            dentry = up.mountpoint;
            mount = up.parent;
            if (mount != root_mount)
                up = mount_names(mount);
            continue;
        }
        const struct dentry_names names = dentry_names(dentry);
        if (names.parent == dentry || !names.parent)
            return 0;
        sum = mix(sum, names.name_hash);
        dentry = names.parent;
    }
    return 0;
}

static __always_inline __u32 name_interest(const char *text, __u32 size)
{
    struct name_key key = {};
    if (size >= sizeof(key.text))
        return 0;
    bpf_probe_read_kernel(key.text, size & (NAME_KEY_SIZE - 1), text);
    __u32 *found = bpf_map_lookup_elem(&interest_names, &key);
    return found ? *found : 0;
}

static __always_inline __u32 suffix_interest(const char *text, __u32 size)
{
    struct suffix_key key = {.prefix_bits = SUFFIX_KEY_SIZE * 8};
    char end[SUFFIX_KEY_SIZE] = {};
    __u32 length = size < SUFFIX_KEY_SIZE ? size : SUFFIX_KEY_SIZE - 1;
    bound_to(length);
    length &= SUFFIX_KEY_SIZE - 1;
    if (!length || bpf_probe_read_kernel(end, length, text + size - length))
        return 0;
    for (__u32 i = 0; i < SUFFIX_KEY_SIZE - 1; i++)
        key.text[i] = i < length ? end[(length - 1 - i) & (SUFFIX_KEY_SIZE - 1)] : 0;
    __u32 *found = bpf_map_lookup_elem(&interest_suffixes, &key);
    return found ? *found : 0;
}

/* What the tables ask of opens of the path in a slot of path_texts. */
__noinline __u32 path_interest(__u32 slot, __u64 dentry_address)
{
    struct path_text *path = bpf_map_lookup_elem(&path_texts, &slot);
    if (!path)
        return OPEN_READ | OPEN_WRITE;
    path->prefix_bits = PATH_KEY_SIZE * 8;
    __u32 *found = bpf_map_lookup_elem(&interest_paths, &path->prefix_bits);
    struct dentry *dentry = (struct dentry *)dentry_address;
    struct qstr name = {};
    bpf_core_read(&name, sizeof(name), &dentry->d_name);
    const char *text = (const char *)name.name;
    const __u32 interest =
        (found ? *found : 0) | name_interest(text, name.len) | suffix_interest(text, name.len);
    return interest & (OPEN_READ | OPEN_WRITE);
}

__noinline __u32 change_lookup(__u32 slot)
{
    struct path_text *path = bpf_map_lookup_elem(&path_texts, &slot);
    if (!path)
        return OPEN_CHANGE;
    path->prefix_bits = PATH_KEY_SIZE * 8;
    __u32 *found = bpf_map_lookup_elem(&interest_paths, &path->prefix_bits);
    const __u32 name = path->name & PATH_MASK;
    const __u32 size = (path->size - name) & PATH_MASK;
    const __u32 interest = (found ? *found : 0) | name_interest(path->text + name, size) |
                           suffix_interest(path->text + name, size);
    return interest & OPEN_CHANGE;
}

/* What the tables ask of changes of the path in a slot of path_texts: all where the text may stand
 * for a file of another name ("..", ".", an empty part, more than is looked at here). No branch
 * within the loop outlives its round, or the ways through it would multiply. */
__noinline __u32 change_interest(__u32 slot)
{
    struct path_text *path = bpf_map_lookup_elem(&path_texts, &slot);
    if (!path)
        return OPEN_CHANGE;
    const __u32 size = path->size;
    if (size == 0 || size > CHANGE_LOOKED_AT)
        return OPEN_CHANGE;
    __u32 last = 0;
    __u64 name = 0;
    path->text[size] = '/'; /* "/a/.." ends like "/a/../" */
    for (__u32 i = 0; i <= CHANGE_LOOKED_AT; i++) {
        if (i > size)
            break;
        __u64 slash = ((__u64)((last & 0xff) ^ '/') - 1) >> 63;
        bound_to(slash);
        name += slash * (i - name);
        last = last << 8 | (__u8)path->text[i];
        if ((last & 0xffff) == 0x2f2f || (last & 0xffffff) == 0x2f2e2f || last == 0x2f2e2e2f) {
            path->text[size] = 0;
            return OPEN_CHANGE;
        }
    }
    path->text[size] = 0;
    path->name = name;
    return change_lookup(slot);
}

/* Over the first `size` bytes behind an open's own record; those up to the next multiple of eight
 * are zero. */
__noinline __u64 raw_hash(__u32 slot, __u64 seed, __u32 size)
{
    struct scratch *scratch = scratch_get(slot);
    if (!scratch)
        return 0;
    const __u64 *words = (const __u64 *)&scratch->bytes[sizeof(scratch->open)];
    __u64 sum = seed ^ size;
    for (__u32 i = 0; i < RAW_HASHED / 8; i++) {
        if (i * 8 >= size)
            break;
        sum = mix(sum, words[i]);
    }
    return sum;
}

#endif
