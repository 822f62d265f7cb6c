/* SPDX-License-Identifier: MIT */
/* The store's operations. */
#define _GNU_SOURCE
#include "etcd_store.h"

#include "../../base/capacity.h"
#include "../common/silent_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_MS  200 /* close waits this long for its releases */
#define LINGER_MS (PAWL__ETCD_LEASE_MIN_S * 1000 + PAWL__ETCD_LATE_MS)

/* What it cannot promise, with the reason; NULL: it can. */
static const char *cannot(const pawl_request *request)
{
    switch (request->verb) {
    case PAWL_VERB_CHANGE:
        return "on etcd nobody can change the mode of a lock that is held: update locks, upgrades "
               "and downgrades need redis://, postgres://, mysql:// or sqlite:";
    case PAWL_VERB_ACQUIRE:
        if (request->mode != PAWL_MODE_UPDATE) return NULL;
        return "on etcd pawl has no update locks: they need redis://, postgres://, mysql:// or "
               "sqlite:";
    default:
        return NULL;
    }
}

static bool fits_capacity(const pawl_request *request)
{
    return request->verb != PAWL_VERB_ACQUIRE || request->mode != PAWL_MODE_PERMIT ||
           pawl__permits_fit(request->units, request->capacity);
}

static bool take(pawl_store *store, const pawl_request *request)
{
    static pawl__etcd_step *const steps[PAWL_VERB_COUNT] = {
        [PAWL_VERB_ACQUIRE] = pawl__etcd_begin_acquire,
        [PAWL_VERB_RENEW] = pawl__etcd_begin_renew,
        [PAWL_VERB_RELEASE] = pawl__etcd_begin_release,
        [PAWL_VERB_INSPECT] = pawl__etcd_begin_report,
        [PAWL_VERB_LIST] = pawl__etcd_begin_report,
        [PAWL_VERB_BREAK] = pawl__etcd_begin_break,
        [PAWL_VERB_PUBLISH] = pawl__etcd_begin_publish,
        [PAWL_VERB_READ] = pawl__etcd_begin_read};
    if (request->verb == PAWL_VERB_DOCTOR) return pawl__etcd_doctor(store, request);
    return pawl__etcd_take_request(store, request, steps[request->verb]);
}

static void etcd_submit(pawl_store *store, const pawl_request *request)
{
    const char *why = cannot(request);
    if (why)
        pawl__etcd_refuse(store, request->id, PAWL_ERR_UNSUPPORTED, why);
    else if (!fits_capacity(request))
        pawl__etcd_refuse(store, request->id, PAWL_ERR_UNITS, NULL);
    else if (!pawl__etcd_is_up(store))
        pawl__etcd_refuse(store, request->id, store->link.err, NULL);
    else if (!take(store, request))
        pawl__etcd_refuse(store, request->id, PAWL_ERR_NO_MEMORY, NULL);
}

static void etcd_flush(pawl_store *store)
{
    pawl__etcd_http_flush(store);
}

static const pawl_caps *etcd_caps(pawl_store *store)
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
        if (pawl__container(l, const pawl__etcd_op, in_ops)->verb == PAWL_VERB_RELEASE) return true;
    return !pawl__list_empty(&store->errands);
}

/* Waits for a moment, until each release and each place that is given up is answered. */
static void drain(pawl_store *store)
{
    int64_t until = store->host->now() + pawl__ms_to_ns(DRAIN_MS);
    pawl__etcd_watches_leave(store);
    pawl__etcd_leases_leave(store);
    while (pawl__etcd_is_up(store) && has_to_leave(store)) {
        int64_t left_ms = pawl__ms_until(store->host->now(), until);
        if (left_ms == 0) return;
        pawl__etcd_http_wait(store, (int)left_ms);
    }
}

static void etcd_close(pawl_store *store)
{
    fall_silent(store);
    if (pawl__etcd_is_up(store)) drain(store);
    store->link.broken = true; /* nothing is asked any more */
    pawl__etcd_watches_done(store);
    pawl__etcd_values_done(store);
    pawl__etcd_doctor_done(store);
    pawl__etcd_requests_done(store);
    pawl__etcd_errands_done(store);
    pawl__etcd_link_done(store);
    pawl__etcd_http_done(store);
    pawl__answers_done(&store->answers);
    event_del(&store->watch_timer);
    pawl__etcd_config_done(&store->config);
    explicit_bzero(store->login, sizeof store->login);
    free(store);
}

/*
 * The events are not deleted: unless the host has called event_reinit, the base's epoll set is
 * the parent's too, and the parent would hear nothing any more. What libcurl has is the parent's in
 * the middle of something. So all that stays, in a list of things that are kept on purpose.
 */
static void etcd_forget(pawl_store *store)
{
    static pawl_store *kept; /* for leak checkers */
    store->kept = kept;
    kept = store;
    pawl__etcd_http_forget(store);
    pawl__etcd_config_done(&store->config);
    explicit_bzero(store->login, sizeof store->login);
}

/* ---- The beginning ------------------------------------------------------------------------- */

static int etcd_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store,
                     char *reterr_message)
{
    pawl_store *store = calloc(1, sizeof *store);
    if (!store) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
        return PAWL_ERR_NO_MEMORY;
    }
    store->host = host;
    store->epoll_fd = -1;
    int err = pawl__etcd_config_init(&store->config, url, host->connect_timeout_ms, reterr_message);
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
                              .linger_ms = LINGER_MS};
    bool linked =
        pawl__etcd_link_init(store, pawl__retry_seed(host->now(), store, host->client_id));
    bool asks = pawl__etcd_requests_init(store);
    bool watches = pawl__etcd_watches_init(store);
    bool values = pawl__etcd_values_init(store);
    if (pawl__etcd_http_init(store) && watches && values && asks && linked) {
        *ret_store = store;
        return PAWL_OK;
    }
    snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s: %s", pawl__etcd_endpoint(store),
             pawl_err_text(PAWL_ERR_NO_MEMORY));
    etcd_close(store);
    return PAWL_ERR_NO_MEMORY;
}

PAWL_API extern const pawl_store_ops pawl_store_entry;
const pawl_store_ops pawl_store_entry = {
    .abi = PAWL_STORE_ABI,
    .name = "etcd",
    .schemes = pawl__etcd_schemes,
    .options = pawl__etcd_options,
    .open = etcd_open,
    .submit = etcd_submit,
    .flush = etcd_flush,
    .caps = etcd_caps,
    .close = etcd_close,
    .forget = etcd_forget,
};
