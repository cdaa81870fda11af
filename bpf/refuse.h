/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rules, to whom they apply, and telling what was refused. On any doubt nothing is refused. */
#ifndef PICKET_REFUSE_H
#define PICKET_REFUSE_H

#include "kernel.h"
#include "refusal.h"

#define SCOPE_LEVELS  24
#define REPEAT_WINDOW 1000000000ull /* ns */

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, REFUSAL_RULES);
    __type(key, __u32);
    __type(value, struct refusal_rule);
} refusal_rules SEC(".maps");

/* Hash tables are allocated in advance, as in maps.h. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct refusal_scope_key);
    __type(value, struct refusal_scope);
} refusal_scopes SEC(".maps");

/* Cgroups of the containers there are: what applies to the host does not apply below them. A
 * container belongs to the host until the agent has heard of it. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8192);
    __type(key, __u64);
    __type(value, __u8);
} refusal_containers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct refusal_settings);
} refusal_settings_map SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct refusal_counters);
} refusal_counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 256 * 1024);
} refusals SEC(".maps");

struct repeat_key {
    __u64 cgroup;
    __u64 object; /* file or peer */
    __u32 rule;
    __u32 generation;
};
struct repeat {
    __u64 since;
    __u64 count; /* since it was told last */
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct repeat_key);
    __type(value, struct repeat);
} refusal_repeats SEC(".maps");

static __always_inline struct refusal_counters *refuse_counts(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&refusal_counts, &zero);
}

/* Before 5.15 programs on cgroups are not given typed tasks. */
static __always_inline struct task_struct *refuse_task(void)
{
    return (struct task_struct *)bpf_get_current_task();
}

static __always_inline bool rule_in_force(const struct refusal_rule *rule, __u32 kind)
{
    return rule && rule->generation && rule->kind == kind &&
           rule->deadline > bpf_ktime_get_boot_ns();
}

static __always_inline const struct refusal_scope *scope_find(__u64 cgroup, __u32 kind)
{
    const struct refusal_scope_key key = {.cgroup = cgroup, .kind = kind};
    return bpf_map_lookup_elem(&refusal_scopes, &key);
}

/* Calls `each` with the ids of a cgroup and all above it, and with 0 when none of them is a
 * container's. Returns what they said, put together. */
static __always_inline int scope_walk(struct cgroup *cgroup, int (*each)(__u64 id, void *of),
                                      void *of)
{
    int said = 0;
    bool contained = false;
    for (int level = 0; level < SCOPE_LEVELS && cgroup; level++) {
        __u64 id = BPF_CORE_READ(cgroup, kn, id);
        if (bpf_map_lookup_elem(&refusal_containers, &id))
            contained = true;
        if (id)
            said |= each(id, of);
        cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
    }
    /* What lies deeper is not looked at to its end: it may be in a container. */
    if (!contained && !cgroup)
        said |= each(0, of);
    return said;
}

/* Does the calling thread belong to what is never refused: the first process, the kernel's own and
 * what they start, the sensor and what it starts? */
static __always_inline bool refuse_exempt(struct task_struct *task)
{
    __u32 zero = 0;
    const struct refusal_settings *settings = bpf_map_lookup_elem(&refusal_settings_map, &zero);
    if (!settings || BPF_CORE_READ(task, tgid) == 1)
        return true;
    struct task_struct *parent = BPF_CORE_READ(task, real_parent);
    if ((BPF_CORE_READ(task, flags) | BPF_CORE_READ(parent, flags)) & PF_KTHREAD)
        return true;
    for (int level = 0; level < 4; level++) {
        if (settings->sensor_pid && (__u32)BPF_CORE_READ(task, tgid) == settings->sensor_pid &&
            BPF_CORE_READ(task, group_leader, start_boottime) / 10000000 == settings->sensor_start)
            return true;
        task = BPF_CORE_READ(task, real_parent);
    }
    return false;
}

/* Fills what is the same of every kind. */
static __always_inline void refusal_fill(struct refusal_event *event, __u32 slot,
                                         const struct refusal_rule *rule, __u64 cgroup)
{
    event->time = bpf_ktime_get_boot_ns();
    event->cgroup_id = cgroup;
    event->count = 1;
    event->rule = slot;
    event->generation = rule->generation;
    event->kind = rule->kind;
    event->refused = !(rule->flags & REFUSAL_OBSERVE);
}

/* Counts a refusal. Returns how many it stands for when it is to be told, 0 when the same was told
 * a moment ago. */
static __always_inline __u64 refusal_count(const struct refusal_event *event, __u64 object)
{
    struct refusal_counters *counts = refuse_counts();
    if (!counts)
        return 0;
    __sync_fetch_and_add(event->refused ? &counts->refused : &counts->observed, 1);
    const struct repeat_key key = {.cgroup = event->cgroup_id,
                                   .object = object,
                                   .rule = event->rule,
                                   .generation = event->generation};
    struct repeat *repeat = bpf_map_lookup_elem(&refusal_repeats, &key);
    const __u64 before = repeat ? repeat->count : 0;
    if (repeat && event->time - repeat->since < REPEAT_WINDOW) {
        __sync_fetch_and_add(&repeat->count, 1);
        __sync_fetch_and_add(&counts->repeated, 1);
        return 0;
    }
    const struct repeat fresh = {.since = event->time};
    bpf_map_update_elem(&refusal_repeats, &key, &fresh, BPF_ANY);
    return before + 1;
}

static __always_inline void refusal_put(const struct refusal_event *event, __u32 size)
{
    struct refusal_counters *counts = refuse_counts();
    const long failed = bpf_ringbuf_output(&refusals, (void *)event, size, BPF_RB_NO_WAKEUP);
    if (counts)
        __sync_fetch_and_add(failed ? &counts->lost : &counts->told, 1);
}

#endif
