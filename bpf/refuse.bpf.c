/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The root of the second object: what the kernel refuses. Apart from the first because it outlives
 * the agent, which pins what it has loaded of it. */
#include "kernel.h"
#include "refusal.h"
#include "refuse_exec.h"
#include "refuse_egress.h"

/* Anchors, as in picket.bpf.c. */
struct refusal_event *anchor_refusal_event;
enum refusal_kind anchor_refusal_kind;
enum refusal_flag anchor_refusal_flag;

char LICENSE[] SEC("license") = "Dual BSD/GPL";
