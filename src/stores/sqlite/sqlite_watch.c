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

/*
 * The process of an owner. Who queues again and again has the same few before it, so a descriptor
 * is kept for a while when nobody looks at it any more.
 */
struct pawl__watched {
    pawl__link in_list; /* the latest first */
    pawl__watches *owner;
    int64_t live; /* its byte, so it is this owner's alone; 0: not to be looked at again */
    int pidfd;
    struct event *event;
    size_t sight_count;
};

/* One that is watched. */
typedef struct sight {
    struct sight *next; /* of the same watch */
    watch *watch;
    int64_t live;                  /* its byte */
    struct pawl__watched *process; /* NULL: the timer serves us */
    int ticks_left;
} sight;

/* A waiter and whom it watches: mostly one owner, of a semaphore all holders. */
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

/* The first two waiters look at every tick; the farther back the others are, the less often. */
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
    if (dead) s->ticks_left = TICKS_SLOW_MAX; /* the engine was told, and asks */
    if (dead || (w->owner->no_pushes && s == &w->first)) report(w);
}

typedef void (*sight_fn)(sight *s, void *arg);

static void for_each_sight(pawl__watches *watches, sight_fn call, void *arg)
{
    for (size_t i = 0; i < watches->table.bucket_count; i++) {
        for (pawl__entry *at = watches->table.buckets[i]; at; at = at->next) {
            for (sight *s = &pawl__container(at, watch, entry)->first; s; s = s->next) call(s, arg);
        }
    }
}

static void look_if_polled(sight *s, void *arg)
{
    (void)arg;
    if (!s->process) look(s);
}

static void on_tick(int fd, short what, void *ctx)
{
    pawl__watches *watches = ctx;
    (void)fd;
    (void)what;
    if (watches->polled_count == 0) return;
    start_timer(watches);
    for_each_sight(watches, look_if_polled, NULL);
}

/* ---- By pidfd ------------------------------------------------------------------ */

static struct pawl__watched *process_at(pawl__link *at)
{
    return pawl__container(at, struct pawl__watched, in_list);
}

static void end_process(struct pawl__watched *process)
{
    pawl__list_remove(&process->in_list);
    process->owner->pidfd_count--;
    event_free(process->event);
    close(process->pidfd);
    free(process);
}

/* Ends those at which nobody looks, but for the latest few. */
static void end_spare(pawl__watches *watches, size_t keep)
{
    pawl__link *next;
    for (pawl__link *at = watches->processes.next; at != &watches->processes; at = next) {
        next = at->next;
        if (process_at(at)->sight_count > 0) continue;
        if (keep > 0)
            keep--;
        else
            end_process(process_at(at));
    }
}

static void leave_process(sight *s)
{
    struct pawl__watched *process = s->process;
    if (!process) return;
    s->process = NULL;
    if (--process->sight_count > 0) return;
    if (process->live == 0) {
        end_process(process);
        return;
    }
    end_spare(process->owner, PAWL__PIDFD_SPARE);
}

static void lose_sight(sight *s, void *arg)
{
    if (s->process != arg) return;
    s->process = NULL;
    start_polling(s); /* another process may hold its byte: the timer goes on looking */
    report(s->watch);
}

static void on_exit_seen(int fd, short what, void *ctx)
{
    struct pawl__watched *process = ctx;
    pawl__watches *watches = process->owner;
    (void)fd;
    (void)what;
    for_each_sight(watches, lose_sight, process);
    end_process(process);
}

static struct pawl__watched *known_process(pawl__watches *watches, int64_t live)
{
    for (pawl__link *at = watches->processes.next; at != &watches->processes; at = at->next)
        if (process_at(at)->live == live) return process_at(at);
    return NULL;
}

static struct pawl__watched *open_process(pawl__watches *watches, const pawl__watch_mark *mark)
{
    if (watches->pidfd_count >= PAWL__PIDFD_MAX) end_spare(watches, 0);
    if (watches->pidfd_count >= PAWL__PIDFD_MAX) return NULL;
    struct pawl__watched *process = calloc(1, sizeof(*process));
    if (!process) return NULL;
    *process = (struct pawl__watched){.owner = watches, .live = mark->live};
    process->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)mark->pid, 0);
    if (process->pidfd >= 0) {
        process->event = event_new(watches->base, process->pidfd, EV_READ, on_exit_seen, process);
        if (process->event && event_add(process->event, NULL) == 0) {
            pawl__list_prepend(&watches->processes, &process->in_list);
            watches->pidfd_count++;
            return process;
        }
        if (process->event) event_free(process->event);
        close(process->pidfd);
    }
    free(process);
    return NULL;
}

/*
 * The pid is right without comparing start times: the byte is tested after the
 * descriptor was opened, and while it is taken its owner lives and keeps its pid.
 */
static bool start_pidfd(sight *s, const pawl__watch_mark *mark, int64_t own_pid_ns)
{
    pawl__watches *watches = s->watch->owner;
    if (mark->pid_ns == 0 || mark->pid_ns != own_pid_ns || watches->no_pushes) return false;
    struct pawl__watched *process = known_process(watches, mark->live);
    if (!process) process = open_process(watches, mark);
    if (!process) return false;
    process->sight_count++;
    s->process = process;
    return true;
}

/* ---- The interface ------------------------------------------------------------- */

bool pawl__watches_init(pawl__watches *watches, struct event_base *base, pawl__sqlite_live *live,
                        pawl__watch_fn on_death, void *ctx)
{
    *watches = (pawl__watches){.base = base, .live = live, .on_death = on_death, .ctx = ctx};
    pawl__list_init(&watches->processes);
    watches->timer = event_new(base, -1, EV_TIMEOUT, on_tick, watches);
    return watches->timer != NULL;
}

static void stop(sight *s)
{
    if (!s->process) s->watch->owner->polled_count--;
    leave_process(s);
}

static void end_sights(watch *w)
{
    sight *next;
    for (sight *s = w->first.next; s; s = next) {
        next = s->next;
        stop(s);
        free(s);
    }
    w->first.next = NULL;
    stop(&w->first);
}

/* Whether it is dead already. */
static bool start(sight *s, const pawl__watch_mark *mark, int64_t own_pid_ns)
{
    s->live = mark->live;
    if (!start_pidfd(s, mark, own_pid_ns)) start_polling(s);
    bool dead = pawl__sqlite_live_is_dead(s->watch->owner->live, s->live);
    if (dead && s->process) s->process->live = 0; /* its pid may be another's by now */
    return dead;
}

static watch *add(pawl__watches *watches, const pawl__watch_place *place)
{
    watch *w = calloc(1, sizeof(*w));
    if (!w) return NULL;
    memcpy(w->token, place->token, strnlen(place->token, PAWL_TOKEN_LEN));
    memcpy(w->name, place->name, place->name_len);
    w->name_len = place->name_len;
    w->first.watch = w;
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
    if (w && !w->first.next && w->first.live == mark->live && w->first.process) {
        w->position = place->position;
        return;
    }
    if (w) end_sights(w);
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
    end_sights(w);
    pawl__table_remove(&watches->table, &w->entry);
    free(w);
}

static void free_watch(watch *w)
{
    sight *next;
    for (sight *s = w->first.next; s; s = next) {
        next = s->next;
        free(s);
    }
    free(w);
}

static void free_all(pawl__watches *watches)
{
    for (size_t i = 0; i < watches->table.bucket_count; i++) {
        pawl__entry *next;
        for (pawl__entry *at = watches->table.buckets[i]; at; at = next) {
            next = at->next;
            free_watch(pawl__container(at, watch, entry));
        }
    }
    pawl__table_done(&watches->table);
}

void pawl__watches_done(pawl__watches *watches)
{
    if (!watches->base) return; /* they were never begun */
    free_all(watches);
    while (!pawl__list_empty(&watches->processes)) end_process(process_at(watches->processes.next));
    if (watches->timer) event_free(watches->timer);
    watches->timer = NULL;
}

void pawl__watches_forget(pawl__watches *watches, bool has_inherited)
{
    free_all(watches);
    while (!pawl__list_empty(&watches->processes)) {
        struct pawl__watched *process = process_at(watches->processes.next);
        pawl__list_remove(&process->in_list);
        if (has_inherited) close(process->pidfd);
        free(process);
    }
}
