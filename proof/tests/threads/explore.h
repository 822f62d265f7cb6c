/* SPDX-License-Identifier: MIT */
/* Every schedule of a small program, up to a number of preemptions. */
#ifndef PAWL_TESTS_THREADS_EXPLORE_H
#define PAWL_TESTS_THREADS_EXPLORE_H

#include "harness.h"

typedef struct explored {
    uint64_t runs, pruned, states;
    bool complete; /* not stopped by runs_max */
} explored;

/* Once, before sched_start. */
void explore_start(void);
/* true: a finding, which is in S->finding; *ret_plan: how to come there again. */
bool explore(void (*body)(void *), void *arg, int preemptions, uint64_t runs_max, explored *ret,
             schedule *ret_plan);

#endif
