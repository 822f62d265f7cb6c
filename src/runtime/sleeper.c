/* SPDX-License-Identifier: MIT */
/*
 * Callers that sleep.
 *
 * A sleeper lies on its thread's stack. As long as it is in client->sleepers its thread may take it
 * out and go. Once somebody has called it, and so taken it from there, exactly one
 * post comes: it is the caller's last touch, and the thread does not go before it has had it.
 *
 * Why a semaphore and no condition: who is called because it is complete needs nothing
 * that the mutex guards, and is called without it. A condition would wake it to wait for
 * the mutex, and to be woken again.
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <errno.h>

void pawl__sleeper_init(pawl__sleeper *sleeper)
{
    *sleeper = (pawl__sleeper){0};
    sem_init(&sleeper->posts, 0, 0);
}

static pawl__sleeper *sleeper_of(pawl__link *link)
{
    return pawl__container(link, pawl__sleeper, in_sleepers);
}

/* The last touch. posted says to ThreadSanitizer, which does not know sem_clockwait, what the
   semaphore does: whatever was written before the post can be read after it. */
static void post(pawl__sleeper *sleeper)
{
    atomic_store_explicit(&sleeper->posted, true, memory_order_release);
    sem_post(&sleeper->posts);
}

void pawl__sleeper_complete(pawl_client *c, pawl__sleeper *sleeper, int err)
{
    sleeper->complete = true;
    sleeper->err = err;
    c->served = true;
    if (!pawl__link_linked(&sleeper->in_sleepers)) return; /* it is awake, or about to be */
    pawl__list_remove(&sleeper->in_sleepers);
    sleeper->called = true;
    if (c->acting)
        pawl__list_append(&c->woken, &sleeper->in_sleepers);
    else
        post(sleeper);
}

void pawl__sleepers_rouse(pawl_client *c)
{
    for (pawl__link *first; (first = pawl__list_first(&c->woken));) {
        pawl__list_remove(first);
        post(sleeper_of(first));
    }
}

void pawl__sleeper_call(pawl_client *c)
{
    pawl__sleeper *sleeper = sleeper_of(pawl__list_first(&c->sleepers));
    pawl__list_remove(&sleeper->in_sleepers);
    sleeper->called = true;
    sleeper->to_drive = true;
    post(sleeper);
}

/* false: until has come. */
static bool take_post(pawl__sleeper *sleeper, int64_t until)
{
    int failed;
    struct timespec end;
    if (until != PAWL__NEVER) end = pawl__wait_end(until - pawl__now());
    do {
        failed = until == PAWL__NEVER ? sem_wait(&sleeper->posts)
                                      : sem_clockwait(&sleeper->posts, CLOCK_MONOTONIC, &end);
    } while (failed && errno == EINTR);
    return !failed && atomic_load_explicit(&sleeper->posted, memory_order_acquire);
}

bool pawl__sleeper_wait(pawl_client *c, pawl__sleeper *sleeper, int64_t until)
{
    sleeper->called = sleeper->to_drive = false;
    atomic_store_explicit(&sleeper->posted, false, memory_order_relaxed);
    pawl__list_append(&c->sleepers, &sleeper->in_sleepers);
    pthread_mutex_unlock(&c->mutex);
    bool posted = take_post(sleeper, until);
    if (posted && !sleeper->to_drive) return true;
    pthread_mutex_lock(&c->mutex);
    if (posted) return false;
    if (!sleeper->called) {
        pawl__list_remove(&sleeper->in_sleepers);
        return false;
    }
    pthread_mutex_unlock(&c->mutex);
    take_post(sleeper, PAWL__NEVER); /* it is on its way */
    pthread_mutex_lock(&c->mutex);
    return false;
}
