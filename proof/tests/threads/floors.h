/* SPDX-License-Identifier: MIT */
/* Programs on one floor of the runtime alone, each explored completely. */
#ifndef PAWL_TESTS_THREADS_FLOORS_H
#define PAWL_TESTS_THREADS_FLOORS_H

#include <stdbool.h>

#define FLOOR_LIST(X)                                                                              \
    X(calls_run_beside_a_run)                                                                      \
    X(calls_run_beside_a_finish)                                                                   \
    X(calls_wait_for_one)                                                                          \
    X(calls_on_their_thread)

#define FLOOR_DECLARE(name) void floor_##name(void);
FLOOR_LIST(FLOOR_DECLARE)
#undef FLOOR_DECLARE

/* Ends the run with a finding unless it holds. */
void floor_expect(bool holds, const char *what);

#endif
