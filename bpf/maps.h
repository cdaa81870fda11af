/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring, the counters and the small tables the agent writes. */
#ifndef PICKET_MAPS_H
#define PICKET_MAPS_H

#include "kernel.h"
#include "event.h"

/* Size is set by the agent before loading. */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 * 1024 * 1024);
} ring SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct settings);
} settings_map SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EVENT_KINDS);
    __type(key, __u32);
    __type(value, struct class_counters);
} counters SEC(".maps");

/* Hash tables are allocated in advance: before 6.1 (96da3f7d489d) a kernel that loads a tracing
 * program with one that is not writes a warning with a stack trace into its log, and panics where
 * the administrator set panic_on_warn. */

/* Processes to watch, kept up by fork and exit so that descendants are watched too. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __type(key, __u32);
    __type(value, __u8);
} scope_pids SEC(".maps");

/* cgroup ids to watch, each with everything below it. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, __u64);
    __type(value, __u8);
} scope_cgroups SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct path_key);
    __type(value, __u8);
} scope_paths SEC(".maps");

/* Read-only opens that some rule asks for. */
struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 4096);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct path_key);
    __type(value, __u8);
} interest_paths SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct name_key);
    __type(value, __u8);
} interest_names SEC(".maps");

/* Processes whose last threads are exiting at the same time: the first one to note it here reports.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, __u64);
    __type(value, __u8);
} exiting SEC(".maps");

static __always_inline const struct settings *settings_get(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&settings_map, &zero);
}

#endif
