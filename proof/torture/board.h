/* SPDX-License-Identifier: MIT */
/* A page of memory that the rig and its workers share. */
#ifndef PAWL_TORTURE_BOARD_H
#define PAWL_TORTURE_BOARD_H

#include "torture.h"

#include <stdatomic.h>

typedef enum torture_phase {
    TORTURE_HURT = 0, /* faults come */
    TORTURE_CALM,     /* no more faults; everybody takes every lock in turn, for a moment */
    TORTURE_LEAVE     /* let go, close, exit */
} torture_phase;

typedef struct torture_board {
    _Atomic int phase;
    _Atomic bool up[TORTURE_WORKERS_MAX]; /* has opened all that it needs */
    /* In the calm: which worker has had which lock. */
    _Atomic bool had[TORTURE_WORKERS_MAX][TORTURE_LOCKS_MAX];

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
