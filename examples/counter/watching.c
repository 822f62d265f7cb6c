/* SPDX-License-Identifier: MIT */
/* What the lock and the counter look like now, for the page, /metrics and /health. */
#define _GNU_SOURCE
#include "app.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The watcher's look ------------------------------------------------------------------ */

typedef struct watch {
    job job; /* first */
    app *app;
    app_state state;
    char no_lock[PAWL_MESSAGE_MAX], no_counter[RESOURCE_MESSAGE_MAX]; /* why; "": it answered */
} watch;

static bool take_info(const pawl_info *info, void *userdata)
{
    app_state *s = userdata;
    s->held = info->held;
    snprintf(s->owner, sizeof s->owner, "%s", info->owner);
    s->remaining_ms = info->remaining_ms;
    s->fence = info->fence;
    s->waiters = info->waiter_count;
    for (size_t i = 0; i < info->waiters_shown && i < WAITERS_SHOWN; i++) {
        snprintf(s->queue[i].owner, sizeof s->queue[i].owner, "%s", info->waiters[i].owner);
        s->queue[i].age_ms = info->waiters[i].age_ms;
        s->waiters_shown = i + 1;
    }
    return true;
}

static void look(job *j)
{
    watch *w = (watch *)j;
    app *a = w->app;
    app_state *s = &w->state;
    int err = pawl_inspect(a->client, LOCK_NAME, strlen(LOCK_NAME), WATCH_ANSWER_MS, take_info, s);
    if (err) pawl_client_reason(a->client, err, w->no_lock);
    resource_result result = a->ops->look(a->looking, &s->counter, w->no_counter);
    s->lock_known = !err;
    s->counter_known = result == RESOURCE_OK;
    s->trouble = err ? NO_LOCK_STORE : s->counter_known ? "" : NO_COUNTER;
}

static void looked(job *j)
{
    watch *w = (watch *)j;
    app *a = w->app;
    a->state = w->state;
    a->watching = false;
    if (w->no_lock[0]) {
        app_say(a, PLACE_LOCK, w->no_lock);
    } else if (w->no_counter[0]) {
        app_say(a, PLACE_COUNTER, w->no_counter);
    }
    free(w);
    app_end_if_idle(a);
}

void app_watch(app *a)
{
    watch *w = a->watching ? NULL : calloc(1, sizeof *w);
    if (!w) return;
    a->watching = true;
    w->job = (job){.run = look, .done = looked};
    w->app = a;
    worker_submit(a->watcher, &w->job);
}

/* ---- GET /counter: the number as it is now, not as the watcher saw it ----------------------- */

typedef struct question {
    job job; /* first */
    app *app;
    struct evhttp_request *request;
    counter_view view;
    bool worked;
    resource_result result;
    char message[RESOURCE_MESSAGE_MAX];
} question;

static void ask(job *j)
{
    question *q = (question *)j;
    q->worked = true;
    q->result = q->app->ops->look(q->app->looking, &q->view, q->message);
}

static void asked(job *j)
{
    question *q = (question *)j;
    app *a = q->app;
    if (q->result == RESOURCE_OK) {
        app_reply(a, q->request, 200, "text/plain", "%" PRId64 "\n", q->view.value);
    } else {
        if (q->worked) app_say(a, PLACE_LOOK, q->message);
        app_reply(a, q->request, 503, "text/plain", "%s\n", q->worked ? NO_COUNTER : GOING_AWAY);
    }
    free(q);
    a->looks--;
    app_end_if_idle(a);
}

void app_look(app *a, struct evhttp_request *request)
{
    question *q = a->looks < LOOKS_MAX && !a->ending ? calloc(1, sizeof *q) : NULL;
    if (!q) {
        app_reply(a, request, 503, "text/plain", "too many ask already\n");
        return;
    }
    q->job = (job){.run = ask, .done = asked};
    q->app = a;
    q->request = request;
    q->result = RESOURCE_FAILED; /* until the worker has been there */
    a->looks++;
    worker_submit(a->watcher, &q->job);
}
