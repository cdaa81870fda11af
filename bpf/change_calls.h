/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which argument of which system call says what: data for change.h. */
#ifndef PICKET_CHANGE_CALLS_H
#define PICKET_CHANGE_CALLS_H

#include "record.h"

#define CHANGE_CALLS     512
#define CHANGE_ARGUMENTS 8
/* Two arguments that no call has: AT_FDCWD and 0. */
#define HERE 5
#define NONE 6
/* Each the index of an argument. */
struct change_shape {
    __u8 kind; /* enum event_kind; unlinkat's is settled by its flags */
    __u8 directory;
    __u8 path;
    __u8 target_directory;
    __u8 target; /* of a symbolic link its text */
    __u8 flags;
    __u8 value;      /* mode, length or name of the attribute; owner, and the group follows */
    __u8 descriptor; /* of what is acted on */
};

#define BY_PATH(kind, flags, value)                                                                \
    {                                                                                              \
        kind, HERE, 0, NONE, NONE, flags, value, NONE                                              \
    }
#define BY_DIRECTORY(kind, flags, value)                                                           \
    {                                                                                              \
        kind, 0, 1, NONE, NONE, flags, value, NONE                                                 \
    }
#define BY_DESCRIPTOR(kind, value)                                                                 \
    {                                                                                              \
        kind, NONE, NONE, NONE, NONE, NONE, value, 0                                               \
    }
#define TWO_PATHS(kind)                                                                            \
    {                                                                                              \
        kind, HERE, 0, HERE, 1, NONE, NONE, NONE                                                   \
    }
#define TWO_DIRECTORIES(kind, flags)                                                               \
    {                                                                                              \
        kind, 0, 1, 2, 3, flags, NONE, NONE                                                        \
    }

static const struct change_shape change_shapes[CHANGE_CALLS] = {
#if defined(__TARGET_ARCH_x86)
    [NUMBER_OF(RENAME)] = TWO_PATHS(EVENT_RENAME),
    [NUMBER_OF(UNLINK)] = BY_PATH(EVENT_UNLINK, NONE, NONE),
    [NUMBER_OF(RMDIR)] = BY_PATH(EVENT_RMDIR, NONE, NONE),
    [NUMBER_OF(MKDIR)] = BY_PATH(EVENT_MKDIR, NONE, 1),
    [NUMBER_OF(MKNOD)] = BY_PATH(EVENT_MKNOD, NONE, 1),
    [NUMBER_OF(LINK)] = TWO_PATHS(EVENT_LINK),
    [NUMBER_OF(SYMLINK)] = {EVENT_SYMLINK, HERE, 1, NONE, 0, NONE, NONE, NONE},
    [NUMBER_OF(CHMOD)] = BY_PATH(EVENT_CHMOD, NONE, 1),
    [NUMBER_OF(CHOWN)] = BY_PATH(EVENT_CHOWN, NONE, 1),
    [NUMBER_OF(LCHOWN)] = BY_PATH(EVENT_CHOWN, NONE, 1),
#endif
    [NUMBER_OF(RENAMEAT)] = TWO_DIRECTORIES(EVENT_RENAME, NONE),
    [NUMBER_OF(RENAMEAT2)] = TWO_DIRECTORIES(EVENT_RENAME, 4),
    [NUMBER_OF(UNLINKAT)] = BY_DIRECTORY(EVENT_UNLINK, 2, NONE),
    [NUMBER_OF(MKDIRAT)] = BY_DIRECTORY(EVENT_MKDIR, NONE, 2),
    [NUMBER_OF(MKNODAT)] = BY_DIRECTORY(EVENT_MKNOD, NONE, 2),
    [NUMBER_OF(LINKAT)] = TWO_DIRECTORIES(EVENT_LINK, 4),
    [NUMBER_OF(SYMLINKAT)] = {EVENT_SYMLINK, 1, 2, NONE, 0, NONE, NONE, NONE},
    [NUMBER_OF(FCHMOD)] = BY_DESCRIPTOR(EVENT_CHMOD, 1),
    [NUMBER_OF(FCHMODAT)] = BY_DIRECTORY(EVENT_CHMOD, NONE, 2),
    [NUMBER_OF(FCHMODAT2)] = BY_DIRECTORY(EVENT_CHMOD, 3, 2),
    [NUMBER_OF(FCHOWN)] = BY_DESCRIPTOR(EVENT_CHOWN, 1),
    [NUMBER_OF(FCHOWNAT)] = BY_DIRECTORY(EVENT_CHOWN, 4, 2),
    [NUMBER_OF(TRUNCATE)] = BY_PATH(EVENT_TRUNCATE, NONE, 1),
    [NUMBER_OF(FTRUNCATE)] = BY_DESCRIPTOR(EVENT_TRUNCATE, 1),
    [NUMBER_OF(SETXATTR)] = BY_PATH(EVENT_SETXATTR, NONE, 1),
    [NUMBER_OF(LSETXATTR)] = BY_PATH(EVENT_SETXATTR, NONE, 1),
    [NUMBER_OF(FSETXATTR)] = BY_DESCRIPTOR(EVENT_SETXATTR, 1),
    [NUMBER_OF(SETXATTRAT)] = BY_DIRECTORY(EVENT_SETXATTR, 2, 3),
    [NUMBER_OF(REMOVEXATTR)] = BY_PATH(EVENT_SETXATTR, NONE, 1),
    [NUMBER_OF(LREMOVEXATTR)] = BY_PATH(EVENT_SETXATTR, NONE, 1),
    [NUMBER_OF(FREMOVEXATTR)] = BY_DESCRIPTOR(EVENT_SETXATTR, 1),
    [NUMBER_OF(REMOVEXATTRAT)] = BY_DIRECTORY(EVENT_SETXATTR, 2, 3),
    [NUMBER_OF(CHROOT)] = BY_PATH(EVENT_CHROOT, NONE, NONE),
    [NUMBER_OF(PIVOT_ROOT)] = TWO_PATHS(EVENT_PIVOT_ROOT),
    [NUMBER_OF(MEMFD_CREATE)] = {EVENT_MEMFD, NONE, 0, NONE, NONE, 1, NONE, NONE},
};

static __always_inline const struct change_shape *change_shape(__u32 call)
{
    bound_to(call);
    return &change_shapes[call & (CHANGE_CALLS - 1)];
}

#endif
