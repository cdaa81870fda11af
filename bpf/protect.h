/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory made executable that was or can be written. Programs that compile as they run do that all
 * the time: one event a process image and sort of call in a while tells it, the rest is counted. */
#ifndef PICKET_PROTECT_H
#define PICKET_PROTECT_H

#include "act.h"

#define PROT_WRITE     2
#define PROT_EXEC      4
#define MAP_ANONYMOUS  0x20
#define VM_SHARED      0x8
#define VM_MAYWRITE    0x20
#define PROTECT_WINDOW 1000000000ull /* ns, where repeats are not limited otherwise */
#define PROTECT_AREAS  8             /* looked at in one call's range */
#define PROTECT_STEPS  48            /* down the tree of areas: it has at most 65530 */
#define PAGE_MASK      4095ull

struct protect_key {
    __u64 start;
    __u64 image; /* counts its executions */
    __u32 pid;
    __u32 call;
    __u32 protection;
    __u32 reserved;
};

/* When it was told last. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct protect_key);
    __type(value, __u64);
} protect_repeats SEC(".maps");

/* What the areas in the range are like, as far as they were looked at. */
struct protect_areas {
    __u64 next;    /* where the area ends that was looked at last */
    __u64 file;    /* of the first that is told, else of the first */
    __u32 written; /* some hold pages of their own */
    __u32 shared;  /* some can be written through another mapping */
};

static __always_inline void protect_look(struct protect_areas *areas, unsigned long flags,
                                         bool written, const void *file, __u64 end)
{
    const bool shared = (flags & (VM_SHARED | VM_MAYWRITE)) == (VM_SHARED | VM_MAYWRITE);
    if (!areas->next || ((written || shared) && !areas->written && !areas->shared))
        areas->file = (__u64)file;
    areas->next = end;
    areas->written |= written;
    areas->shared |= shared;
}

static long protect_found(struct task_struct *task, struct vm_area_struct *area,
                          struct protect_areas *areas)
{
    protect_look(areas, area->vm_flags, area->anon_vma != 0, area->vm_file, area->vm_end);
    return 0;
}

/* Before bpf_find_vma() came (5.17, 7c7e3d31e785) the areas were in a red-black tree (until 6.1,
 * 524e00b36e8c). We go down without its lock: what another thread changes meanwhile may not be
 * found, and is then not known. */
struct rb_node {
    struct rb_node *rb_right;
    struct rb_node *rb_left;
} __attribute__((preserve_access_index));
struct rb_root {
    struct rb_node *rb_node;
} __attribute__((preserve_access_index));
struct mm_struct___tree {
    struct rb_root mm_rb;
} __attribute__((preserve_access_index));
struct vm_area_struct___tree {
    unsigned long vm_start;
    unsigned long vm_end;
    struct rb_node vm_rb;
} __attribute__((preserve_access_index));

/* The area that holds the address, 0 when it is not found. Of plain numbers like path_step(). */
__noinline __u64 protect_area(__u64 address)
{
    struct task_struct *task = current_task();
    struct mm_struct___tree *mm = (void *)LOAD(task, mm);
    if (!bpf_core_field_exists(mm->mm_rb))
        return 0;
    struct rb_node *node = BPF_CORE_READ(mm, mm_rb.rb_node);
    for (int i = 0; i < PROTECT_STEPS && node; i++) {
        struct vm_area_struct___tree *area =
            (void *)node - bpf_core_field_offset(struct vm_area_struct___tree, vm_rb);
        if (address >= BPF_CORE_READ(area, vm_end))
            node = BPF_CORE_READ(node, rb_right);
        else if (address < BPF_CORE_READ(area, vm_start))
            node = BPF_CORE_READ(node, rb_left);
        else
            return (__u64)area;
    }
    return 0;
}

/* Looks at the areas of the range. Returns false when some are not known. */
static __always_inline bool protect_range(struct protect_areas *areas, __u64 address, __u64 size,
                                          bool finds)
{
    const __u64 end = (address + size + PAGE_MASK) & ~PAGE_MASK;
    for (int i = 0; i < PROTECT_AREAS && address < end; i++) {
        if (finds) {
            struct task_struct *task = bpf_get_current_task_btf();
            if (bpf_find_vma(task, address, protect_found, areas, 0))
                return false;
        } else {
            struct vm_area_struct *area = (struct vm_area_struct *)protect_area(address);
            if (!area)
                return false;
            protect_look(areas, BPF_CORE_READ(area, vm_flags), BPF_CORE_READ(area, anon_vma) != 0,
                         BPF_CORE_READ(area, vm_file), BPF_CORE_READ(area, vm_end));
        }
        address = areas->next;
    }
    return address >= end;
}

static __always_inline void protect_report(const struct settings *settings,
                                           struct protect_event *event, struct tail *tail,
                                           struct file *file)
{
    struct task_struct *task = current_task();
    struct protect_key key = {.start = event->header.start, .image = LOAD(task, self_exec_id)};
    key.pid = event->header.pid;
    key.call = event->header.syscall;
    key.protection = event->protection;
    const __u64 window = settings->repeat_window ? settings->repeat_window : PROTECT_WINDOW;
    const __u64 *told = bpf_map_lookup_elem(&protect_repeats, &key);
    struct class_counters *count = count_generated(EVENT_PROTECT);
    if (!count)
        return;
    if (told && event->header.time - *told < window) {
        __sync_fetch_and_add(&count->repeated, 1);
        return;
    }
    if (file) {
        struct inode *inode = BPF_CORE_READ(file, f_inode);
        event->inode = BPF_CORE_READ(inode, i_ino);
        event->device = BPF_CORE_READ(inode, i_sb, s_dev);
        tail_path(tail, &event->path,
                  path_resolve(path_of(&file->f_path), SCRATCH_CALL, &event->header.flags));
    }
    const __u32 size = tail->at;
    if (size <= sizeof(struct scratch) && record_put(settings, count, &event->header, size, true))
        bpf_map_update_elem(&protect_repeats, &key, &event->header.time, BPF_ANY);
}

static __always_inline int protect_returns(struct trace_event_raw_sys_exit *context, bool finds)
{
    struct pt_regs *regs = syscall_regs();
    const __u32 protection = syscall_argument(regs, 2);
    if (!(protection & PROT_EXEC))
        return 0;
    const __u32 call = syscall_id(context);
    const bool maps = call == NUMBER_OF(MMAP);
    const bool writes = protection & PROT_WRITE;
    const __u32 call_flags = maps ? syscall_argument(regs, 3) : 0;
    if (!writes && (maps ? !(call_flags & MAP_ANONYMOUS) : context->ret != 0))
        return 0;
    const struct settings *settings = act_asked(EVENT_PROTECT);
    struct scratch *scratch = settings ? scratch_get(SCRATCH_CALL) : 0;
    if (!scratch)
        return 0;
    const bool failed = (unsigned long)context->ret > -4096ul;
    const __u64 address = maps && !failed ? (__u64)context->ret : syscall_argument(regs, 0);
    const __u64 size = syscall_argument(regs, 1);
    struct protect_areas areas = {};
    if (!maps && !failed) {
        const bool known = protect_range(&areas, address, size, finds);
        if (!writes && known && !areas.written && !areas.shared)
            return 0;
    }

    struct protect_event *event = &scratch->protect;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    __builtin_memset(event, 0, sizeof(*event));
    header_fill(&event->header, EVENT_PROTECT);
    event->header.syscall = call;
    if (areas.written)
        event->header.flags |= FLAG_WRITTEN;
    event->address = address;
    event->size = size;
    event->protection = protection;
    event->call_flags = call_flags;
    event->result = failed ? context->ret : 0;
    struct file *file = (struct file *)areas.file;
    if (maps && !(call_flags & MAP_ANONYMOUS))
        file = file_of(current_task(), syscall_argument(regs, 4));
    protect_report(settings, event, &tail, file);
    return 0;
}

SEC("tracepoint")
int on_protect(struct trace_event_raw_sys_exit *context)
{
    return protect_returns(context, true);
}

SEC("tracepoint")
int on_protect_early(struct trace_event_raw_sys_exit *context)
{
    return protect_returns(context, false);
}

#endif
