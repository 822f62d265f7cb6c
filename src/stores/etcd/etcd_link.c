/* SPDX-License-Identifier: MIT */
/* The link: greeting, loss, back-off, the next server. */
#define _GNU_SOURCE
#include "etcd_store.h"

#include "../../base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_MIN_MINOR 4

/* ---- Loss ---------------------------------------------------------------------------------- */

/* The next server is tried at once, until all have been tried. */
static void wait_for_next_attempt(pawl_store *store, bool was_up)
{
    pawl__etcd_linkage *link = &store->link;
    if (was_up) link->tried = 0;
    if (was_up) pawl__retry_lost(&link->retry, store->host->now() - link->up_since);
    link->endpoint = (link->endpoint + 1) % store->config.endpoint_count;
    link->tried++;
    bool all = link->tried % store->config.endpoint_count == 0;
    int64_t wait_ms = all ? pawl__retry_pause(&link->retry, link->err, &link->random) : 0;
    pawl__timer_set(&store->link_timer, pawl__ms_to_ns(wait_ms));
    if (!all && !was_up) return;
    if (pawl__retry_is_news(&link->retry, was_up, link->err, link->message))
        store->host->link(store->host, false, link->err, link->message);
}

static void end_own_questions(pawl_store *store)
{
    pawl__etcd_call_end(store, &store->greeting);
    pawl__etcd_call_end(store, &store->login_call);
    pawl__etcd_http_end(store, &store->sentinel);
    pawl__etcd_text_done(&store->sentinel_body);
}

static void tear_down(pawl_store *store)
{
    pawl__etcd_linkage *link = &store->link;
    bool was_up = link->phase == PAWL__ETCD_UP;
    link->phase = PAWL__ETCD_WAITING;
    link->doubt_ns = 0;
    end_own_questions(store);
    pawl__etcd_abandon(store);
    pawl__etcd_errands_done(store);
    pawl__etcd_doctor_lost(store);
    pawl__etcd_watches_lost(store);
    pawl__etcd_values_lost(store);
    store->kept_lease_count = 0; /* they run out */
    link->broken = false;
    wait_for_next_attempt(store, was_up);
}

/* A read that the whole cluster has to agree to: this server can reach a majority. */
static void ask_read(pawl_store *store,
                     void (*answered)(pawl_store *, pawl__etcd_call *, const pawl__etcd_answer *))
{
    pawl__etcd_text *body = &store->greeting.body;
    pawl__etcd_bytes start, end;
    store->greeting.answered = answered;
    pawl__etcd_key_of_names(&start, store->config.prefix, "", 0);
    pawl__etcd_key_behind(&end, &start);
    pawl__etcd_add(body, "{\"key\":\"");
    pawl__etcd_add_base64(body, start.at, start.len);
    pawl__etcd_add(body, "\",\"range_end\":\"");
    pawl__etcd_add_base64(body, end.at, end.len);
    pawl__etcd_add(body, "\",\"limit\":\"1\",\"keys_only\":true}");
    pawl__etcd_ask(store, &store->greeting, "/v3/kv/range", false);
}

static void on_sign_of_life(pawl_store *store, pawl__etcd_call *call,
                            const pawl__etcd_answer *answer)
{
    (void)call;
    if (answer->fate == PAWL__ETCD_DONE)
        pawl__timer_set(&store->link_timer, PAWL__NEVER);
    else
        pawl__etcd_break(store, answer->err, answer->message);
}

/*
 * An answer was late. If there are other servers this one has as much time again; if there are not,
 * nothing is won by giving it up, and it has the time of a greeting.
 */
static void find_out(pawl_store *store)
{
    pawl__etcd_linkage *link = &store->link;
    int64_t limit = pawl__ms_to_ns(store->config.connect_timeout_ms);
    if (store->config.endpoint_count > 1) limit = pawl__instant_min(limit, link->doubt_ns);
    link->doubt_ns = 0;
    if (!pawl__etcd_is_up(store) || store->greeting.asked) return;
    ask_read(store, on_sign_of_life);
    pawl__etcd_http_flush(store);
    pawl__timer_set(&store->link_timer, limit);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__etcd_http_heed(store);
    pawl__etcd_give_refusals(store); /* all are answered before the host hears that it is down */
    if (store->link.doubt_ns) find_out(store);
    if (store->link.broken) tear_down(store);
    pawl__etcd_give_refusals(store);
}

/* ---- Up ------------------------------------------------------------------------------------ */

static void warn_of_leases(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    pawl__etcd_linkage *link = &store->link;
    if (link->warned_of_leases || !pawl__etcd_has_lease_bugs(link->version)) return;
    link->warned_of_leases = true;
    snprintf(message, sizeof message,
             "%s: etcd %.20s has known faults with leases: update to 3.4.38, 3.5.23, 3.6.5 or "
             "newer, and let resources check fences",
             pawl__etcd_endpoint(store), link->version);
    store->host->warn(store->host, message);
}

/*
 * A watch of a key that nobody writes. It says nothing, but it ends when the server or the way to
 * it is gone: without it that would show only with the next request.
 */
static void on_sentinel(pawl_store *store, pawl__etcd_http *http, bool ended)
{
    http->in_used = 0;
    if (ended)
        pawl__etcd_break(store, PAWL_ERR_UNAVAILABLE,
                         http->why[0] ? http->why : "the server closed the connection");
}

static void begin_sentinel(pawl_store *store)
{
    pawl__etcd_text *body = &store->sentinel_body;
    pawl__etcd_text_done(body);
    pawl__etcd_add(body, "{\"create_request\":{\"key\":\"");
    pawl__etcd_add_base64(body, store->config.prefix, strlen(store->config.prefix));
    pawl__etcd_add(body, "\"}}");
    store->sentinel.news = on_sentinel;
    store->sentinel.streams = true;
    if (body->failed || !pawl__etcd_http_begin(store, &store->sentinel, "/v3/watch", body))
        pawl__etcd_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

static void be_up(pawl_store *store)
{
    pawl__etcd_linkage *link = &store->link;
    link->phase = PAWL__ETCD_UP;
    link->up_since = store->host->now();
    link->tried = 0;
    pawl__retry_up(&link->retry);
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    warn_of_leases(store);
    begin_sentinel(store);
    store->host->link(store->host, true, PAWL_OK, "");
    pawl__etcd_watches_up(store);
    pawl__etcd_values_up(store);
}

typedef void answered_fn(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer);

/* The greeting goes on, or ends here. False: the link breaks. */
static bool is_well(pawl_store *store, const pawl__etcd_answer *answer)
{
    if (answer->fate == PAWL__ETCD_DONE) return true;
    pawl__etcd_break(store, answer->err, answer->message);
    return false;
}

static void on_read(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    (void)call;
    if (is_well(store, answer)) be_up(store);
}

static void on_greeting_login(pawl_store *store, pawl__etcd_call *call,
                              const pawl__etcd_answer *answer)
{
    (void)call;
    if (!is_well(store, answer)) return;
    if (pawl__etcd_login_take(store, answer))
        ask_read(store, on_read);
    else
        pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "the server gave no token for the login");
}

static void on_version(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_linkage *link = &store->link;
    int numbers[3];
    (void)call;
    if (!is_well(store, answer)) return;
    const char *version = json_string_value(json_object_get(answer->root, "etcdserver"));
    snprintf(link->version, sizeof link->version, "%.31s", version ? version : "");
    if (!pawl__etcd_version_read(link->version, numbers)) {
        pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "this is not an etcd: it tells no version");
    } else if (numbers[0] < 3 || (numbers[0] == 3 && numbers[1] < VERSION_MIN_MINOR)) {
        pawl__etcd_break(store, PAWL_ERR_UNSUPPORTED, "pawl needs etcd 3.4 or newer");
    } else if (store->config.user[0]) {
        store->greeting.answered = on_greeting_login;
        pawl__etcd_login_body(store, &store->greeting.body);
        pawl__etcd_ask(store, &store->greeting, "/v3/auth/authenticate", false);
    } else {
        ask_read(store, on_read);
    }
}

static void greet(pawl_store *store)
{
    store->link.phase = PAWL__ETCD_GREETING;
    explicit_bzero(store->login, sizeof store->login);
    memcpy(store->login, store->config.token, sizeof store->login);
    store->greeting.answered = on_version;
    pawl__etcd_ask(store, &store->greeting, "/version", false);
    pawl__timer_set(&store->link_timer, pawl__ms_to_ns(store->config.connect_timeout_ms));
}

static void on_link_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    if (store->link.phase == PAWL__ETCD_WAITING)
        greet(store);
    else if (store->link.phase == PAWL__ETCD_GREETING) /* it accepts and falls mute */
        pawl__etcd_break(store, PAWL_ERR_UNAVAILABLE,
                         "the server did not answer the greeting in time");
    else if (store->greeting.asked)
        pawl__etcd_break(store, PAWL_ERR_UNAVAILABLE,
                         "no answer in time; its connections were closed");
}

bool pawl__etcd_link_init(pawl_store *store, uint64_t seed)
{
    store->link.err = PAWL_ERR_UNAVAILABLE;
    store->link.random = seed;
    /* Clients spread over the servers. */
    store->link.endpoint = pawl__random_next(&store->link.random) % store->config.endpoint_count;
    snprintf(store->link.message, sizeof store->link.message, "%s: not connected yet",
             pawl__etcd_endpoint(store));
    pawl__retry_init(&store->link.retry);
    event_assign(&store->turn, store->host->base, -1, 0, on_turn, store);
    bool timed = pawl__timer_add(&store->link_timer, store->host->base, on_link_timer, store);
    if (timed) pawl__timer_set(&store->link_timer, 0);
    return timed;
}

void pawl__etcd_link_done(pawl_store *store)
{
    end_own_questions(store);
    event_del(&store->turn);
    event_del(&store->link_timer);
}
