/* SPDX-License-Identifier: MIT */
/* name, the check that finds it ("": none: it is good), how. */
#ifndef PAWL_TESTS_THREADS_TOYS_H
#define PAWL_TESTS_THREADS_TOYS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define TOY_LIST(X)                                                                                \
    X(counter, "", false)                                                                          \
    X(race, "race", false)                                                                         \
    X(lost_update, "toy", false)                                                                   \
    X(order, "", false)                                                                            \
    X(deadlock, "deadlock", false)                                                                 \
    X(wake, "", false)                                                                             \
    X(lost_wake_up, "deadlock", false)                                                             \
    X(freed, "", false)                                                                            \
    X(use_after_free, "use after free", false)                                                     \
    X(leak, "leak", false)                                                                         \
    X(post, "", false)                                                                             \
    X(post_after_return, "use after return", false)                                                \
    X(published, "", true)                                                                         \
    X(published_weakly, "race", true)                                                              \
    X(published_early, "race", false)                                                              \
    X(flags, "", true)                                                                             \
    X(weak_flags, "toy", true)                                                                     \
    X(closed_descriptor, "descriptor", false)                                                      \
    X(child, "", false)                                                                            \
    X(bad_child, "toy", false)                                                                     \
    X(crash, "crash", false)

#define TOY_DECLARE(name, check, weak) void toy_##name(void);
TOY_LIST(TOY_DECLARE)
#undef TOY_DECLARE

void toy_expect(bool holds, const char *what);
/* A child runs child(arg), and ends. */
void toy_fork(void (*child)(void *), void *arg);

#endif
