/* SPDX-License-Identifier: MIT */
/*
 * What happens at a fork.
 *
 * The child has one thread, the one that called fork; whatever the others were
 * doing stays half done for ever in its copy of the memory. So the parent's
 * fork() first takes every client's drive role and mutex, for an instant: then
 * nobody is in the middle of anything, and the child may free its copies. If a
 * client does not become quiet in time (the forking thread itself drives it, from
 * a signal handler say), its copy in the child is left alone for ever: a leak is
 * better than a crash. fork() by raw clone() or _Fork() runs no handlers and
 * counts as such a case.
 */
#define _GNU_SOURCE
#include "fork.h"

#include "runtime.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FORK_WAIT_MS 20 /* for all clients together; a turn of the loop takes microseconds */

static _Atomic uint64_t fallback_mark;          /* where the kernel cannot wipe: a handler does */
static _Atomic uint64_t *mark = &fallback_mark; /* 0 in a child until it asks */
static _Atomic uint64_t last_mark;              /* inherited, so that a child's is new */

static pthread_mutex_t watched_mutex = PTHREAD_MUTEX_INITIALIZER;
static pawl__link watched = {&watched, &watched};

uint64_t pawl__process_mark(void)
{
    uint64_t mine = atomic_load(mark);
    if (mine) return mine;
    uint64_t fresh = atomic_fetch_add(&last_mark, 1) + 1;
    return atomic_compare_exchange_strong(mark, &mine, fresh) ? fresh : mine;
}

bool pawl__process_is(uint64_t whose)
{
    return atomic_load_explicit(mark, memory_order_relaxed) == whose;
}

/* ---- Handlers ------------------------------------------------------------------------------- */

static void before_fork(void)
{
    int64_t until = pawl__instant_add(pawl__now(), FORK_WAIT_MS * PAWL__NS_PER_MS);
    pthread_mutex_lock(&watched_mutex);
    for (pawl__link *l = watched.next; l != &watched; l = l->next)
        pawl__role_freeze(pawl__container(l, pawl_client, in_watched), until);
}

static void after_in_parent(void)
{
    for (pawl__link *l = watched.next; l != &watched; l = l->next)
        pawl__role_thaw(pawl__container(l, pawl_client, in_watched));
    pthread_mutex_unlock(&watched_mutex);
}

static void after_in_child(void)
{
    atomic_store(mark, 0);
    pawl__list_init(&watched); /* they are the parent's */
    pthread_mutex_unlock(&watched_mutex);
}

/* exit() and the return from main take along a release that waits for company. */
static void at_exit(void)
{
    int64_t until = pawl__instant_add(pawl__now(), FORK_WAIT_MS * PAWL__NS_PER_MS);
    pthread_mutex_lock(&watched_mutex);
    for (pawl__link *l = watched.next; l != &watched; l = l->next)
        pawl__drive_at_exit(pawl__container(l, pawl_client, in_watched), until);
    pthread_mutex_unlock(&watched_mutex);
}

static void start(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
        if (madvise(page, size, MADV_WIPEONFORK) == 0)
            mark = page;
        else
            munmap(page, size);
    }
    atexit(at_exit);
    pthread_atfork(before_fork, after_in_parent, after_in_child);
}

void pawl__process_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
}

void pawl__fork_watch(pawl_client *client)
{
    pthread_mutex_lock(&watched_mutex);
    pawl__list_append(&watched, &client->in_watched);
    pthread_mutex_unlock(&watched_mutex);
}

void pawl__fork_unwatch(pawl_client *client)
{
    pthread_mutex_lock(&watched_mutex);
    pawl__list_remove(&client->in_watched);
    pthread_mutex_unlock(&watched_mutex);
}
