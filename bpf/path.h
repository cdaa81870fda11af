/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths in records and in the tables of interest; what they are is in path_walk.h. */
#ifndef PICKET_PATH_H
#define PICKET_PATH_H

#include "record.h"

#define PATH_MAP   BPF_MAP_TYPE_PERCPU_ARRAY
#define PATH_SLOTS SCRATCH_SLOTS
#include "path_walk.h"

/* Is the path in a trie of prefixes (exact paths are prefixes that include the NUL)? */
static __always_inline bool path_in_trie(void *trie, struct path_text *path)
{
    path->prefix_bits = PATH_KEY_SIZE * 8;
    return bpf_map_lookup_elem(trie, &path->prefix_bits) != 0;
}

static __always_inline void tail_path(struct tail *tail, struct text *text, struct path_text *path)
{
    if (path)
        tail_kernel(tail, text, path->text, path->size);
    else
        text->size = 0;
}

#endif
