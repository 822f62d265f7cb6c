/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "calls.h"

#include "../base/line.h"
#include "process.h"
#include "thread.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct line {
    pawl__link in_lines;
    pawl_severity severity;
    char text[];
} line;

/* ---- Made and freed ------------------------------------------------------------------------- */

void pawl__calls_init(pawl__calls *calls, const pawl__calls_ops *ops, pawl_client *client,
                      pthread_mutex_t *mutex, const pawl_open_opts *opts)
{
    *calls = (pawl__calls){.ops = ops,
                           .client = client,
                           .mutex = mutex,
                           .process = pawl__process_mark(),
                           .has_runner = opts->callbacks == PAWL_CALLBACKS_THREAD,
                           .dispatch_fd = -1,
                           .log = opts->log,
                           .log_userdata = opts->log_userdata};
    pthread_cond_init(&calls->added, NULL);
    pthread_cond_init(&calls->ended, NULL);
    pawl__list_init(&calls->entries);
    pawl__list_init(&calls->lines);
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
    for (pawl__link *l; (l = pawl__list_first(&calls->lines));) {
        pawl__list_remove(l);
        free(pawl__container(l, line, in_lines));
    }
}

void pawl__calls_destroy(pawl__calls *calls)
{
    pthread_cond_destroy(&calls->added);
    pthread_cond_destroy(&calls->ended);
}

/* ---- Queueing ------------------------------------------------------------------------------- */

bool pawl__calls_none(const pawl__calls *calls)
{
    return pawl__list_empty(&calls->entries) && pawl__list_empty(&calls->lines);
}

static void announce(pawl__calls *calls)
{
    if (calls->has_runner) {
        pthread_cond_signal(&calls->added);
        return;
    }
    if (calls->dispatch_fd < 0) {
        calls->ops->announce(calls->client);
        return;
    }
    uint64_t one = 1;
    ssize_t n = write(calls->dispatch_fd, &one, sizeof one);
    (void)n; /* it can only fail when the descriptor is readable already */
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

void pawl__calls_log(pawl__calls *calls, pawl_severity severity, const char *text)
{
    if (!calls->log) return;
    size_t len = strlen(text);
    line *fresh = calls->line_count < PAWL__LINES_MAX ? malloc(sizeof *fresh + len + 1) : NULL;
    if (!fresh) {
        calls->lines_dropped++;
        return;
    }
    *fresh = (line){.severity = severity};
    memcpy(fresh->text, text, len + 1);
    pawl__line_mend(fresh->text);
    append(calls, &calls->lines, &fresh->in_lines);
    calls->line_count++;
}

/* ---- Running -------------------------------------------------------------------------------- */

void pawl__calls_begin(pawl__calls *calls, const void *of)
{
    calls->running = true;
    calls->running_of = of;
    calls->runner = pthread_self();
    pthread_mutex_unlock(calls->mutex);
}

bool pawl__calls_end(pawl__calls *calls)
{
    if (!pawl__process_is(calls->process)) return false;
    pthread_mutex_lock(calls->mutex);
    calls->running = false;
    calls->running_of = NULL;
    pthread_cond_broadcast(&calls->ended);
    return true;
}

static bool run_line(pawl__calls *calls)
{
    line *first = pawl__container(calls->lines.next, line, in_lines);
    pawl__list_remove(&first->in_lines);
    calls->line_count--;
    size_t dropped = calls->lines_dropped;
    calls->lines_dropped = 0;
    pawl__calls_begin(calls, NULL);
    calls->log(calls->client, first->severity, first->text, calls->log_userdata);
    if (dropped) {
        char text[80];
        snprintf(text, sizeof text, "%zu lines were dropped: the log was not read in time",
                 dropped);
        calls->log(calls->client, PAWL_SEVERITY_WARNING, text, calls->log_userdata);
    }
    free(first);
    return pawl__calls_end(calls);
}

int pawl__calls_run(pawl__calls *calls, int max)
{
    int count = 0;
    while (count < max && !calls->running && !pawl__calls_none(calls)) {
        bool alive = pawl__list_empty(&calls->lines)
                         ? calls->ops->run(calls->client, calls->entries.next)
                         : run_line(calls);
        if (!alive) return PAWL_ERR_FORKED;
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
    (void)n; /* nothing was announced: it stays unreadable */
}

/* ---- The thread ----------------------------------------------------------------------------- */

static void *run_thread(void *arg)
{
    pawl__calls *calls = arg;
    pthread_mutex_lock(calls->mutex);
    for (;;) {
        if (pawl__calls_run(calls, INT_MAX) == PAWL_ERR_FORKED) return NULL;
        if (calls->stop) break;
        pthread_cond_wait(&calls->added, calls->mutex);
    }
    pthread_mutex_unlock(calls->mutex);
    return NULL;
}

int pawl__calls_need(pawl__calls *calls)
{
    if (calls->closed) return PAWL_ERR_CLOSED; /* nobody would join it */
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
