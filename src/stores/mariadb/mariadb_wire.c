/* SPDX-License-Identifier: MIT */
/* Statements under way, and the loop. The asker carries them out one after the other. */
#define _GNU_SOURCE
#include "mariadb_store.h"

#include "../../base/instant.h"
#include "../../base/line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_MS 100 /* close waits this long for what was asked to be carried out */

/* ---- Notes for the turn -------------------------------------------------------------------- */

void pawl__mariadb_turn_soon(pawl_store *store)
{
    event_active(&store->turn, EV_TIMEOUT, 0);
}

void pawl__mariadb_link_break(pawl_store *store, pawl_err err, const char *message)
{
    pawl__mariadb_linkage *link = &store->link;
    if (link->broken) return;
    link->broken = true;
    /* Our own memory is short, and that passes: no waiter may be given up for it. */
    link->err = err == PAWL_ERR_NO_MEMORY ? PAWL_ERR_UNAVAILABLE : err;
    snprintf(link->message, sizeof link->message, "%s", message);
    pawl__line_mend(link->message); /* it may quote the server */
    pawl__mariadb_turn_soon(store);
}

void pawl__mariadb_link_lost(pawl_store *store, const pawl__mariadb_error *error)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_err err = pawl__mariadb_explain(store->config->where, error, message).err;
    pawl__mariadb_link_break(store, err == PAWL_ERR_STORE_BUSY ? PAWL_ERR_UNAVAILABLE : err,
                             message);
}

static void no_memory(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s: %s", store->config->where,
             pawl_err_text(PAWL_ERR_NO_MEMORY));
    pawl__mariadb_link_break(store, PAWL_ERR_NO_MEMORY, message);
}

/* ---- The asker ----------------------------------------------------------------------------- */

/* Between two statements the server says nothing but farewell. */
void pawl__mariadb_watch(pawl_store *store, pawl__mariadb_line *line)
{
    int waits = line->call.step == PAWL__MARIADB_IDLE ? MYSQL_WAIT_READ : line->call.waits;
    short events = (short)((waits & (MYSQL_WAIT_READ | MYSQL_WAIT_EXCEPT) ? EV_READ : 0) |
                           (waits & MYSQL_WAIT_WRITE ? EV_WRITE : 0));
    event_callback_fn on_ready = event_get_callback(&line->ready);
    if (events == (event_get_events(&line->ready) & (EV_READ | EV_WRITE)) &&
        event_pending(&line->ready, events, NULL))
        return;
    event_del(&line->ready);
    event_assign(&line->ready, store->host->base, line->fd, (short)(events | EV_PERSIST), on_ready,
                 store);
    if (event_add(&line->ready, NULL) < 0) no_memory(store);
}

static pawl__mariadb_pending *first_of(const pawl_store *store)
{
    pawl__link *first = pawl__list_first(&store->under_way);
    return first ? pawl__container(first, pawl__mariadb_pending, in_order) : NULL;
}

/* Begins the first statement, if none is being carried out. */
static void begin(pawl_store *store)
{
    pawl__mariadb_line *line = &store->asker;
    const pawl__mariadb_pending *first = first_of(store);
    if (!line->call.mysql || store->link.broken || line->is_ready ||
        line->call.step != PAWL__MARIADB_IDLE || !first)
        return;
    if (pawl__mariadb_call_begin(&line->call, first->sql, first->sql_len) == 0) {
        line->is_ready = true; /* the host is told from the loop */
        event_active(&line->ready, EV_READ, 0);
        return;
    }
    pawl__mariadb_watch(store, line);
}

static void first_is_over(pawl_store *store)
{
    pawl__mariadb_call call = store->asker.call;
    pawl__mariadb_pending *pending = pawl__mariadb_next(store);
    store->asker.is_ready = false;
    /* The rows are this function's now: what is asked meanwhile may begin the next statement. */
    store->asker.call.rows = NULL;
    store->asker.call.error = (pawl__mariadb_error){0};
    if (pending) pending->answered(store, pending, &call);
    mysql_free_result(call.rows);
}

static void on_asker(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    pawl__mariadb_line *line = &store->asker;
    (void)fd;
    if (store->link.broken) return;
    if (!line->is_ready && line->call.step == PAWL__MARIADB_IDLE) {
        static const pawl__mariadb_error gone = {2013, "HY000", "the server closed the connection"};
        pawl__mariadb_link_lost(store, &gone);
        return;
    }
    int happened =
        (what & EV_READ ? MYSQL_WAIT_READ : 0) | (what & EV_WRITE ? MYSQL_WAIT_WRITE : 0);
    if (!line->is_ready && pawl__mariadb_call_go_on(&line->call, happened) != 0) {
        pawl__mariadb_watch(store, line);
        return;
    }
    first_is_over(store);
    if (store->link.broken) return;
    begin(store);
    if (line->call.step == PAWL__MARIADB_IDLE && !line->is_ready) pawl__mariadb_watch(store, line);
}

bool pawl__mariadb_send(pawl_store *store, pawl__mariadb_pending *pending)
{
    if (!store->asker.call.mysql || store->link.broken ||
        store->under_way_count >= PAWL__MARIADB_UNDER_WAY_MAX)
        return false;
    pawl__list_append(&store->under_way, &pending->in_order);
    store->under_way_count++;
    return true;
}

void pawl__mariadb_flush(pawl_store *store)
{
    begin(store);
}

pawl__mariadb_pending *pawl__mariadb_next(pawl_store *store)
{
    pawl__mariadb_pending *first = first_of(store);
    if (!first) return NULL;
    pawl__list_remove(&first->in_order);
    store->under_way_count--;
    free(first->sql);
    first->sql = NULL;
    return first;
}

/* ---- Life ---------------------------------------------------------------------------------- */

/* False: no descriptor is left. */
static bool place(pawl_store *store, pawl__mariadb_line *line, MYSQL *mysql,
                  event_callback_fn on_ready)
{
    *line = (pawl__mariadb_line){.call = {.mysql = mysql}, .fd = -1};
    if (!mysql) return true;
    line->fd = fcntl(mysql_get_socket(mysql), F_DUPFD_CLOEXEC, 0);
    event_assign(&line->ready, store->host->base, line->fd, EV_PERSIST | EV_READ, on_ready, store);
    return line->fd >= 0;
}

bool pawl__mariadb_wire_begin(pawl_store *store, const pawl__mariadb_link *link,
                              event_callback_fn on_listener)
{
    bool placed = place(store, &store->asker, link->asker, on_asker);
    placed = place(store, &store->listener, link->listener, on_listener) && placed;
    store->listener_id = link->listener_id;
    store->has_read = 0;
    return placed && event_add(&store->asker.ready, NULL) == 0;
}

static void end_line(pawl__mariadb_line *line)
{
    if (!line->call.mysql) return;
    event_del(&line->ready);
    line->is_ready = false;
    pawl__mariadb_call_close(&line->call);
    if (line->fd >= 0) close(line->fd);
}

void pawl__mariadb_wire_end(pawl_store *store)
{
    end_line(&store->asker);
    end_line(&store->listener);
}

void pawl__mariadb_wire_forget(pawl_store *store)
{
    pawl__mariadb_line *const lines[] = {&store->asker, &store->listener};
    for (size_t i = 0; i < 2; i++) {
        if (!lines[i]->call.mysql) continue;
        pawl__mariadb_call_forget(&lines[i]->call);
        if (lines[i]->fd >= 0) close(lines[i]->fd);
    }
}

static bool await_asker(pawl_store *store, int64_t end)
{
    pawl__mariadb_call *call = &store->asker.call;
    int64_t left = pawl__ms_until(store->host->now(), end);
    struct pollfd socket = {.fd = store->asker.fd, .events = pawl__mariadb_to_poll(call->waits)};
    if (left <= 0) return false;
    int n = poll(&socket, 1, (int)left);
    if (n > 0)
        (void)pawl__mariadb_call_go_on(call, pawl__mariadb_of_poll(socket.revents) & call->waits);
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Nobody is told: what was asked is carried out, until the time is over. */
void pawl__mariadb_wire_drain(pawl_store *store)
{
    int64_t end = store->host->now() + DRAIN_MS * PAWL__NS_PER_MS;
    pawl__mariadb_line *line = &store->asker;
    for (;;) {
        begin(store);
        if (line->call.step == PAWL__MARIADB_IDLE) {
            pawl__mariadb_pending *pending = line->is_ready ? pawl__mariadb_next(store) : NULL;
            line->is_ready = false;
            if (!pending) return;
            pending->drop(pending);
            continue;
        }
        if (!await_asker(store, end)) return;
        line->is_ready = line->call.step == PAWL__MARIADB_IDLE;
    }
}
