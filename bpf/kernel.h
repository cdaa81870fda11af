/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What we need of the kernel's own types (CO-RE: offsets are resolved against the running kernel),
 * and every difference between kernel versions. Callers never see which kernel they run on. */
#ifndef PICKET_KERNEL_H
#define PICKET_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0

enum bpf_map_type {
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PERCPU_ARRAY = 6,
    BPF_MAP_TYPE_LRU_HASH = 9,
    BPF_MAP_TYPE_LPM_TRIE = 11,
    BPF_MAP_TYPE_RINGBUF = 27,
};
enum {
    BPF_ANY = 0,
    BPF_NOEXIST = 1,
    BPF_F_NO_PREALLOC = 1,
};
enum {
    BPF_RB_NO_WAKEUP = 1,
    BPF_RB_FORCE_WAKEUP = 2,
    BPF_RB_AVAIL_DATA = 0,
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define AF_UNSPEC    0
#define AF_UNIX      1
#define AF_INET      2
#define AF_INET6     10
#define EPERM        1
#define EINTR        4
#define EBADF        9
#define EEXIST       17
#define ENAMETOOLONG 36
#define ENOTSOCK     88
#define EALREADY     114
#define EINPROGRESS  115
#define ERESTARTSYS  512
#define AT_FDCWD     (-100)
#define AT_REMOVEDIR 0x200
#define O_ACCMODE    3
#define O_WRONLY     1
#define O_RDWR       2
#define O_CREAT      0100
#define O_TRUNC      01000
#define S_IFMT       0170000
#define S_IFSOCK     0140000

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
    struct list_head *next;
    struct list_head *prev;
};
struct hlist_node {
    struct hlist_node *next;
    struct hlist_node **pprev;
};
struct hlist_head {
    struct hlist_node *first;
};
struct timespec64 {
    __s64 tv_sec;
    long tv_nsec;
};
struct qstr {
    union {
        struct {
            __u32 hash;
            __u32 len;
        };
        __u64 hash_len;
    };
    const unsigned char *name;
};
typedef struct {
    __u32 val;
} kuid_t;
typedef struct {
    __u32 val;
} kgid_t;
struct file_system_type {
    const char *name;
};
struct super_block {
    __u32 s_dev;
    unsigned long s_magic;
    struct file_system_type *s_type;
};
struct inode {
    __u16 i_mode;
    kuid_t i_uid;
    kgid_t i_gid;
    struct super_block *i_sb;
    unsigned long i_ino;
    __u32 i_generation;
    const unsigned int i_nlink;
    void *i_private;
};
/* 6.6 (13bc24457850) put underscores in front of the change time, 6.7 (12cd44023651) of the
 * other, 6.11 (3aa63a569c64) took both apart. */
struct inode___plain {
    struct timespec64 i_mtime;
    struct timespec64 i_ctime;
};
struct inode___renamed {
    struct timespec64 __i_mtime;
    struct timespec64 __i_ctime;
};
struct inode___apart {
    __s64 i_mtime_sec;
    __s64 i_ctime_sec;
    __u32 i_mtime_nsec;
    __u32 i_ctime_nsec;
};
struct dentry {
    struct dentry *d_parent;
    struct qstr d_name;
    struct inode *d_inode;
};
struct vfsmount {
    struct dentry *mnt_root;
};
struct mount {
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
};
struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
};
struct file {
    struct path f_path;
    struct inode *f_inode;
    unsigned int f_flags;
    unsigned int f_mode;
    void *private_data;
    struct {
        __s64 refcnt;
    } f_ref; /* 6.13, counts from 0 */
};
struct file___counted {
    struct {
        __s64 counter;
    } f_count;
};
struct fdtable {
    unsigned int max_fds;
    struct file **fd;
};
struct files_struct {
    struct fdtable *fdt;
};
struct fs_struct {
    struct path root;
    struct path pwd;
};
struct ns_common {
    unsigned int inum;
};
struct mnt_namespace {
    struct ns_common ns;
    struct mount *root;
};
struct pid_namespace {
    struct task_struct *child_reaper;
    struct ns_common ns;
    unsigned int level;
};
struct net {
    struct ns_common ns;
};
struct user_namespace {
    struct ns_common ns;
};
struct uts_namespace {
    struct ns_common ns;
};
struct ipc_namespace {
    struct ns_common ns;
};
struct cgroup_namespace {
    struct ns_common ns;
};
struct nsproxy {
    struct uts_namespace *uts_ns;
    struct ipc_namespace *ipc_ns;
    struct mnt_namespace *mnt_ns;
    struct net *net_ns;
    struct cgroup_namespace *cgroup_ns;
    struct pid_namespace *pid_ns_for_children;
};
struct upid {
    int nr;
    struct pid_namespace *ns;
};
struct pid {
    unsigned int level;
    struct hlist_head tasks[4];
    struct upid numbers[1];
};
typedef struct {
    __u64 val;
} kernel_cap_t;
struct cred {
    kuid_t uid;
    kgid_t gid;
    kuid_t euid;
    kgid_t egid;
    kernel_cap_t cap_inheritable;
    kernel_cap_t cap_permitted;
    kernel_cap_t cap_effective;
    struct user_namespace *user_ns;
    kuid_t suid;
    kgid_t sgid;
    kuid_t fsuid;
    kgid_t fsgid;
};
struct tty_driver {
    int major;
    int minor_start;
};
struct tty_struct {
    struct tty_driver *driver;
    int index;
};
typedef struct {
    int counter;
} atomic_t;
struct signal_struct {
    atomic_t live;
    int nr_threads;
    int group_exit_code;
    unsigned int flags;
    unsigned int is_child_subreaper : 1;
    unsigned int has_child_subreaper : 1;
    struct tty_struct *tty;
    struct pid *pids[4];
};
struct mm_struct {
    struct file *exe_file;
    unsigned long arg_start;
    unsigned long arg_end;
    unsigned long env_start;
    unsigned long env_end;
};
struct kernfs_node {
    __u64 id;
};
struct cgroup_root {
    int hierarchy_id;
};
struct cgroup;
struct cgroup_subsys_state {
    struct cgroup *cgroup;
    struct cgroup_subsys_state *parent;
};
struct cgroup {
    struct cgroup_subsys_state self;
    struct kernfs_node *kn;
    struct cgroup_root *root;
};
struct css_set {
    struct cgroup *dfl_cgrp;
};
struct task_struct {
    unsigned int flags;
    int pid;
    int tgid;
    int exit_code;
    void *stack;
    struct mm_struct *mm;
    struct task_struct *real_parent;
    struct list_head children;
    struct list_head sibling;
    struct task_struct *group_leader;
    struct pid *thread_pid;
    __u64 start_boottime;
    __u64 self_exec_id;
    const struct cred *cred;
    char comm[16];
    struct fs_struct *fs;
    struct files_struct *files;
    struct nsproxy *nsproxy;
    struct signal_struct *signal;
    kuid_t loginuid;
    unsigned int sessionid;
    struct css_set *cgroups;
    struct list_head ptraced;
    struct list_head ptrace_entry;
    struct hlist_node pid_links[4];
};
struct linux_binprm {
    struct file *file;
    const char *filename;
    const char *interp;
};
struct in6_addr {
    __u8 in6_u[16];
};
struct sock_common {
    __be32 skc_daddr;
    __be32 skc_rcv_saddr;
    __be16 skc_dport;
    __u16 skc_num;
    unsigned short skc_family;
    struct in6_addr skc_v6_daddr;
    struct in6_addr skc_v6_rcv_saddr;
};
struct sock_cgroup_data {
    __u64 value;
};
struct sock {
    struct sock_common __sk_common;
    __u16 sk_type;
    __u16 sk_protocol;
    struct sock_cgroup_data sk_cgrp_data;
};
struct socket {
    struct sock *sk;
};
struct sockaddr_un {
    __u16 sun_family;
    char sun_path[108];
};
struct unix_address {
    int len;
    struct sockaddr_un name[1];
};
struct unix_sock {
    struct sock sk;
    struct unix_address *addr;
    struct path path;
    struct sock *peer;
};
struct trace_event_raw_sys_exit {
    long id;
    long ret;
};
struct trace_event_raw_sched_process_exec {
    __u32 __data_loc_filename;
};
struct trace_event_raw_sched_process_fork {
    int child_pid;
};
struct kernel_siginfo {
    int si_code;
};
struct anon_vma;
struct vm_area_struct {
    unsigned long vm_start;
    unsigned long vm_end;
    const unsigned long vm_flags;
    struct anon_vma *anon_vma;
    struct file *vm_file;
};
struct bpf_prog_aux {
    __u32 id;
    char name[16];
};
enum bpf_prog_type {
    BPF_PROG_TYPE_UNSPEC,
};
struct bpf_prog {
    enum bpf_prog_type type;
    struct bpf_prog_aux *aux;
};
struct bpf_map {
    enum bpf_map_type map_type;
    __u32 id;
    char name[16];
};

/* The mount's mapping of owners: as a user namespace with 5.12 (a6435940b62f), as a type of its own
 * with 6.2 (256c8aed2b42). */
struct vfsmount___owners {
    void *mnt_userns;
};
struct vfsmount___mapping {
    void *mnt_idmap;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
    unsigned long r10;
    unsigned long r8;
    unsigned long orig_ax;
    unsigned long dx;
    unsigned long si;
    unsigned long di;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
    __u64 regs[31];
    __u64 orig_x0;
    int syscallno;
};
#else
#error "unsupported architecture: x86_64 and arm64 are known"
#endif

#pragma clang attribute pop

/* What programs on cgroups are given, as far as we read it: not the kernel's own structs but
 * agreed upon (include/uapi/linux/bpf.h), so their places are fixed. */
struct bpf_sock {
    __u32 bound_dev_if;
    __u32 family;
    __u32 type;
    __u32 protocol;
    __u32 mark;
    __u32 priority;
    __u32 src_ip4;
    __u32 src_ip6[4];
    __u32 src_port; /* host byte order */
};
struct bpf_sock_addr {
    __u32 user_family;
    __u32 user_ip4;
    __u32 user_ip6[4];
    __u32 user_port; /* network byte order */
    __u32 family;
    __u32 type;
    __u32 protocol;
    __u32 msg_src_ip4;
    __u32 msg_src_ip6[4];
    __u32 : 32;
    struct bpf_sock *sk;
};
struct __sk_buff {
    __u32 len;
    __u32 other[18];
    __u32 data;
    __u32 data_end;
    __u32 napi_id;
    __u32 family;
    __u32 remote_ip4;
    __u32 local_ip4;
    __u32 remote_ip6[4];
    __u32 local_ip6[4];
    __u32 remote_port; /* of the socket; network byte order, as 32 bits */
    __u32 local_port;  /* host byte order */
    __u32 data_meta;
    __u64 flow_keys;
    __u64 tstamp;
    __u32 wire_len;
    __u32 gso_segs;
    struct bpf_sock *sk;
};
#pragma clang diagnostic pop

/* enum pid_type, include/linux/pid.h; unchanged since 4.19. */
#define PIDTYPE_PGID 2
#define PIDTYPE_SID  3

/* The verifier wants a bound that is a mask where a size comes out of arithmetic. */
#define PATH_MASK 4095

#define OVERLAYFS_SUPER_MAGIC 0x794c7630

/* When a file's content or its attributes last changed, ns since 1970. */
static __always_inline __u64 inode_time(struct inode *inode, bool changed)
{
    struct timespec64 at = {};
    struct inode___apart *apart = (struct inode___apart *)inode;
    struct inode___renamed *renamed = (struct inode___renamed *)inode;
    if (bpf_core_field_exists(apart->i_ctime_sec)) {
        at.tv_sec = changed ? BPF_CORE_READ(apart, i_ctime_sec) : BPF_CORE_READ(apart, i_mtime_sec);
        /* The top bit says whether anyone has asked (6.13, 4e40eff0b573). */
        at.tv_nsec = 0x7fffffff & (changed ? BPF_CORE_READ(apart, i_ctime_nsec)
                                           : BPF_CORE_READ(apart, i_mtime_nsec));
    } else if (changed) {
        if (bpf_core_field_exists(renamed->__i_ctime))
            bpf_core_read(&at, sizeof(at), &renamed->__i_ctime);
        else
            bpf_core_read(&at, sizeof(at), &((struct inode___plain *)inode)->i_ctime);
    } else if (bpf_core_field_exists(renamed->__i_mtime)) {
        bpf_core_read(&at, sizeof(at), &renamed->__i_mtime);
    } else {
        bpf_core_read(&at, sizeof(at), &((struct inode___plain *)inode)->i_mtime);
    }
    return at.tv_sec * 1000000000 + at.tv_nsec;
}

/* Overlayfs' own inode goes on behind the common one, with the entry in the upper layer: none for a
 * file that still is the image's (struct ovl_inode, the same since 4.19). */
static __always_inline bool inode_in_upper_layer(struct inode *inode)
{
    if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_SUPER_MAGIC)
        return false;
    struct dentry *upper = 0;
    bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode));
    return upper != 0;
}

/* The cgroup that a socket was made in, NULL when it is not known. Up to 5.14 (8520e224f547) its
 * two lowest bits say whether it is one. */
static __always_inline struct cgroup *sock_cgroup(__u64 sock)
{
    __u64 value = 0;
    bpf_probe_read_kernel(&value, sizeof(value),
                          (void *)sock + bpf_core_field_offset(struct sock, sk_cgrp_data));
    return value & 1 ? 0 : (struct cgroup *)(value & ~3ull);
}

/* PF_KTHREAD, include/linux/sched.h; unchanged since 2.6.27. */
#define PF_KTHREAD 0x00200000

/* SIGNAL_GROUP_EXIT, include/linux/sched/signal.h; unchanged since 2.6. */
#define SIGNAL_GROUP_EXIT 0x00000004

/* Helpers that not every kernel has. */
enum bpf_func_id___new {
    BPF_FUNC_get_current_task_btf___new = 158, /* 5.11, 3ca1032ab7ab */
    BPF_FUNC_task_pt_regs___new = 175,         /* 5.15, dd6e10fbd9fb */
};

/* The calling thread. Where the kernel gives it out with its type, its fields and what they point
 * to are loaded directly, at a fraction of what a probe read costs; LOAD does the one or the other.
 */
#define TASK_TYPED                                                                                 \
    bpf_core_enum_value_exists(enum bpf_func_id___new, BPF_FUNC_get_current_task_btf___new)
#define LOAD(pointer, field) (TASK_TYPED ? (pointer)->field : BPF_CORE_READ(pointer, field))

static __always_inline struct task_struct *current_task(void)
{
    if (TASK_TYPED)
        return (struct task_struct *)bpf_get_current_task_btf();
    return (struct task_struct *)bpf_get_current_task();
}

/* Two words of the kernel's memory. From 6.2 (a35b9af4ec2c) on an address can be given a type and
 * is then loaded from directly, at a fraction of what a probe read costs; the type is one that is
 * just two words of no meaning to the verifier, for whom pointers with types of their own would
 * multiply the ways through a loop. The weak function is never called where its name is not known.
 */
enum special_kfunc_type___new {
    KF_bpf_rdonly_cast___new = 1,
};
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

struct words {
    __u64 first;
    __u64 second;
};

#define CAST_KNOWN                                                                                 \
    bpf_core_enum_value_exists(enum special_kfunc_type___new, KF_bpf_rdonly_cast___new)
#define TWO_WORDS(address)                                                                         \
    ((struct timespec64 *)bpf_rdonly_cast(address, bpf_core_type_id_kernel(struct timespec64)))

static __always_inline struct words words_at(const void *address)
{
    struct words words = {};
    if (CAST_KNOWN) {
        struct timespec64 *typed = TWO_WORDS(address);
        words.first = typed->tv_sec;
        words.second = typed->tv_nsec;
    } else {
        bpf_probe_read_kernel(&words, sizeof(words), address);
    }
    return words;
}

static __always_inline __u64 word_at(const void *address)
{
    __u64 word = 0;
    if (CAST_KNOWN)
        word = TWO_WORDS(address)->tv_sec;
    else
        bpf_probe_read_kernel(&word, sizeof(word), address);
    return word;
}

/* The number of the system call that returns. Its type says eight bytes; what programs are given
 * (struct syscall_tp_t of perf_call_bpf_exit) has four, and what was on the stack behind them. */
static __always_inline __u32 syscall_id(const struct trace_event_raw_sys_exit *context)
{
    return (__u32)context->id;
}

/* The registers as they were when the calling thread entered the kernel. They lie at the top of its
 * kernel stack; bpf_task_pt_regs() knows, before it came they are THREAD_SIZE away from the bottom
 * (16 KiB on both architectures; a KASAN kernel has more and is not one to run a sensor on). */
#define REGS_TYPED bpf_core_enum_value_exists(enum bpf_func_id___new, BPF_FUNC_task_pt_regs___new)

static __always_inline struct pt_regs *syscall_regs(void)
{
    if (REGS_TYPED)
        return (struct pt_regs *)bpf_task_pt_regs((struct task_struct *)bpf_get_current_task_btf());
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    void *stack = BPF_CORE_READ(task, stack);
    return (struct pt_regs *)(stack + 16384 - bpf_core_type_size(struct pt_regs));
}

#define REGS_LOAD(regs, field) (REGS_TYPED ? (__u64)(regs)->field : BPF_CORE_READ(regs, field))

/* Argument number `index` (0..4) of the system call that is about to return. The result has
 * overwritten arm64's x0, its first argument is kept in orig_x0; on x86 the five stay in their
 * registers. */
static __always_inline __u64 syscall_argument(struct pt_regs *regs, int index)
{
#if defined(__TARGET_ARCH_x86)
    switch (index) {
    case 0:
        return REGS_LOAD(regs, di);
    case 1:
        return REGS_LOAD(regs, si);
    case 2:
        return REGS_LOAD(regs, dx);
    case 3:
        return REGS_LOAD(regs, r10);
    default:
        return REGS_LOAD(regs, r8);
    }
#else
    switch (index) {
    case 0:
        return REGS_LOAD(regs, orig_x0);
    case 1:
        return REGS_LOAD(regs, regs[1]);
    case 2:
        return REGS_LOAD(regs, regs[2]);
    case 3:
        return REGS_LOAD(regs, regs[3]);
    default:
        return REGS_LOAD(regs, regs[4]);
    }
#endif
}

/* The system call that the calling thread is in; of no meaning in an interrupt. */
static __always_inline __u32 syscall_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
    return REGS_LOAD(regs, orig_ax);
#else
    return REGS_LOAD(regs, syscallno);
#endif
}

/* security_inode_setxattr() and security_inode_removexattr() got that mapping as a first argument
 * with 5.12 (71bc356f93a1), in the series that gave it to mounts. */
#define XATTR_MAPPED                                                                               \
    (bpf_core_field_exists(((struct vfsmount___owners *)0)->mnt_userns) ||                         \
     bpf_core_field_exists(((struct vfsmount___mapping *)0)->mnt_idmap))

/* What the wrappers of system calls are called, for hooks on the functions themselves. Their one
 * argument is the registers, which such a hook must not take from its context: before 5.16 the
 * kernel's own types leave them open there ("FWD is not a struct"). The result follows. */
#if defined(__TARGET_ARCH_x86)
#define NUMBER_OF(call) X86_64_##call
#else
#define NUMBER_OF(call) ARM64_##call
#endif
#define SYSCALL_RESULT(context) ((long)(context)[1])
#if defined(__TARGET_ARCH_x86)
#define SYSCALL_FUNCTION(name) "__x64_sys_" name
#else
#define SYSCALL_FUNCTION(name) "__arm64_sys_" name
#endif

#endif
