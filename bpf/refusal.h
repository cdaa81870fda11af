/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel is asked to refuse, and what it tells of it: the contract of the second object,
 * refuse.bpf.c. Its programs and maps outlive the agent, so every rule carries what a later agent
 * needs to know of it. */
#ifndef PICKET_REFUSAL_H
#define PICKET_REFUSAL_H

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic error "-Wpadded"
#endif

#define REFUSAL_RULES       512
#define REFUSAL_SCOPE_RULES 30
#define REFUSAL_PORT_RANGES 15
#define REFUSAL_PATH_SIZE   252
#define REFUSAL_NAME_SIZE   60

enum refusal_kind {
    REFUSAL_EXEC = 1,
    REFUSAL_EGRESS = 2,  /* connections and datagrams by their peer */
    REFUSAL_ISOLATE = 3, /* every packet */
};

enum refusal_flag {
    REFUSAL_OBSERVE = 1 << 0,    /* let it pass and tell */
    REFUSAL_ALLOW_ONLY = 1 << 1, /* what matches is what is not refused */
    /* Which tables have entries of the rule. */
    REFUSAL_PATHS = 1 << 2,
    REFUSAL_NAMES = 1 << 3,
    REFUSAL_INODES = 1 << 4,
    /* What matches without a table. */
    REFUSAL_NOT_FROM_IMAGE = 1 << 5,
    REFUSAL_ANY = 1 << 6,
};

struct refusal_rule {
    __u64 deadline;   /* ns since boot */
    __u32 generation; /* tells it from others that had its place; 0 for none */
    __u32 kind;
    __u32 flags;
    __u32 reserved;
    char owner[64];
    char id[208];
};

/* Where rules apply: the id of a cgroup, with all below it, or 0 for every process outside of
 * containers. */
struct refusal_scope_key {
    __u64 cgroup;
    __u32 kind;
    __u32 reserved;
};
struct refusal_scope {
    __u32 count;
    __u16 rules[REFUSAL_SCOPE_RULES];
};

/* Longest-prefix key over a path; an exact path has its closing NUL in the prefix. */
struct refusal_path_key {
    __u32 prefix_bits;
    __u32 rule;
    char text[REFUSAL_PATH_SIZE];
};
struct refusal_name_key {
    __u32 rule;
    char text[REFUSAL_NAME_SIZE]; /* NUL-padded */
};
struct refusal_inode_key {
    __u64 inode;
    __u32 device;
    __u32 rule;
};

/* Longest-prefix key over an address: of IPv4 its first four bytes, `family` AF_INET. Without
 * family and address it stands for all. */
struct refusal_network_key {
    __u32 prefix_bits;
    __u32 rule;
    __u32 family;
    __u8 address[16];
};
/* Pairs of lowest and highest; those of a longer prefix include what the shorter ones say. */
struct refusal_ports {
    __u32 count;
    __u16 ranges[REFUSAL_PORT_RANGES * 2];
};

/* Who is never refused: the sensor itself and what it starts. */
struct refusal_settings {
    __u64 sensor_start; /* 1/100 s since boot, as /proc tells it */
    __u32 sensor_pid;
    __u32 reserved;
};

/* refused + observed = told + repeated + lost. */
struct refusal_counters {
    __u64 refused;
    __u64 observed;
    __u64 told;
    __u64 repeated;  /* the same was told less than a second ago */
    __u64 lost;      /* the ring was full */
    __u64 unchecked; /* let pass because too many were looked at at the same time */
};

/* Of an execution the path follows. */
struct refusal_event {
    __u64 time; /* ns since boot */
    __u64 start;
    __u64 cgroup_id;
    __u64 count; /* with what was only counted since the same was told last */
    __u32 rule;
    __u32 generation;
    __u32 pid; /* 0 where the kernel does not say who sends */
    __u32 kind;
    __u32 refused;
    __u16 family;
    __u16 port;
    __u32 protocol;
    __u32 reserved;
    __u8 address[16];
};

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#endif
