/* SPDX-License-Identifier: MIT */
/*
 * A thread that sleeps in a public call. It lies on that thread's stack, so whoever wakes it must
 * not touch it afterwards: exactly one post comes for each sleep that somebody ends, it is the
 * last touch, and the thread does not go before it has had it.
 *
 * Why a semaphore and no condition: who is called because its wait is over needs nothing
 * that the mutex guards, and returns without it. A condition would wake it to wait for
 * the mutex, and to be woken again.
 *
 * Locking: the fields are guarded by the mutex of the gate that it waits in [m]. Who has heard
 * the post reads them without it: what was written before the post can be read after it.
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
    bool heard;            /* its thread's own: it has had the post of this sleep */
    pawl__link in_waiters; /* [m] while it sleeps; [loop] in gate->served */
    bool called;           /* [m] since it began to sleep: a post comes, or has come */
    bool to_own;           /* [m] it was called to own the loop */
    bool complete;         /* [m] */
    int err;               /* [m] the result */
} pawl__waiter;

void pawl__waiter_init(pawl__waiter *waiter);
/* Before it is shown to others for a sleep. Mutex held. */
void pawl__waiter_begin(pawl__waiter *waiter);
/* Sleeps until the post comes, or until `until`, an instant. Mutex not held. */
void pawl__waiter_sleep(pawl__waiter *waiter, int64_t until);
/* The last touch. Mutex held or not. */
void pawl__waiter_post(pawl__waiter *waiter);

#endif
