/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_watch.h"

#include "pawl/types.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TICK_MS        20
#define TICKS_SLOW_MAX 25 /* 500 ms: far back in the queue, or told already */

typedef struct watch {
    pawl__entry entry;
    char token[PAWL_TOKEN_LEN + 1];
    char name[PAWL_NAME_MAX];
    size_t name_len;
    int64_t live;     /* the byte of the one before us */
    int64_t position; /* how many stand before us */
    int pidfd;        /* -1: the timer serves us */
    struct event *event;
    int ticks_left;
    pawl__watches *owner;
} watch;

static watch *find(pawl__watches *watches, const char *token)
{
    pawl__entry *entry = pawl__table_find(&watches->table, token, strlen(token));
    return entry ? pawl__container(entry, watch, entry) : NULL;
}

static void report(const watch *w)
{
    w->owner->on_death(w->owner->ctx, w->name, w->name_len);
}

/* ---- By timer ------------------------------------------------------------------ */

/* The first two look at every tick, those behind them the more seldom the farther. */
static int pause_ticks(const watch *w)
{
    if (w->position <= 1) return 1;
    return w->position < TICKS_SLOW_MAX ? (int)w->position : TICKS_SLOW_MAX;
}

static void start_timer(pawl__watches *watches)
{
    static const struct timeval tick = {.tv_usec = TICK_MS * 1000};
    if (!event_pending(watches->timer, EV_TIMEOUT, NULL)) event_add(watches->timer, &tick);
}

static void start_polling(watch *w)
{
    w->ticks_left = pause_ticks(w);
    w->owner->polled_count++;
    start_timer(w->owner);
}

static void look(watch *w)
{
    if (--w->ticks_left > 0) return;
    w->ticks_left = pause_ticks(w);
    bool dead = pawl__sqlite_live_is_dead(w->owner->live, w->live);
    if (dead) w->ticks_left = TICKS_SLOW_MAX; /* told: now it is the engine's turn */
    if (dead || w->owner->no_pushes) report(w);
}

static void on_tick(int fd, short what, void *ctx)
{
    pawl__watches *watches = ctx;
    (void)fd;
    (void)what;
    if (watches->polled_count == 0) return;
    start_timer(watches);
    for (size_t i = 0; i < watches->table.bucket_count; i++) {
        for (pawl__entry *at = watches->table.buckets[i]; at; at = at->next) {
            watch *w = pawl__container(at, watch, entry);
            if (w->pidfd < 0) look(w);
        }
    }
}

/* ---- By pidfd ------------------------------------------------------------------ */

static void stop_pidfd(watch *w)
{
    if (w->pidfd < 0) return;
    event_free(w->event);
    close(w->pidfd);
    w->event = NULL;
    w->pidfd = -1;
    w->owner->pidfd_count--;
}

static void on_exit_seen(int fd, short what, void *ctx)
{
    watch *w = ctx;
    (void)fd;
    (void)what;
    stop_pidfd(w);
    start_polling(w); /* should its byte be kept by somebody else, the timer goes on looking */
    report(w);
}

/*
 * The pid is right without comparing start times: the byte is tested after the
 * descriptor was opened, and while it is taken its owner lives and keeps its pid.
 */
static bool start_pidfd(watch *w, const pawl__watch_target *target)
{
    pawl__watches *watches = w->owner;
    if (target->pid_ns == 0 || target->pid_ns != target->own_pid_ns) return false;
    if (watches->no_pushes || watches->pidfd_count >= PAWL__PIDFD_MAX) return false;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)target->pid, 0);
    if (fd < 0) return false;
    w->event = event_new(watches->base, fd, EV_READ, on_exit_seen, w);
    if (!w->event || event_add(w->event, NULL) < 0) {
        if (w->event) event_free(w->event);
        w->event = NULL;
        close(fd);
        return false;
    }
    w->pidfd = fd;
    watches->pidfd_count++;
    return true;
}

/* ---- The interface ------------------------------------------------------------- */

bool pawl__watches_init(pawl__watches *watches, struct event_base *base, pawl__sqlite_live *live,
                        pawl__watch_fn on_death, void *ctx)
{
    *watches = (pawl__watches){.base = base, .live = live, .on_death = on_death, .ctx = ctx};
    watches->timer = event_new(base, -1, EV_TIMEOUT, on_tick, watches);
    return watches->timer != NULL;
}

static void stop(watch *w)
{
    if (w->pidfd < 0) w->owner->polled_count--;
    stop_pidfd(w);
}

static void start(watch *w, const pawl__watch_target *target)
{
    w->live = target->live;
    if (!start_pidfd(w, target)) start_polling(w);
    if (pawl__sqlite_live_is_dead(w->owner->live, w->live)) report(w);
}

static watch *add(pawl__watches *watches, const char *token, const char *name, size_t name_len)
{
    watch *w = calloc(1, sizeof(*w));
    if (!w) return NULL;
    memcpy(w->token, token, strnlen(token, PAWL_TOKEN_LEN));
    memcpy(w->name, name, name_len);
    w->name_len = name_len;
    w->pidfd = -1;
    w->owner = watches;
    if (pawl__table_add(&watches->table, &w->entry, w->token, strlen(w->token))) return w;
    free(w);
    return NULL;
}

void pawl__watches_set(pawl__watches *watches, const char *token, const char *name, size_t name_len,
                       const pawl__watch_target *target)
{
    watch *w = find(watches, token);
    if (target->live <= 0 && !watches->no_pushes) {
        if (w) pawl__watches_clear(watches, token);
        return;
    }
    if (w && w->live == target->live && w->pidfd >= 0) {
        w->position = target->position;
        return;
    }
    if (w) stop(w);
    if (!w && !(w = add(watches, token, name, name_len))) return;
    w->position = target->position;
    start(w, target);
}

void pawl__watches_clear(pawl__watches *watches, const char *token)
{
    watch *w = find(watches, token);
    if (!w) return;
    stop(w);
    pawl__table_remove(&watches->table, &w->entry);
    free(w);
}

typedef void (*end_fn)(watch *w);

static void free_all(pawl__watches *watches, end_fn end)
{
    for (size_t i = 0; i < watches->table.bucket_count; i++) {
        pawl__entry *next;
        for (pawl__entry *at = watches->table.buckets[i]; at; at = next) {
            watch *w = pawl__container(at, watch, entry);
            next = at->next;
            end(w);
            free(w);
        }
    }
    pawl__table_done(&watches->table);
}

void pawl__watches_done(pawl__watches *watches)
{
    free_all(watches, stop_pidfd);
    if (watches->timer) event_free(watches->timer);
    watches->timer = NULL;
}

static void close_pidfd(watch *w)
{
    if (w->pidfd >= 0) close(w->pidfd);
}

static void leave_pidfd(watch *w)
{
    (void)w;
}

void pawl__watches_forget(pawl__watches *watches, bool has_inherited)
{
    free_all(watches, has_inherited ? close_pidfd : leave_pidfd);
}
