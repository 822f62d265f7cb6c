/* SPDX-License-Identifier: MIT */
/*
 * One thread looks after the try of the main thread, twenty times a second while there are tries
 * and never otherwise, and cancels a try that it sees a second time. There is one main thread, so
 * there is one place to look at.
 */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#define TICK_NS         50000000L
#define TICKS_UNTIL_NAP 20 /* without a try */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t news;
    pawl_lock *lock;  /* that is tried now */
    unsigned long no; /* of this try, or of the latest */
    bool started, napping;
} guard = {.mutex = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};

/* The thread is not in the child, and its mutex may be locked there for ever. */
static void forget(void)
{
    guard.mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    guard.news = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    guard.lock = NULL;
    guard.started = guard.napping = false;
}

static void tick(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += TICK_NS;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    while (pthread_cond_timedwait(&guard.news, &guard.mutex, &until) != ETIMEDOUT)
        ;
}

static void nap(void)
{
    guard.napping = true;
    while (guard.napping) pthread_cond_wait(&guard.news, &guard.mutex);
}

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&guard.mutex);
    unsigned long seen = guard.no;
    for (int idle = 0;;) {
        tick();
        if (guard.lock && seen == guard.no) pawl_lock_cancel(guard.lock);
        idle = guard.lock || seen != guard.no ? 0 : idle + 1;
        seen = guard.no;
        if (idle < TICKS_UNTIL_NAP) continue;
        nap();
        idle = 0;
    }
    return NULL;
}

/* Handlers of signals run on the threads of the program, never on this one. */
static void start(void)
{
    static bool registered;
    if (!registered) registered = !pthread_atfork(NULL, NULL, forget);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    guard.started = !pthread_create(&thread, NULL, watch, NULL);
    if (guard.started) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int pawlpy_try(pawl_lock *lock)
{
    pthread_mutex_lock(&guard.mutex);
    if (!guard.started) start();
    guard.lock = lock;
    guard.no++;
    if (guard.napping) {
        guard.napping = false;
        pthread_cond_signal(&guard.news);
    }
    bool guarded = guard.started;
    pthread_mutex_unlock(&guard.mutex);
    if (!guarded) return PAWL_ERR_CANCELED; /* the caller waits in another way then */

    int err = pawl_lock_acquire(lock, 0);

    pthread_mutex_lock(&guard.mutex);
    guard.lock = NULL;
    pthread_mutex_unlock(&guard.mutex);
    return err;
}
