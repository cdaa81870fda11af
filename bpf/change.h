/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Changes of names and attributes of files. */
#ifndef PICKET_CHANGE_H
#define PICKET_CHANGE_H

#include "interest.h"

#endif
