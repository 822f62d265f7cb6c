/* SPDX-License-Identifier: MIT */
/* The store's operations. */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include "../../base/capacity.h"
#include "../common/silent_host.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_MS 200 /* close waits this long for its releases */

/* What it cannot promise, with the reason; NULL: it can. */
static const char *cannot(const pawl_request *request)
{
    switch (request->verb) {
    case PAWL_VERB_CHANGE:
        return "on ZooKeeper nobody can change the mode of a lock that is held: update locks, "
               "upgrades and downgrades need redis://, postgres://, mysql:// or sqlite:";
    case PAWL_VERB_ACQUIRE:
        if (request->mode != PAWL_MODE_UPDATE) return NULL;
        return "on ZooKeeper pawl has no update locks: they need redis://, postgres://, mysql:// "
               "or sqlite:";
    default:
        return NULL;
    }
}

/* It becomes part of a node's name. */
static bool is_token(const char *token)
{
    size_t len = 0;
    while (isalnum((unsigned char)token[len])) len++;
    return len == PAWL_TOKEN_LEN && !token[len];
}

static bool fits_capacity(const pawl_request *request)
{
    return request->verb != PAWL_VERB_ACQUIRE || request->mode != PAWL_MODE_PERMIT ||
           pawl__permits_fit(request->units, request->capacity);
}

static bool take(pawl_store *store, const pawl_request *request)
{
    static pawl__zk_step *const steps[PAWL_VERB_COUNT] = {
        [PAWL_VERB_ACQUIRE] = pawl__zk_begin_acquire, [PAWL_VERB_RENEW] = pawl__zk_begin_renew,
        [PAWL_VERB_RELEASE] = pawl__zk_begin_release, [PAWL_VERB_INSPECT] = pawl__zk_begin_report,
        [PAWL_VERB_LIST] = pawl__zk_begin_report,     [PAWL_VERB_BREAK] = pawl__zk_begin_break,
        [PAWL_VERB_PUBLISH] = pawl__zk_begin_publish, [PAWL_VERB_READ] = pawl__zk_begin_read};
    if (request->verb == PAWL_VERB_DOCTOR) return pawl__zk_doctor(store, request);
    return pawl__zk_take_request(store, request, steps[request->verb]);
}

static void zk_submit(pawl_store *store, const pawl_request *request)
{
    const char *why = cannot(request);
    if (why)
        pawl__zk_refuse(store, request->id, PAWL_ERR_UNSUPPORTED, why);
    else if (request->token && !is_token(request->token))
        pawl__zk_refuse(store, request->id, PAWL_ERR_ARGUMENT,
                        "a token has letters and digits alone");
    else if (!fits_capacity(request))
        pawl__zk_refuse(store, request->id, PAWL_ERR_UNITS, NULL);
    else if (!pawl__zk_is_up(store))
        pawl__zk_refuse(store, request->id, store->link.err, NULL);
    else if (!take(store, request))
        pawl__zk_refuse(store, request->id, PAWL_ERR_NO_MEMORY, NULL);
}

/* The library sends at once what the socket takes; the turn sees to the rest. */
static void zk_flush(pawl_store *store)
{
    if (!pawl__list_empty(&store->ops)) pawl__zk_turn_soon(store);
}

static const pawl_caps *zk_caps(pawl_store *store)
{
    return &store->caps;
}

/* ---- The end ------------------------------------------------------------------------------- */

/* What is done from now on is told to nobody. */
static void fall_silent(pawl_store *store)
{
    store->nobody = pawl__silent_host(store->host);
    store->host = &store->nobody;
}

static bool has_to_leave(const pawl_store *store)
{
    for (const pawl__link *l = store->ops.next; l != &store->ops; l = l->next)
        if (pawl__container(l, const pawl__zk_op, in_ops)->verb == PAWL_VERB_RELEASE) return true;
    return store->errands.count > 0;
}

/* Waits for a moment, until each release and each place that is given up is answered. A server that
 * does not answer hears no goodbye: the session ends by its time-out then. */
static void drain(pawl_store *store)
{
    int64_t until = store->host->now() + pawl__ms_to_ns(DRAIN_MS);
    pawl__zk_places_leave(store);
    while (pawl__zk_is_up(store) && has_to_leave(store)) {
        int64_t left_ms = pawl__ms_until(store->host->now(), until);
        if (left_ms == 0) break;
        pawl__zk_handle_wait(&store->handle, (int)left_ms);
    }
    bool mute = !pawl__zk_is_up(store) || has_to_leave(store);
    store->is_closed = true;
    if (mute) pawl__zk_handle_cut(&store->handle);
}

static void zk_close(pawl_store *store)
{
    fall_silent(store);
    if (pawl__zk_is_up(store)) drain(store);
    store->is_closed = store->link.broken = true; /* nothing is asked any more */
    pawl__zk_places_done(store);
    pawl__zk_news_done(store);
    pawl__zk_sweep_end(store);
    pawl__zk_doctor_done(store);
    pawl__zk_requests_done(store);
    pawl__zk_link_done(store);
    pawl__zk_handle_done(&store->handle);
    event_del(&store->place_timer);
    pawl__zk_config_done(&store->config);
    free(store);
}

/*
 * The events are not deleted: unless the host has called event_reinit, the base's epoll set is
 * the parent's too, and the parent would hear nothing any more. What the library has is the
 * parent's in the middle of something. So all that stays, in a list of things that are kept on
 * purpose.
 */
static void zk_forget(pawl_store *store)
{
    static pawl_store *kept; /* for leak checkers */
    store->kept = kept;
    kept = store;
    pawl__zk_handle_forget(&store->handle);
    pawl__zk_lookup_forget(store->link.lookup);
    pawl__zk_config_done(&store->config);
}

/* ---- The beginning ------------------------------------------------------------------------- */

static int zk_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store,
                   char *reterr_message)
{
    pawl_store *store = calloc(1, sizeof *store);
    if (!store) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
        return PAWL_ERR_NO_MEMORY;
    }
    store->host = host;
    store->take_turn = pawl__zk_begin_turn;
    int err = pawl__zk_config_init(&store->config, url, host->connect_timeout_ms, reterr_message);
    if (err) {
        free(store);
        return err;
    }
    store->caps = (pawl_caps){.size = sizeof store->caps,
                              .fence = PAWL_FENCE_DURABLE,
                              .fair = true,
                              .push = true,
                              .list = true,
                              .values = true,
                              .modes = 1u << PAWL_MODE_EXCLUSIVE | 1u << PAWL_MODE_SHARED |
                                       1u << PAWL_MODE_PERMIT,
                              .linger_ms = PAWL__ZK_LINGER_MS};
    bool linked = pawl__zk_link_init(store, pawl__retry_seed(host->now(), store, host->client_id));
    bool asks = pawl__zk_requests_init(store);
    pawl__zk_news_init(store);
    if (pawl__zk_places_init(store) && asks && linked) {
        *ret_store = store;
        return PAWL_OK;
    }
    snprintf(reterr_message, PAWL_MESSAGE_MAX, "%.200s: %s", url->redacted,
             pawl_err_text(PAWL_ERR_NO_MEMORY));
    zk_close(store);
    return PAWL_ERR_NO_MEMORY;
}

PAWL_API extern const pawl_store_ops pawl_store_entry;
const pawl_store_ops pawl_store_entry = {
    .abi = PAWL_STORE_ABI,
    .name = "zookeeper",
    .schemes = pawl__zk_schemes,
    .options = pawl__zk_options,
    .open = zk_open,
    .submit = zk_submit,
    .flush = zk_flush,
    .caps = zk_caps,
    .close = zk_close,
    .forget = zk_forget,
};
