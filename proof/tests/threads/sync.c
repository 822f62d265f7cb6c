/* SPDX-License-Identifier: MIT */
/*
 * Mutexes, conditions, semaphores, threads: what orders them is left to the scheduler. The state
 * of a mutex and of a semaphore lies in the object itself, so that a program may set it anew.
 */
#define _GNU_SOURCE
#include "harness.h"

#include "cells.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#define DESTROYED (-559038737)

/* At the beginning of a pthread_mutex_t; all zero: free. */
typedef struct mutex {
    int owner; /* thread + 1 */
} mutex;

/* At the beginning of a sem_t. */
typedef struct semaphore {
    int count;
} semaphore;

static int64_t instant_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

void sync_reset(void)
{
}

/* ---- Mutex
 * --------------------------------------------------------------------------------------------- */

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);

static mutex *mutex_of(pthread_mutex_t *p)
{
    access_memory_freed((uintptr_t)p);
    mutex *m = (mutex *)p;
    if (m->owner == DESTROYED) fail("mutex", "%s uses a mutex that was destroyed", self()->name);
    return m;
}

static bool mutex_is_free(const void *arg)
{
    return ((const mutex *)arg)->owner == 0;
}

static void mutex_take(mutex *m)
{
    m->owner = S->current + 1;
    self()->locks++;
    order_acquire(m);
}

static void mutex_give(mutex *m)
{
    if (m->owner != S->current + 1)
        fail("mutex", "%s unlocks a mutex that is not its own", self()->name);
    order_release(m);
    m->owner = 0;
    self()->locks--;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *p, const pthread_mutexattr_t *attr)
{
    (void)attr;
    memset(p, 0, sizeof *p);
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *p)
{
    mutex *m = mutex_of(p);
    if (m->owner) fail("mutex", "%s destroys a mutex that is locked", self()->name);
    for (int i = 0; i < S->count; i++)
        if (S->threads[i].state == THREAD_LIVES && S->threads[i].ready == mutex_is_free &&
            S->threads[i].ready_arg == m)
            fail("mutex", "%s destroys a mutex that %s waits for", self()->name,
                 S->threads[i].name);
    m->owner = DESTROYED;
    return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *p)
{
    mutex *m = mutex_of(p);
    if (S->quiet) return 0;
    if (m->owner == S->current + 1) fail("deadlock", "%s locks its own mutex again", self()->name);
    sched_wait("locks", m, mutex_is_free, m, NEVER);
    mutex_take(mutex_of(p));
    return 0;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *p)
{
    mutex *m = mutex_of(p);
    sched_point("tries to lock", m, true);
    order_saw(m->owner != 0);
    if (m->owner) return EBUSY;
    mutex_take(m);
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *p)
{
    mutex *m = mutex_of(p);
    if (S->quiet) return 0;
    sched_point("unlocks", m, true);
    mutex_give(mutex_of(p));
    return 0;
}

/* ---- Condition
 * ------------------------------------------------------------------------------------------ */

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *end);
int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                                  const struct timespec *end);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);

static bool is_signalled(const void *arg)
{
    return ((const thread *)arg)->signalled;
}

static bool waits_for(const thread *t, const void *cond)
{
    return t->state == THREAD_LIVES && t->cond == cond && !t->signalled;
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
    (void)attr;
    memset(c, 0, sizeof *c);
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
    access_memory_freed((uintptr_t)c);
    for (int i = 0; i < S->count; i++)
        if (waits_for(&S->threads[i], c))
            fail("condition", "%s destroys a condition that %s waits for", self()->name,
                 S->threads[i].name);
    return 0;
}

static int cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t until)
{
    thread *me = self();
    access_memory_freed((uintptr_t)c);
    sched_test_cancel();
    sched_point("begins to wait", c, true);
    mutex_give(mutex_of(m));
    me->cond = c;
    me->signalled = S->plan.spurious_chance > 0 &&
                    (int)sched_draw(DRAW_SPURIOUS, 1024) < S->plan.spurious_chance;
    bool came = sched_wait_interruptible("waits for a condition", c, is_signalled, me, until);
    me->cond = NULL;
    bool interrupted = me->interrupted;
    access_memory_freed((uintptr_t)c);
    sched_wait("locks again", m, mutex_is_free, mutex_of(m), NEVER);
    mutex_take(mutex_of(m));
    sched_test_cancel();
    return came || interrupted ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    return cond_wait(c, m, NEVER);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *end)
{
    return cond_wait(c, m, instant_of(end));
}

int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                                  const struct timespec *end)
{
    (void)clock;
    return cond_wait(c, m, instant_of(end));
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
    access_memory_freed((uintptr_t)c);
    sched_point("signals", c, true);
    thread *waiters[THREADS_MAX];
    uint32_t n = 0;
    for (int i = 0; i < S->count; i++)
        if (waits_for(&S->threads[i], c)) waiters[n++] = &S->threads[i];
    if (n > 0)
        waiters[S->plan.strategy < STRATEGY_EXPLORE ? sched_draw(DRAW_WAKE, n) : 0]->signalled =
            true;
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
    access_memory_freed((uintptr_t)c);
    sched_point("signals all", c, true);
    for (int i = 0; i < S->count; i++)
        if (waits_for(&S->threads[i], c)) S->threads[i].signalled = true;
    return 0;
}

/* ---- Semaphore
 * -------------------------------------------------------------------------------------------- */

int __wrap_sem_init(sem_t *s, int shared, unsigned value);
int __wrap_sem_destroy(sem_t *s);
int __wrap_sem_post(sem_t *s);
int __wrap_sem_wait(sem_t *s);
int __wrap_sem_clockwait(sem_t *s, clockid_t clock, const struct timespec *end);
int __wrap_sem_timedwait(sem_t *s, const struct timespec *end);

static bool has_posts(const void *arg)
{
    return ((const semaphore *)arg)->count > 0;
}

int __wrap_sem_init(sem_t *p, int shared, unsigned value)
{
    (void)shared;
    memset(p, 0, sizeof *p);
    ((semaphore *)p)->count = (int)value;
    return 0;
}

int __wrap_sem_destroy(sem_t *p)
{
    (void)p;
    return 0;
}

int __wrap_sem_post(sem_t *p)
{
    sched_point("posts", p, true);
    access_memory_freed((uintptr_t)p);
    order_release(p);
    ((semaphore *)p)->count++;
    return 0;
}

static int sem_take(sem_t *p, int64_t until)
{
    semaphore *s = (semaphore *)p;
    sched_test_cancel();
    bool came = sched_wait_interruptible("waits for a post", s, has_posts, s, until);
    if (!came) {
        sched_test_cancel();
        errno = self()->interrupted ? EINTR : ETIMEDOUT;
        return -1;
    }
    s->count--;
    order_acquire(s);
    return 0;
}

int __wrap_sem_wait(sem_t *p)
{
    return sem_take(p, NEVER);
}

int __wrap_sem_clockwait(sem_t *p, clockid_t clock, const struct timespec *end)
{
    (void)clock;
    return sem_take(p, instant_of(end));
}

int __wrap_sem_timedwait(sem_t *p, const struct timespec *end)
{
    return sem_take(p, instant_of(end));
}

/* ---- Threads
 * ------------------------------------------------------------------------------------------------
 */

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_join(pthread_t t, void **ret_result);
int __wrap_pthread_detach(pthread_t t);
pthread_t __wrap_pthread_self(void);
int __wrap_pthread_setname_np(pthread_t t, const char *name);
int __wrap_pthread_once(pthread_once_t *once, void (*run)(void));
int __wrap_sched_yield(void);

/* A pthread_t is the thread's number and one: NULL is none. */
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    (void)attr;
    int id = sched_spawn("?", false, run, arg);
    *ret = (pthread_t)id + 1;
    return 0;
}

int __wrap_pthread_join(pthread_t t, void **ret_result)
{
    sched_test_cancel();
    sched_join((int)t - 1, ret_result);
    return 0;
}

int __wrap_pthread_detach(pthread_t t)
{
    S->threads[(int)t - 1].detached = true;
    return 0;
}

pthread_t __wrap_pthread_self(void)
{
    return (pthread_t)S->current + 1;
}

int __wrap_pthread_setname_np(pthread_t t, const char *name)
{
    thread *named = &S->threads[(int)t - 1];
    memcpy(named->name, name, strnlen(name, sizeof named->name - 1) + 1);
    named->name[sizeof named->name - 1] = '\0';
    return 0;
}

static bool is_done(const void *arg)
{
    return *(const pthread_once_t *)arg != 1;
}

int __wrap_pthread_once(pthread_once_t *once, void (*run)(void))
{
    sched_wait("does once", once, is_done, once, NEVER);
    if (*once == 0) {
        *once = 1;
        run();
        order_release(once);
        *once = 2;
    }
    order_acquire(once);
    return 0;
}

int __wrap_sched_yield(void)
{
    sched_yield_now();
    return 0;
}
