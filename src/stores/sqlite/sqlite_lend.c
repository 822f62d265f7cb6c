/* SPDX-License-Identifier: MIT */
/*
 * The worker lends what it has to the loop's thread.
 *
 * To wake another thread, and to be woken by it, takes longer than a transaction. So while the
 * worker rests, and the host says that this client holds nothing (may_block), the loop's thread
 * carries out the writes that are queued. What it would have to wait for, and whatever fails, it
 * leaves to the worker. The worker has whatever belongs to it back before it does anything
 * itself: `lent` says whose it is, under the mutex.
 */
#define _GNU_SOURCE
#include "sqlite_store.h"

#include <stddef.h>

static bool host_allows(const pawl_store *store)
{
    const pawl_host *host = store->host;
    return host->size > offsetof(pawl_host, may_block) && host->may_block && host->may_block(host);
}

/* Mutex held. */
static bool may_lend(pawl_store *store)
{
    if (!store->resting || store->wanted || store->closing || store->worker.db.looks_only)
        return false;
    return !pawl__sqlite_worker_is_due(store) && host_allows(store);
}

/* Mutex held: a report is not short, and stays queued. */
static void take_writes(pawl_store *store, pawl__link *batch)
{
    const pawl__link *first = pawl__list_first(&store->queue);
    if (first && pawl__sqlite_is_write(pawl__container(first, const pawl__task, in_queue)))
        pawl__sqlite_worker_take(store, batch);
}

static bool lend(pawl_store *store, pawl__link *batch)
{
    pawl__list_init(batch);
    pthread_mutex_lock(&store->mutex);
    if (may_lend(store)) take_writes(store, batch);
    store->lent = !pawl__list_empty(batch);
    bool lent = store->lent;
    pthread_mutex_unlock(&store->mutex);
    return lent;
}

/* Whether the worker must be told. */
static bool give_back(pawl_store *store, pawl__link *batch)
{
    pthread_mutex_lock(&store->mutex);
    pawl__sqlite_put_back(store, batch);
    store->lent = false;
    if (!pawl__list_empty(&store->queue) || pawl__sqlite_worker_is_due(store)) store->wanted = true;
    bool wanted = store->wanted;
    pthread_mutex_unlock(&store->mutex);
    return wanted;
}

bool pawl__sqlite_lend_flush(pawl_store *store)
{
    pawl__link batch;
    if (!lend(store, &batch)) return false;
    (void)pawl__sqlite_worker_serve_lent(store, &batch);
    return !give_back(store, &batch);
}
