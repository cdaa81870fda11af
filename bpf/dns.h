/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names that were looked up, and what was answered. */
#ifndef PICKET_DNS_H
#define PICKET_DNS_H

#include "network.h"

#endif
