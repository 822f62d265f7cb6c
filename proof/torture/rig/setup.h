/* SPDX-License-Identifier: MIT */
/* The stores that are tortured, each with a set-up of its own. */
#ifndef PAWL_TORTURE_SETUP_H
#define PAWL_TORTURE_SETUP_H

#include <stdbool.h>
#include <stddef.h>

/* What a fault needs, and a setup has. */
enum {
    TORTURE_REDIS = 1,
    TORTURE_SQLITE = 2,
    TORTURE_REPLICA = 4,  /* a second server that follows the first */
    TORTURE_FILES = 8,    /* it writes to a disk, which can be full */
    TORTURE_CLOCK = 16,   /* the server's wall clock is in our hands */
    TORTURE_USERS = 32,   /* every other worker is another user: root only */
    TORTURE_SPACES = 64,  /* every other worker has namespaces of its own: root only */
    TORTURE_HOSTILE = 128 /* the hostile store stands in front */
};

typedef struct torture_setup {
    const char *name;
    const char *store; /* "redis" or "sqlite" */
    const char *what;
    unsigned has;
    bool remembers;     /* what was acknowledged survives kill -9 of the server */
    const char *config; /* lines of redis.conf */
    const char *guard;  /* the restart guard; NULL: off. Then a restart excuses nobody */
} torture_setup;

extern const torture_setup torture_setups[];
extern const size_t torture_setup_count;

#endif
