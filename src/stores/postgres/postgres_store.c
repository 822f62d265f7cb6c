/* SPDX-License-Identifier: MIT */
/* The store's operations. */
#include "postgres_store.h"
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

static void postgres_submit(pawl_store *store, const pawl_request *request)
{
    if (store->link.state != PAWL__POSTGRES_UP || store->link.broken) {
        pawl__postgres_refuse(store, request->id, store->link.err);
        return;
    }
    pawl_err err = misfit(request);
    if (err) {
        pawl__postgres_refuse(store, request->id, err);
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
        pawl__postgres_ask(store, request);
        return;
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
        if (!pawl__postgres_report(store, request))
            pawl__postgres_refuse(store, request->id, PAWL_ERR_NO_MEMORY);
        return;
    case PAWL_VERB_DOCTOR:
        if (!pawl__postgres_doctor(store, request))
            pawl__postgres_refuse(store, request->id, PAWL_ERR_NO_MEMORY);
        return;
    }
}

static void postgres_flush(pawl_store *store)
{
    pawl__postgres_flush(store);
}

static const pawl_caps *postgres_caps(pawl_store *store)
{
    return &store->caps;
}

static void postgres_close(pawl_store *store)
{
    if (store->link.state == PAWL__POSTGRES_UP && !store->link.broken) {
        pawl__postgres_say_farewell(store);
        pawl__postgres_wire_drain(store);
    }
    pawl__postgres_link_done(store);
    pawl__postgres_requests_done(store);
    pawl__postgres_config_done(&store->config);
    free(store);
}

/*
 * The events are not deleted: unless the host has called event_reinit, the base's epoll set is
 * the parent's too, and the parent would hear nothing any more. So what holds events stays, in a
 * list of things that are kept on purpose.
 */
static void postgres_forget(pawl_store *store)
{
    static pawl_store *kept; /* for leak checkers */
    store->kept = kept;
    kept = store;
    pawl__postgres_attempt_forget(store->attempt);
    pawl__postgres_wire_forget(store);
    pawl__postgres_requests_done(store);
    pawl__postgres_config_done(&store->config);
}

static int postgres_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store,
                         char *reterr_message)
{
    pawl_store *store = calloc(1, sizeof *store);
    if (!store) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
        return PAWL_ERR_NO_MEMORY;
    }
    store->host = host;
    pawl__postgres_keep_openssl();
    int err = pawl__postgres_config_init(&store->config, url, host->owner, host->connect_timeout_ms,
                                         reterr_message);
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
                              .notes = true,
                              .modes = 1u << PAWL_MODE_EXCLUSIVE | 1u << PAWL_MODE_SHARED |
                                       1u << PAWL_MODE_UPDATE | 1u << PAWL_MODE_PERMIT};
    bool linked =
        pawl__postgres_link_init(store, pawl__retry_seed(host->now(), store, host->client_id));
    if (pawl__postgres_requests_init(store) && linked) {
        *ret_store = store;
        return PAWL_OK;
    }
    snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s: %s", store->config.where,
             pawl_err_text(PAWL_ERR_NO_MEMORY));
    postgres_close(store);
    return PAWL_ERR_NO_MEMORY;
}

PAWL_API extern const pawl_store_ops pawl_store_entry;
const pawl_store_ops pawl_store_entry = {
    .abi = PAWL_STORE_ABI,
    .name = "postgres",
    .schemes = pawl__postgres_schemes,
    .options = pawl__postgres_options,
    .open = postgres_open,
    .submit = postgres_submit,
    .flush = postgres_flush,
    .caps = postgres_caps,
    .close = postgres_close,
    .forget = postgres_forget,
};
