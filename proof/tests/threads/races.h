/* SPDX-License-Identifier: MIT */
/* Vector clocks, for those who keep some. */
#ifndef PAWL_TESTS_THREADS_RACES_H
#define PAWL_TESTS_THREADS_RACES_H

#include "harness.h"

void clock_join(clockv *into, const clockv *from);
/* The current thread's own: what it does now others do not know yet. */
void clock_tick(thread *me);
/* The state lies in room that is no static data. */
size_t order_size(void);
void order_start(void *room);
size_t atomics_size(void);
void atomics_start(void *room);

#endif
