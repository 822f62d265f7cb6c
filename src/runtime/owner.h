/* SPDX-License-Identifier: MIT */
#ifndef PAWL_RUNTIME_OWNER_H
#define PAWL_RUNTIME_OWNER_H

#include "pawl/types.h"

/*
 * "user@host pid program", and " trace=ID" if TRACEPARENT names a trace; at most PAWL_OWNER_MAX
 * bytes, no control characters.
 */
void pawl__owner_default(char ret_label[PAWL_OWNER_MAX + 1]);

#endif
