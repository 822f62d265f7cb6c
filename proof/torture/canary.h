/* SPDX-License-Identifier: MIT */
/*
 * A thread that does nothing but look whether it gets to run. When it does not, neither does the
 * rest of its process: a virtual machine was paused, or others had the processors.
 */
#ifndef PAWL_TORTURE_CANARY_H
#define PAWL_TORTURE_CANARY_H

#include "torture.h"

/* Called on that thread, once it runs again: for span_ns, until `at`, it did not. */
typedef void (*torture_stood)(int64_t at, int64_t span_ns);

/* It runs until the process ends, and takes no signals. False: no thread can be made. */
bool torture_canary_start(torture_stood stood);

/* The sum of all spans so far. */
int64_t torture_stood_ns(void);

#endif
