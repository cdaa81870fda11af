/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is asked for through io_uring. */
#ifndef PICKET_IO_URING_H
#define PICKET_IO_URING_H

#include "network.h"

#endif
