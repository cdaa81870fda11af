/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Changes of names and attributes of files, seen when the system call returns. Calls by descriptor
 * are named from the kernel's own object. For calls by name the object is gone or moved by then:
 * they are named by what change_before.h noted on the way in, and where nothing was noted by what
 * the caller's memory says, made absolute without looking, and the event says so. */
#ifndef PICKET_CHANGE_H
#define PICKET_CHANGE_H

#include "change_before.h"
#include "named.h"

#define AT_EMPTY_PATH 0x1000

/* The call in hand. It lies in a map, where the verifier forgets which call it was: it then looks
 * at the rest once and not once for each. */
struct change {
    __u64 argument[CHANGE_ARGUMENTS];
    struct path object; /* what the call acted on, where the kernel still has it */
    __u32 tail;         /* where the record's next text goes */
    __u32 reserved;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct change);
} changes SEC(".maps");

static __always_inline struct change *change_get(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&changes, &zero);
}

static __always_inline __u64 change_argument(const struct change *change, __u8 index)
{
    return change->argument[index & (CHANGE_ARGUMENTS - 1)];
}

static __always_inline const char *record_text(const struct scratch *scratch,
                                               const struct text *text)
{
    __u32 offset = text->offset;
    if (offset > TAIL_LIMIT)
        return scratch->bytes;
    bound_to(offset);
    return &scratch->bytes[offset];
}

/* Names what the text in the record stands for. Of plain numbers like path_step(). Returns
 * FLAG_PATH_*. */
__noinline int change_name(__u32 directory, __u32 raw_offset, __u32 raw_size, __u32 is_target)
{
    struct scratch *scratch = scratch_get(SCRATCH_CHANGE);
    struct change *change = change_get();
    if (!scratch || !change)
        return FLAG_PATH_INCOMPLETE;
    const struct text raw = {.offset = raw_offset, .size = raw_size};
    struct tail tail = {.scratch = scratch, .at = change->tail};
    struct text text;
    __u32 flags = tail_absolute(&tail, &text, &raw, directory, SCRATCH_CHANGE);
    if (raw_size == PATH_MASK && scratch->file.result == -ENAMETOOLONG)
        flags |= FLAG_PATH_TRUNCATED;
    change->tail = tail.at;
    if (is_target)
        scratch->file.target = text;
    else
        scratch->file.path = text;
    return flags;
}

/* Does somebody ask for this name in the record? Rules may ask for what the caller passed as well
 * as for what that stands for. Of plain numbers like path_step(). */
__noinline int change_asked(__u32 mask, __u32 scope, __u32 offset, __u32 size)
{
    __u32 slot = SCRATCH_CHANGE;
    struct scratch *scratch = scratch_get(SCRATCH_CHANGE);
    struct path_text *path = bpf_map_lookup_elem(&path_texts, &slot);
    if (!scratch || !path || !size || size > CHANGE_LOOKED_AT || offset > TAIL_LIMIT)
        return true;
    bound_to(offset);
    bound_to(size);
    size &= 2 * CHANGE_LOOKED_AT - 1;
    if (bpf_probe_read_kernel(path->text, size, &scratch->bytes[offset]))
        return true;
    path->text[size] = 0;
    path->size = size;
    if (scope & SCOPE_PATHS && !path_in_trie(&scope_paths, path))
        return false;
    return mask & OPEN_CHANGE || change_interest(SCRATCH_CHANGE);
}

static __always_inline bool change_sent(const struct settings *settings, struct scratch *scratch)
{
    const struct file_event *event = &scratch->file;
    const __u32 mask = settings->change_mask;
    const __u32 scope = settings->scope;
    if (mask & OPEN_CHANGE && !(scope & SCOPE_PATHS))
        return true;
    if (event->header.flags &
        (FLAG_PATH_TRUNCATED | FLAG_PATH_INCOMPLETE | FLAG_RAW_UNREADABLE | FLAG_TARGET_TRUNCATED |
         FLAG_TARGET_INCOMPLETE | FLAG_TARGET_RAW_UNREADABLE))
        return true;
    if (change_asked(mask, scope, event->path.offset, event->path.size))
        return true;
    if (event->target.size && change_asked(mask, scope, event->target.offset, event->target.size))
        return true;
    if (scope & SCOPE_PATHS)
        return false;
    if (event->raw.size && change_asked(mask, 0, event->raw.offset, event->raw.size))
        return true;
    if (!event->target_raw.size)
        return false;
    /* Where a relative link leads depends on where it lies. */
    if (event->header.kind == EVENT_SYMLINK && *record_text(scratch, &event->target_raw) != '/')
        return true;
    return change_asked(mask, 0, event->target_raw.offset, event->target_raw.size);
}

/* "setxattr of security attributes": what grants or labels. One that cannot be read might be. */
static __always_inline bool attribute_matters(const struct scratch *scratch)
{
    char name[16] = {};
    if (!scratch->file.name.size)
        return true;
    bpf_probe_read_kernel(name, sizeof(name), record_text(scratch, &scratch->file.name));
    /* Differences are summed up, for each comparison would double the verifier's ways. */
    __u8 security = 0;
    __u8 acl = 0;
    for (int i = 0; i < 9; i++)
        security |= name[i] ^ "security."[i];
    for (int i = 0; i < 16; i++)
        acl |= name[i] ^ "system.posix_acl"[i];
    return !security || !acl;
}

/* Of what is left of the call: the object it acted on. */
static __always_inline struct path change_object(const struct change *change,
                                                 const struct change_shape *shape,
                                                 const struct file_event *event)
{
    struct task_struct *task = current_task();
    const __u32 kind = event->header.kind;
    if (kind == EVENT_CHROOT || kind == EVENT_PIVOT_ROOT) {
        struct fs_struct *fs = LOAD(task, fs);
        return event->result ? (struct path){} : path_of(&fs->root);
    }
    if (kind == EVENT_MEMFD) {
        struct file *made = event->result < 0 ? 0 : file_of(task, event->result);
        return made ? path_of(&made->f_path) : (struct path){};
    }
    if (shape->descriptor != NONE || (event->call_flags & AT_EMPTY_PATH && !event->raw.size))
        return named_base(change_argument(change, shape->descriptor != NONE ? shape->descriptor
                                                                            : shape->directory));
    return (struct path){};
}

/* The new root as seen from the top of the mount namespace: from itself it is always "/". */
static __always_inline int root_walk(struct path root)
{
    __u32 slot = SCRATCH_CHANGE;
    struct path_walk *walk = bpf_map_lookup_elem(&path_walks, &slot);
    if (!walk)
        return -1;
    struct task_struct *task = current_task();
    struct mount *top = BPF_CORE_READ(task, nsproxy, mnt_ns, root);
    walk->dentry = root.dentry;
    walk->mount = mount_of(root.mnt);
    walk->root_mount = top;
    walk->root_dentry = BPF_CORE_READ(top, mnt.mnt_root);
    return path_climb(SCRATCH_CHANGE);
}

/* The file's own numbers. What a chmod left is not what was there before: of that only the type is
 * known. */
static __always_inline void change_inode(struct file_event *event, struct path object)
{
    struct inode *inode = object.dentry ? BPF_CORE_READ(object.dentry, d_inode) : 0;
    if (!inode)
        return;
    event->inode = BPF_CORE_READ(inode, i_ino);
    event->device = BPF_CORE_READ(inode, i_sb, s_dev);
    event->mode = BPF_CORE_READ(inode, i_mode);
    if (event->header.kind == EVENT_CHMOD && event->result == 0)
        event->mode &= S_IFMT;
    if (BPF_CORE_READ(inode, i_nlink) == 0 && event->header.kind != EVENT_MEMFD)
        event->header.flags |= FLAG_UNLINKED;
}

/* Takes over what was noted on the way in. */
static __always_inline void change_noted(struct change *change, struct scratch *scratch,
                                         const struct change_note *note)
{
    struct file_event *event = &scratch->file;
    struct tail tail = {.scratch = scratch, .at = change->tail};
    event->inode = note->inode;
    event->device = note->device;
    event->mode = note->mode;
    event->header.flags |= note->flags;
    if (note->path_size)
        tail_kernel(&tail, &event->path, note->path, note->path_size);
    if (note->target_size)
        tail_kernel(&tail, &event->target, note->target, note->target_size);
    if (note->name_size)
        tail_kernel(&tail, &event->name, note->name, note->name_size);
    change->tail = tail.at;
}

/* What was noted of this call. */
static __always_inline struct change_note *change_note(const struct settings *settings, __u32 call)
{
    __u32 thread = (__u32)bpf_get_current_pid_tgid();
    struct change_note *note = bpf_map_lookup_elem(&change_notes, &thread);
    return note && note->seed == settings->seed && note->call == call ? note : 0;
}

/* Names the file the call was about. */
static __always_inline void change_path(struct change *change, struct scratch *scratch,
                                        const struct change_shape *shape)
{
    struct file_event *event = &scratch->file;
    __u32 slot = SCRATCH_CHANGE;
    if (change->object.dentry && event->header.kind != EVENT_PIVOT_ROOT) {
        const int found =
            event->header.kind == EVENT_CHROOT
                ? root_walk(change->object)
                : path_walk(slot, (__u64)change->object.dentry, (__u64)change->object.mnt);
        struct path_text *path = bpf_map_lookup_elem(&path_texts, &slot);
        if (found < 0 || !path) {
            event->header.flags |= FLAG_PATH_INCOMPLETE;
            return;
        }
        event->header.flags |= found;
        struct tail tail = {.scratch = scratch, .at = change->tail};
        tail_path(&tail, &event->path, path);
        change->tail = tail.at;
        if (event->header.kind == EVENT_MEMFD) {
            event->header.flags |= FLAG_FROM_MEMFD;
            event->header.flags &= ~FLAG_PATH_INCOMPLETE;
        }
        return;
    }
    if (event->raw.size && shape->directory != NONE)
        event->header.flags |= change_name(change_argument(change, shape->directory),
                                           event->raw.offset, event->raw.size, false);
}

static __always_inline void change_target(struct change *change, struct scratch *scratch,
                                          const struct change_shape *shape)
{
    struct file_event *event = &scratch->file;
    if (!event->target_raw.size || shape->target_directory == NONE)
        return;
    const int flags = change_name(change_argument(change, shape->target_directory),
                                  event->target_raw.offset, event->target_raw.size, true);
    event->header.flags |= target_flags(flags);
}

/* What the caller passed. */
static __always_inline void change_texts(struct change *change, struct scratch *scratch,
                                         const struct change_shape *shape)
{
    struct file_event *event = &scratch->file;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    const void *raw = (const void *)change_argument(change, shape->path);
    if (shape->path != NONE && !tail_string(&tail, &event->raw, raw, true) &&
        (raw || !(event->call_flags & AT_EMPTY_PATH)))
        event->header.flags |= FLAG_RAW_UNREADABLE;
    const void *target = (const void *)change_argument(change, shape->target);
    if (shape->target != NONE && !tail_string(&tail, &event->target_raw, target, true))
        event->header.flags |= FLAG_TARGET_RAW_UNREADABLE;
    if (event->header.kind == EVENT_SETXATTR)
        tail_string(&tail, &event->name, (const void *)change_argument(change, shape->value), true);
    change->tail = tail.at;
}

static __always_inline void change_numbers(struct change *change, struct file_event *event,
                                           const struct change_shape *shape)
{
    const __u64 value = change_argument(change, shape->value);
    event->call_flags = change_argument(change, shape->flags);
    switch (event->header.kind) {
    case EVENT_CHOWN:
        event->new_uid = value;
        event->new_gid = change_argument(change, shape->value + 1);
        break;
    case EVENT_TRUNCATE:
        event->size = value;
        break;
    case EVENT_SETXATTR:
        break;
    default:
        event->new_mode = value & 0xffff; /* umode_t */
    }
}

/* The kind of a call; unlinkat's depends on its flags. */
static __always_inline __u32 change_kind(const struct change *change,
                                         const struct change_shape *shape)
{
    const __u32 kind = shape->kind;
    if (kind == EVENT_UNLINK && change_argument(change, shape->flags) & AT_REMOVEDIR)
        return EVENT_RMDIR;
    return kind;
}

SEC("tracepoint")
int on_change(struct trace_event_raw_sys_exit *context)
{
    const struct settings *settings = settings_get();
    struct change *change = change_get();
    struct scratch *scratch = scratch_get(SCRATCH_CHANGE);
    const __u32 call = syscall_id(context);
    if (!settings || !change || !scratch || call >= CHANGE_CALLS)
        return 0;
    const struct change_shape *shape = change_shape(call);
    struct task_struct *task = current_task();
    if ((__u32)LOAD(task, tgid) == settings->sensor_pid || !in_scope(settings))
        return 0;
    const bool removes = shape->kind == EVENT_UNLINK && wanted(settings, EVENT_RMDIR);
    if (!wanted(settings, shape->kind) && !removes)
        return 0;
    struct pt_regs *regs = syscall_regs();
    for (int i = 0; i < 5; i++)
        change->argument[i] = syscall_argument(regs, i);
    change->argument[HERE] = AT_FDCWD;
    change->argument[NONE] = 0;
    const __u32 kind = change_kind(change, shape);
    if (!wanted(settings, kind))
        return 0;

    struct file_event *event = &scratch->file;
    __builtin_memset(event, 0, sizeof(*event));
    header_fill(&event->header, kind);
    event->header.syscall = call;
    event->result = context->ret;
    change_numbers(change, event, shape);
    change_texts(change, scratch, shape);
    change->object = change_object(change, shape, event);
    change_inode(event, change->object);
    const struct change_note *note = change_note(settings, call);
    if (note) {
        __u32 thread = event->header.tid;
        change_noted(change, scratch, note);
        bpf_map_delete_elem(&change_notes, &thread);
    }
    if (kind == EVENT_SETXATTR && !attribute_matters(scratch))
        return 0;
    if (!event->path.size)
        change_path(change, scratch, shape);
    if (!event->target.size)
        change_target(change, scratch, shape);
    const bool bulk = kind <= EVENT_SETXATTR;
    if (bulk && !change_sent(settings, scratch))
        return 0;
    const __u32 size = change->tail;
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, bulk);
    return 0;
}

#endif
