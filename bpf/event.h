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
    EVENT_EXEC_FAILED = 7,
    EVENT_RENAME = 8,
    EVENT_UNLINK = 9,
    EVENT_RMDIR = 10,
    EVENT_MKDIR = 11,
    EVENT_MKNOD = 12,
    EVENT_LINK = 13,
    EVENT_SYMLINK = 14,
    EVENT_CHMOD = 15,
    EVENT_CHOWN = 16,
    EVENT_TRUNCATE = 17,
    EVENT_SETXATTR = 18,
    EVENT_ACCEPT = 19,
    EVENT_BIND = 20,
    EVENT_LISTEN = 21,
    EVENT_SEND = 22,   /* a datagram to another peer than the one before */
    EVENT_SOCKET = 23, /* of a family with powers of its own: raw, packet, ALG, … */
    EVENT_DUP = 24,    /* of a socket onto standard input, output or error */
    EVENT_DNS = 25,
    EVENT_SETUID = 26,
    EVENT_SETGID = 27,
    EVENT_CAPSET = 28,
    EVENT_UNSHARE = 29,
    EVENT_SETNS = 30,
    EVENT_PTRACE = 31,
    EVENT_VM_WRITE = 32,
    EVENT_KILL = 33,
    EVENT_MOUNT = 34,
    EVENT_UMOUNT = 35,
    EVENT_PIVOT_ROOT = 36,
    EVENT_CHROOT = 37,
    EVENT_MODULE = 38,
    EVENT_BPF = 39,
    EVENT_MEMFD = 40,
    EVENT_USERFAULTFD = 41,
    EVENT_PROTECT = 42, /* memory made executable that was or can be written */
    EVENT_IO_URING = 43,
    EVENT_KINDS = 44, /* one above the last; event masks have 64 bits */
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
    FLAG_PATH_FROM_USER = 1 << 10, /* what the caller named, not what the kernel touched */
    FLAG_UPPER_LAYER = 1 << 11,    /* the file is not from the image: overlay's upper layer */
    FLAG_CREATED = 1 << 12,        /* the open made the file */
    FLAG_TARGET_FROM_USER = 1 << 13,
    FLAG_TARGET_TRUNCATED = 1 << 14,
    FLAG_TARGET_INCOMPLETE = 1 << 15,
    FLAG_TARGET_RAW_UNREADABLE = 1 << 16,
    FLAG_IO_URING = 1 << 17, /* asked for through a ring, not by a system call */
    FLAG_ENVIRONMENT_TRUNCATED = 1 << 18,
    FLAG_PID_FROM_USER =
        1 << 19, /* target_namespace_pid is what the caller passed, the rest unknown */
    FLAG_KERNEL_ACTOR =
        1 << 20, /* done in interrupt or by a kernel thread: the process is a guess */
    FLAG_DNS_RESPONSE = 1 << 21,
    FLAG_PAYLOAD_TRUNCATED = 1 << 22,
    FLAG_WRITTEN = 1 << 23, /* the memory holds pages that were written */
    FLAG_TARGET_IS_SENSOR = 1 << 24,
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
    __u16 kind;
    __u16 syscall; /* its number on this architecture; 0 where none is at hand */
    __u32 flags;
    __u32 user; /* real and effective one of who acted, at that time; all ones where not known */
    __u32 effective_user;
};

/* What standard input, output or error is at an exec. */
struct standard_stream {
    __u64 inode;
    __u16 type;   /* S_IFMT >> 12; 0 when closed */
    __u16 family; /* of a socket; the peer follows for AF_INET and AF_INET6 */
    __u16 remote_port;
    __u16 local_port;
    __u8 remote_address[16];
};

struct exec_event {
    struct event_header header;
    __u64 parent_start;
    __u64 inode;
    __u64 capabilities; /* effective */
    __u64 permitted_capabilities;
    __u64 inheritable_capabilities;
    __u64 file_changed; /* ctime and mtime of the executed file, ns since 1970 */
    __u64 file_modified;
    struct standard_stream stream[3];
    __u32 parent_pid;
    __u32 namespace_pid;
    __u32 process_group; /* its leader's pid */
    __u32 session;       /* its leader's pid */
    __u32 reserved;
    __u32 file_mode;
    __u32 file_uid;
    __u32 file_gid;
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
    __u32 args_bytes;        /* true length */
    __u32 environment_bytes; /* true length */
    struct text comm;
    struct text path;
    struct text raw;
    struct text interpreter;
    struct text args;
    struct text cwd;
    struct text environment; /* only on request */
};

/* header: the process as it was and stays. `raw` and `args` are what the caller's memory says now.
 */
struct exec_failed_event {
    struct event_header header;
    __s32 result;
    __u32 args_bytes;
    struct text path; /* `raw` made absolute, FLAG_PATH_FROM_USER */
    struct text raw;
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

/* rename to setxattr, chroot, pivot_root, memfd_create. Where the kernel's own objects are at hand
 * `path` and `target` are theirs; else what the caller named, made absolute without looking
 * (FLAG_PATH_FROM_USER). */
struct file_event {
    struct event_header header;
    __u64 inode; /* 0 where it is not known */
    __u64 size;  /* truncate */
    __u32 device;
    __u32 mode; /* of the file before */
    __s32 result;
    __u32 call_flags; /* AT_*, RENAME_*, MFD_* as passed */
    __u32 new_mode;   /* chmod, mkdir, mknod */
    __u32 new_uid;    /* chown; -1 leaves it */
    __u32 new_gid;
    struct text path; /* of rename and link the old name */
    struct text raw;
    struct text target; /* of rename and link the new name, of pivot_root where the old root goes */
    struct text target_raw; /* and what a symbolic link says */
    struct text name;       /* setxattr's attribute, mknod's nothing */
};

/* connect, accept, bind, listen, send, socket, dup. */
struct socket_event {
    struct event_header header;
    __u8 local_address[16];
    __u8 remote_address[16];
    __u16 family;
    __u16 protocol;
    __u16 local_port;
    __u16 remote_port;
    __s32 result;
    __u32 type;       /* SOCK_* */
    __s32 descriptor; /* the one acted on; dup: the old one, `result` the new one */
    __u32 argument;   /* listen: backlog */
    __u32 reserved;
    struct text path; /* AF_UNIX; an abstract name starts with NUL */
};

/* A DNS message over UDP. header: who asked; of an answer who asked the question it belongs to. */
struct dns_event {
    struct event_header header;
    __u8 local_address[16];
    __u8 remote_address[16];
    __u16 family;
    __u16 local_port;
    __u16 remote_port;
    __u16 reserved;
    __u32 payload_bytes; /* true length */
    struct text payload;
};

/* setuid, setgid, capset: what holds afterwards, and what was asked for. */
struct identity_event {
    struct event_header header;
    __u64 capabilities;
    __u64 permitted_capabilities;
    __u64 inheritable_capabilities;
    __u32 uid;
    __u32 gid;
    __u32 euid;
    __u32 egid;
    __u32 saved_uid;
    __u32 saved_gid;
    __u32 file_uid;
    __u32 file_gid;
    __u32 asked[3]; /* as passed; -1 leaves it */
    __s32 result;
};

/* unshare, setns: where the process is afterwards. */
struct namespace_event {
    struct event_header header;
    __u32 call_flags; /* CLONE_NEW*; setns: 0 takes whatever the descriptor is */
    __s32 result;
    __u32 mount_namespace;
    __u32 pid_namespace; /* of its children to come */
    __u32 network_namespace;
    __u32 user_namespace;
    __u32 uts_namespace;
    __u32 ipc_namespace;
    __u32 cgroup_namespace;
    __u32 reserved;
};

/* ptrace, process_vm_writev, kill: one process does something to another. */
struct target_event {
    struct event_header header;
    __u64 target_start; /* 0 where the target is not known */
    __u64 address;
    __u64 size;
    __u32 target_pid;
    __u32 target_namespace_pid; /* as the caller passed it, or in the target's own namespace */
    __u32 target_tid;
    __u32 target_uid;
    __u32 target_euid;
    __u32 request; /* PTRACE_*, or the signal */
    __s32 result;
    __u32 reserved;
};

struct mount_event {
    struct event_header header;
    __u64 call_flags; /* MS_*, MNT_* as passed */
    __s32 result;
    __u32 device; /* of what is mounted there now */
    __u32 reserved;
    struct text path; /* where */
    struct text raw;
    struct text source; /* as passed: a device, a directory, a word */
    struct text filesystem;
    struct text options;
};

struct module_event {
    struct event_header header;
    __u64 inode; /* of the file it came from; finit_module only */
    __u32 device;
    __s32 result;
    __u32 call_flags;
    __u32 operation; /* 1 loaded, 2 removed */
    __u32 reserved;
    struct text path;
    struct text name;
    struct text args;
};

struct bpf_event {
    struct event_header header;
    __u32 command;
    __u32 type; /* of the program or map; attach: where to */
    __u32 id;
    __s32 result;
    __u32 reserved;
    struct text name;
};

/* userfaultfd, io_uring_setup: that it was called says enough. */
struct call_event {
    struct event_header header;
    __u64 argument[2];
    __s32 result;
    __u32 reserved;
};

struct protect_event {
    struct event_header header;
    __u64 address;
    __u64 size;
    __u64 inode; /* of the file that is mapped there */
    __u32 device;
    __u32 protection; /* PROT_* asked for */
    __u32 call_flags; /* mmap: MAP_* */
    __u32 previous;   /* PROT_* it had; mprotect only, 0 where not known */
    __s32 result;
    struct text path;
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
    OPEN_CHANGE = 1 << 4, /* changes of a file's name or attributes */
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
    __u64 event_mask;    /* 1 << kind */
    __u64 wake_mask;     /* 1 << kind: wakes the agent at once */
    __u32 bulk_rate;     /* and then a second; 0 for no limit */
    __u32 open_mask;     /* enum open_interest */
    __u32 connect_mask;  /* enum connect_interest */
    __u32 change_mask;   /* OPEN_CHANGE, OPEN_PATHS: of file changes (rename … setxattr) */
    __u32 environment;   /* bytes of an exec's environment to send; 0 for none */
    __u32 scope;         /* enum scope; 0 watches everything */
    __u32 sensor_pid;    /* its own opens and connections are no news */
    __u32 bulk_limit;    /* bytes in the ring from which bulk kinds are refused */
    __u32 wake_limit;    /* bytes in the ring from which every record wakes the agent */
    __u32 simulate_loss; /* one event in so many is refused on purpose; 0 for none */
    __u32 exec_alone;    /* there is no on_exec() for on_exec_again() to make up for */
    __u32 reserved;
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

/* Numbers of the system calls that carry events, on both architectures: a recording is read on the
 * other one too. */
enum syscall_x86_64 {
    X86_64_OPEN = 2,
    X86_64_OPENAT = 257,
    X86_64_OPENAT2 = 437,
    X86_64_CREAT = 85,
    X86_64_OPEN_BY_HANDLE_AT = 304,
    X86_64_CONNECT = 42,
    X86_64_RENAME = 82,
    X86_64_RENAMEAT = 264,
    X86_64_RENAMEAT2 = 316,
    X86_64_UNLINK = 87,
    X86_64_UNLINKAT = 263,
    X86_64_RMDIR = 84,
    X86_64_MKDIR = 83,
    X86_64_MKDIRAT = 258,
    X86_64_MKNOD = 133,
    X86_64_MKNODAT = 259,
    X86_64_LINK = 86,
    X86_64_LINKAT = 265,
    X86_64_SYMLINK = 88,
    X86_64_SYMLINKAT = 266,
    X86_64_CHMOD = 90,
    X86_64_FCHMOD = 91,
    X86_64_FCHMODAT = 268,
    X86_64_FCHMODAT2 = 452,
    X86_64_CHOWN = 92,
    X86_64_LCHOWN = 94,
    X86_64_FCHOWN = 93,
    X86_64_FCHOWNAT = 260,
    X86_64_TRUNCATE = 76,
    X86_64_FTRUNCATE = 77,
    X86_64_SETXATTR = 188,
    X86_64_LSETXATTR = 189,
    X86_64_FSETXATTR = 190,
    X86_64_SETXATTRAT = 463,
    X86_64_ACCEPT = 43,
    X86_64_ACCEPT4 = 288,
    X86_64_BIND = 49,
    X86_64_LISTEN = 50,
    X86_64_SOCKET = 41,
    X86_64_SENDTO = 44,
    X86_64_SENDMSG = 46,
    X86_64_SENDMMSG = 307,
    X86_64_DUP = 32,
    X86_64_DUP2 = 33,
    X86_64_DUP3 = 292,
    X86_64_FCNTL = 72,
    X86_64_EXECVE = 59,
    X86_64_EXECVEAT = 322,
    X86_64_SETUID = 105,
    X86_64_SETGID = 106,
    X86_64_SETREUID = 113,
    X86_64_SETREGID = 114,
    X86_64_SETRESUID = 117,
    X86_64_SETRESGID = 119,
    X86_64_SETFSUID = 122,
    X86_64_SETFSGID = 123,
    X86_64_CAPSET = 126,
    X86_64_UNSHARE = 272,
    X86_64_SETNS = 308,
    X86_64_PTRACE = 101,
    X86_64_PROCESS_VM_WRITEV = 311,
    X86_64_KILL = 62,
    X86_64_TKILL = 200,
    X86_64_TGKILL = 234,
    X86_64_PIDFD_SEND_SIGNAL = 424,
    X86_64_RT_SIGQUEUEINFO = 129,
    X86_64_RT_TGSIGQUEUEINFO = 297,
    X86_64_MOUNT = 165,
    X86_64_UMOUNT2 = 166,
    X86_64_PIVOT_ROOT = 155,
    X86_64_CHROOT = 161,
    X86_64_MOVE_MOUNT = 429,
    X86_64_FSMOUNT = 432,
    X86_64_OPEN_TREE = 428,
    X86_64_INIT_MODULE = 175,
    X86_64_FINIT_MODULE = 313,
    X86_64_DELETE_MODULE = 176,
    X86_64_BPF = 321,
    X86_64_MEMFD_CREATE = 319,
    X86_64_USERFAULTFD = 323,
    X86_64_MPROTECT = 10,
    X86_64_PKEY_MPROTECT = 329,
    X86_64_MMAP = 9,
    X86_64_IO_URING_SETUP = 425,
    X86_64_IO_URING_ENTER = 426,
    X86_64_CLONE = 56,
    X86_64_CLONE3 = 435,
    X86_64_FORK = 57,
    X86_64_VFORK = 58,
    X86_64_REMOVEXATTR = 197,
    X86_64_LREMOVEXATTR = 198,
    X86_64_FREMOVEXATTR = 199,
    X86_64_REMOVEXATTRAT = 466,
};
enum syscall_arm64 {
    ARM64_OPENAT = 56,
    ARM64_OPENAT2 = 437,
    ARM64_OPEN_BY_HANDLE_AT = 265,
    ARM64_CONNECT = 203,
    ARM64_RENAMEAT = 38,
    ARM64_RENAMEAT2 = 276,
    ARM64_UNLINKAT = 35,
    ARM64_MKDIRAT = 34,
    ARM64_MKNODAT = 33,
    ARM64_LINKAT = 37,
    ARM64_SYMLINKAT = 36,
    ARM64_FCHMOD = 52,
    ARM64_FCHMODAT = 53,
    ARM64_FCHMODAT2 = 452,
    ARM64_FCHOWN = 55,
    ARM64_FCHOWNAT = 54,
    ARM64_TRUNCATE = 45,
    ARM64_FTRUNCATE = 46,
    ARM64_SETXATTR = 5,
    ARM64_LSETXATTR = 6,
    ARM64_FSETXATTR = 7,
    ARM64_SETXATTRAT = 463,
    ARM64_ACCEPT = 202,
    ARM64_ACCEPT4 = 242,
    ARM64_BIND = 200,
    ARM64_LISTEN = 201,
    ARM64_SOCKET = 198,
    ARM64_SENDTO = 206,
    ARM64_SENDMSG = 211,
    ARM64_SENDMMSG = 269,
    ARM64_DUP = 23,
    ARM64_DUP3 = 24,
    ARM64_FCNTL = 25,
    ARM64_EXECVE = 221,
    ARM64_EXECVEAT = 281,
    ARM64_SETUID = 146,
    ARM64_SETGID = 144,
    ARM64_SETREUID = 145,
    ARM64_SETREGID = 143,
    ARM64_SETRESUID = 147,
    ARM64_SETRESGID = 149,
    ARM64_SETFSUID = 151,
    ARM64_SETFSGID = 152,
    ARM64_CAPSET = 91,
    ARM64_UNSHARE = 97,
    ARM64_SETNS = 268,
    ARM64_PTRACE = 117,
    ARM64_PROCESS_VM_WRITEV = 271,
    ARM64_KILL = 129,
    ARM64_TKILL = 130,
    ARM64_TGKILL = 131,
    ARM64_PIDFD_SEND_SIGNAL = 424,
    ARM64_RT_SIGQUEUEINFO = 138,
    ARM64_RT_TGSIGQUEUEINFO = 240,
    ARM64_MOUNT = 40,
    ARM64_UMOUNT2 = 39,
    ARM64_PIVOT_ROOT = 41,
    ARM64_CHROOT = 51,
    ARM64_MOVE_MOUNT = 429,
    ARM64_FSMOUNT = 432,
    ARM64_OPEN_TREE = 428,
    ARM64_INIT_MODULE = 105,
    ARM64_FINIT_MODULE = 273,
    ARM64_DELETE_MODULE = 106,
    ARM64_BPF = 280,
    ARM64_MEMFD_CREATE = 279,
    ARM64_USERFAULTFD = 282,
    ARM64_MPROTECT = 226,
    ARM64_PKEY_MPROTECT = 288,
    ARM64_MMAP = 222,
    ARM64_IO_URING_SETUP = 425,
    ARM64_IO_URING_ENTER = 426,
    ARM64_CLONE = 220,
    ARM64_REMOVEXATTR = 14,
    ARM64_LREMOVEXATTR = 15,
    ARM64_FREMOVEXATTR = 16,
    ARM64_REMOVEXATTRAT = 466,
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
