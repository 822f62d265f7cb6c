/* SPDX-License-Identifier: MIT */
/* The lock that a worker uses: pawl, or the one that must be found guilty. */
#ifndef PAWL_TORTURE_ALGORITHM_H
#define PAWL_TORTURE_ALGORITHM_H

#include "../board.h"

/* The loss of a lock was signalled; comes on a thread of the algorithm's. */
typedef void (*torture_told)(int lock, uint64_t fence, int err);

/* Errors are pawl's. A worker has one handle for each lock, and uses it from one thread. */
typedef struct torture_algorithm {
    /* Opens the store of $PAWL_STORE; exits the process after one line if it cannot. */
    void (*open)(const torture_board *board, torture_rng *rng, torture_told told);
    /* give_up_ms: cancel the wait after so long; -1: do not. */
    int (*acquire)(int lock, int64_t wait_ms, int64_t give_up_ms);
    bool (*is_held)(int lock);
    int64_t (*remaining_ms)(int lock);
    uint64_t (*fence)(int lock);
    /* word_ms: how long to wait for the store's word; -1: not at all. */
    int (*release)(int lock, int64_t word_ms);
    /* Lets go of everything. */
    void (*close)(void);
} torture_algorithm;

extern const torture_algorithm torture_pawl, torture_tutorial;

#endif
