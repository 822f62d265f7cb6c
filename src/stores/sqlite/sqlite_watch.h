/* SPDX-License-Identifier: MIT */
/*
 * Watches, in the loop, for the death of the owner before us in a queue, so that `kill -9` of a
 * holder frees its lock at once. A death becomes a PAWL_PUSH_RECHECK: the transaction that follows
 * finds out what is true.
 *
 * A pidfd tells at once. If there can be none (another pid namespace, an old kernel, no descriptors
 * left), a timer tests the byte in the live file, often for first waiters and seldom for the
 * others.
 */
#ifndef PAWL_SQLITE_WATCH_H
#define PAWL_SQLITE_WATCH_H

#include "../../base/list.h"
#include "../../base/table.h"
#include "sqlite_live.h"

#include <stdbool.h>

#define PAWL__PIDFD_MAX   256 /* processes with a descriptor; further ones use the timer */
#define PAWL__PIDFD_SPARE 8   /* descriptors that are kept although nobody looks at them */

struct event;
struct event_base;

typedef void (*pawl__watch_fn)(void *ctx, const char *name, size_t name_len);

typedef struct pawl__watches {
    pawl__table table;    /* by token */
    pawl__link processes; /* those with a descriptor */
    size_t pidfd_count;
    size_t polled_count; /* those that the timer serves */
    bool no_pushes;      /* letters cannot reach us: instead every waiter asks now and then */
    struct event_base *base;
    struct event *timer;
    pawl__sqlite_live *live;
    pawl__watch_fn on_death;
    void *ctx;
} pawl__watches;

/* An owner whose death matters to a waiter. live <= 0: nobody. */
typedef struct pawl__watch_mark {
    int64_t live, pid, pid_ns;
} pawl__watch_mark;

/* Who watches: a waiter, or a holder that waits to be upgraded. */
typedef struct pawl__watch_place {
    const char *token;
    const char *name;
    size_t name_len;
    int64_t position; /* in its queue */
    int64_t own_pid_ns;
} pawl__watch_place;

/* false when out of memory. on_death may be called from set and from callbacks of base. */
bool pawl__watches_init(pawl__watches *watches, struct event_base *base, pawl__sqlite_live *live,
                        pawl__watch_fn on_death, void *ctx);

/*
 * _set: it watches that owner from now on, and nobody else. _add: it watches those as well. Without
 * memory it does not.
 */
void pawl__watches_set(pawl__watches *watches, const pawl__watch_place *place,
                       const pawl__watch_mark *mark);
void pawl__watches_add(pawl__watches *watches, const pawl__watch_place *place,
                       const pawl__watch_mark *marks, size_t count);
/* The token no longer waits. */
void pawl__watches_clear(pawl__watches *watches, const char *token);
void pawl__watches_done(pawl__watches *watches);
/*
 * In a forked child: the same, but does not use base, because the parent shares its epoll (law 9).
 * Closes descriptors only if they still are the inherited ones.
 */
void pawl__watches_forget(pawl__watches *watches, bool has_inherited);

#endif
