/* SPDX-License-Identifier: MIT */
/* The session: connecting, greeting, loss, and the next session when the servers ended this one. */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include "../../base/line.h"
#include "../../base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE_LEAST_MS 1000 /* a session is a write of the whole ensemble */

/* ---- Loss ---------------------------------------------------------------------------------- */

static void tell_down(pawl_store *store, bool was_up)
{
    pawl__zk_linkage *link = &store->link;
    if (was_up) pawl__retry_lost(&link->retry, store->host->now() - link->up_since);
    if (pawl__retry_is_news(&link->retry, was_up, link->err, link->message))
        store->host->link(store->host, false, link->err, link->message);
}

static void note_trouble(pawl_store *store, pawl_err err, const char *what)
{
    pawl__zk_linkage *link = &store->link;
    link->err = err;
    snprintf(link->message, sizeof link->message, "%s:%d%s: %s", store->config.servers[0].host,
             store->config.servers[0].port, store->config.server_count > 1 ? ",..." : "", what);
    pawl__line_mend(link->message);
}

/* The session is over: its nodes are gone, and the next attempt makes another one. */
static void begin_anew(pawl_store *store)
{
    pawl__zk_linkage *link = &store->link;
    link->phase = PAWL__ZK_WAITING;
    pawl__zk_places_lost(store);
    pawl__zk_handle_close(&store->handle);
    store->has_clock_node = false;
    int64_t wait_ms = pawl__retry_pause(&link->retry, link->err, &link->random);
    pawl__timer_set(&store->link_timer, pawl__ms_to_ns(wait_ms));
}

static size_t address_count(const pawl__zk_linkage *link)
{
    size_t count = 1;
    for (const char *at = strchr(link->addresses, ','); at; at = strchr(at + 1, ',')) count++;
    return count;
}

/* Several servers share the time to connect, so that a mute one leaves some to the next. */
static void limit_connecting(pawl_store *store)
{
    int64_t whole_ms = store->config.connect_timeout_ms;
    int64_t share_ms = whole_ms / (int64_t)address_count(&store->link);
    int64_t least_ms = whole_ms < SHARE_LEAST_MS ? whole_ms : SHARE_LEAST_MS;
    pawl__timer_set(&store->link_timer, pawl__ms_to_ns(share_ms > least_ms ? share_ms : least_ms));
}

static void connect_again(pawl_store *store)
{
    store->link.phase = PAWL__ZK_CONNECTING;
    limit_connecting(store);
    pawl__zk_handle_cut(&store->handle);
}

static void tear_down(pawl_store *store)
{
    pawl__zk_linkage *link = &store->link;
    bool was_up = link->phase == PAWL__ZK_UP;
    if (link->phase >= PAWL__ZK_GREETING) link->down_since = store->host->now();
    if (pawl__zk_is_over(&store->handle))
        begin_anew(store);
    else if (store->handle.zh)
        connect_again(store);
    pawl__zk_asker_end(&link->asker);
    pawl__zk_abandon(store);
    pawl__zk_asker_end(&store->errands);
    pawl__zk_doctor_lost(store);
    pawl__zk_places_down(store);
    pawl__zk_news_down(store);
    pawl__zk_sweep_end(store);
    link->broken = false;
    tell_down(store, was_up);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__zk_give_refusals(store); /* all are answered before the host hears that it is down */
    if (store->link.broken) tear_down(store);
    pawl__zk_give_refusals(store);
    if (pawl__zk_is_up(store)) pawl__zk_handle_go_on(&store->handle); /* there is more to send */
}

/* ---- Up ------------------------------------------------------------------------------------ */

static void be_up(pawl_store *store)
{
    pawl__zk_linkage *link = &store->link;
    link->phase = PAWL__ZK_UP;
    link->up_since = store->host->now();
    pawl__retry_up(&link->retry);
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    store->host->link(store->host, true, PAWL_OK, "");
    pawl__zk_places_up(store);
    pawl__zk_news_up(store);
}

/* The path's nodes were created, or were there before. */
static void on_prefix_made(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl_store *store = call->store;
    if (answer->rc != ZOK && answer->rc != ZNODEEXISTS)
        pawl__zk_break(store, pawl__zk_err_of(answer->rc), zerror(answer->rc));
    else if (store->link.asker.count == 0)
        be_up(store);
}

static void make_prefix(pawl_store *store)
{
    char path[PAWL__ZK_PREFIX_MAX + 1];
    const char *prefix = store->config.prefix;
    for (size_t len = 1; prefix[len - 1]; len++) {
        if (prefix[len] != '/' && prefix[len] != '\0') continue;
        memcpy(path, prefix, len);
        path[len] = '\0';
        pawl__zk_ask(store, &store->link.asker,
                     &(pawl__zk_question){
                         .kind = PAWL__ZK_CREATE, .path = path, .data = "", .mode = ZOO_PERSISTENT},
                     0, on_prefix_made);
    }
}

/* The library's own text speaks of SASL, whatever the server demands. */
static const char *why_refused(int rc)
{
    if (rc != ZSESSIONCLOSEDREQUIRESASLAUTH) return zerror(rc);
    return "the server demands a login: user:password@ in the URL, of the scheme digest";
}

static void on_prefix(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl_store *store = call->store;
    if (answer->rc == ZOK)
        be_up(store);
    else if (answer->rc == ZNONODE)
        make_prefix(store);
    else
        pawl__zk_break(store, pawl__zk_err_of(answer->rc), why_refused(answer->rc));
}

static void greet(pawl_store *store)
{
    store->link.phase = PAWL__ZK_GREETING;
    store->link.unreached = 0;
    store->session_ms = zoo_recv_timeout(store->handle.zh);
    pawl__zk_ask(store, &store->link.asker,
                 &(pawl__zk_question){.kind = PAWL__ZK_GET, .path = store->config.prefix}, 0,
                 on_prefix);
}

/* ---- Connecting ----------------------------------------------------------------------------- */

/* Who does not wait takes the first trouble for the answer, so it is told when no server was there:
 * the library goes on to the next one by itself. */
static void note_unreached(pawl_store *store, const char *what)
{
    pawl__zk_linkage *link = &store->link;
    note_trouble(store, PAWL_ERR_UNAVAILABLE, what);
    if (++link->unreached < address_count(link)) return;
    link->unreached = 0;
    tell_down(store, false);
}

static void on_changed(pawl__zk_handle *handle, int rc)
{
    pawl_store *store = pawl__container(handle, pawl_store, handle);
    pawl__zk_phase phase = store->link.phase;
    bool connected = pawl__zk_is_connected(handle);
    if (store->is_closed || store->link.broken) return;
    if (pawl__zk_login_refused(handle)) {
        pawl__zk_break(store, PAWL_ERR_AUTH, "the server refused the login");
    } else if (pawl__zk_is_over(handle)) {
        pawl__zk_break(store, PAWL_ERR_UNAVAILABLE, "the servers have ended the session");
    } else if (phase == PAWL__ZK_CONNECTING && connected) {
        greet(store);
    } else if (phase == PAWL__ZK_CONNECTING && rc != ZOK) {
        note_unreached(store, "cannot connect");
    } else if (phase >= PAWL__ZK_GREETING && !connected) {
        pawl__zk_break(store, PAWL_ERR_UNAVAILABLE, "the connection is lost");
    }
}

static void on_heard(pawl__zk_handle *handle, const char *path)
{
    pawl_store *store = pawl__container(handle, pawl_store, handle);
    pawl__zk_places_heard(store, path);
    pawl__zk_news_heard(store, path);
}

static void on_addresses(const char *addresses, const char *trouble, void *ctx)
{
    pawl_store *store = ctx;
    pawl__zk_linkage *link = &store->link;
    link->lookup = NULL;
    link->phase = PAWL__ZK_CONNECTING;
    link->unreached = 0;
    link->down_since = store->host->now();
    if (!trouble) snprintf(link->addresses, sizeof link->addresses, "%s", addresses);
    bool open = !trouble && pawl__zk_handle_open(&store->handle, addresses,
                                                 store->config.session_ms, store->config.login);
    if (!open) {
        note_trouble(store, PAWL_ERR_UNAVAILABLE, trouble ? trouble : "no memory for a session");
        begin_anew(store);
        tell_down(store, false);
        return;
    }
    limit_connecting(store);
    pawl__zk_handle_go_on(&store->handle);
}

static void look_up(pawl_store *store)
{
    pawl__zk_linkage *link = &store->link;
    link->lookup = pawl__zk_lookup_start(store->host->base, &store->config, on_addresses, store);
    if (link->lookup) {
        link->phase = PAWL__ZK_RESOLVING;
        return;
    }
    note_trouble(store, PAWL_ERR_UNAVAILABLE, "cannot start a thread that looks for the servers");
    begin_anew(store);
    tell_down(store, false);
}

/* A session that was away for so long is over, whether a server has said so or not; and names may
 * belong to other addresses now. */
static bool is_surely_over(const pawl_store *store)
{
    int64_t session_ms = store->session_ms ? store->session_ms : store->config.session_ms;
    return store->host->now() - store->link.down_since > pawl__ms_to_ns(2 * (int64_t)session_ms);
}

static void on_link_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    pawl__zk_phase phase = store->link.phase;
    (void)fd, (void)what;
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    if (phase == PAWL__ZK_WAITING) {
        look_up(store);
    } else if (phase == PAWL__ZK_CONNECTING && is_surely_over(store)) {
        begin_anew(store);
    } else if (phase == PAWL__ZK_CONNECTING) { /* it accepts and falls mute: the next one */
        connect_again(store);
        note_unreached(store, "no session in time");
    } else if (phase == PAWL__ZK_GREETING) {
        pawl__zk_break(store, PAWL_ERR_UNAVAILABLE, "no answer to the greeting in time");
    }
}

/* ---- The beginning and the end -------------------------------------------------------------- */

/* Clients spread over the servers. */
static void mix(pawl__zk_config *config, uint64_t *random)
{
    for (size_t i = config->server_count; i > 1; i--) {
        size_t at = pawl__random_next(random) % i;
        pawl__zk_server one = config->servers[at];
        config->servers[at] = config->servers[i - 1];
        config->servers[i - 1] = one;
    }
}

bool pawl__zk_link_init(pawl_store *store, uint64_t seed)
{
    pawl__zk_linkage *link = &store->link;
    link->random = seed;
    mix(&store->config, &link->random);
    note_trouble(store, PAWL_ERR_UNAVAILABLE, "not connected yet");
    pawl__retry_init(&link->retry);
    pawl__zk_asker_init(&link->asker);
    store->handle.changed = on_changed;
    store->handle.heard = on_heard;
    event_assign(&store->turn, store->host->base, -1, 0, on_turn, store);
    bool handled = pawl__zk_handle_init(&store->handle, store->host->base);
    bool timed = pawl__timer_add(&store->link_timer, store->host->base, on_link_timer, store);
    if (timed) pawl__timer_set(&store->link_timer, 0);
    return handled && timed;
}

void pawl__zk_link_done(pawl_store *store)
{
    pawl__zk_lookup_cancel(store->link.lookup);
    pawl__zk_asker_end(&store->link.asker);
    event_del(&store->turn);
    event_del(&store->link_timer);
}
