/* SPDX-License-Identifier: MIT */
/*
 * Operations of several commands. The request's time-out ends the operation, not
 * the connection: its commands are answered one by one, each within its own time,
 * and are ignored when nobody waits for them any more.
 */
#include "redis_store.h"

#include "../../base/instant.h"

#include <stdio.h>
#include <string.h>

void pawl__redis_operation_end(pawl__redis_operation *operation, pawl_outcome outcome, pawl_err err,
                               const char *message)
{
    if (operation->over) return;
    operation->over = true;
    evtimer_del(&operation->timer);
    pawl_host *host = operation->store->host;
    pawl_reply reply = {.id = operation->id,
                        .outcome = outcome,
                        .position = -1,
                        .holder_ms = -1,
                        .err = err,
                        .message = message};
    host->reply(host, &reply);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl__redis_operation *operation = arg;
    char message[PAWL_MESSAGE_MAX];
    (void)fd, (void)what;
    if (operation->no_timer) {
        pawl__redis_operation_end(operation, PAWL_FAILED, PAWL_ERR_NO_MEMORY, NULL);
        pawl__redis_operation_free_if_over(operation);
        return;
    }
    snprintf(message, sizeof message, "%.300s: the server did not answer all questions in time",
             operation->store->space.where);
    pawl__redis_operation_end(operation, PAWL_FAILED, PAWL_ERR_UNAVAILABLE, message);
    pawl__redis_operation_free_if_over(operation);
}

void pawl__redis_operation_begin(pawl__redis_operation *operation, pawl_store *store,
                                 const pawl_request *request,
                                 void (*release)(pawl__redis_operation *operation))
{
    int64_t wait_ms = pawl__ms_until(store->host->now(), request->answer_by);
    struct timeval delay = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    operation->store = store;
    operation->id = request->id;
    operation->release = release;
    evtimer_assign(&operation->timer, store->host->base, on_timer, operation);
    operation->no_timer = evtimer_add(&operation->timer, &delay) < 0;
    if (operation->no_timer) event_active(&operation->timer, EV_TIMEOUT, 0); /* ends it at once */
    pawl__list_append(&store->operations, &operation->in_list);
}

void pawl__redis_operation_free_if_over(pawl__redis_operation *operation)
{
    if (!operation->over || operation->due > 0) return;
    pawl__list_remove(&operation->in_list);
    operation->release(operation);
}

void pawl__redis_operations_drop(pawl_store *store)
{
    pawl__link *first;
    if (store->forgotten) return; /* they hold events */
    while ((first = pawl__list_first(&store->operations)) != NULL) {
        pawl__redis_operation *operation = pawl__container(first, pawl__redis_operation, in_list);
        pawl__list_remove(first);
        evtimer_del(&operation->timer);
        operation->release(operation);
    }
}
