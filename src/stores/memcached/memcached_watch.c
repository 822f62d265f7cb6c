/* SPDX-License-Identifier: MIT */
/*
 * Who waits. One watch for each name that this client waits for, with a place for each token.
 * The item is looked at again and again, at times that differ from client to client; when it
 * seems to be free the host hears RECHECK, and asks.
 */
#define _GNU_SOURCE
#include "memcached_store.h"

#include "../../base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_FIRST_MS 25
#define PAUSE_MOST_MS  500

typedef struct place {
    struct place *next;
    int64_t until; /* rule 8 */
    char token[PAWL_TOKEN_LEN + 1];
} place;

typedef struct watch {
    pawl__entry by_name;
    pawl__link in_list;
    pawl__memcached_pending look;
    place *places;
    int64_t look_at; /* instant */
    int64_t pause_ms;
    pawl__memcached_key key;
    size_t name_len;
    char name[];
} watch;

static watch *watch_of(pawl__link *link)
{
    return pawl__container(link, watch, in_list);
}

static watch *find(const pawl_store *store, const char *name, size_t name_len)
{
    pawl__entry *entry = pawl__table_find(&store->watches, name, name_len);
    return entry ? pawl__container(entry, watch, by_name) : NULL;
}

static watch *make(pawl_store *store, const pawl__memcached_op *op)
{
    watch *w = calloc(1, sizeof *w + op->name_len + 1);
    if (!w) return NULL;
    memcpy(w->name, op->name, op->name_len);
    w->name_len = op->name_len;
    w->key = op->key;
    if (!pawl__table_add(&store->watches, &w->by_name, w->name, w->name_len)) {
        free(w);
        return NULL;
    }
    pawl__list_append(&store->watch_list, &w->in_list);
    return w;
}

/* Nobody waits for it. What is under way about it is heard by the one that stays: see on_look. */
static void drop(pawl_store *store, watch *w)
{
    while (w->places) {
        place *next = w->places->next;
        free(w->places);
        w->places = next;
    }
    if (pawl__link_linked(&w->look.in_order)) return; /* its answer frees it */
    pawl__table_remove(&store->watches, &w->by_name);
    pawl__list_remove(&w->in_list);
    free(w);
}

/* ---- Looking ------------------------------------------------------------------------------- */

static void set_timer(pawl_store *store)
{
    int64_t at = PAWL__NEVER;
    for (pawl__link *l = store->watch_list.next; l != &store->watch_list; l = l->next)
        if (!pawl__link_linked(&watch_of(l)->look.in_order))
            at = pawl__instant_min(at, watch_of(l)->look_at);
    int64_t now = store->host->now();
    pawl__timer_set(&store->watch_timer,
                    at == PAWL__NEVER ? PAWL__NEVER : pawl__instant_max(0, at - now));
}

static void look_later(pawl_store *store, watch *w)
{
    int64_t pause = pawl__random_jitter(&store->link.random, pawl__ms_to_ns(w->pause_ms));
    w->look_at = pawl__instant_add(store->host->now(), pause);
    w->pause_ms = pawl__instant_min(w->pause_ms * 2, PAUSE_MOST_MS);
}

static void forget_ended(const pawl_store *store, watch *w)
{
    int64_t now = store->host->now();
    for (place **at = &w->places; *at;) {
        place *p = *at;
        if (p->until > now) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        free(p);
    }
}

static void on_look(pawl_store *store, pawl__memcached_pending *pending,
                    const pawl__memcached_answer *answer)
{
    watch *w = pawl__container(pending, watch, look);
    pawl__memcached_item item;
    if (!w->places) {
        drop(store, w);
        set_timer(store);
        return;
    }
    look_later(store, w);
    set_timer(store);
    if (!pawl__memcached_item_read(answer, w->name, w->name_len, &item)) return; /* look again */
    if (item.state != PAWL__MEMCACHED_ABSENT && item.state != PAWL__MEMCACHED_FREE) return;
    pawl_push push = {.kind = PAWL_PUSH_RECHECK, .name = w->name, .name_len = w->name_len};
    store->host->push(store->host, &push);
}

static void look(pawl_store *store, watch *w)
{
    char command[PAWL__MEMCACHED_KEY_MAX + 16];
    snprintf(command, sizeof command, "mg %s v t", w->key.text);
    w->look.answered = on_look;
    if (!pawl__memcached_send(store, &w->look, command, NULL, 0)) look_later(store, w);
}

static void on_watch_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    int64_t now = store->host->now();
    (void)fd, (void)what;
    pawl__timer_set(&store->watch_timer, PAWL__NEVER);
    if (!pawl__memcached_is_up(store)) return;
    for (pawl__link *l = store->watch_list.next, *next; l != &store->watch_list; l = next) {
        watch *w = watch_of(l);
        next = l->next;
        if (w->look_at > now || pawl__link_linked(&w->look.in_order)) continue;
        forget_ended(store, w);
        if (w->places)
            look(store, w);
        else
            drop(store, w);
    }
    pawl__memcached_flush(store);
    set_timer(store);
}

/* ---- Places -------------------------------------------------------------------------------- */

static place *find_place(watch *w, const char *token)
{
    place *p = w->places;
    while (p && strcmp(p->token, token) != 0) p = p->next;
    return p;
}

bool pawl__memcached_watch(pawl_store *store, const pawl__memcached_op *op, bool guarded)
{
    watch *w = find(store, op->name, op->name_len);
    bool is_new = !w;
    if (is_new) w = make(store, op);
    if (!w) return false;
    place *p = find_place(w, op->token);
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p) {
            if (!w->places) drop(store, w);
            return false;
        }
        memcpy(p->token, op->token, sizeof p->token);
        p->next = w->places;
        w->places = p;
    }
    int64_t now = store->host->now();
    p->until = pawl__instant_add(now, pawl_place_span(pawl__ms_to_ns(op->ttl_ms)));
    w->pause_ms = guarded ? PAUSE_MOST_MS : PAUSE_FIRST_MS;
    look_later(store, w);
    set_timer(store);
    return true;
}

bool pawl__memcached_unwatch(pawl_store *store, const char *name, size_t name_len,
                             const char *token)
{
    watch *w = find(store, name, name_len);
    if (!w) return false;
    forget_ended(store, w);
    bool waited = false;
    for (place **at = &w->places; *at && !waited; at = &(*at)->next) {
        place *p = *at;
        if (strcmp(p->token, token) != 0) continue;
        waited = true;
        *at = p->next;
        free(p);
        break;
    }
    if (!w->places) drop(store, w);
    return waited;
}

/* ---- Life ---------------------------------------------------------------------------------- */

void pawl__memcached_watches_lost(pawl_store *store)
{
    for (pawl__link *l = store->watch_list.next, *next; l != &store->watch_list; l = next) {
        next = l->next;
        if (!watch_of(l)->places) drop(store, watch_of(l));
    }
    pawl__timer_set(&store->watch_timer, PAWL__NEVER);
}

void pawl__memcached_watches_up(pawl_store *store)
{
    set_timer(store);
}

bool pawl__memcached_watches_init(pawl_store *store)
{
    pawl__list_init(&store->watch_list);
    store->watches.seed = pawl__random_next(&store->link.random);
    return pawl__timer_add(&store->watch_timer, store->host->base, on_watch_timer, store);
}

void pawl__memcached_watches_done(pawl_store *store)
{
    while (!pawl__list_empty(&store->watch_list)) {
        watch *w = watch_of(store->watch_list.next);
        pawl__list_remove(&w->look.in_order);
        drop(store, w);
    }
    pawl__table_done(&store->watches);
}
