/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "waiter.h"

#include "../base/instant.h"
#include "clock.h"

#include <errno.h>

void pawl__waiter_init(pawl__waiter *waiter)
{
    *waiter = (pawl__waiter){0};
    sem_init(&waiter->posts, 0, 0);
}

void pawl__waiter_begin(pawl__waiter *waiter)
{
    waiter->heard = waiter->called = waiter->to_own = false;
    atomic_store_explicit(&waiter->posted, false, memory_order_relaxed);
}

/* ThreadSanitizer does not know sem_clockwait. `posted` shows it what the semaphore does: what was
 * written before the post is visible after it. */
void pawl__waiter_post(pawl__waiter *waiter)
{
    atomic_store_explicit(&waiter->posted, true, memory_order_release);
    sem_post(&waiter->posts);
}

void pawl__waiter_sleep(pawl__waiter *waiter, int64_t until)
{
    int failed;
    struct timespec end;
    if (until != PAWL__NEVER) end = pawl__wait_end(until);
    do {
        failed = until == PAWL__NEVER ? sem_wait(&waiter->posts)
                                      : sem_clockwait(&waiter->posts, CLOCK_MONOTONIC, &end);
    } while (failed && errno == EINTR);
    waiter->heard = !failed && atomic_load_explicit(&waiter->posted, memory_order_acquire);
}
