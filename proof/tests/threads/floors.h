/* SPDX-License-Identifier: MIT */
/*
 * Programs on one floor of the runtime alone. Each is explored completely, unless one of its
 * threads tries again until another has gone on; and each is run in random schedules with delayed
 * stores.
 */
#ifndef PAWL_TESTS_THREADS_FLOORS_H
#define PAWL_TESTS_THREADS_FLOORS_H

#include <stdbool.h>

#define FLOOR_LIST(X)                                                                              \
    X(calls_run_beside_a_run)                                                                      \
    X(calls_run_beside_a_finish)                                                                   \
    X(calls_wait_for_one)                                                                          \
    X(calls_on_their_thread)                                                                       \
    X(held_seen_to_end_beside_an_extension)                                                        \
    X(held_taken_beside_a_recall)                                                                  \
    X(held_put_back_beside_a_recall)                                                               \
    X(held_taken_by_two)                                                                           \
    X(gate_two_callers)                                                                            \
    X(gate_two_callers_with_leases)                                                                \
    X(gate_a_caller_that_spins)                                                                    \
    X(gate_taken_beside_a_caller)                                                                  \
    X(gate_taken_beside_the_thread)                                                                \
    X(gate_taken_in_time)                                                                          \
    X(gate_frozen_beside_a_caller)                                                                 \
    X(gate_a_release_wakes_a_caller)                                                               \
    X(gate_a_wait_that_ends_in_time)                                                               \
    X(gate_flushes_beside_a_caller)                                                                \
    X(gate_flushes_beside_the_thread)                                                              \
    X(gate_calls_beside_a_caller)                                                                  \
    X(gate_calls_beside_a_taker)                                                                   \
    X(gate_calls_from_elsewhere)
#define SPINNING_FLOOR_LIST(X) X(token_read_beside_a_change)

#define FLOOR_DECLARE(name) void floor_##name(void);
FLOOR_LIST(FLOOR_DECLARE)
SPINNING_FLOOR_LIST(FLOOR_DECLARE)
#undef FLOOR_DECLARE

/* Ends the run with a finding unless it holds. */
void floor_expect(bool holds, const char *what);

#endif
