/* SPDX-License-Identifier: MIT */
#include "told.h"

#include "stage.h"

#include <errno.h>
#include <string.h>
#include <time.h>

void told_init(told *t)
{
    *t = (told){.events = calloc(TOLD_MAX, sizeof *t->events)};
    CHECK(t->events);
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->cond, NULL);
}

void told_free(told *t)
{
    free(t->events);
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->cond);
}

void told_hear(pawl_client *client, const pawl_trace *event, void *userdata)
{
    told *t = userdata;
    CHECK(client && event->size == sizeof *event && event->name && event->message);
    CHECK(!strchr(event->message, '\n') && event->at_ns);
    pthread_mutex_lock(&t->mutex);
    CHECK(t->count < TOLD_MAX);
    told_event *kept = &t->events[t->count];
    kept->event = *event;
    snprintf(kept->name, sizeof kept->name, "%s", event->name);
    snprintf(kept->message, sizeof kept->message, "%s", event->message);
    kept->event.name = kept->name;
    kept->event.message = kept->message;
    CHECK(t->count == 0 || kept->event.at_ns >= kept[-1].event.at_ns);
    t->count++;
    pthread_cond_broadcast(&t->cond);
    pthread_mutex_unlock(&t->mutex);
}

/* Mutex held. */
pawl_client *told_client(told *t)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.trace = told_hear;
    opts.trace_userdata = t;
    return stage_client(&opts);
}

static const pawl_trace *find(const told *t, pawl_trace_kind kind, const char *name, size_t number)
{
    for (size_t i = 0; i < t->count; i++) {
        const pawl_trace *event = &t->events[i].event;
        if (event->kind != kind || (name && strcmp(event->name, name) != 0)) continue;
        if (--number == 0) return event;
    }
    return NULL;
}

const pawl_trace *told_await(told *t, pawl_trace_kind kind, const char *name, size_t number)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    const pawl_trace *found;
    pthread_mutex_lock(&t->mutex);
    while (!(found = find(t, kind, name, number)))
        if (pthread_cond_timedwait(&t->cond, &t->mutex, &end) == ETIMEDOUT)
            FAIL_TEST("waited in vain for event %zu \"%s\" of %s", number,
                      pawl_trace_kind_name(kind), name ? name : "anybody");
    pthread_mutex_unlock(&t->mutex);
    return found;
}

size_t told_count(told *t, pawl_trace_kind kind, const char *name)
{
    size_t count = 0;
    pthread_mutex_lock(&t->mutex);
    while (find(t, kind, name, count + 1)) count++;
    pthread_mutex_unlock(&t->mutex);
    return count;
}

/* ---- Holds and waits ------------------------------------------------------------------------ */

static void account(const pawl_trace *event, size_t *held, size_t *waiting)
{
    switch (event->kind) {
    case PAWL_TRACE_ACQUIRING:
        ++*waiting;
        return;
    case PAWL_TRACE_ACQUIRED:
        CHECK((*waiting)-- > 0);
        ++*held;
        return;
    case PAWL_TRACE_REFUSED:
        CHECK((*waiting)-- > 0);
        return;
    case PAWL_TRACE_RECALLED:
        *held += event->held;
        return;
    case PAWL_TRACE_RELEASED:
    case PAWL_TRACE_DETACHED:
    case PAWL_TRACE_RETAINED:
    case PAWL_TRACE_LOST:
        CHECK((*held)-- > 0);
        return;
    default:
        return;
    }
}

void told_check_balance(told *t, const char *name, size_t held, size_t waiting)
{
    size_t holds = 0, waits = 0;
    pthread_mutex_lock(&t->mutex);
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->events[i].name, name) == 0) account(&t->events[i].event, &holds, &waits);
    pthread_mutex_unlock(&t->mutex);
    if (holds != held || waits != waiting)
        FAIL_TEST("%s: %zu holds and %zu waits are left open, not %zu and %zu", name, holds, waits,
                  held, waiting);
}
