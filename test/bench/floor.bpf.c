/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The floor that the sensor is measured against: the same three places of the kernel hooked, and
 * nothing done there but counting. */
#include "../../bpf/kernel.h"
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 3);
    __type(key, __u32);
    __type(value, __u64);
} counts SEC(".maps");

static __always_inline int count(__u32 key)
{
    __u64 *value = bpf_map_lookup_elem(&counts, &key);
    if (value)
        (*value)++;
    return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int floor_openat(void *context)
{
    return count(0);
}

SEC("tracepoint/syscalls/sys_exit_connect")
int floor_connect(void *context)
{
    return count(1);
}

SEC("tp_btf/sched_process_exec")
int floor_exec(void *context)
{
    return count(2);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
