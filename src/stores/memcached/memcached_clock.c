/* SPDX-License-Identifier: MIT */
/* The server's clock, for fences: it tells whole seconds, and the client's goes on from there. */
#define _GNU_SOURCE
#include "memcached_store.h"

#include <time.h>

#define OLD_NS INT64_C(60000000000) /* in that time two good clocks drift apart by some ms */

int64_t pawl__memcached_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t pawl__memcached_server_us(const pawl_store *store)
{
    return store->clock_us + (store->host->now() - store->clock_at) / PAWL__NS_PER_US;
}

/* The server showed that when it answered, so it shows no less now. */
void pawl__memcached_clock_set(pawl_store *store, int64_t time_s)
{
    store->clock_us = time_s * 1000000;
    store->clock_at = store->host->now();
}

static void on_clock(pawl_store *store, pawl__memcached_pending *pending,
                     const pawl__memcached_answer *answer)
{
    (void)pending;
    if (answer->code == PAWL__MEMCACHED_STAT)
        pawl__memcached_note_fact(&store->facts, answer->text);
    else if (answer->code == PAWL__MEMCACHED_END)
        pawl__memcached_clock_set(store, store->facts.time_s);
    else
        pawl__memcached_not_understood(store, answer);
}

void pawl__memcached_clock_refresh(pawl_store *store)
{
    if (store->host->now() - store->clock_at < OLD_NS) return;
    if (pawl__link_linked(&store->clock.in_order)) return;
    store->clock.answered = on_clock;
    pawl__memcached_send_or_break(store, &store->clock, "stats", NULL, 0);
}
