/* SPDX-License-Identifier: MIT */
/*
 * A thread that sleeps in a public call. The struct lies on that thread's stack, so the thread that
 * wakes it must not touch it afterwards. Each sleep that somebody ends gets exactly one post; the
 * post is the last access, and the sleeper does not return before it has received it.
 *
 * Why a semaphore and not a condition variable: a thread whose wait is over needs nothing that the
 * mutex guards, and returns without it. A condition variable would take the mutex again, so the
 * thread would wake only to wait once more.
 *
 * Locking: the fields are guarded by the mutex of the gate that it waits in [m]. A thread that has
 * received the post reads them without it: what was written before the post is visible after it.
 */
#ifndef PAWL_RUNTIME_WAITER_H
#define PAWL_RUNTIME_WAITER_H

#include "../base/list.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct pawl__waiter {
    sem_t posts;
    _Atomic bool posted;
    bool heard;            /* belongs to its thread: it has received the post of this sleep */
    pawl__link in_waiters; /* [m] while it sleeps; [loop] in gate->served */
    bool only_looks; /* [m] it owns the loop while an answer may come soon, and never sleeps */
    bool is_ours;    /* [m] a thread of the client's own, which nothing stops in the loop */
    bool called;     /* [m] a post for this sleep will come, or has come */
    bool to_own;     /* [m] it was woken to own the loop */
    bool complete;   /* [m] */
    int err;         /* [m] the result */
} pawl__waiter;

void pawl__waiter_init(pawl__waiter *waiter);
/* Call it before others can see the waiter in a list. Mutex held. */
void pawl__waiter_begin(pawl__waiter *waiter);
/* Sleeps until the post comes, or until `until`, an instant. Mutex not held. */
void pawl__waiter_sleep(pawl__waiter *waiter, int64_t until);
/* Wakes it. The last access to the waiter. Mutex held or not. */
void pawl__waiter_post(pawl__waiter *waiter);

#endif
