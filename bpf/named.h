/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a caller named, made absolute without looking: for calls that leave no object behind. */
#ifndef PICKET_NAMED_H
#define PICKET_NAMED_H

#include "file.h"

/* Where a name that does not start with a slash starts from: a descriptor or AT_FDCWD. */
static __always_inline struct path named_base(int directory)
{
    struct task_struct *task = current_task();
    if (directory == AT_FDCWD) {
        struct fs_struct *fs = LOAD(task, fs);
        return path_of(&fs->pwd);
    }
    struct file *file = file_of(task, directory);
    return file ? path_of(&file->f_path) : (struct path){};
}

/* Adds `raw`, which lies in the record already, as seen from `directory`. Returns flags. An
 * absolute one is not copied. Where there is no `raw` the directory itself is meant
 * (AT_EMPTY_PATH), and that is the kernel's own name for it. */
static __always_inline __u32 tail_absolute(struct tail *tail, struct text *text,
                                           const struct text *raw, int directory, __u32 slot)
{
    __u32 offset = raw->offset, size = raw->size, flags = FLAG_PATH_FROM_USER;
    text->offset = tail->at;
    text->size = 0;
    if (offset > TAIL_LIMIT)
        return flags;
    bound_to(offset);
    const char *from = &tail->scratch->bytes[offset];
    if (size && *from == '/') {
        *text = *raw;
        return flags;
    }
    const struct path base = named_base(directory);
    if (!base.dentry)
        return flags | FLAG_PATH_INCOMPLETE;
    struct path_text *path = path_resolve(base, slot, &flags);
    if (!path)
        return flags | FLAG_PATH_INCOMPLETE;
    tail_path(tail, text, path);
    if (!size)
        return flags & ~FLAG_PATH_FROM_USER;
    /* The root's name is the slash itself. */
    if (text->size == 1) {
        text->size = 0;
        tail->at--;
    }
    struct text rest;
    __u32 length = text->size;
    length += tail_kernel(tail, &rest, "/", 1) ? rest.size : 0;
    if (!tail_kernel(tail, &rest, from, size))
        flags |= FLAG_PATH_TRUNCATED;
    text->size = length + rest.size;
    return flags;
}

/* What the flags of a name are called when it is the target. */
static __always_inline __u32 target_flags(__u32 flags)
{
    return FLAG_TARGET_FROM_USER | (flags & ~FLAG_PATH_FROM_USER) << TARGET_SHIFT;
}

#endif
