/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The root of the one object: what it is made of. */
#include "kernel.h"
#include "event.h"
#include "process.h"
#include "file.h"
#include "network.h"
#include "socket.h"
#include "datagram.h"
#include "change.h"
#include "dns.h"
#include "act.h"
#include "target.h"
#include "exec_failed.h"
#include "protect.h"
#include "mount.h"
#include "module.h"
#include "io_uring.h"
#include "cgroup.h"

/* Anchors: these structs are named by no map, and without a use clang would leave them out of the
 * object's BTF, from which the agent's offsets are generated. */
struct fork_event *anchor_fork_event;
struct exit_event *anchor_exit_event;
struct exec_event *anchor_exec_event;
struct open_event *anchor_open_event;
struct exec_failed_event *anchor_exec_failed_event;
struct file_event *anchor_file_event;
struct socket_event *anchor_socket_event;
struct dns_event *anchor_dns_event;
struct identity_event *anchor_identity_event;
struct namespace_event *anchor_namespace_event;
struct target_event *anchor_target_event;
struct mount_event *anchor_mount_event;
struct module_event *anchor_module_event;
struct bpf_event *anchor_bpf_event;
struct call_event *anchor_call_event;
struct protect_event *anchor_protect_event;
struct cgroup_event *anchor_cgroup_event;
enum event_kind anchor_event_kind;
enum event_flag anchor_event_flag;
enum open_interest anchor_open_interest;
enum connect_interest anchor_connect_interest;
enum scope anchor_scope;
enum syscall_x86_64 anchor_syscall_x86_64;
enum syscall_arm64 anchor_syscall_arm64;

char LICENSE[] SEC("license") = "Dual BSD/GPL";
