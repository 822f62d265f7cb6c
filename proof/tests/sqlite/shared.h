/* SPDX-License-Identifier: MIT */
/* What the processes of the torture share, in a mapped file. */
#ifndef PAWL_TESTS_SQLITE_SHARED_H
#define PAWL_TESTS_SQLITE_SHARED_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct shared_state {
    atomic_int ready, go;
    atomic_int inside; /* the pid of who is in the critical section; 0: nobody */
    atomic_int overlaps, fence_backs;
    volatile uint64_t last_fence;
    volatile uint64_t counter;
} shared_state;

#endif
