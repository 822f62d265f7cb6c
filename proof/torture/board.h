/* SPDX-License-Identifier: MIT */
/* A page of memory that the rig and its workers share. */
#ifndef PAWL_TORTURE_BOARD_H
#define PAWL_TORTURE_BOARD_H

#include "torture.h"

#include <stdatomic.h>

typedef enum torture_phase {
    TORTURE_HURT = 0, /* faults come */
    TORTURE_CALM,     /* none comes any more; everybody takes every lock in turn, for a moment */
    TORTURE_LEAVE     /* let go, close, exit */
} torture_phase;

typedef struct torture_board {
    _Atomic int phase;
    _Atomic bool up[TORTURE_WORKERS_MAX]; /* has opened what it cannot go on without */
    /* In the calm: who has had what. */
    _Atomic bool had[TORTURE_WORKERS_MAX][TORTURE_LOCKS_MAX];

    /* Written before the first worker starts. */
    bool tutorial;
    bool two_users; /* every other worker is somebody else */
    int locks;
    int64_t ttl_ms;
    uint64_t seed;
    char history[TORTURE_FILE_MAX];  /* a directory */
    char resource[TORTURE_FILE_MAX]; /* a database */
} torture_board;

/* Maps the board of a file; NULL after one line. */
torture_board *torture_board_map(const char *path, bool create);

#endif
