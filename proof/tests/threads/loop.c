/* SPDX-License-Identifier: MIT */
/*
 * As much of libevent as a client and its stores use, over the descriptors of files.c. A base
 * knows no threads (the runtime makes its bases so): two threads in one base at a time are a
 * finding, and so is a child that uses its parent's base.
 */
#define _GNU_SOURCE
#include "harness.h"

#include "files.h"
#include "snapshot.h"

#include <event2/event.h>
#include <string.h>
#include <sys/time.h>

#define EVENTS_MAX 128
#define BASES_MAX  16

struct event {
    struct event_base *base;
    bool used, added, active, due;
    int fd;
    short what;
    int64_t until; /* of its time-out */
    event_callback_fn fn;
    void *arg;
};

struct event_base {
    bool used, inherited;
    int inside; /* the thread that is in it, + 1 */
};

struct event_config {
    int nothing;
};

static struct loops {
    int used; /* events beyond were none in this run */
    struct event events[EVENTS_MAX];
    struct event_base bases[BASES_MAX];
    struct event_config config;
} * L;

size_t loop_size(void)
{
    return sizeof *L;
}

void loop_start(void *room)
{
    L = room;
}

void loop_reset(void)
{
    memset(L->events, 0, (size_t)L->used * sizeof L->events[0]);
    memset(L->bases, 0, sizeof L->bases);
    L->used = 0;
}

void loop_keep(void)
{
    snapshot_keep(L, sizeof *L);
}

void loop_check_leaks(void)
{
    for (int i = 0; i < L->used; i++)
        if (L->events[i].used) fail("leak", "an event is left");
    for (int i = 0; i < BASES_MAX; i++)
        if (L->bases[i].used) fail("leak", "an event base is left");
}

void loop_in_child(void)
{
    for (int i = 0; i < BASES_MAX; i++) L->bases[i].inherited = true;
}

static void check_alone(const struct event_base *base, const char *what)
{
    if (!base->used) fail("loop", "%s %s a base that was freed", self()->name, what);
    if (base->inherited) fail("child", "a child %s the loop that it shares with its parent", what);
    if (base->inside && base->inside != S->current + 1)
        fail("loop", "%s %s a base while %s is in it", self()->name, what,
             S->threads[base->inside - 1].name);
}

static struct event *check_event(struct event *e, const char *what)
{
    if (!e->used || !e->base)
        fail("loop", "%s %s an event that was freed, or whose base was", self()->name, what);
    check_alone(e->base, what);
    return e;
}

/* ---- Bases
 * ----------------------------------------------------------------------------------------------------
 */

struct event_config *event_config_new(void)
{
    return &L->config;
}

int event_config_set_flag(struct event_config *config, int flag)
{
    (void)config;
    (void)flag;
    return 0;
}

void event_config_free(struct event_config *config)
{
    (void)config;
}

struct event_base *event_base_new_with_config(const struct event_config *config)
{
    (void)config;
    for (int i = 0; i < BASES_MAX; i++) {
        if (L->bases[i].used) continue;
        L->bases[i] = (struct event_base){.used = true};
        return &L->bases[i];
    }
    fail("harness", "too many event bases");
}

void event_base_free(struct event_base *base)
{
    check_alone(base, "frees");
    for (int i = 0; i < L->used; i++)
        if (L->events[i].used && L->events[i].base == base) L->events[i].base = NULL;
    base->used = false;
}

int event_reinit(struct event_base *base)
{
    base->inherited = false;
    base->inside = 0;
    return 0;
}

/* ---- Events
 * ------------------------------------------------------------------------------------------------------
 */

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what,
                        event_callback_fn fn, void *arg)
{
    check_alone(base, "adds to");
    for (int i = 0; i < EVENTS_MAX; i++) {
        struct event *e = &L->events[i];
        if (e->used) continue;
        if (i == L->used) L->used++;
        *e = (struct event){.base = base,
                            .used = true,
                            .fd = fd,
                            .what = what,
                            .until = NEVER,
                            .fn = fn,
                            .arg = arg};
        return e;
    }
    fail("harness", "too many events");
}

void event_free(struct event *e)
{
    check_event(e, "frees");
    e->used = false;
}

int event_add(struct event *e, const struct timeval *span)
{
    check_event(e, "adds");
    e->added = true;
    e->until = NEVER;
    if (span)
        e->until = S->now + (int64_t)span->tv_sec * 1000000000 + (int64_t)span->tv_usec * 1000;
    return 0;
}

int event_del(struct event *e)
{
    check_event(e, "deletes");
    e->added = e->active = e->due = false;
    e->until = NEVER;
    return 0;
}

void event_active(struct event *e, int what, short calls)
{
    (void)what;
    (void)calls;
    check_event(e, "activates");
    e->active = true;
}

/* ---- The loop
 * ---------------------------------------------------------------------------------------------------------
 */

static bool is_due(const struct event *e)
{
    if (!e->used) return false;
    if (e->active) return true;
    if (!e->added) return false;
    return e->until <= S->now || (e->fd >= 0 && (e->what & EV_READ) && file_is_readable(e->fd));
}

static bool has_due(const void *arg)
{
    for (int i = 0; i < L->used; i++)
        if (L->events[i].base == arg && is_due(&L->events[i])) return true;
    return false;
}

int64_t loop_next_timer(void)
{
    int64_t at = NEVER;
    for (int i = 0; i < L->used; i++) {
        const struct event *e = &L->events[i];
        if (e->used && e->added && e->until > S->now && e->until < at) at = e->until;
    }
    return at;
}

static void run_event(struct event *e)
{
    short what = e->until <= S->now ? EV_TIMEOUT : EV_READ;
    e->active = e->due = false;
    if (!(e->what & EV_PERSIST)) {
        e->added = false;
        e->until = NEVER;
    }
    e->fn(e->fd, what, e->arg);
}

static void run_if_due(const struct event_base *base, int at)
{
    struct event *e = &L->events[at];
    if (e->used && e->due && e->base == base) run_event(e);
}

/* All that are due now, once each, from a drawn one on. */
static void run_due(const struct event_base *base)
{
    int known = L->used;
    for (int i = 0; i < known; i++) {
        L->events[i].due = L->events[i].base == base && is_due(&L->events[i]);
        if (L->events[i].due) order_saw((uint64_t)i + 2);
    }
    order_saw(1);
    int first = S->plan.strategy == STRATEGY_EXPLORE ? 0 : (int)sched_draw(DRAW_ORDER, EVENTS_MAX);
    for (int i = first; i < known; i++) run_if_due(base, i);
    for (int i = 0; i < first && i < known; i++) run_if_due(base, i);
}

/* A signal does not end it, a cancellation does. */
static void sleep_until_due(const struct event_base *base)
{
    do {
        sched_wait_interruptible("sleeps in the loop", base, has_due, base, NEVER);
        sched_test_cancel();
    } while (!has_due(base));
}

int event_base_loop(struct event_base *base, int flags)
{
    check_alone(base, "enters");
    if (base->inside) fail("loop", "%s enters a base that it is in", self()->name);
    base->inside = S->current + 1;
    sched_test_cancel();
    if (flags & EVLOOP_NONBLOCK)
        sched_point("looks at the loop", base, true);
    else
        sleep_until_due(base);
    sched_test_cancel();
    order_acquire(base);
    run_due(base);
    base->inside = 0;
    order_release(base);
    return 0;
}
