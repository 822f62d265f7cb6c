/* SPDX-License-Identifier: MIT */
/* The lock that a worker uses: pawl, or the one that must be found guilty. */
#ifndef PAWL_TORTURE_ALGORITHM_H
#define PAWL_TORTURE_ALGORITHM_H

#include "../board.h"

/* The loss of a lock was signalled; comes on a thread of the algorithm's. */
typedef void (*torture_told)(int lock, uint64_t fence, int err);

/* Errors are pawl's. A worker uses one handle of each lock at a time, from one thread. */
typedef struct torture_algorithm {
    /* Opens the store of $PAWL_STORE; exits the process after one line if it cannot. */
    void (*open)(const torture_board *board, torture_rng *rng, torture_told told);
    /* give_up_ms: cancel the wait after so long; -1: do not. */
    int (*acquire)(int lock, int64_t wait_ms, int64_t give_up_ms);
    bool (*is_held)(int lock);
    int64_t (*remaining_ms)(int lock);
    uint64_t (*fence)(int lock);
    /* word_ms: how long to wait for the store's answer; -1: not at all. */
    int (*release)(int lock, int64_t word_ms);
    /* Releases everything. */
    void (*close)(void);

    /* NULL, like all that follow: it cannot. Which handle of the lock all the others use from now
     * on: 0 .. TORTURE_VARIANTS-1, the pawl_mode or the number of permits less one. */
    void (*choose)(int lock, int variant);
    /* The permits of the latest acquisition: bit N for slot N. */
    int64_t (*slots)(int lock);
    int (*raise)(int lock, int64_t wait_ms);
    int (*lower)(int lock, int mode);

    /* Whether the lock's lease may be detached. */
    bool (*may_part)(int lock);
    /* Detaches it, and keeps its token; releases by that token. */
    int (*part)(int lock);
    int (*release_parted)(int lock, int64_t word_ms);
    /* The fence of whoever holds it; 0: nobody, or not known. Breaks the hold with that fence. */
    uint64_t (*see)(int lock);
    int (*break_it)(int lock, uint64_t fence);
    /* Tries by another client of this process, and gives it back if it got it. */
    int (*rival)(int lock);
    /* Of a semaphore: another client of this process takes a permit, gives it back, and asks again;
       a torture_again. */
    int (*again)(int lock);
    /* Whether the store keeps values beside names. Publishes one by the lease of the handle. Reads
     * the one of who holds the lock; a value of 0: there is none. */
    bool (*has_values)(void);
    int (*say)(int lock, int64_t value, int64_t wait_ms);
    int (*listen)(int lock, int64_t *ret_value, uint64_t *ret_fence);
    /* Uses once, a latch or a barrier, and writes down what it was told. */
    void (*compose)(torture_board *board, torture_rng *rng);
    /* In a child of fork: 0 if the handle holds nothing and is refused, else what was not. */
    int (*child)(int lock);
} torture_algorithm;

extern const torture_algorithm torture_pawl, torture_tutorial;

#endif
