/* SPDX-License-Identifier: MIT */
/*
 * One more: acquire the lock, read, work, write, release. The lock lets one
 * instance at a time do that; the fence, which the counter itself checks, makes sure that a holder
 * whose lease ran out cannot undo what its successor did.
 */
#define _GNU_SOURCE
#include "app.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct add {
    job job; /* first: a job is its add */
    app *app;
    struct evhttp_request *request;
    pawl_lock *lock;
    int64_t asked_us, had_us; /* the lock */
    uint64_t fence;
    int64_t value;
    bool worked; /* the worker has been there */
    resource_result result;
    char message[RESOURCE_MESSAGE_MAX];
} add;

static void finish(add *d)
{
    app *a = d->app;
    pawl_lock_free(d->lock);
    free(d);
    a->adds--;
    app_end_if_idle(a);
}

static void turn_away(app *a, struct evhttp_request *request, int status, const char *why)
{
    evhttp_add_header(evhttp_request_get_output_headers(request), "Retry-After", "1");
    app_reply(a, request, status, "text/plain", "%s\n", why);
}

/* The lock was not acquired. */
static void refuse(app *a, struct evhttp_request *request, int err)
{
    char reason[PAWL_MESSAGE_MAX];
    if (pawl_err_class_of(err) == PAWL_CLASS_BUSY) {
        a->metrics.busy++;
        turn_away(a, request, 503, "others had the counter the whole time: not counted");
        return;
    }
    a->metrics.failed++;
    if (a->ending) {
        turn_away(a, request, 503, GOING_AWAY);
        return;
    }
    pawl_client_reason(a->client, err, reason);
    app_say(a, PLACE_ADD, reason);
    turn_away(a, request, 503, NO_LOCK_STORE ": not counted");
}

/* ---- With the lock: on the worker --------------------------------------------------------- */

static void pretend_work(int64_t span_ms)
{
    struct timespec span = {span_ms / 1000, span_ms % 1000 * 1000000};
    if (span_ms > 0) nanosleep(&span, NULL);
}

static void change(job *j)
{
    add *d = (add *)j;
    app *a = d->app;
    d->worked = true;
    d->result = a->ops->read(a->adding, d->fence, &d->value, d->message);
    if (d->result != RESOURCE_OK) return;
    pretend_work(a->options.work_ms);
    d->value++;
    d->result = a->ops->write(a->adding, d->fence, d->value, d->message);
}

/* ---- Afterwards: on the loop ---------------------------------------------------------------- */

static void count_wait(app_metrics *m, uint64_t wait_us)
{
    m->wait_us_sum += wait_us;
    if (wait_us > m->wait_us_max) m->wait_us_max = wait_us;
}

static void answer(add *d)
{
    app_metrics *m = &d->app->metrics;
    switch (d->result) {
    case RESOURCE_OK: {
        char fence[24];
        snprintf(fence, sizeof fence, "%" PRIu64, d->fence);
        evhttp_add_header(evhttp_request_get_output_headers(d->request), "X-Fence", fence);
        m->added++;
        count_wait(m, (uint64_t)(d->had_us - d->asked_us));
        app_reply(d->app, d->request, 200, "text/plain", "%" PRId64 "\n", d->value);
        return;
    }
    case RESOURCE_STALE:
        m->stale++;
        turn_away(d->app, d->request, 503,
                  "the lock was lost, and another holder came: not counted");
        return;
    case RESOURCE_FAILED:
        m->failed++;
        if (d->worked) app_say(d->app, PLACE_ADD, d->message);
        turn_away(d->app, d->request, 503, d->worked ? NO_COUNTER ": not counted" : GOING_AWAY);
        return;
    case RESOURCE_UNKNOWN:
        m->unknown++;
        app_say(d->app, PLACE_ADD, d->message);
        app_reply(d->app, d->request, 504, "text/plain",
                  "the counter has not answered: it may or may not have been counted\n");
        return;
    }
}

static void changed(job *j)
{
    add *d = (add *)j;
    /* A loss is not a failure here: the counter itself has checked the fence. */
    if (pawl_lock_release(d->lock) != PAWL_OK) d->app->metrics.lost++;
    answer(d);
    finish(d);
}

static void acquired(pawl_lock *lock, int err, void *userdata)
{
    add *d = userdata;
    app *a = d->app;
    if (!err) {
        d->had_us = app_now_us();
        d->fence = pawl_lock_fence(lock);
        worker_submit(a->adder, &d->job);
        return;
    }
    refuse(a, d->request, err);
    finish(d);
}

/* ---- The beginning ---------------------------------------------------------------- */

static int start(add *d)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    if (d->app->options.ttl_ms) opts.ttl_ms = d->app->options.ttl_ms;
    int err = pawl_lock_new(d->app->client, LOCK_NAME, strlen(LOCK_NAME), &opts, &d->lock);
    if (err) return err;
    return pawl_lock_acquire_start(d->lock, ADD_WAIT_MS, acquired, d);
}

void app_add(app *a, struct evhttp_request *request)
{
    if (a->adds == ADDS_MAX || a->ending) {
        a->metrics.turned_away++;
        turn_away(a, request, 503, a->ending ? GOING_AWAY : "too many wait already");
        return;
    }
    add *d = calloc(1, sizeof *d);
    if (!d) {
        a->metrics.turned_away++;
        turn_away(a, request, 503, "out of memory");
        return;
    }
    *d = (add){.job = {.run = change, .done = changed}, .app = a, .request = request};
    d->result = RESOURCE_FAILED; /* until the worker has been there */
    d->asked_us = app_now_us();
    a->adds++;
    int err = start(d);
    if (!err) return;
    refuse(a, request, err);
    finish(d);
}
