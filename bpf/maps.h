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

/* Opens that some rule asks for: paths (exact and prefixes), last names, ends of last names. Each
 * holds enum open_interest; that of a longer prefix includes what the shorter ones ask. */
struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 4096);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct path_key);
    __type(value, __u32);
} interest_paths SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct name_key);
    __type(value, __u32);
} interest_names SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct suffix_key);
    __type(value, __u32);
} interest_suffixes SEC(".maps");

/* Remote ports, host byte order. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, __u32);
    __type(value, __u8);
} interest_ports SEC(".maps");

/* What the three tables above said of a path, by its fingerprint. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, __u64);
    __type(value, __u32);
} verdicts SEC(".maps");

/* Opens told a moment ago. */
struct open_repeat_key {
    __u64 start; /* of the thread */
    __u64 image; /* counts its executions */
    __u64 credentials;
    __u64 path; /* fingerprint */
    __u64 raw;  /* hash of what the process passed */
    __u64 inode;
    __u32 device;
    __u32 generation; /* tells a file from a deleted one with its inode number */
    __u32 tid;
    __u32 flags;
    __s32 result;
    __u32 reserved;
};
struct open_repeat {
    __u64 since;
    __u64 count;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, struct open_repeat_key);
    __type(value, struct open_repeat);
} open_repeats SEC(".maps");

/* What a cgroup may still send of the bulk kinds. */
struct bucket {
    __u64 time;
    __u64 tokens;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, __u64);
    __type(value, struct bucket);
} buckets SEC(".maps");

/* What was told of processes a moment ago. Threads that exit at the same time all believe they are
 * the last one, and each life event has two programs (see process.h): who notes it here first
 * reports. */
struct told_key {
    __u64 process;
    __u32 kind;
    __u32 image; /* counts its executions */
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, struct told_key);
    __type(value, __u8);
} told SEC(".maps");

static __always_inline const struct settings *settings_get(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&settings_map, &zero);
}

#endif
