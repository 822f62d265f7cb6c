/* SPDX-License-Identifier: MIT */
/* The link: an attempt to connect, the greeting, loss, back-off. */
#define _GNU_SOURCE
#include "memcached_store.h"

#include "../../base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_MIN_MINOR 6
#define VERSION_MIN_PATCH 10 /* the meta protocol is as it is since 1.6.10 */

/* ---- Loss ---------------------------------------------------------------------------------- */

static void wait_for_next_attempt(pawl_store *store, bool was_up)
{
    pawl__memcached_linkage *link = &store->link;
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
    pawl__memcached_attempt_cancel(store->attempt);
    store->attempt = NULL;
}

/* Nothing is awaited any more. */
static void forget_pending(pawl_store *store)
{
    while (!pawl__list_empty(&store->under_way)) pawl__list_remove(store->under_way.next);
}

static void tear_down(pawl_store *store)
{
    pawl__memcached_linkage *link = &store->link;
    bool was_up = link->phase == PAWL__MEMCACHED_UP;
    link->phase = PAWL__MEMCACHED_WAITING;
    end_attempt(store);
    pawl__memcached_wire_end(store);
    forget_pending(store);
    pawl__memcached_abandon(store);
    pawl__memcached_doctor_lost(store);
    pawl__memcached_watches_lost(store);
    link->broken = false;
    wait_for_next_attempt(store, was_up);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__memcached_give_refusals(store); /* before the host hears of it */
    if (store->link.broken) tear_down(store);
    pawl__memcached_give_refusals(store);
}

/* ---- Up ------------------------------------------------------------------------------------ */

static bool is_new_enough(const char *version)
{
    unsigned major = 0, minor = 0, patch = 0;
    if (sscanf(version, "%u.%u.%u", &major, &minor, &patch) < 2) return false;
    if (major != 1) return major > 1;
    if (minor != VERSION_MIN_MINOR) return minor > VERSION_MIN_MINOR;
    return patch >= VERSION_MIN_PATCH;
}

static void warn_of_eviction(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    if (!store->facts.evicts || store->link.warned_of_eviction) return;
    store->link.warned_of_eviction = true;
    snprintf(message, sizeof message,
             "%s: this memcached may throw a lock away when it is full, and then two would hold "
             "it: start it with -M, for locks alone, or use redis:// or postgres://",
             store->config.where);
    store->host->warn(store->host, message);
}

static void warn_of_no_login(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    if (!store->link.wants_no_login || store->link.warned_of_no_login) return;
    store->link.warned_of_no_login = true;
    snprintf(message, sizeof message,
             "%s: the server wants no login: everybody may use it, and the user and password in "
             "the URL were not sent",
             store->config.where);
    store->host->warn(store->host, message);
}

static void be_up(pawl_store *store)
{
    pawl__memcached_linkage *link = &store->link;
    link->phase = PAWL__MEMCACHED_UP;
    link->up_since = store->host->now();
    pawl__retry_up(&link->retry);
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    warn_of_eviction(store);
    warn_of_no_login(store);
    store->host->link(store->host, true, PAWL_OK, "");
    pawl__memcached_watches_up(store);
}

static void on_settings(pawl_store *store, pawl__memcached_pending *pending,
                        const pawl__memcached_answer *answer)
{
    (void)pending;
    if (answer->code == PAWL__MEMCACHED_STAT)
        pawl__memcached_note_fact(&store->facts, answer->text);
    else if (answer->code == PAWL__MEMCACHED_END)
        be_up(store);
    else
        pawl__memcached_not_understood(store, answer);
}

static void on_stats(pawl_store *store, pawl__memcached_pending *pending,
                     const pawl__memcached_answer *answer)
{
    (void)pending;
    if (answer->code == PAWL__MEMCACHED_STAT) {
        pawl__memcached_note_fact(&store->facts, answer->text);
        return;
    }
    if (answer->code != PAWL__MEMCACHED_END) {
        pawl__memcached_not_understood(store, answer);
        return;
    }
    if (!store->facts.is_memcached || store->facts.time_s <= 0)
        pawl__memcached_break(store, PAWL_ERR_UNSUPPORTED,
                              "this is not memcached itself: a proxy, or something that speaks "
                              "like it; pawl needs the one server that has the locks");
    else if (!is_new_enough(store->facts.version))
        pawl__memcached_break(store, PAWL_ERR_UNSUPPORTED, "pawl needs memcached 1.6.10 or newer");
    else
        pawl__memcached_clock_set(store, store->facts.time_s);
}

static void on_login(pawl_store *store, pawl__memcached_pending *pending,
                     const pawl__memcached_answer *answer)
{
    (void)pending;
    if (answer->code != PAWL__MEMCACHED_STORED)
        pawl__memcached_break(store, PAWL_ERR_AUTH, "the server refused the user or password");
}

/* A login is a `set` whose key does not matter. */
static bool send_login(pawl_store *store)
{
    char command[64], value[2 * PAWL__MEMCACHED_LOGIN_MAX + 2];
    int len = snprintf(value, sizeof value, "%s %s", store->config.user, store->config.password);
    snprintf(command, sizeof command, "set pawl-login 0 1 %d", len);
    store->login.answered = on_login;
    bool sent = pawl__memcached_send(store, &store->login, command, value, (size_t)len);
    explicit_bzero(value, sizeof value);
    return sent;
}

static void ask_for_facts(pawl_store *store, bool sent)
{
    store->stats.answered = on_stats;
    store->settings.answered = on_settings;
    if (sent && pawl__memcached_send(store, &store->stats, "stats", NULL, 0) &&
        pawl__memcached_send(store, &store->settings, "stats settings", NULL, 0))
        pawl__memcached_flush(store);
    else
        pawl__memcached_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

/* A server without logins would keep user and password as a value for all to read. */
static void on_knock(pawl_store *store, pawl__memcached_pending *pending,
                     const pawl__memcached_answer *answer)
{
    (void)pending;
    store->link.wants_no_login = !pawl__memcached_wants_login(answer);
    ask_for_facts(store, store->link.wants_no_login || send_login(store));
}

static void greet(pawl_store *store)
{
    store->link.phase = PAWL__MEMCACHED_GREETING;
    store->facts = (pawl__memcached_facts){0};
    store->knock.answered = on_knock;
    if (!store->config.user[0])
        ask_for_facts(store, true);
    else if (pawl__memcached_send(store, &store->knock, "mg pawl-login", NULL, 0))
        pawl__memcached_flush(store);
    else
        ask_for_facts(store, false);
}

/* ---- Attempts ------------------------------------------------------------------------------ */

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    char why[PAWL_MESSAGE_MAX];
    (void)what, (void)fd;
    event_del(&store->connected);
    int connection = pawl__memcached_attempt_take(store->attempt, why);
    store->attempt = NULL;
    if (connection < 0)
        pawl__memcached_break(store, PAWL_ERR_UNAVAILABLE, why);
    else if (pawl__memcached_wire_begin(store, connection))
        greet(store);
    else
        pawl__memcached_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

static void begin_attempt(pawl_store *store)
{
    store->link.phase = PAWL__MEMCACHED_CONNECTING;
    store->attempt = pawl__memcached_attempt_start(&store->config, store->host->now);
    if (store->attempt) {
        event_assign(&store->connected, store->host->base,
                     pawl__memcached_attempt_fd(store->attempt), EV_READ | EV_PERSIST, on_connected,
                     store);
        if (event_add(&store->connected, NULL) == 0) {
            int64_t wait_ms = store->config.connect_timeout_ms;
            pawl__timer_set(&store->link_timer, pawl__ms_to_ns(wait_ms));
            return;
        }
    }
    pawl__memcached_break(store, PAWL_ERR_NO_MEMORY,
                          "no memory, descriptor or thread to connect with");
}

static void on_link_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    switch (store->link.phase) {
    case PAWL__MEMCACHED_WAITING:
        begin_attempt(store);
        return;
    case PAWL__MEMCACHED_CONNECTING:
        pawl__memcached_break(store, PAWL_ERR_UNAVAILABLE, "no connection in time");
        return;
    case PAWL__MEMCACHED_GREETING: /* the server accepted, and does not answer */
        pawl__memcached_break(store, PAWL_ERR_UNAVAILABLE,
                              "the server did not answer the greeting in time");
        return;
    case PAWL__MEMCACHED_UP:
        return;
    }
}

bool pawl__memcached_link_init(pawl_store *store, uint64_t seed)
{
    store->fd = -1;
    store->link.err = PAWL_ERR_UNAVAILABLE;
    snprintf(store->link.message, sizeof store->link.message, "%s: not connected yet",
             store->config.where);
    store->link.random = seed;
    pawl__retry_init(&store->link.retry);
    pawl__list_init(&store->under_way);
    event_assign(&store->turn, store->host->base, -1, 0, on_turn, store);
    bool timed = pawl__timer_add(&store->link_timer, store->host->base, on_link_timer, store);
    if (timed) pawl__timer_set(&store->link_timer, 0);
    return timed;
}

void pawl__memcached_link_done(pawl_store *store)
{
    end_attempt(store);
    pawl__memcached_wire_end(store);
    forget_pending(store);
    event_del(&store->turn);
    event_del(&store->link_timer);
    free(store->out);
}
