/* SPDX-License-Identifier: MIT */
/* A page of memory that the rig and its workers share. */
#ifndef PAWL_TORTURE_BOARD_H
#define PAWL_TORTURE_BOARD_H

#include "torture.h"

#include <stdatomic.h>
#include <sys/types.h>

typedef enum torture_phase {
    TORTURE_HURT = 0, /* faults come */
    TORTURE_CALM,     /* no more faults; everybody takes every lock in turn, for a moment */
    TORTURE_LEAVE     /* let go, close, exit */
} torture_phase;

#define TORTURE_STOPS(slot) (-1 - (slot)) /* and the slot of what this gives */

typedef struct torture_board {
    _Atomic int phase;
    _Atomic bool up[TORTURE_WORKERS_MAX]; /* has opened all that it needs */
    /* In the calm: which worker has had which lock. */
    _Atomic bool had[TORTURE_WORKERS_MAX][TORTURE_LOCKS_MAX];

    /* For a worker that is to be stopped in a transaction: how many more writes to the log.
     * < 0: the one of TORTURE_STOPS has come so far, and stays there until it is 0. */
    _Atomic int writes_to_stop;
    _Atomic dev_t log_dev; /* the store's log */
    _Atomic ino_t log_ino;

    _Atomic uint64_t latch; /* the number of the one that is counted down now */

    /* Written before the first worker starts. */
    bool tutorial;
    bool two_users;  /* every other worker is another user */
    bool composed;   /* once, latch and barrier are used as well */
    bool modes_stay; /* there are no update locks, and no lock changes its mode */
    int locks;
    torture_kind kinds[TORTURE_LOCKS_MAX]; /* of each name */
    int64_t ttl_ms;
    uint64_t seed;
    char history[TORTURE_FILE_MAX];  /* a directory */
    char resource[TORTURE_FILE_MAX]; /* a database */
} torture_board;

/* Maps the board of a file; NULL after one line. */
torture_board *torture_board_map(const char *path, bool create);

#endif
