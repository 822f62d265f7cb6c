/* SPDX-License-Identifier: MIT */
/* The stores that are tortured, each with a set-up of its own. */
#ifndef PAWL_TORTURE_SETUP_H
#define PAWL_TORTURE_SETUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct torture_program;

/* What a fault needs, and a setup has. */
enum {
    TORTURE_REDIS = 1,
    TORTURE_SQLITE = 2,
    TORTURE_REPLICA = 4,   /* a second server that follows the first */
    TORTURE_FILES = 8,     /* it writes to a disk, which can be full */
    TORTURE_CLOCK = 16,    /* we can set the server's wall clock */
    TORTURE_USERS = 32,    /* every other worker is another user: root only */
    TORTURE_SPACES = 64,   /* every other worker has namespaces of its own: root only */
    TORTURE_HOSTILE = 128, /* the hostile store stands in front */
    TORTURE_SERVER = 256,  /* a server, with the proxy in front */
    TORTURE_SQL = 512,     /* an administrator may end statements and connections */
    TORTURE_CLUSTER = 1024 /* three servers that elect a leader, each behind a proxy of its own */
};

typedef struct torture_setup {
    const char *name;
    const char *store; /* "redis", "sqlite" and so on: what is chosen together */
    const char *what;
    unsigned has;
    bool remembers;     /* what was acknowledged survives kill -9 of the server */
    const char *config; /* lines of redis.conf */
    const char *guard;  /* the restart guard; NULL: off. Then a restart is no excuse */
    const struct torture_program *program; /* of TORTURE_SERVER; NULL: Redis */
    unsigned kinds;                        /* bits (1 << torture_kind) that the store has; 0: all */
    bool modes_stay;                       /* no update locks, no lock changes its mode */
    int64_t linger_ms;                     /* how much longer than its ttl a lease may live */
    int64_t elects_ms; /* how long it may need to serve again when its members are back */
    bool has_no_queue; /* nor a list */
} torture_setup;

extern const torture_setup torture_setups[];
extern const size_t torture_setup_count;

#endif
