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

typedef struct watch watch;

/* One that is watched. */
typedef struct sight {
    struct sight *next; /* of the same watch */
    watch *watch;
    int64_t live; /* its byte */
    int pidfd;    /* -1: the timer serves us */
    struct event *event;
    int ticks_left;
} sight;

/* Who watches: mostly one other, of a semaphore all who hold. */
struct watch {
    pawl__entry entry;
    char token[PAWL_TOKEN_LEN + 1];
    char name[PAWL_NAME_MAX];
    size_t name_len;
    int64_t position; /* how many stand before us */
    sight first;
    pawl__watches *owner;
};

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

static void start_polling(sight *s)
{
    s->ticks_left = pause_ticks(s->watch);
    s->watch->owner->polled_count++;
    start_timer(s->watch->owner);
}

static void look(sight *s)
{
    watch *w = s->watch;
    if (--s->ticks_left > 0) return;
    s->ticks_left = pause_ticks(w);
    bool dead = pawl__sqlite_live_is_dead(w->owner->live, s->live);
    if (dead) s->ticks_left = TICKS_SLOW_MAX; /* told: now it is the engine's turn */
    if (dead || (w->owner->no_pushes && s == &w->first)) report(w);
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
            for (sight *s = &pawl__container(at, watch, entry)->first; s; s = s->next) {
                if (s->pidfd < 0) look(s);
            }
        }
    }
}

/* ---- By pidfd ------------------------------------------------------------------ */

static void stop_pidfd(sight *s)
{
    if (s->pidfd < 0) return;
    event_free(s->event);
    close(s->pidfd);
    s->event = NULL;
    s->pidfd = -1;
    s->watch->owner->pidfd_count--;
}

static void on_exit_seen(int fd, short what, void *ctx)
{
    sight *s = ctx;
    (void)fd;
    (void)what;
    stop_pidfd(s);
    start_polling(s); /* should its byte be kept by somebody else, the timer goes on looking */
    report(s->watch);
}

/*
 * The pid is right without comparing start times: the byte is tested after the
 * descriptor was opened, and while it is taken its owner lives and keeps its pid.
 */
static bool start_pidfd(sight *s, const pawl__watch_mark *mark, int64_t own_pid_ns)
{
    pawl__watches *watches = s->watch->owner;
    if (mark->pid_ns == 0 || mark->pid_ns != own_pid_ns) return false;
    if (watches->no_pushes || watches->pidfd_count >= PAWL__PIDFD_MAX) return false;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)mark->pid, 0);
    if (fd < 0) return false;
    s->event = event_new(watches->base, fd, EV_READ, on_exit_seen, s);
    if (!s->event || event_add(s->event, NULL) < 0) {
        if (s->event) event_free(s->event);
        s->event = NULL;
        close(fd);
        return false;
    }
    s->pidfd = fd;
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

typedef void (*end_fn)(sight *s);

static void stop(sight *s)
{
    if (s->pidfd < 0) s->watch->owner->polled_count--;
    stop_pidfd(s);
}

static void end_sights(watch *w, end_fn end)
{
    sight *next;
    for (sight *s = w->first.next; s; s = next) {
        next = s->next;
        end(s);
        free(s);
    }
    w->first.next = NULL;
    end(&w->first);
}

/* Whether it is dead already. */
static bool start(sight *s, const pawl__watch_mark *mark, int64_t own_pid_ns)
{
    s->live = mark->live;
    if (!start_pidfd(s, mark, own_pid_ns)) start_polling(s);
    return pawl__sqlite_live_is_dead(s->watch->owner->live, s->live);
}

static watch *add(pawl__watches *watches, const pawl__watch_place *place)
{
    watch *w = calloc(1, sizeof(*w));
    if (!w) return NULL;
    memcpy(w->token, place->token, strnlen(place->token, PAWL_TOKEN_LEN));
    memcpy(w->name, place->name, place->name_len);
    w->name_len = place->name_len;
    w->first.watch = w;
    w->first.pidfd = -1;
    w->owner = watches;
    if (pawl__table_add(&watches->table, &w->entry, w->token, strlen(w->token))) return w;
    free(w);
    return NULL;
}

void pawl__watches_set(pawl__watches *watches, const pawl__watch_place *place,
                       const pawl__watch_mark *mark)
{
    watch *w = find(watches, place->token);
    if (mark->live <= 0 && !watches->no_pushes) {
        if (w) pawl__watches_clear(watches, place->token);
        return;
    }
    if (w && !w->first.next && w->first.live == mark->live && w->first.pidfd >= 0) {
        w->position = place->position;
        return;
    }
    if (w) end_sights(w, stop);
    if (!w && !(w = add(watches, place))) return;
    w->position = place->position;
    if (start(&w->first, mark, place->own_pid_ns)) report(w);
}

/* Whether it is dead already. */
static bool add_sight(watch *w, const pawl__watch_mark *mark, int64_t own_pid_ns)
{
    sight *s = calloc(1, sizeof(*s));
    if (!s) return false;
    s->watch = w;
    s->pidfd = -1;
    s->next = w->first.next;
    w->first.next = s;
    return start(s, mark, own_pid_ns);
}

void pawl__watches_add(pawl__watches *watches, const pawl__watch_place *place,
                       const pawl__watch_mark *marks, size_t count)
{
    size_t begun = 0;
    bool dead = false;
    if (!find(watches, place->token)) pawl__watches_set(watches, place, &marks[begun++]);
    watch *w = find(watches, place->token);
    if (!w) return;
    for (size_t i = begun; i < count; i++) dead |= add_sight(w, &marks[i], place->own_pid_ns);
    if (dead) report(w);
}

void pawl__watches_clear(pawl__watches *watches, const char *token)
{
    watch *w = find(watches, token);
    if (!w) return;
    end_sights(w, stop);
    pawl__table_remove(&watches->table, &w->entry);
    free(w);
}

static void free_all(pawl__watches *watches, end_fn end)
{
    for (size_t i = 0; i < watches->table.bucket_count; i++) {
        pawl__entry *next;
        for (pawl__entry *at = watches->table.buckets[i]; at; at = next) {
            watch *w = pawl__container(at, watch, entry);
            next = at->next;
            end_sights(w, end);
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

static void close_pidfd(sight *s)
{
    if (s->pidfd >= 0) close(s->pidfd);
}

static void leave_pidfd(sight *s)
{
    (void)s;
}

void pawl__watches_forget(pawl__watches *watches, bool has_inherited)
{
    free_all(watches, has_inherited ? close_pidfd : leave_pidfd);
}
