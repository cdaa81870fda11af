/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What events of different structs say of a process in the same words. */
#ifndef PICKET_CREDENTIALS_H
#define PICKET_CREDENTIALS_H

#include "kernel.h"

/* Two u32 up to 6.2 (f122a08b197d), one u64 since: the same eight bytes on a little-endian machine.
 */
#define CAPABILITIES(cred, set)                                                                    \
    ({                                                                                             \
        __u64 capabilities = 0;                                                                    \
        BPF_CORE_READ_INTO(&capabilities, cred, set);                                              \
        capabilities;                                                                              \
    })

#define CREDENTIALS_FILL(event, cred)                                                              \
    do {                                                                                           \
        (event)->uid = BPF_CORE_READ(cred, uid.val);                                               \
        (event)->gid = BPF_CORE_READ(cred, gid.val);                                               \
        (event)->euid = BPF_CORE_READ(cred, euid.val);                                             \
        (event)->egid = BPF_CORE_READ(cred, egid.val);                                             \
        (event)->capabilities = CAPABILITIES(cred, cap_effective);                                 \
        (event)->permitted_capabilities = CAPABILITIES(cred, cap_permitted);                       \
        (event)->inheritable_capabilities = CAPABILITIES(cred, cap_inheritable);                   \
    } while (0)

/* But for that of its pids and of its users, which are not found there. */
#define NAMESPACES_FILL(event, nsproxy)                                                            \
    do {                                                                                           \
        (event)->mount_namespace = BPF_CORE_READ(nsproxy, mnt_ns, ns.inum);                        \
        (event)->network_namespace = BPF_CORE_READ(nsproxy, net_ns, ns.inum);                      \
        (event)->uts_namespace = BPF_CORE_READ(nsproxy, uts_ns, ns.inum);                          \
        (event)->ipc_namespace = BPF_CORE_READ(nsproxy, ipc_ns, ns.inum);                          \
        (event)->cgroup_namespace = BPF_CORE_READ(nsproxy, cgroup_ns, ns.inum);                    \
    } while (0)

#endif
