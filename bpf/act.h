/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process does to itself and to others, seen when the system call returns. */
#ifndef PICKET_ACT_H
#define PICKET_ACT_H

#include "file.h"

#endif
