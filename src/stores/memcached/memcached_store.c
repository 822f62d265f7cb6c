/* SPDX-License-Identifier: MIT */
/* The store's operations. */
#define _GNU_SOURCE
#include "memcached_store.h"

#include "../common/silent_host.h"

#include <stdio.h>
#include <stdlib.h>

/* What it cannot promise, with the reason; NULL: it can. */
static const char *cannot(const pawl_request *request)
{
    switch (request->verb) {
    case PAWL_VERB_LIST:
        return "memcached cannot list its items reliably: pawl's locks on it are asked for by name";
    case PAWL_VERB_CHANGE:
        return "on memcached pawl has exclusive locks alone, so there is no mode to change to";
    case PAWL_VERB_PUBLISH:
    case PAWL_VERB_READ:
        return "memcached may forget a value beside a lock at any time: once, election, latch and "
               "barrier need redis://, postgres://, mysql:// or sqlite:";
    case PAWL_VERB_ACQUIRE:
        if (request->mode == PAWL_MODE_EXCLUSIVE) return NULL;
        return "on memcached pawl has exclusive locks alone: shared locks and semaphores need "
               "redis://, postgres://, mysql:// or sqlite:";
    default:
        return NULL;
    }
}

/* Whether the lease could outlive the guard's time. */
static bool outlives_guard(const pawl_store *store, const pawl_request *request)
{
    return store->config.guard && request->ttl_ms > store->config.guard_ms &&
           (request->verb == PAWL_VERB_ACQUIRE || request->verb == PAWL_VERB_RENEW);
}

static void memcached_submit(pawl_store *store, const pawl_request *request)
{
    const char *why = cannot(request);
    if (why)
        pawl__memcached_refuse(store, request->id, PAWL_ERR_UNSUPPORTED, why);
    else if (outlives_guard(store, request))
        pawl__memcached_refuse(store, request->id, PAWL_ERR_OPTION,
                               "the ttl is longer than guard_ms, for which a memcached that may "
                               "have forgotten locks grants none: write ?guard_ms= into the URL, "
                               "the same for all clients");
    else if (!pawl__memcached_is_up(store))
        pawl__memcached_refuse(store, request->id, store->link.err, NULL);
    else if (request->verb == PAWL_VERB_DOCTOR
                 ? !pawl__memcached_doctor(store, request)
                 : !pawl__memcached_ask(store, request, pawl__memcached_look))
        pawl__memcached_refuse(store, request->id, PAWL_ERR_NO_MEMORY, NULL);
}

static void memcached_flush(pawl_store *store)
{
    pawl__memcached_flush(store);
}

static const pawl_caps *memcached_caps(pawl_store *store)
{
    return &store->caps;
}

/* From now on nobody is told anything. */
static void fall_silent(pawl_store *store)
{
    store->nobody = pawl__silent_host(store->host);
    store->host = &store->nobody;
}

static void memcached_close(pawl_store *store)
{
    fall_silent(store);
    if (pawl__memcached_is_up(store)) pawl__memcached_wire_drain(store);
    pawl__memcached_link_done(store);
    pawl__memcached_watches_done(store);
    pawl__memcached_doctor_done(store);
    pawl__answers_done(&store->answers);
    event_del(&store->watch_timer);
    pawl__memcached_requests_done(store);
    pawl__memcached_config_done(&store->config);
    free(store);
}

/*
 * The events are not deleted: unless the host has called event_reinit, the base's epoll set is
 * the parent's too, and the parent would hear nothing any more. So what holds events stays, in a
 * list of things that are kept on purpose.
 */
static void memcached_forget(pawl_store *store)
{
    static pawl_store *kept; /* for leak checkers */
    store->kept = kept;
    kept = store;
    pawl__memcached_attempt_forget(store->attempt);
    pawl__memcached_wire_forget(store);
    pawl__memcached_watches_done(store);
    pawl__memcached_doctor_done(store);
    pawl__memcached_requests_done(store);
    pawl__memcached_config_done(&store->config);
    free(store->out);
    store->out = NULL;
}

static int memcached_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store,
                          char *reterr_message)
{
    pawl_store *store = calloc(1, sizeof *store);
    if (!store) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
        return PAWL_ERR_NO_MEMORY;
    }
    store->host = host;
    int err =
        pawl__memcached_config_init(&store->config, url, host->connect_timeout_ms, reterr_message);
    if (err) {
        free(store);
        return err;
    }
    store->caps = (pawl_caps){.size = sizeof store->caps,
                              .fence = PAWL_FENCE_BEST_EFFORT,
                              .modes = 1u << PAWL_MODE_EXCLUSIVE,
                              .linger_ms = PAWL__MEMCACHED_LINGER_MS};
    bool linked =
        pawl__memcached_link_init(store, pawl__retry_seed(host->now(), store, host->client_id));
    bool asks = pawl__memcached_requests_init(store);
    if (pawl__memcached_watches_init(store) && linked && asks) {
        *ret_store = store;
        return PAWL_OK;
    }
    snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s: %s", store->config.where,
             pawl_err_text(PAWL_ERR_NO_MEMORY));
    memcached_close(store);
    return PAWL_ERR_NO_MEMORY;
}

PAWL_API extern const pawl_store_ops pawl_store_entry;
const pawl_store_ops pawl_store_entry = {
    .abi = PAWL_STORE_ABI,
    .name = "memcached",
    .schemes = pawl__memcached_schemes,
    .options = pawl__memcached_options,
    .open = memcached_open,
    .submit = memcached_submit,
    .flush = memcached_flush,
    .caps = memcached_caps,
    .close = memcached_close,
    .forget = memcached_forget,
};
