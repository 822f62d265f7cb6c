/* SPDX-License-Identifier: MIT */
/* Letters: the listener sleeps at the server until there are some. */
#include "mariadb_store.h"

#include "../common/sql_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The rows of the call, if it has some: it may go on behind them, and wait. */
static void read_letters(pawl_store *store)
{
    pawl__mariadb_call *call = &store->listener.call;
    MYSQL_RES *rows = call->rows;
    MYSQL_ROW row;
    call->rows = NULL;
    while (rows && mysql_num_fields(rows) == 2 && (row = mysql_fetch_row(rows)) != NULL) {
        if (!row[0] || !row[1]) continue;
        store->has_read = strtoll(row[0], NULL, 10);
        pawl__sql_hear(store->host, row[1]);
    }
    mysql_free_result(rows);
}

/* Somebody has ended the sleep, so there is a letter; or it was long enough. */
static void sleep_is_over(pawl_store *store)
{
    const pawl__mariadb_call *call = &store->listener.call;
    store->listener.is_ready = false;
    read_letters(store);
    if (call->error.number && !pawl__mariadb_was_stopped(&call->error))
        pawl__mariadb_link_lost(store, &call->error);
}

void pawl__mariadb_listen(pawl_store *store)
{
    pawl__mariadb_line *line = &store->listener;
    if (!line->call.mysql || store->link.broken) return;
    snprintf(store->listen_sql, sizeof store->listen_sql,
             "CALL `%s`.pawl_listen('%.32s',%" PRId64 ",%d)", store->config->database,
             store->host->client_id, store->has_read, PAWL__MARIADB_LISTEN_S);
    int waits = pawl__mariadb_call_begin(&line->call, store->listen_sql, strlen(store->listen_sql));
    line->is_ready = waits == 0;
    if (waits) pawl__mariadb_watch(store, line);
    if (!waits || line->call.rows) event_active(&line->ready, EV_READ, 0); /* the answer is here */
}

void pawl__mariadb_on_listener(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    pawl__mariadb_line *line = &store->listener;
    (void)fd;
    if (store->link.broken) return;
    int happened =
        (what & EV_READ ? MYSQL_WAIT_READ : 0) | (what & EV_WRITE ? MYSQL_WAIT_WRITE : 0);
    if (!line->is_ready && pawl__mariadb_call_go_on(&line->call, happened) != 0) {
        pawl__mariadb_watch(store, line);
        read_letters(store);
    } else {
        sleep_is_over(store);
        pawl__mariadb_listen(store);
    }
    pawl__mariadb_flush(store); /* what was asked meanwhile */
}
