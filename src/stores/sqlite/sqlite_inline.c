/* SPDX-License-Identifier: MIT */
/*
 * The worker without a thread.
 *
 * A command such as `pawl run` opens the database, acquires, and releases; three
 * transactions, each shorter than it takes to wake another thread. Where the host
 * asks for it (work_inline) the loop's own thread carries them out, until
 *
 *   - something has to wait: the database is busy or cannot be opened;
 *   - a lease has been held for a moment, or we stand in a queue;
 *   - something is asked while a lease is held, except the release of the only one.
 *
 * From then on the worker has its thread, as it has with all other hosts. So whoever
 * looks after a lease that is held never waits for a disk in this thread.
 */
#include "sqlite_store.h"

#include <event2/event.h>

#define THREAD_AFTER_MS 20 /* with a lease in hand; as long as it may do without an inbox */

static void arm(pawl_store *store)
{
    static const struct timeval span = {.tv_usec = THREAD_AFTER_MS * 1000};
    event_add(store->thread_event, &span); /* it is in the heap: this cannot fail */
}

/* The database and the queue are the thread's from here on. */
static void give_thread(pawl_store *store)
{
    struct event *event = store->thread_event;
    store->thread_event = NULL;
    store->worker.db.impatient = false;
    if (pawl__sqlite_worker_start(store) == 0) {
        event_free(event);
        return;
    }
    store->thread_event = event; /* the system has no thread for us: what is asked waits */
    store->worker.db.impatient = true;
    arm(store);
}

static void on_thread_due(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    give_thread(ctx);
}

int pawl__sqlite_inline_begin(pawl_store *store)
{
    static const struct timeval rest = {.tv_sec = PAWL__REST_S};
    store->thread_event =
        event_new(store->host->base, -1, EV_TIMEOUT | EV_PERSIST, on_thread_due, store);
    if (!store->thread_event || event_add(store->thread_event, &rest) < 0) return -1;
    store->worker.db.impatient = true;
    event_active(store->notes_event, EV_READ, 0);
    return 0;
}

void pawl__sqlite_inline_end(pawl_store *store)
{
    if (store->thread_event) event_free(store->thread_event);
    store->thread_event = NULL;
}

void pawl__sqlite_inline_open(pawl_store *store)
{
    if (!store->worker.open && !pawl__sqlite_worker_open(store)) give_thread(store);
}

/* Whether no lease depends on this thread while it carries out what is queued. */
static bool may_go_on(const pawl_store *store)
{
    for (const pawl__link *at = store->queue.next; at != &store->queue; at = at->next) {
        const pawl__task *task = pawl__container(at, const pawl__task, in_queue);
        bool ends_the_only = store->granted == 1 && task->request.verb == PAWL_VERB_RELEASE &&
                             at->next == &store->queue;
        if (store->granted > 0 && !ends_the_only) return false;
        if (!pawl__sqlite_is_write(task)) return false;
    }
    return true;
}

void pawl__sqlite_inline_flush(pawl_store *store)
{
    pawl__worker *worker = &store->worker;
    pawl__link batch;
    bool done = worker->open && may_go_on(store);
    pawl__list_init(&batch);
    while (done && !pawl__list_empty(&store->queue)) {
        pawl__sqlite_worker_take(store, &batch);
        worker->open = pawl__sqlite_worker_serve(store, &batch);
        done = worker->open && pawl__list_empty(&batch) && worker->late_count == 0;
        pawl__sqlite_put_back(store, &batch);
    }
    if (!done) give_thread(store);
}

void pawl__sqlite_inline_answered(pawl_store *store, const pawl__task *task)
{
    bool granted = task->answer.outcome == PAWL_GRANTED && task->request.verb == PAWL_VERB_ACQUIRE;
    if (task->answer.outcome == PAWL_QUEUED) {
        give_thread(store);
        return;
    }
    if (granted) store->granted++;
    if (task->request.verb == PAWL_VERB_RELEASE && store->granted > 0) store->granted--;
    if (granted) arm(store);
}
