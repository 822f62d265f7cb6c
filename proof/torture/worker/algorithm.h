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

    /* NULL, like all that follow: it cannot. Whether the lock's lease may be detached. */
    bool (*may_part)(int lock);
    /* Detaches it, and keeps its token; releases by that token. */
    int (*part)(int lock);
    int (*release_parted)(int lock, int64_t word_ms);
    /* The fence of whoever holds it; 0: nobody, or not known. Breaks the hold with that fence. */
    uint64_t (*see)(int lock);
    int (*break_it)(int lock, uint64_t fence);
    /* Tries by another client of this process, and gives it back if it got it. */
    int (*rival)(int lock);
    /* In a child of fork: 0 if the handle holds nothing and is refused, else what was not. */
    int (*child)(int lock);
} torture_algorithm;

extern const torture_algorithm torture_pawl, torture_tutorial;

#endif
