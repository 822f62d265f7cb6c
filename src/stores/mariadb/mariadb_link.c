/* SPDX-License-Identifier: MIT */
/* The link: an attempt to connect, loss, back-off. mariadb_store.h describes what is sent. */
#define _GNU_SOURCE
#include "mariadb_store.h"

#include "../../base/instant.h"
#include "../../base/random.h"

#include <stdio.h>
#include <stdlib.h>

#define ATTEMPT_EXTRA_MS 60000 /* a schema that has to be made first, and a look-up of a name */

static void break_it(pawl_store *store, pawl_err err, const char *what)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s: %s", store->config->where, what);
    pawl__mariadb_link_break(store, err, message);
}

/* ---- Loss ---------------------------------------------------------------------------------- */

static void wait_for_next_attempt(pawl_store *store, bool was_up)
{
    pawl__mariadb_linkage *link = &store->link;
    if (was_up) pawl__retry_lost(&link->retry, store->host->now() - link->up_since);
    int64_t wait_ms = pawl__retry_pause(&link->retry, link->err, &link->random);
    pawl__timer_set(&store->link_timer, pawl__ms_to_ns(wait_ms));
    if (pawl__retry_is_news(&link->retry, was_up, link->err, link->message))
        store->host->link(store->host, false, link->err, link->message);
}

static void end_attempt(pawl_store *store)
{
    if (!store->attempt) return;
    event_del(&store->connected);
    pawl__mariadb_attempt_cancel(store->attempt);
    store->attempt = NULL;
}

static void tear_down(pawl_store *store)
{
    pawl__mariadb_linkage *link = &store->link;
    bool was_up = link->state == PAWL__MARIADB_UP;
    link->state = PAWL__MARIADB_WAITING;
    end_attempt(store);
    pawl__mariadb_wire_end(store);
    pawl__mariadb_abandon(store);
    link->broken = false;
    wait_for_next_attempt(store, was_up);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__mariadb_give_refusals(store); /* before the host hears of it */
    if (store->link.broken) tear_down(store);
    pawl__mariadb_give_refusals(store);
}

/* ---- Up ------------------------------------------------------------------------------------ */

static void warn_of_no_push(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    if (store->caps.push || store->link.warned_of_no_push) return;
    store->link.warned_of_no_push = true;
    snprintf(message, sizeof message,
             "%s: nobody can be told of a turn, so waiters ask again and again: %s",
             store->config->where, store->link.no_push);
    store->host->warn(store->host, message);
}

static void be_up(pawl_store *store)
{
    pawl__mariadb_linkage *link = &store->link;
    link->state = PAWL__MARIADB_UP;
    link->comes_back = true;
    link->up_since = store->host->now();
    pawl__retry_up(&link->retry);
    store->caps.push = store->listener.call.mysql != NULL;
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    warn_of_no_push(store);
    pawl__mariadb_listen(store);
    store->host->link(store->host, true, PAWL_OK, "");
}

/* ---- Attempts ------------------------------------------------------------------------------ */

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    pawl__mariadb_link made;
    char message[PAWL_MESSAGE_MAX];
    (void)fd, (void)what;
    event_del(&store->connected);
    pawl_err err = pawl__mariadb_attempt_take(store->attempt, &made, message);
    store->attempt = NULL;
    store->link.was_mute = made.is_mute;
    if (err) {
        pawl__mariadb_link_break(store, err, message);
        return;
    }
    snprintf(store->link.no_push, sizeof store->link.no_push, "%s", made.no_push);
    if (pawl__mariadb_wire_begin(store, &made, pawl__mariadb_on_listener))
        be_up(store);
    else
        break_it(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

static void begin_attempt(pawl_store *store)
{
    pawl__mariadb_linkage *link = &store->link;
    /* If that had no answer, the session was given up as late: it keeps nobody out. */
    bool warms_up = link->comes_back && !link->was_mute;
    link->state = PAWL__MARIADB_CONNECTING;
    store->attempt = pawl__mariadb_attempt_start(store->config, store->host->client_id, warms_up,
                                                 store->host->now);
    if (store->attempt) {
        event_assign(&store->connected, store->host->base, pawl__mariadb_attempt_fd(store->attempt),
                     EV_READ | EV_PERSIST, on_connected, store);
        if (event_add(&store->connected, NULL) == 0) {
            int64_t wait_ms = store->config->connect_timeout_ms * 2 + ATTEMPT_EXTRA_MS;
            pawl__timer_set(&store->link_timer, pawl__ms_to_ns(wait_ms));
            return;
        }
    }
    break_it(store, PAWL_ERR_NO_MEMORY, "no memory, descriptor or thread to connect with");
}

static void on_link_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    switch (store->link.state) {
    case PAWL__MARIADB_WAITING:
        begin_attempt(store);
        return;
    case PAWL__MARIADB_UP:
        return;
    case PAWL__MARIADB_CONNECTING: /* the thread hangs in the look-up of a name */
        break_it(store, PAWL_ERR_UNAVAILABLE, "no connection in time");
        return;
    }
}

bool pawl__mariadb_link_init(pawl_store *store, uint64_t seed)
{
    store->link.err = PAWL_ERR_UNAVAILABLE;
    snprintf(store->link.message, sizeof store->link.message, "%s: not connected yet",
             store->config->where);
    store->link.random = seed;
    pawl__retry_init(&store->link.retry);
    event_assign(&store->turn, store->host->base, -1, 0, on_turn, store);
    bool timed = pawl__timer_add(&store->link_timer, store->host->base, on_link_timer, store);
    if (timed) pawl__timer_set(&store->link_timer, 0);
    return timed;
}

/* The server sees the end of a connection that sleeps only after a while. A waiter that leaves says
 * so; else the server could hand it a lock that nobody takes. */
static void drop(pawl__mariadb_pending *pending)
{
    free(pending);
}

void pawl__mariadb_say_farewell(pawl_store *store)
{
    pawl__mariadb_text text;
    if (!store->listener.call.mysql) return;
    pawl__mariadb_pending *pending = malloc(sizeof *pending);
    if (!pending) return;
    *pending = (pawl__mariadb_pending){.answer_by = PAWL__NEVER, .drop = drop};
    pawl__mariadb_begin_call(&text, store, "leave");
    pawl__mariadb_add_word(&text, store->host->client_id);
    if (!pawl__mariadb_end_call(&text, pending)) {
        free(pending);
    } else if (!pawl__mariadb_send(store, pending)) {
        free(pending->sql);
        free(pending);
    }
}

void pawl__mariadb_link_done(pawl_store *store)
{
    end_attempt(store);
    pawl__mariadb_wire_end(store);
    event_del(&store->turn);
    event_del(&store->link_timer);
    pawl__answers_done(&store->answers);
}
