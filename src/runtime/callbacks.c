/* SPDX-License-Identifier: MIT */
/*
 * Callbacks wait in a queue and run without any lock of ours held, one at a time
 * for a client, so they may call anything. They never run on the thread that
 * drives: a callback that takes long, or waits for another lock, must not stop
 * renewals. With PAWL_CALLBACKS_THREAD a thread of their own runs them, made when
 * the first callback can come up; with PAWL_CALLBACKS_DISPATCH and _WAIT the user's
 * thread, which with the latter is told by its sleeper (wait.c).
 *
 * A claim holds its callbacks as bits, so queueing one cannot fail (law 6).
 */
#define _GNU_SOURCE
#include "../base/line.h"
#include "runtime.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Queueing, mutex held ------------------------------------------------------------------- */

bool pawl__calls_none(const pawl_client *c)
{
    return pawl__list_empty(&c->calls) && pawl__list_empty(&c->lines);
}

static void announce(pawl_client *c)
{
    if (pawl__client_has_runner(c)) {
        pthread_cond_signal(&c->calls_cond);
        return;
    }
    if (c->dispatch_fd < 0) {
        if (c->waiter) c->waiter->complete = true;
        return;
    }
    uint64_t one = 1;
    ssize_t n = write(c->dispatch_fd, &one, sizeof one);
    (void)n; /* it can only fail when the descriptor is readable already */
}

void pawl__calls_add(pawl__claim *claim, uint8_t call)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    pawl_client *c = lock->client;
    if (call & PAWL__CALL_EVENTS && (!lock->extras || !lock->extras->on_event || lock->freed))
        return;
    claim->calls |= call;
    if (pawl__link_linked(&claim->in_calls)) return;
    bool first = pawl__calls_none(c);
    pawl__list_append(&c->calls, &claim->in_calls);
    if (first) announce(c);
}

void pawl__calls_log(pawl_client *c, pawl_severity severity, const char *text)
{
    if (!c->opts.log) return;
    size_t len = strlen(text);
    pawl__line *line = c->line_count < PAWL__LINES_MAX ? malloc(sizeof *line + len + 1) : NULL;
    if (!line) {
        c->lines_dropped++;
        return;
    }
    *line = (pawl__line){.severity = severity};
    memcpy(line->text, text, len + 1);
    pawl__line_mend(line->text);
    bool first = pawl__calls_none(c);
    pawl__list_append(&c->lines, &line->in_lines);
    c->line_count++;
    if (first) announce(c);
}

/* ---- Running: mutex held at entry and exit, let go around the callback ---------------------- */

/* Every callback is enclosed in these two. */
static void begin(pawl_client *c, pawl_lock *lock)
{
    c->running = true;
    c->running_lock = lock;
    c->runner = pthread_self();
    pthread_mutex_unlock(&c->mutex);
}

/* false: the callback forked and this is the child, where nothing may be touched (law 9). */
static bool end(pawl_client *c)
{
    if (pawl__client_forked(c)) return false;
    pthread_mutex_lock(&c->mutex);
    c->running = false;
    c->running_lock = NULL;
    pthread_cond_broadcast(&c->called_cond);
    return true;
}

static bool run_line(pawl_client *c)
{
    pawl__line *line = pawl__container(c->lines.next, pawl__line, in_lines);
    pawl__list_remove(&line->in_lines);
    c->line_count--;
    size_t dropped = c->lines_dropped;
    c->lines_dropped = 0;
    begin(c, NULL);
    c->opts.log(c, line->severity, line->text, c->opts.log_userdata);
    if (dropped) {
        char text[80];
        snprintf(text, sizeof text, "%zu lines were dropped: the log was not read in time",
                 dropped);
        c->opts.log(c, PAWL_SEVERITY_WARNING, text, c->opts.log_userdata);
    }
    free(line);
    return end(c);
}

static pawl_event_kind kind_of(uint8_t call)
{
    switch (call) {
    case PAWL__CALL_DOUBT:
        return PAWL_EVENT_DOUBT;
    case PAWL__CALL_HELD:
        return PAWL_EVENT_HELD;
    case PAWL__CALL_YIELD:
        return PAWL_EVENT_YIELD;
    }
    return PAWL_EVENT_LOST;
}

static bool run_event(pawl_client *c, pawl__claim *claim, uint8_t call)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    if (lock->freed) return true;
    pawl__extras *extras = lock->extras;
    bool has_reason = call == PAWL__CALL_DOUBT || call == PAWL__CALL_LOST;
    char *message = has_reason && extras->message_of == claim ? extras->event_message : NULL;
    if (message) extras->event_message = NULL;
    pawl_err err = has_reason ? (pawl_err)claim->event_err : PAWL_OK;
    pawl_event event = {.size = sizeof event,
                        .kind = kind_of(call),
                        .err = err,
                        .message = message ? message : (err ? pawl_err_text(err) : "")};
    if (call != PAWL__CALL_LOST) event.remaining_ms = pawl_lock_remaining_ms(lock);
    begin(c, lock);
    extras->on_event(lock, &event, extras->event_userdata);
    free(message);
    return end(c);
}

static bool run_done(pawl_client *c, pawl__claim *claim, uint8_t call)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    pawl__await *await = pawl__claim_take_over(claim, call);
    begin(c, lock);
    await->done(lock, await->err, await->userdata);
    free(await);
    return end(c);
}

static bool run_call(pawl_client *c, pawl__claim *claim, uint8_t call)
{
    return call & PAWL__CALL_EVENTS ? run_event(c, claim, call) : run_done(c, claim, call);
}

static bool run_claim(pawl_client *c)
{
    pawl__claim *claim = pawl__container(c->calls.next, pawl__claim, in_calls);
    uint8_t call = (uint8_t)(claim->calls & -claim->calls); /* the lowest: the earliest */
    claim->calls &= (uint8_t)~call;
    if (!claim->calls) pawl__list_remove(&claim->in_calls);
    if (!call) return true;
    claim->running = true;
    if (!run_call(c, claim, call)) return false;
    claim->running = false;
    pawl__claim_settle(claim);
    return true;
}

int pawl__calls_run(pawl_client *c, int max)
{
    int count = 0;
    while (count < max && !c->running && !pawl__calls_none(c)) {
        bool alive = pawl__list_empty(&c->lines) ? run_claim(c) : run_line(c);
        if (!alive) return PAWL_ERR_FORKED;
        count++;
    }
    return count;
}

void pawl__calls_wait(pawl_client *c)
{
    while (c->running) pthread_cond_wait(&c->called_cond, &c->mutex);
}

void pawl__calls_wait_for(pawl_client *c, const pawl_lock *lock)
{
    while (c->running && c->running_lock == lock && !pthread_equal(c->runner, pthread_self()))
        pthread_cond_wait(&c->called_cond, &c->mutex);
}

/* ---- The thread ----------------------------------------------------------------------------- */

static void *run_thread(void *arg)
{
    pawl_client *c = arg;
    pthread_mutex_lock(&c->mutex);
    for (;;) {
        if (pawl__calls_run(c, INT_MAX) == PAWL_ERR_FORKED) return NULL;
        if (c->stop) break;
        pthread_cond_wait(&c->calls_cond, &c->mutex);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

int pawl__calls_need(pawl_client *c)
{
    if (c->closing) return PAWL_ERR_CLOSED; /* nobody would join it */
    if (!pawl__client_has_runner(c) || c->calls_thread_started) return PAWL_OK;
    int err = pawl__thread_start(&c->calls_thread, "pawl-callbacks", run_thread, c);
    if (!err) c->calls_thread_started = true;
    return err;
}

/* ---- Public --------------------------------------------------------------------------------- */

int pawl_client_fd(const pawl_client *client)
{
    return client ? client->dispatch_fd : -1;
}

/* Mutex held: the descriptor says whether callbacks wait. */
static void unannounce(pawl_client *c)
{
    uint64_t announced;
    if (!pawl__calls_none(c)) return;
    ssize_t n = read(c->dispatch_fd, &announced, sizeof announced);
    (void)n; /* nothing was announced: it stays unreadable */
}

int pawl_client_dispatch(pawl_client *c)
{
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    int result = c->opts.callbacks == PAWL_CALLBACKS_DISPATCH ? PAWL_OK : PAWL_ERR_STATE;
    if (!result && c->closing) result = PAWL_ERR_CLOSED; /* the close runs what waits */
    /* None run if some run already: another thread dispatches, or this is a callback. */
    if (!result) result = pawl__calls_run(c, PAWL_DISPATCH_MAX);
    if (result == PAWL_ERR_FORKED) { /* a callback forked, and this is the child */
        pawl__cancel_restore(visit.cancel_state);
        return result;
    }
    if (result >= 0 && !c->closing) unannounce(c);
    pawl__leave(&visit);
    return result;
}
