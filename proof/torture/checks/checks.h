/* SPDX-License-Identifier: MIT */
/* One function for each property; holds are in order of their start. */
#ifndef PAWL_TORTURE_CHECKS_H
#define PAWL_TORTURE_CHECKS_H

#include "report.h"

#define TORTURE_CHECK_LIST(X)                                                                      \
    X(exclusion, "never two that may believe to hold it")                                          \
    X(fence, "a later grant has a larger fence")                                                   \
    X(slots, "a permit that was given back is free again")                                         \
    X(values, "a leader's latest word is heard, and no other")                                     \
    X(once, "a job is done once in a period, and not said to be done before")                      \
    X(latch, "what is left at a latch is what the counts have left")                               \
    X(barrier, "the parties of a round were there together, and are as many as there must be")     \
    X(order, "few who came later are served before a waiter")                                      \
    X(losses, "a lock is lost only where something was hurt")                                      \
    X(pace, "what hurts nobody slows nobody down")                                                 \
    X(resource, "no increment is lost where fences are compared")                                  \
    X(truth, "released means: it was ours until now")                                              \
    X(told, "a loss is told once")                                                                 \
    X(broken, "who was broken does not believe for longer than a lease lasts")                     \
    X(forks, "a child of fork holds nothing and is refused")                                       \
    X(calls, "a call ends within its time limit, and not before it")                               \
    X(errors, "no error says that the program or pawl is wrong")                                   \
    X(ends, "no process ends by itself, or not at all")                                            \
    X(recovery, "after the faults everybody gets everything")                                      \
    X(leftovers, "nothing is left at the store")

#define TORTURE_CHECK_DECLARE(name, property)                                                      \
    void torture_check_##name(const torture_history *history, const torture_hold *holds,           \
                              size_t count, torture_report *report);
TORTURE_CHECK_LIST(TORTURE_CHECK_DECLARE)
#undef TORTURE_CHECK_DECLARE

/* Index of a check among torture_checks. */
enum {
#define TORTURE_CHECK_INDEX(name, property) TORTURE_CHECK_##name,
    TORTURE_CHECK_LIST(TORTURE_CHECK_INDEX)
#undef TORTURE_CHECK_INDEX
        TORTURE_CHECK_COUNT
};

#endif
