/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "calls.h"

#include "process.h"
#include "thread.h"

#include <limits.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- Made and freed ------------------------------------------------------------------------- */

void pawl__calls_init(pawl__calls *calls, const pawl__calls_ops *ops, pawl_client *client,
                      pthread_mutex_t *mutex, const pawl_open_opts *opts)
{
    *calls = (pawl__calls){.ops = ops,
                           .client = client,
                           .mutex = mutex,
                           .process = pawl__process_mark(),
                           .has_runner = opts->callbacks == PAWL_CALLBACKS_THREAD,
                           .dispatch_fd = -1};
    pthread_cond_init(&calls->added, NULL);
    pthread_cond_init(&calls->ended, NULL);
    pawl__list_init(&calls->entries);
    pawl__list_init(&calls->notes);
    pawl__list_init(&calls->answers);
}

int pawl__calls_open(pawl__calls *calls)
{
    calls->dispatch_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return calls->dispatch_fd < 0 ? PAWL_ERR_SYSTEM : PAWL_OK;
}

void pawl__calls_free_parts(pawl__calls *calls)
{
    if (calls->dispatch_fd >= 0) close(calls->dispatch_fd);
    calls->dispatch_fd = -1;
}

void pawl__calls_destroy(pawl__calls *calls)
{
    pthread_cond_destroy(&calls->added);
    pthread_cond_destroy(&calls->ended);
}

/* ---- Queueing ------------------------------------------------------------------------------- */

bool pawl__calls_none(const pawl__calls *calls)
{
    return pawl__list_empty(&calls->entries) && pawl__list_empty(&calls->notes) &&
           pawl__list_empty(&calls->answers);
}

static void announce(pawl__calls *calls)
{
    if (calls->has_runner) pthread_cond_signal(&calls->added);
    if (calls->dispatch_fd < 0) {
        calls->ops->announce(calls->client);
        return;
    }
    uint64_t one = 1;
    ssize_t n = write(calls->dispatch_fd, &one, sizeof one);
    (void)n; /* it fails only if the descriptor is readable already */
}

static void append(pawl__calls *calls, pawl__link *list, pawl__link *link)
{
    bool first = pawl__calls_none(calls);
    pawl__list_append(list, link);
    if (first) announce(calls);
}

void pawl__calls_add(pawl__calls *calls, pawl__link *entry)
{
    append(calls, &calls->entries, entry);
}

void pawl__calls_add_note(pawl__calls *calls, pawl__link *note)
{
    append(calls, &calls->notes, note);
}

void pawl__calls_add_answer(pawl__calls *calls, pawl__link *answer)
{
    append(calls, &calls->answers, answer);
}

/* ---- Running -------------------------------------------------------------------------------- */

uint64_t pawl__calls_begin(pawl__calls *calls, const void *of)
{
    uint64_t process = calls->process;
    calls->running = true;
    calls->running_of = of;
    calls->runner = pthread_self();
    pthread_mutex_unlock(calls->mutex);
    return process;
}

bool pawl__calls_end(pawl__calls *calls, uint64_t process)
{
    if (!pawl__process_is(process)) return false; /* the child may have freed this memory */
    pthread_mutex_lock(calls->mutex);
    calls->running = false;
    calls->running_of = NULL;
    pthread_cond_broadcast(&calls->ended);
    return true;
}

static bool run_first(pawl__calls *calls)
{
    if (!pawl__list_empty(&calls->notes))
        return calls->ops->run_note(calls->client, calls->notes.next);
    if (!pawl__list_empty(&calls->answers))
        return calls->ops->run_answer(calls->client, calls->answers.next);
    return calls->ops->run(calls->client, calls->entries.next);
}

int pawl__calls_run(pawl__calls *calls, int max)
{
    int count = 0;
    while (count < max && !calls->running && !pawl__calls_none(calls)) {
        if (!run_first(calls)) return PAWL_ERR_FORKED;
        count++;
    }
    return count;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

bool pawl__calls_is_inside(const pawl__calls *calls)
{
    return calls->running && pthread_equal(calls->runner, pthread_self());
}

void pawl__calls_wait_for(pawl__calls *calls, const void *of)
{
    while (calls->running && calls->running_of == of && !pawl__calls_is_inside(calls))
        pthread_cond_wait(&calls->ended, calls->mutex);
}

void pawl__calls_unannounce(pawl__calls *calls)
{
    uint64_t announced;
    if (!pawl__calls_none(calls)) return;
    ssize_t n = read(calls->dispatch_fd, &announced, sizeof announced);
    (void)n; /* it was not readable */
}

/* ---- The thread ----------------------------------------------------------------------------- */

static void *run_thread(void *arg)
{
    pawl__calls *calls = arg;
    pthread_mutex_lock(calls->mutex);
    for (;;) {
        if (pawl__calls_run(calls, INT_MAX) == PAWL_ERR_FORKED) return NULL;
        if (calls->stop) break;
        if (calls->ops->await(calls->client)) continue;
        pthread_cond_wait(&calls->added, calls->mutex);
    }
    pthread_mutex_unlock(calls->mutex);
    return NULL;
}

int pawl__calls_need(pawl__calls *calls)
{
    if (calls->closed) return PAWL_ERR_CLOSED; /* nobody would join the thread */
    if (!calls->has_runner || calls->thread_started) return PAWL_OK;
    int err = pawl__thread_start(&calls->thread, "pawl-callbacks", run_thread, calls);
    if (!err) calls->thread_started = true;
    return err;
}

void pawl__calls_join(pawl__calls *calls)
{
    pthread_mutex_lock(calls->mutex);
    calls->stop = true;
    pthread_cond_broadcast(&calls->added);
    pthread_mutex_unlock(calls->mutex);
    if (calls->thread_started) pthread_join(calls->thread, NULL);
}

bool pawl__calls_finish(pawl__calls *calls)
{
    pawl__calls_join(calls);
    pthread_mutex_lock(calls->mutex);
    while (calls->running) pthread_cond_wait(&calls->ended, calls->mutex); /* on another thread */
    int ran = 0;
    do {
        if (!calls->has_runner) ran = pawl__calls_run(calls, PAWL_DISPATCH_MAX);
    } while (ran > 0);
    if (ran == PAWL_ERR_FORKED) return false;
    pthread_mutex_unlock(calls->mutex);
    return true;
}
