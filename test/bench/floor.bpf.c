/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The floor that the sensor is measured against: the same three places of the kernel hooked, and
 * nothing done there but counting. */
#include "../../bpf/kernel.h"
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} counts SEC(".maps");

static __always_inline int count(void)
{
    __u32 key = 0;
    __u64 *value = bpf_map_lookup_elem(&counts, &key);
    if (value)
        (*value)++;
    return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int floor_openat(void *context)
{
    return count();
}

SEC("tracepoint/syscalls/sys_exit_connect")
int floor_connect(void *context)
{
    return count();
}

SEC("tp_btf/sched_process_exec")
int floor_exec(void *context)
{
    return count();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
