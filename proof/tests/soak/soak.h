/* SPDX-License-Identifier: MIT */
/*
 * The real library for as long as one likes: threads that take locks in every way there is, while
 * clients are closed under them, signals interrupt them and the process forks.
 *
 *     soak KIND [--hostile] [--seconds N] [--seed N]     KIND: memory, sqlite, redis
 *
 *   main.c    epochs; between two all is closed, and memory, descriptors and threads are counted
 *   user.c    what one thread does with its handle
 *   child.c   what a forked process may do with its parent's handle
 *   beliefs.c  who may believe to hold what; fails at once if two may
 */
#ifndef PAWL_TESTS_SOAK_H
#define PAWL_TESTS_SOAK_H

#include "../runtime/stage.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define USERS   6
#define CLIENTS 2
#define NAMES   3

#define NS_PER_MS INT64_C(1000000)

extern const char *const soak_names[NAMES];

/* CLOCK_BOOTTIME, ns. */
int64_t soak_now(void);

/* ---- Figures -------------------------------------------------------------------------------- */

#define FIGURE_LIST(X)                                                                             \
    X(asked)                                                                                       \
    X(granted)                                                                                     \
    X(looks)                                                                                       \
    X(losses)                                                                                      \
    X(canceled)                                                                                    \
    X(detached)                                                                                    \
    X(broken)                                                                                      \
    X(queries)                                                                                     \
    X(forks)                                                                                       \
    X(closes)                                                                                      \
    X(signals)

enum figure {
#define FIGURE_ENUM(name) FIGURE_##name,
    FIGURE_LIST(FIGURE_ENUM)
#undef FIGURE_ENUM
        FIGURES
};

extern _Atomic int64_t soak_figures[FIGURES];

static inline void count(enum figure which)
{
    atomic_fetch_add(&soak_figures[which], 1);
}

/* ---- The clients ---------------------------------------------------------------------------- */

/* One of the clients. It is replaced now and then; handles of the old one answer CLOSED. */
typedef struct fleet {
    pthread_rwlock_t lock; /* held for reading during each call that names the client */
    pawl_client *client;
    int generation;
} fleet;

extern fleet soak_fleets[CLIENTS];

/* With the hostile store in front of it if that was asked for. */
pawl_client *soak_open(void);
const char *soak_url(void);
/* For unknown names and labels: whether somebody asked the users to come home. */
extern _Atomic bool soak_homewards;

/* ---- Beliefs --------------------------------------------------------------------------------- */

/* Who: the holder's handle. Instants in ns. */
typedef struct believer {
    const void *who;
    int name, fleet, generation;
} believer;

/* Before asking: the largest fence that was granted so far. */
uint64_t belief_before(int name);
void belief_granted(const believer *c, uint64_t fence, uint64_t fence_before, int64_t at,
                    int64_t until);
/* It was told "held", until then. */
void belief_looked(const believer *c, uint64_t fence, int64_t until);
/* Before it lets go, or when it was told that it has lost it. */
void belief_letgo(const believer *c);
/* Before the client is closed. */
void belief_closes(int which, int generation);
/* Before the hold with that fence is broken. */
void belief_breaks(int name, uint64_t fence);

/* ---- Users ---------------------------------------------------------------------------------- */

typedef struct user {
    int number;
    pthread_t thread;
    unsigned short random[3];
    struct ending *endings; /* of asynchronous calls */
} user;

/* A thread's main function. */
void *soak_user(void *arg);
/* When all clients are closed: each asynchronous call has ended once. */
void soak_user_reckon(user *u);
/* A signal's handler: asks what a handler may ask. */
void soak_on_signal(int number);
/* Forks, and fails if the child could do what it must not. */
void soak_fork(user *u, pawl_lock *parents);

static inline int draw(user *u, int below)
{
    return (int)(nrand48(u->random) % below);
}

#endif
