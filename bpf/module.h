/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Code that goes into the kernel: modules, and programs and maps of bpf(2). Shares its scratch area
 * with mount.h: a CPU runs one program of a system call's tracepoint at a time. */
#ifndef PICKET_MODULE_H
#define PICKET_MODULE_H

#include "act.h"

#define MODULE_LOADED  1
#define MODULE_REMOVED 2

enum bpf_command {
    BPF_COMMAND_MAP_CREATE = 0,
    BPF_COMMAND_PROG_LOAD = 5,
    BPF_COMMAND_OBJ_PIN = 6,
    BPF_COMMAND_PROG_ATTACH = 8,
    BPF_COMMAND_PROG_DETACH = 9,
    BPF_COMMAND_PROG_GET_FD_BY_ID = 13,
    BPF_COMMAND_MAP_GET_FD_BY_ID = 14,
    BPF_COMMAND_RAW_TRACEPOINT_OPEN = 17,
    BPF_COMMAND_LINK_CREATE = 28,
    BPF_COMMAND_LINK_GET_FD_BY_ID = 30,
};

/* Where union bpf_attr has the names (include/uapi/linux/bpf.h). */
#define ATTRIBUTES_MAP_NAME     28
#define ATTRIBUTES_PROGRAM_NAME 48

static __always_inline void module_file(struct module_event *event, struct tail *tail,
                                        struct file *file)
{
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    event->inode = BPF_CORE_READ(inode, i_ino);
    event->device = BPF_CORE_READ(inode, i_sb, s_dev);
    tail_path(tail, &event->path,
              path_resolve(path_of(&file->f_path), SCRATCH_CALL, &event->header.flags));
}

SEC("tracepoint")
int on_module(struct trace_event_raw_sys_exit *context)
{
    const struct settings *settings = act_asked(EVENT_MODULE);
    struct scratch *scratch = settings ? scratch_get(SCRATCH_CALL) : 0;
    if (!scratch)
        return 0;
    const __u32 call = syscall_id(context);
    struct module_event *event = &scratch->module;
    __builtin_memset(event, 0, sizeof(*event));
    header_fill(&event->header, EVENT_MODULE);
    event->header.syscall = call;
    event->result = context->ret;
    event->operation = call == NUMBER_OF(DELETE_MODULE) ? MODULE_REMOVED : MODULE_LOADED;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    struct pt_regs *regs = syscall_regs();
    if (call == NUMBER_OF(DELETE_MODULE)) {
        event->call_flags = syscall_argument(regs, 1);
        tail_string(&tail, &event->name, (const void *)syscall_argument(regs, 0), true);
    } else if (call == NUMBER_OF(FINIT_MODULE)) {
        event->call_flags = syscall_argument(regs, 2);
        struct file *file = file_of(current_task(), syscall_argument(regs, 0));
        if (file)
            module_file(event, &tail, file);
        tail_string(&tail, &event->args, (const void *)syscall_argument(regs, 1), true);
    } else {
        tail_string(&tail, &event->args, (const void *)syscall_argument(regs, 2), true);
    }
    const __u32 size = tail.at;
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, false);
    return 0;
}

/* The names of the files that bpf(2) makes, cut after eight bytes. */
union bpf_file_name {
    char text[8];
    __u64 word;
};

/* What a descriptor of bpf(2) stands for: the name of its file tells of which sort it is, and
 * another thread may have put any other there. */
static __always_inline void *bpf_object_of(__u32 descriptor, union bpf_file_name sort)
{
    struct file *file = file_of(current_task(), descriptor);
    if (!file)
        return 0;
    const __u64 name = word_at(BPF_CORE_READ(file, f_path.dentry, d_name.name));
    return name == sort.word ? BPF_CORE_READ(file, private_data) : 0;
}

static __always_inline struct bpf_prog *bpf_program_of(__u32 descriptor)
{
    return bpf_object_of(descriptor, (union bpf_file_name){.text = "bpf-prog"});
}

static __always_inline void bpf_program_fill(struct bpf_event *event, struct tail *tail,
                                             struct bpf_prog *program)
{
    struct bpf_prog_aux *aux = BPF_CORE_READ(program, aux);
    event->id = BPF_CORE_READ(aux, id);
    tail_string(tail, &event->name, (void *)aux + bpf_core_field_offset(struct bpf_prog_aux, name),
                false);
}

static __always_inline void bpf_map_fill(struct bpf_event *event, struct tail *tail,
                                         struct bpf_map *map)
{
    event->id = BPF_CORE_READ(map, id);
    event->type = BPF_CORE_READ(map, map_type);
    tail_string(tail, &event->name, (void *)map + bpf_core_field_offset(struct bpf_map, name),
                false);
}

static __always_inline bool bpf_command_told(__u32 command)
{
    switch (command) {
    case BPF_COMMAND_MAP_CREATE:
    case BPF_COMMAND_PROG_LOAD:
    case BPF_COMMAND_OBJ_PIN:
    case BPF_COMMAND_PROG_ATTACH:
    case BPF_COMMAND_PROG_DETACH:
    case BPF_COMMAND_RAW_TRACEPOINT_OPEN:
    case BPF_COMMAND_LINK_CREATE:
        return true;
    default:
        return false;
    }
}

/* Another's program, map or link taken hold of by its number. */
static __always_inline bool bpf_command_opens(__u32 command)
{
    return command == BPF_COMMAND_PROG_GET_FD_BY_ID || command == BPF_COMMAND_MAP_GET_FD_BY_ID ||
           command == BPF_COMMAND_LINK_GET_FD_BY_ID;
}

/* What was made, from the kernel's own object; what was refused, as the caller described it. */
static __always_inline void bpf_made_fill(struct bpf_event *event, struct tail *tail, __u64 from)
{
    const bool map = event->command == BPF_COMMAND_MAP_CREATE;
    struct bpf_map *made_map = 0;
    struct bpf_prog *made = 0;
    if (event->result >= 0 && map)
        made_map = bpf_object_of(event->result, (union bpf_file_name){.text = "bpf-map"});
    else if (event->result >= 0)
        made = bpf_program_of(event->result);
    if (made_map) {
        bpf_map_fill(event, tail, made_map);
    } else if (made) {
        event->type = BPF_CORE_READ(made, type);
        bpf_program_fill(event, tail, made);
    } else {
        char name[16] = {};
        bpf_probe_read_user(&event->type, sizeof(event->type), (void *)from);
        bpf_probe_read_user_str(name, sizeof(name),
                                (void *)from +
                                    (map ? ATTRIBUTES_MAP_NAME : ATTRIBUTES_PROGRAM_NAME));
        tail_string(tail, &event->name, name, false);
        event->header.flags |= FLAG_PATH_FROM_USER;
    }
}

/* What is done with a program: to where, or under which name. */
static __always_inline void bpf_used_fill(struct bpf_event *event, struct tail *tail, __u64 from)
{
    __u32 words[3] = {};
    bpf_probe_read_user(words, sizeof(words), (void *)from);
    const bool named =
        event->command == BPF_COMMAND_OBJ_PIN || event->command == BPF_COMMAND_RAW_TRACEPOINT_OPEN;
    const __u32 descriptor = named                                       ? words[2]
                             : event->command == BPF_COMMAND_LINK_CREATE ? words[0]
                                                                         : words[1];
    struct bpf_prog *program = bpf_program_of(descriptor);
    if (program)
        bpf_program_fill(event, tail, program);
    if (!named) {
        event->type = words[2];
        return;
    }
    tail_string(tail, &event->name, (const void *)((__u64)words[1] << 32 | words[0]), true);
    event->header.flags |= FLAG_PATH_FROM_USER;
}

SEC("tracepoint")
int on_bpf(struct trace_event_raw_sys_exit *context)
{
    struct pt_regs *regs = syscall_regs();
    const __u32 command = syscall_argument(regs, 0);
    const bool opens = bpf_command_opens(command);
    /* Who lists all there is asks until there is no next one. */
    if (opens ? context->ret < 0 : !bpf_command_told(command))
        return 0;
    const struct settings *settings = act_asked(EVENT_BPF);
    struct scratch *scratch = settings ? scratch_get(SCRATCH_CALL) : 0;
    if (!scratch)
        return 0;
    struct bpf_event *event = &scratch->bpf;
    __builtin_memset(event, 0, sizeof(*event));
    header_fill(&event->header, EVENT_BPF);
    event->header.syscall = syscall_id(context);
    event->result = context->ret;
    event->command = command;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    if (opens)
        bpf_probe_read_user(&event->id, sizeof(event->id),
                            (const void *)syscall_argument(regs, 1));
    else if (command == BPF_COMMAND_MAP_CREATE || command == BPF_COMMAND_PROG_LOAD)
        bpf_made_fill(event, &tail, syscall_argument(regs, 1));
    else
        bpf_used_fill(event, &tail, syscall_argument(regs, 1));
    const __u32 size = tail.at;
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, true);
    return 0;
}

#endif
