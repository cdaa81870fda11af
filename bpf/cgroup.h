/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Birth and death of control groups: how the agent knows a container's cgroup before anything runs
 * in it. */
#ifndef PICKET_CGROUP_H
#define PICKET_CGROUP_H

#include "record.h"

static __always_inline void cgroup_report(struct cgroup *cgroup, const char *path, __u32 operation)
{
    const struct settings *settings = settings_get();
    if (!wanted(settings, EVENT_CGROUP))
        return;
    /* Only the unified hierarchy (number 0): its ids are what processes are tagged with. */
    if (BPF_CORE_READ(cgroup, root, hierarchy_id) != 0)
        return;
    struct scratch *scratch = scratch_get(SCRATCH_CGROUP);
    if (!scratch)
        return;
    struct cgroup_event *event = &scratch->cgroup;
    struct tail tail = {.scratch = scratch, .at = sizeof(*event)};
    header_fill(&event->header, EVENT_CGROUP);
    event->target_cgroup_id = BPF_CORE_READ(cgroup, kn, id);
    event->operation = operation;
    tail_string(&tail, &event->path, path, false);
    __u32 size = tail.at;
    if (size <= sizeof(*scratch))
        record_submit(settings, &event->header, size, false);
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
    cgroup_report(cgroup, path, 1);
    return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
    cgroup_report(cgroup, path, 2);
    return 0;
}

#endif
