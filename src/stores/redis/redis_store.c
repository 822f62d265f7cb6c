/* SPDX-License-Identifier: MIT */
/* The store's operations. */
#include "redis_store.h"
#include "../../base/capacity.h"

#include <stdio.h>
#include <stdlib.h>

/* What no server needs to be asked about. */
static pawl_err misfit(const pawl_request *request)
{
    if ((unsigned)request->mode > PAWL_MODE_PERMIT) return PAWL_ERR_UNSUPPORTED;
    if (request->verb != PAWL_VERB_ACQUIRE || request->mode != PAWL_MODE_PERMIT) return PAWL_OK;
    return pawl__permits_fit(request->units, request->capacity) ? PAWL_OK : PAWL_ERR_UNITS;
}

/* Whether it writes anything: a user who may only look must not. A watch is a record, too. */
static bool changes(const pawl_request *request)
{
    switch (request->verb) {
    case PAWL_VERB_ACQUIRE:
    case PAWL_VERB_RENEW:
    case PAWL_VERB_RELEASE:
    case PAWL_VERB_BREAK:
    case PAWL_VERB_CHANGE:
    case PAWL_VERB_PUBLISH:
        return true;
    case PAWL_VERB_READ:
        return request->flags & PAWL_ASK_WATCH;
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
    case PAWL_VERB_DOCTOR:
        return false;
    }
    return true;
}

static void redis_submit(pawl_store *store, const pawl_request *request)
{
    if (store->link.state != PAWL__REDIS_LINK_UP || store->link.broken) {
        pawl__redis_refuse(store, request->id, store->link.err);
        return;
    }
    pawl_err err = misfit(request);
    if (err) {
        pawl__redis_refuse(store, request->id, err);
        return;
    }
    if (store->link.looks_only && changes(request)) {
        pawl__redis_refuse_locking(store, request->id);
        return;
    }
    switch (request->verb) {
    case PAWL_VERB_ACQUIRE:
    case PAWL_VERB_RENEW:
    case PAWL_VERB_RELEASE:
    case PAWL_VERB_BREAK:
    case PAWL_VERB_CHANGE:
    case PAWL_VERB_PUBLISH:
    case PAWL_VERB_READ:
    case PAWL_VERB_INSPECT:
        pawl__redis_ask(store, request);
        return;
    case PAWL_VERB_LIST:
        pawl__redis_send_gathered(store); /* rule 4 */
        if (!pawl__redis_list(store, request))
            pawl__redis_refuse(store, request->id, PAWL_ERR_NO_MEMORY);
        return;
    case PAWL_VERB_DOCTOR:
        pawl__redis_send_gathered(store);
        if (!pawl__redis_doctor(store, request))
            pawl__redis_refuse(store, request->id, PAWL_ERR_NO_MEMORY);
        return;
    }
}

static void redis_flush(pawl_store *store)
{
    if (store->link.state == PAWL__REDIS_LINK_UP && !store->link.broken) pawl__redis_flush(store);
}

static const pawl_caps *redis_caps(pawl_store *store)
{
    return &store->caps;
}

/* Frees everything but the struct itself, whose events may have to stay. */
static void free_parts(pawl_store *store)
{
    pawl__redis_requests_done(store);
    pawl__redis_operations_drop(store);
    pawl__redis_config_done(&store->config);
}

static void redis_close(pawl_store *store)
{
    if (store->link.state == PAWL__REDIS_LINK_UP && !store->link.broken) {
        pawl__redis_send_gathered(store);
        pawl__redis_io_drain(store);
    }
    pawl__redis_io_close(store);
    free_parts(store);
    free(store);
}

/*
 * The events are not deleted: unless the host has called event_reinit, the base's
 * epoll set is the parent's too, and the parent would hear nothing any more. So what holds
 * events stays, in a list of things that are kept on purpose.
 */
static void redis_forget(pawl_store *store)
{
    static pawl_store *kept; /* for leak checkers */
    store->kept = kept;
    kept = store;
    store->forgotten = true;
    pawl__redis_io_forget(store);
    free_parts(store);
}

static int redis_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store,
                      char *reterr_message)
{
    pawl_store *store = calloc(1, sizeof *store);
    int err = PAWL_ERR_NO_MEMORY;
    if (!store) goto no_memory;
    err = pawl__redis_config_init(&store->config, url, host->connect_timeout_ms, reterr_message);
    if (err) goto no_config;
    err = PAWL_ERR_NO_MEMORY;
    pawl__list_init(&store->operations);
    if (!pawl__redis_requests_init(store)) goto no_parts;
    err = PAWL_ERR_ARGUMENT;
    if (!pawl__redis_space_init(&store->space, store->config.prefix, host->client_id,
                                store->config.where))
        goto no_parts;

    store->host = host;
    store->caps = (pawl_caps){.size = sizeof store->caps,
                              .fence = PAWL_FENCE_BEST_EFFORT,
                              .fair = true,
                              .push = true,
                              .list = true,
                              .modes = 1u << PAWL_MODE_EXCLUSIVE | 1u << PAWL_MODE_SHARED |
                                       1u << PAWL_MODE_UPDATE | 1u << PAWL_MODE_PERMIT,
                              .values = true,
                              .notes = true};
    err = pawl__redis_io_open(store, reterr_message);
    if (err) goto no_parts;
    pawl__redis_link_init(store, pawl__retry_seed(host->now(), store, host->client_id));
    *ret_store = store;
    return PAWL_OK;

no_parts:
    free_parts(store);
no_config:
    free(store);
no_memory:
    if (err == PAWL_ERR_NO_MEMORY || err == PAWL_ERR_ARGUMENT)
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%.400s: %s", url->redacted, pawl_err_text(err));
    return err;
}

PAWL_API extern const pawl_store_ops pawl_store_entry;
const pawl_store_ops pawl_store_entry = {
    .abi = PAWL_STORE_ABI,
    .name = "redis",
    .schemes = pawl__redis_schemes,
    .options = pawl__redis_options,
    .open = redis_open,
    .submit = redis_submit,
    .flush = redis_flush,
    .caps = redis_caps,
    .close = redis_close,
    .forget = redis_forget,
};
