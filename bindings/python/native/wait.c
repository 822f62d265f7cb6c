/* SPDX-License-Identifier: MIT */
/*
 * The main thread waits for an asynchronous call of libpawl, because such a wait can be left: a
 * signal ends the sleep, Python runs its handler, and comes back or goes for good. Meanwhile the
 * place in the store's queue stays.
 */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct pawlpy_wait {
    sem_t ended;
    atomic_int users; /* the caller, and the callback that has yet to come */
    bool heard;       /* the caller's own */
    int err;          /* written before ended is posted */
};

void pawlpy_wait_free(pawlpy_wait *wait)
{
    if (!wait || atomic_fetch_sub(&wait->users, 1) > 1) return;
    sem_destroy(&wait->ended);
    free(wait);
}

static void on_done(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    pawlpy_wait *wait = userdata;
    wait->err = err;
    sem_post(&wait->ended);
    pawlpy_wait_free(wait);
}

static pawlpy_wait *make(void)
{
    pawlpy_wait *wait = calloc(1, sizeof *wait);
    if (!wait) return NULL;
    sem_init(&wait->ended, 0, 0);
    wait->users = 2;
    return wait;
}

/* No callback comes for what has not begun. */
static int begun(int err, pawlpy_wait *wait, pawlpy_wait **ret_wait)
{
    if (!err) {
        *ret_wait = wait;
        return 0;
    }
    pawlpy_wait_free(wait);
    pawlpy_wait_free(wait);
    return err;
}

int pawlpy_wait_acquire(pawl_lock *lock, int64_t wait_ms, pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_lock_acquire_start(lock, wait_ms, on_done, wait), wait, ret_wait);
}

int pawlpy_wait_release(pawl_lock *lock, pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_lock_release_start(lock, on_done, wait), wait, ret_wait);
}

int pawlpy_wait_upgrade(pawl_lock *lock, int64_t wait_ms, pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_lock_upgrade_start(lock, wait_ms, on_done, wait), wait, ret_wait);
}

int pawlpy_wait_begin(pawl_once *once, int64_t wait_ms, pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_once_begin_start(once, wait_ms, on_done, wait), wait, ret_wait);
}

int pawlpy_wait_end(pawl_once *once, int success, int64_t wait_ms, pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_once_end_start(once, success, wait_ms, on_done, wait), wait, ret_wait);
}

int pawlpy_wait_proclaim(pawl_lock *lock, const char *value, size_t value_len, int64_t wait_ms,
                         pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_election_proclaim_start(lock, value, value_len, wait_ms, on_done, wait), wait,
                 ret_wait);
}

int pawlpy_wait_resign(pawl_lock *lock, int64_t wait_ms, pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_election_resign_start(lock, wait_ms, on_done, wait), wait, ret_wait);
}

int pawlpy_wait_count_down(pawl_latch *latch, uint32_t by, int64_t wait_ms, pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_latch_count_down_start(latch, by, wait_ms, on_done, wait), wait, ret_wait);
}

int pawlpy_wait_latch(pawl_latch *latch, int64_t wait_ms, pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_latch_wait_start(latch, wait_ms, on_done, wait), wait, ret_wait);
}

int pawlpy_wait_barrier(pawl_barrier *barrier, int64_t wait_ms, pawlpy_wait **ret_wait)
{
    pawlpy_wait *wait = make();
    if (!wait) return PAWL_ERR_NO_MEMORY;
    return begun(pawl_barrier_wait_start(barrier, wait_ms, on_done, wait), wait, ret_wait);
}

static struct timespec in_ms(int ms)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    int64_t ns = at.tv_nsec + (int64_t)ms * 1000000;
    at.tv_sec += ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    return at;
}

int pawlpy_wait_for(pawlpy_wait *wait, int slice_ms)
{
    struct timespec until = in_ms(slice_ms);
    if (!wait->heard && sem_timedwait(&wait->ended, &until)) return PAWLPY_NOT_YET;
    wait->heard = true;
    return wait->err;
}

void pawlpy_give_up(pawl_lock *lock, pawlpy_wait *wait)
{
    pawlpy_give_up_upgrade(lock, wait);
    pawl_lock_release(lock);
}

void pawlpy_give_up_upgrade(pawl_lock *lock, pawlpy_wait *wait)
{
    int err = pawl_lock_cancel(lock); /* _STATE: it was decided before, or nothing has begun */
    if (wait && err != PAWL_ERR_FORKED)
        while (!wait->heard && sem_wait(&wait->ended) && errno == EINTR)
            ;
    pawlpy_wait_free(wait);
}
