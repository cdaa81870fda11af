/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Building a record and handing it to the ring: the one place where an event can be lost, and is
 * counted. Records are put together in a per-CPU scratch area, one slot a kind of program: the
 * kernel refuses to run one program twice at a time on a CPU, so a slot has one user. (A
 * reservation in the ring itself would need a size known to the verifier; records are as long as
 * their content.) */
#ifndef PICKET_RECORD_H
#define PICKET_RECORD_H

#include "maps.h"

/* A text may start up to TAIL_LIMIT and is then at most TEXT_MAX long. */
#define TEXT_MAX   8191
#define TAIL_LIMIT 20480

enum scratch_slot {
    SCRATCH_EXEC,
    SCRATCH_EXEC_AGAIN,
    SCRATCH_OPENAT,
    SCRATCH_OPENAT2,
    SCRATCH_OPEN,
    SCRATCH_CREAT,
    SCRATCH_SOCKET,
    SCRATCH_SOCKET_CALL,
    SCRATCH_CHANGE,
    SCRATCH_CHANGE_BEFORE,
    SCRATCH_CALL,
    SCRATCH_EXEC_FAILED,
    SCRATCH_SIGNAL,
    SCRATCH_IO_URING,
    SCRATCH_DNS,
    SCRATCH_CGROUP,
    SCRATCH_OPEN_BY_HANDLE,
    SCRATCH_IO_URING_ASKED,
    SCRATCH_SLOTS,
};

struct scratch {
    union {
        struct exec_event exec;
        struct open_event open;
        struct exec_failed_event exec_failed;
        struct file_event file;
        struct socket_event socket;
        struct dns_event dns;
        struct identity_event identity;
        struct namespace_event namespaces;
        struct target_event target;
        struct mount_event mount;
        struct module_event module;
        struct bpf_event bpf;
        struct call_event call;
        struct protect_event protect;
        struct cgroup_event cgroup;
        char bytes[TAIL_LIMIT + TEXT_MAX + 1];
    };
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, SCRATCH_SLOTS);
    __type(key, __u32);
    __type(value, struct scratch);
} scratch_map SEC(".maps");

static __always_inline struct scratch *scratch_get(__u32 slot)
{
    return bpf_map_lookup_elem(&scratch_map, &slot);
}

#define SCOPE_TASKS (SCOPE_PIDS | SCOPE_CGROUPS)

static __always_inline bool task_in_scope(const struct settings *settings, struct task_struct *task,
                                          __u32 pid)
{
    if (settings->scope & SCOPE_PIDS) {
        if (!bpf_map_lookup_elem(&scope_pids, &pid))
            return false;
    }
    if (settings->scope & SCOPE_CGROUPS) {
        /* From its own upwards: bpf_get_current_ancestor_cgroup_id() is for tracing programs from
         * 5.14 on only (95b861a7935b). Docker and systemd stay well below 16 levels. */
        struct cgroup *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
        for (int level = 0; level < 16 && cgroup; level++) {
            __u64 id = BPF_CORE_READ(cgroup, kn, id);
            if (bpf_map_lookup_elem(&scope_cgroups, &id))
                return true;
            cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
        }
        return false;
    }
    return true;
}

static __always_inline bool in_scope(const struct settings *settings)
{
    return !(settings->scope & SCOPE_TASKS) ||
           task_in_scope(settings, current_task(), bpf_get_current_pid_tgid() >> 32);
}

static __always_inline bool wanted(const struct settings *settings, __u32 kind)
{
    return settings && (settings->event_mask & (1ull << kind));
}

static __always_inline void header_fill(struct event_header *header, __u32 kind)
{
    __u64 id = bpf_get_current_pid_tgid();
    header->time = bpf_ktime_get_boot_ns();
    struct task_struct *task = current_task();
    struct task_struct *leader = LOAD(task, group_leader);
    header->start = LOAD(leader, start_boottime);
    header->cgroup_id = bpf_get_current_cgroup_id();
    header->pid = id >> 32;
    header->tid = (__u32)id;
    header->kind = kind;
    header->syscall = 0;
    const struct cred *cred = LOAD(task, cred);
    header->user = LOAD(cred, uid.val);
    header->effective_user = LOAD(cred, euid.val);
    header->flags = 0;
}

/* Has the cgroup used up its share of bulk events? Two CPUs may take the same token: the share is
 * approximate, what is counted is not. */
static __always_inline bool over_share(const struct settings *settings,
                                       const struct event_header *header)
{
    if (!settings->bulk_rate)
        return false;
    __u64 cgroup = header->cgroup_id;
    struct bucket *bucket = bpf_map_lookup_elem(&buckets, &cgroup);
    if (!bucket) {
        struct bucket full = {.time = header->time, .tokens = settings->bulk_burst};
        bpf_map_update_elem(&buckets, &cgroup, &full, BPF_ANY);
        return false;
    }
    /* Whole tokens only, and not more elapsed time than they stand for: nothing is rounded away. */
    __u64 elapsed = header->time - bucket->time;
    if ((__s64)elapsed > 0) {
        __u64 earned = elapsed * settings->bulk_rate / 1000000000;
        if (elapsed > 1000000000000 || bucket->tokens + earned > settings->bulk_burst) {
            bucket->tokens = settings->bulk_burst;
            bucket->time = header->time;
        } else if (earned) {
            bucket->tokens += earned;
            bucket->time += earned * 1000000000 / settings->bulk_rate;
        }
    }
    if (!bucket->tokens)
        return true;
    bucket->tokens--;
    return false;
}

/* Counters are added to atomically: programs may be preempted on newer kernels. */
static __always_inline struct class_counters *count_generated(__u32 kind)
{
    struct class_counters *count = bpf_map_lookup_elem(&counters, &kind);
    if (count)
        __sync_fetch_and_add(&count->generated, 1);
    return count;
}

/* May the event enter the ring? Counts it as limited or lost when not; else `flags` says how to
 * hand it over. Bulk kinds leave the last quarter of the ring to the others, so that a flood of
 * them cannot push out what matters. */
static __always_inline bool record_admit(const struct settings *settings,
                                         struct class_counters *count,
                                         const struct event_header *header, bool bulk, __u64 *flags)
{
    if (bulk && over_share(settings, header)) {
        __sync_fetch_and_add(&count->limited, 1);
        return false;
    }
    __u64 queued = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
    bool refused = bulk && queued >= settings->bulk_limit;
    if (settings->simulate_loss && bpf_get_prandom_u32() % settings->simulate_loss == 0)
        refused = true;
    if (refused) {
        __sync_fetch_and_add(&count->lost, 1);
        return false;
    }
    /* Else the kernel decides when the record is committed: the first one that is not read yet
     * wakes the agent, which then comes back by itself until the ring stays empty. (Deciding here
     * loses the wake-up when the agent empties the ring and goes to sleep between this and the
     * commit: a virtual machine's processor may stand still that long.) */
    const bool wake =
        queued >= settings->wake_limit || settings->wake_mask & (1ull << (header->kind & 63));
    *flags = wake ? BPF_RB_FORCE_WAKEUP : 0;
    return true;
}

/* Hands the first `size` bytes of the record to the ring; its event is counted as generated
 * already. Returns false when the event did not get in. */
static __always_inline bool record_put(const struct settings *settings,
                                       struct class_counters *count, struct event_header *header,
                                       __u32 size, bool bulk)
{
    __u64 flags;
    if (!record_admit(settings, count, header, bulk, &flags))
        return false;
    if (bpf_ringbuf_output(&ring, header, size, flags)) {
        __sync_fetch_and_add(&count->lost, 1);
        return false;
    }
    __sync_fetch_and_add(&count->submitted, 1);
    return true;
}

static __always_inline void record_submit(const struct settings *settings,
                                          struct event_header *header, __u32 size, bool bulk)
{
    struct class_counters *count = count_generated(header->kind);
    if (count)
        record_put(settings, count, header, size, bulk);
}

/* Keeps the compiler from merging a bound it has proven with the mask that the verifier needs to
 * see. */
#define bound_to(variable) asm volatile("" : "+r"(variable))

/* Where the next text goes in a scratch area. */
struct tail {
    struct scratch *scratch;
    __u32 at;
};

/* Adds kernel memory to the record's tail. Returns false when nothing could be added. */
static __always_inline bool tail_kernel(struct tail *tail, struct text *text, const void *from,
                                        __u32 size)
{
    __u32 at = tail->at;
    bound_to(at);
    text->offset = at;
    text->size = 0;
    if (at > TAIL_LIMIT)
        return false;
    bound_to(at);
    size &= PATH_MASK;
    if (size && bpf_probe_read_kernel(&tail->scratch->bytes[at], size, from))
        return false;
    text->size = size;
    tail->at = at + size;
    return true;
}

/* Adds a NUL-terminated string of the kernel's (or the caller's) memory, at most `PATH_MASK` bytes.
 */
static __always_inline bool tail_string(struct tail *tail, struct text *text, const void *from,
                                        bool user)
{
    __u32 at = tail->at;
    bound_to(at);
    text->offset = at;
    text->size = 0;
    if (at > TAIL_LIMIT)
        return false;
    bound_to(at);
    long size = user ? bpf_probe_read_user_str(&tail->scratch->bytes[at], PATH_MASK + 1, from)
                     : bpf_probe_read_kernel_str(&tail->scratch->bytes[at], PATH_MASK + 1, from);
    if (size < 0 || size > PATH_MASK + 1)
        return false;
    /* Of a caller's empty string 6.12 reads nothing, 6.18 its NUL. */
    if (size == 0)
        return true;
    text->size = size - 1;
    tail->at = at + size - 1;
    return true;
}

#endif
