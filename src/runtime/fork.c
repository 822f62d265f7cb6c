/* SPDX-License-Identifier: MIT */
/*
 * What happens at a fork.
 *
 * The child has only one thread, the one that called fork; what other threads were doing stays half
 * done in its copy of the memory. So the parent's fork() first takes every client's loop and mutex
 * for a moment: then nobody is in the middle of anything, and the child may free its copies. A
 * client may not become quiet in time, for example because the forking thread itself owns its loop
 * and forks in a signal handler; such a client uses up only its own share of the time. The child
 * never touches the copy of such a client: a leak is better than a crash. The same is true for raw
 * clone() and _Fork(), which run no handlers.
 */
#define _GNU_SOURCE
#include "fork.h"

#include "../base/instant.h"
#include "client.h"
#include "thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FORK_WAIT_MS 20   /* for all clients together; a turn of the loop takes microseconds */
#define EXIT_WAIT_MS 1000 /* for all together; by then each owner has given up the loop */

static _Atomic uint64_t watching; /* mark of the process whose clients are in the list */
static pthread_mutex_t watched_mutex = PTHREAD_MUTEX_INITIALIZER;
static pawl__link watched = {&watched, &watched};
static pthread_cond_t closed = PTHREAD_COND_INITIALIZER; /* with watched_mutex */
static int closing; /* clients whose close may still have releases to send; under watched_mutex */

/* ---- Handlers ------------------------------------------------------------------------------- */

static _Thread_local bool forking;
/* Of the thread that forks; under watched_mutex. */
static int cancel_state;
static sigset_t signals;

bool pawl__forking(void)
{
    return forking;
}

static pawl__gate *gate_of(pawl__link *link)
{
    return &pawl__container(link, pawl_client, in_watched)->gate;
}

/* In the order of the list; each client gets an equal share of the time that is left. */
static void freeze_all(int64_t until)
{
    int64_t clients = 0;
    for (const pawl__link *l = watched.next; l != &watched; l = l->next) clients++;
    for (pawl__link *l = watched.next; l != &watched; l = l->next, clients--) {
        int64_t now = pawl__now();
        int64_t share = until > now && clients > 0 ? (until - now) / clients : 0;
        pawl__gate_freeze(gate_of(l), now + share);
    }
}

/*
 * A thread could be canceled in the waits below, with everything locked. And a signal's handler
 * would run there and take its time: clients that are frozen already neither renew nor tell a loss
 * (law 6). So both are off until all clients go on.
 */
static void before_fork(void)
{
    sigset_t before;
    pawl__signals_off(&before);
    int state = pawl__cancel_off();
    int64_t until = pawl__instant_add(pawl__now(), FORK_WAIT_MS * PAWL__NS_PER_MS);
    pthread_mutex_lock(&watched_mutex);
    cancel_state = state;
    signals = before;
    freeze_all(until);
    forking = true;
}

static void end_fork(void)
{
    int state = cancel_state;
    sigset_t before = signals;
    forking = false;
    pthread_mutex_unlock(&watched_mutex);
    pawl__cancel_restore(state);
    pawl__signals_restore(&before);
}

/* In the reverse order, because a client that goes on may take its mutex again while others are
 * still frozen. */
static void after_in_parent(void)
{
    for (pawl__link *l = watched.prev; l != &watched; l = l->prev) pawl__gate_thaw(gate_of(l));
    end_fork();
}

static void after_in_child(void)
{
    pawl__process_is_new();
    pawl__list_init(&watched); /* the clients belong to the parent */
    closing = 0;
    end_fork();
}

/* Sends what was asked, and from now on each request at once; nothing is retained. */
static void leave(pawl_client *c, int64_t until)
{
    static const pawl__event keep_nothing = {.kind = PAWL__EV_KEEP_NOTHING};
    if (pawl__client_is_forked(c) || !pawl__gate_lock_in_time(&c->gate, until)) return;
    if (!c->gate.closing && pawl__gate_take(&c->gate, until)) {
        c->gate.exiting = true;
        pawl__retention_recall_all(&c->acquisitions);
        pthread_mutex_unlock(&c->gate.mutex);
        pawl__pump_feed(&c->pump, &keep_nothing);
        pthread_mutex_lock(&c->gate.mutex);
        pawl__gate_drain(&c->gate, until);
        pawl__gate_give(&c->gate);
    }
    pthread_mutex_unlock(&c->gate.mutex);
}

/* What a client that closes was asked before, its close sends. */
static void await_closes(int64_t until)
{
    while (closing > 0 && pawl__now() < until) {
        struct timespec end = pawl__wait_end(until);
        pthread_cond_clockwait(&closed, &watched_mutex, CLOCK_MONOTONIC, &end);
    }
}

/*
 * exit() and the return from main: releases are sent before the process ends. A child of _Fork()
 * that exits has the parent's clients in its list, and the mutex may be locked for ever: it touches
 * neither (law 9).
 */
static void at_exit(void)
{
    if (!pawl__process_is(atomic_load(&watching))) return;
    int state = pawl__cancel_off();
    int64_t until = pawl__instant_add(pawl__now(), EXIT_WAIT_MS * PAWL__NS_PER_MS);
    pthread_mutex_lock(&watched_mutex);
    for (pawl__link *l = watched.next; l != &watched; l = l->next)
        leave(pawl__container(l, pawl_client, in_watched), until);
    await_closes(until);
    pthread_mutex_unlock(&watched_mutex);
    pawl__cancel_restore(state);
}

static void start(void)
{
    atexit(at_exit);
    pthread_atfork(before_fork, after_in_parent, after_in_child);
}

void pawl__fork_start(void)
{
    pawl__process_start();
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
}

void pawl__fork_watch(pawl_client *client)
{
    pthread_mutex_lock(&watched_mutex);
    if (atomic_exchange(&watching, client->gate.process) != client->gate.process)
        closing = 0; /* those of a parent that this process has left by _Fork() */
    pawl__list_append(&watched, &client->in_watched);
    pthread_mutex_unlock(&watched_mutex);
}

void pawl__fork_unwatch(pawl_client *client)
{
    pthread_mutex_lock(&watched_mutex);
    pawl__list_remove(&client->in_watched);
    closing++;
    pthread_mutex_unlock(&watched_mutex);
}

void pawl__fork_unwatched_is_done(void)
{
    pthread_mutex_lock(&watched_mutex);
    closing--;
    pthread_cond_broadcast(&closed);
    pthread_mutex_unlock(&watched_mutex);
}
