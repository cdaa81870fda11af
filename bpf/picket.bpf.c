/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The root of the one object: what it is made of. */
#include "kernel.h"
#include "event.h"
#include "process.h"
#include "file.h"
#include "network.h"
#include "cgroup.h"

/* Anchors: these structs are named by no map, and without a use clang would leave them out of the
 * object's BTF, from which the agent's offsets are generated. */
struct fork_event *anchor_fork_event;
struct exit_event *anchor_exit_event;
struct exec_event *anchor_exec_event;
struct open_event *anchor_open_event;
struct connect_event *anchor_connect_event;
struct cgroup_event *anchor_cgroup_event;
enum event_kind anchor_event_kind;
enum event_flag anchor_event_flag;
enum open_interest anchor_open_interest;
enum connect_interest anchor_connect_interest;
enum scope anchor_scope;

char LICENSE[] SEC("license") = "Dual BSD/GPL";
