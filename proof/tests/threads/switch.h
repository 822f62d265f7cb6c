/* SPDX-License-Identifier: MIT */
/* From one stack to another. */
#ifndef PAWL_TESTS_THREADS_SWITCH_H
#define PAWL_TESTS_THREADS_SWITCH_H

#include <stddef.h>

/* Goes on where to_sp was left; returns when somebody comes back to what it puts into *ret_sp. */
void switch_stack(void **ret_sp, void *to_sp);
/* A stack on which main, which never returns, begins. */
void *switch_prepare(void *stack, size_t size, void (*main)(void));

#endif
