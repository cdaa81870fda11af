/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* THE event contract: every record that crosses the ring, and the tables that steer capture.
 * Included by bpf/ (and by nothing that could disagree: TypeScript's offsets are generated from the
 * built object). */
#ifndef PICKET_EVENT_H
#define PICKET_EVENT_H

/* Padding would be bytes that nobody wrote: every gap is a named field. */
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic error "-Wpadded"
#endif

enum event_kind {
    EVENT_EXEC = 1,
    EVENT_FORK = 2,
    EVENT_EXIT = 3,
    EVENT_OPEN = 4,
    EVENT_CONNECT = 5,
    EVENT_CGROUP = 6,
    EVENT_KINDS = 7, /* one above the last */
};

enum event_flag {
    FLAG_PATH_TRUNCATED = 1 << 0,
    FLAG_PATH_INCOMPLETE = 1 << 1,
    FLAG_RAW_UNREADABLE = 1 << 2,
    FLAG_ARGS_TRUNCATED = 1 << 3,
    FLAG_ARGS_UNREADABLE = 1 << 4,
    FLAG_PATH_IS_BASE = 1 << 5,
    FLAG_FROM_MEMFD = 1 << 6,
    FLAG_UNLINKED = 1 << 7,
    FLAG_PEER_FROM_USER = 1 << 8,
    FLAG_CWD_TRUNCATED = 1 << 9,
};

/* Where a text lies: bytes from the start of the record, without a closing NUL. */
struct text {
    __u16 offset;
    __u16 size;
};

struct event_header {
    __u64 time;  /* CLOCK_BOOTTIME, ns */
    __u64 start; /* when the acting process started, same clock */
    __u64 cgroup_id;
    __u32 pid;
    __u32 tid;
    __u32 kind;
    __u32 flags;
};

struct exec_event {
    struct event_header header;
    __u64 parent_start;
    __u64 inode;
    __u64 capabilities;
    __u32 parent_pid;
    __u32 namespace_pid;
    __u32 device;
    __u32 uid;
    __u32 gid;
    __u32 euid;
    __u32 egid;
    __u32 login_uid;
    __u32 session_id;
    __u32 tty; /* major << 20 | minor, 0 for none */
    __u32 mount_namespace;
    __u32 pid_namespace;
    __u32 network_namespace;
    __u32 user_namespace;
    __u32 uts_namespace;
    __u32 ipc_namespace;
    __u32 cgroup_namespace;
    __u32 args_bytes; /* true length */
    struct text comm;
    struct text path;
    struct text raw;
    struct text interpreter;
    struct text args;
    struct text cwd;
};

/* header: the process that forked. */
struct fork_event {
    struct event_header header;
    __u64 child_start;
    __u64 child_cgroup_id;
    __u32 child_pid;
    __u32 child_namespace_pid;
    __u32 child_parent_pid; /* another than header.pid after CLONE_PARENT */
    __u32 child_pid_namespace;
};

struct exit_event {
    struct event_header header;
    __s32 result;     /* as wait(2) gives it */
    __u32 reaper_pid; /* becomes the parent of its children; 0 when it has none */
};

struct open_event {
    struct event_header header;
    __u64 inode;
    __u32 device;
    __u32 open_flags;
    __u32 mode;
    __s32 result;
    __u32 repeats; /* the same since the last one reported: not sent, counted as repeated */
    __u32 reserved;
    struct text path;
    struct text raw;
};

struct connect_event {
    struct event_header header;
    __u8 local_address[16];
    __u8 remote_address[16];
    __u16 family;
    __u16 protocol;
    __u16 local_port;
    __u16 remote_port;
    __s32 result;
    struct text path; /* AF_UNIX; an abstract name starts with NUL */
};

struct cgroup_event {
    struct event_header header;
    __u64 target_cgroup_id;
    __u32 operation; /* 1 created, 2 removed */
    struct text path;
};

/* What is asked of opens, for the whole host (settings) and for one path (the interest tables). */
enum open_interest {
    OPEN_WRITE = 1 << 0,  /* opens that can write or make the file */
    OPEN_READ = 1 << 1,   /* all others */
    OPEN_FAILED = 1 << 2, /* host only */
    OPEN_PATHS = 1 << 3,  /* host only: of both sorts, those that the interest tables name */
};

enum connect_interest {
    CONNECT_IP = 1 << 0,    /* every peer */
    CONNECT_PORTS = 1 << 1, /* those on the ports in interest_ports */
    CONNECT_UNIX = 1 << 2,
};

enum scope {
    SCOPE_PIDS = 1 << 0,
    SCOPE_CGROUPS = 1 << 1,
    SCOPE_PATHS = 1 << 2,
};

/* One entry, written by the agent, read by every program. */
struct settings {
    __u64 seed;          /* of fingerprints; another one makes every cached verdict unknown */
    __u64 repeat_window; /* ns in which the same open is reported once; 0 reports each */
    __u64 bulk_burst;    /* bulk events a cgroup may have at once */
    __u32 bulk_rate;     /* and then a second; 0 for no limit */
    __u32 event_mask;    /* 1 << kind */
    __u32 wake_mask;     /* 1 << kind: wakes the agent at once */
    __u32 open_mask;     /* enum open_interest */
    __u32 connect_mask;  /* enum connect_interest */
    __u32 scope;         /* enum scope; 0 watches everything */
    __u32 sensor_pid;    /* its own opens and connections are no news */
    __u32 bulk_limit;    /* bytes in the ring from which bulk kinds are refused */
    __u32 wake_limit;    /* bytes in the ring from which every record wakes the agent */
    __u32 simulate_loss; /* one event in so many is refused on purpose; 0 for none */
};

/* generated = submitted + lost + limited + repeated, for each kind and at any time when no program
 * is running. */
struct class_counters {
    __u64 generated;
    __u64 submitted;
    __u64 lost;     /* the ring was full, or loss is simulated */
    __u64 limited;  /* more than its cgroup's share */
    __u64 repeated; /* told by an earlier one; the next one carries the number */
};

#define PATH_KEY_SIZE   128
#define NAME_KEY_SIZE   64
#define SUFFIX_KEY_SIZE 32

/* Longest-prefix key over a path; an exact path has its closing NUL in the prefix. */
struct path_key {
    __u32 prefix_bits;
    char text[PATH_KEY_SIZE];
};

struct name_key {
    char text[NAME_KEY_SIZE]; /* last part of a path, NUL-padded */
};

/* Longest-prefix key over the end of a name, last byte first. */
struct suffix_key {
    __u32 prefix_bits;
    char text[SUFFIX_KEY_SIZE];
};

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#endif
