/* SPDX-License-Identifier: MIT */
/*
 * libpq and the loop. A connection is in pipeline mode and does not block. Results come in
 * order: those of a statement, the end of them (NULL), the Sync behind it. Only with the Sync is a
 * statement over, so that is when it is answered.
 */
#define _GNU_SOURCE
#include "postgres_store.h"

#include "../../base/instant.h"
#include "../../base/line.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_MS    100 /* close waits this long for the answers that are due */
#define RESULTS_MAX 5   /* of one request: prepared, carried out, their two ends, the Sync */
#define TYPE_BOOL   16  /* pg_type.oid of the types that we send */
#define TYPE_BYTEA  17
#define TYPE_BIGINT 20
#define TYPE_TEXT   25

/* ---- Notes for the turn -------------------------------------------------------------------- */

void pawl__postgres_turn_soon(pawl_store *store)
{
    event_active(&store->turn, EV_TIMEOUT, 0);
}

void pawl__postgres_link_break(pawl_store *store, pawl_err err, const char *message)
{
    pawl__postgres_linkage *link = &store->link;
    if (link->broken) return;
    link->broken = true;
    /* Our own memory is short, and that passes: no waiter may be given up for it. */
    link->err = err == PAWL_ERR_NO_MEMORY ? PAWL_ERR_UNAVAILABLE : err;
    snprintf(link->message, sizeof link->message, "%s", message);
    pawl__line_mend(link->message); /* it may quote the server */
    pawl__postgres_turn_soon(store);
}

/* The server's last message says more than the loss of the connection. */
static void lost(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    pawl__postgres_explain_loss(store->config.where, PQerrorMessage(store->conn), message);
    pawl__postgres_link_break(store, PAWL_ERR_UNAVAILABLE,
                              store->link.last_words[0] ? store->link.last_words : message);
}

/* ---- Parameters ---------------------------------------------------------------------------- */

static void add(pawl__postgres_statement *s, Oid type, const char *value, size_t len, int format)
{
    int n = s->count++;
    s->types[n] = type;
    s->values[n] = value;
    s->lengths[n] = (int)len;
    s->formats[n] = format;
}

void pawl__postgres_add_bytes(pawl__postgres_statement *s, const char *data, size_t len)
{
    add(s, TYPE_BYTEA, data, len, 1);
}

void pawl__postgres_add_text(pawl__postgres_statement *s, const char *text)
{
    add(s, TYPE_TEXT, text, 0, 0);
}

void pawl__postgres_add_number(pawl__postgres_statement *s, char room[24], int64_t number)
{
    snprintf(room, 24, "%" PRId64, number);
    add(s, TYPE_BIGINT, room, 0, 0);
}

void pawl__postgres_add_flag(pawl__postgres_statement *s, bool flag)
{
    add(s, TYPE_BOOL, flag ? "t" : "f", 0, 0);
}

char *pawl__postgres_with_schema(const pawl_store *store, const char *from)
{
    const char *name = store->config.schema;
    size_t len = strlen(name), room = strlen(from) + 1, count = 0;
    for (const char *at = from; (at = strchr(at, '@')); at++) count++;
    char *text = malloc(room + count * len), *to = text;
    if (!text) return NULL;
    for (; *from; from++) {
        if (*from == '@') {
            memcpy(to, name, len);
            to += len;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return text;
}

/* ---- Sending ------------------------------------------------------------------------------- */

void pawl__postgres_flush(pawl_store *store)
{
    if (!store->conn || store->link.broken) return;
    int rest = PQflush(store->conn);
    if (rest < 0)
        lost(store);
    else if (rest > 0 && event_add(&store->writable, NULL) < 0)
        pawl__postgres_link_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

static void take_under_way(pawl_store *store, pawl__postgres_pending *pending)
{
    pawl__list_append(&store->under_way, &pending->in_order);
    store->under_way_count++;
}

static bool can_send(const pawl_store *store)
{
    return store->conn && !store->link.broken &&
           store->under_way_count < PAWL__POSTGRES_UNDER_WAY_MAX;
}

/*
 * Prepared if the session is ours alone: the server parses the statement once, which saves a third
 * of its work. Only this client uses the name, so behind a pooler it never means another schema.
 */
static int put_prepared(pawl_store *store, const pawl__postgres_statement *s)
{
    char name[64];
    uint32_t bit = UINT32_C(1) << s->number;
    snprintf(name, sizeof name, "pawl_%.40s_%u", store->host->client_id, s->number);
    if (!(store->prepared & bit) && !PQsendPrepare(store->conn, name, s->sql, s->count, s->types))
        return 0;
    store->prepared |= bit;
    return PQsendQueryPrepared(store->conn, name, s->count, s->values, s->lengths, s->formats, 0);
}

static int put(pawl_store *store, const pawl__postgres_statement *s)
{
    if (s->number > 0 && store->link.listens && !store->link.forgets) return put_prepared(store, s);
    return PQsendQueryParams(store->conn, s->sql, s->count, s->types, s->values, s->lengths,
                             s->formats, 0);
}

/* If libpq fails, we cannot know whether the statement left: then it counts as under way. */
bool pawl__postgres_send(pawl_store *store, const pawl__postgres_statement *s,
                         pawl__postgres_pending *pending)
{
    if (!can_send(store)) return false;
    take_under_way(store, pending);
    if (!put(store, s) || !PQpipelineSync(store->conn)) lost(store);
    return true;
}

bool pawl__postgres_send_script(pawl_store *store, const char *sql, pawl__postgres_pending *pending)
{
    if (!can_send(store) || store->under_way_count > 0) return false;
    take_under_way(store, pending);
    store->in_script = true;
    if (!PQexitPipelineMode(store->conn) || !PQsendQuery(store->conn, sql))
        lost(store);
    else
        pawl__postgres_flush(store);
    return true;
}

pawl__postgres_pending *pawl__postgres_next(pawl_store *store)
{
    pawl__link *first = pawl__list_first(&store->under_way);
    if (!first) return NULL;
    pawl__list_remove(first);
    store->under_way_count--;
    return pawl__container(first, pawl__postgres_pending, in_order);
}

/* ---- Hearing ------------------------------------------------------------------------------- */

static bool is_severe(const PGresult *result, const char *severity)
{
    const char *said = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return said && strcmp(said, severity) == 0;
}

/* What the server says beside the results: a warning about the commit, or why it goes away. */
static void on_notice(void *arg, const PGresult *result)
{
    pawl_store *store = arg;
    if (is_severe(result, "WARNING")) store->doubt = true;
    if (is_severe(result, "FATAL") || is_severe(result, "PANIC"))
        (void)pawl__postgres_explain(store->config.where, result, store->link.last_words);
}

/* The session did not prepare it, or dropped it: nothing was done. */
static bool is_forgotten(const PGresult *result)
{
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return code && (strcmp(code, "26000") == 0 || strcmp(code, "42P05") == 0);
}

static void first_is_over(pawl_store *store)
{
    PGresult *result = store->result;
    bool doubt = store->doubt;
    if (is_forgotten(result)) store->link.forgets = true;
    store->result = NULL;
    store->doubt = false;
    pawl__postgres_pending *pending = pawl__postgres_next(store);
    if (pending) pending->answered(store, pending, result, doubt);
    PQclear(result);
}

/* The first error counts. Without an error, the last result of a script counts. */
static void keep_result(pawl_store *store, PGresult *result)
{
    if (is_severe(result, "FATAL") || is_severe(result, "PANIC"))
        (void)pawl__postgres_explain(store->config.where, result, store->link.last_words);
    if (store->result && PQresultStatus(store->result) == PGRES_FATAL_ERROR) {
        PQclear(result);
        return;
    }
    PQclear(store->result);
    store->result = result;
}

static void script_is_over(pawl_store *store)
{
    store->in_script = false;
    if (!PQenterPipelineMode(store->conn))
        lost(store);
    else
        first_is_over(store);
}

static void take_result(pawl_store *store, PGresult *result)
{
    if (!result) { /* the end of a statement's results; its Sync follows */
        if (store->in_script)
            script_is_over(store);
        else if (++store->ends > 1)
            lost(store);
        return;
    }
    store->ends = 0;
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        first_is_over(store);
        return;
    }
    keep_result(store, result);
}

static void hear_notifications(pawl_store *store)
{
    PGnotify *notify;
    while (store->conn && (notify = PQnotifies(store->conn)) != NULL) {
        store->hear(store, notify->extra);
        PQfreemem(notify);
    }
}

static void hear_all(pawl_store *store)
{
    while (!store->link.broken && !pawl__list_empty(&store->under_way) && !PQisBusy(store->conn))
        take_result(store, PQgetResult(store->conn));
    hear_notifications(store);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    if (store->link.broken) return;
    bool there = PQconsumeInput(store->conn);
    hear_all(store);
    if (!there || PQstatus(store->conn) != CONNECTION_OK) lost(store);
    pawl__postgres_flush(store); /* what was asked meanwhile */
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    pawl__postgres_flush(arg);
}

/* ---- Life ---------------------------------------------------------------------------------- */

bool pawl__postgres_wire_begin(pawl_store *store, PGconn *conn)
{
    struct event_base *base = store->host->base;
    store->conn = conn;
    store->ends = 0;
    store->in_script = store->doubt = false;
    store->prepared = 0;
    store->link.last_words[0] = '\0';
    PQsetNoticeReceiver(conn, on_notice, store);
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    event_assign(&store->readable, base, PQsocket(conn), EV_READ | EV_PERSIST, on_readable, store);
    event_assign(&store->writable, base, PQsocket(conn), EV_WRITE, on_writable, store);
    return PQsetnonblocking(conn, 1) == 0 && PQenterPipelineMode(conn) &&
           event_add(&store->readable, NULL) == 0;
}

void pawl__postgres_wire_end(pawl_store *store)
{
    PQclear(store->result);
    store->result = NULL;
    if (!store->conn) return;
    event_del(&store->readable);
    event_del(&store->writable);
    PQfinish(store->conn);
    store->conn = NULL;
}

/* PQfinish sends a farewell on its socket, which is the parent's. So /dev/null takes its place. */
void pawl__postgres_wire_forget(pawl_store *store)
{
    PQclear(store->result);
    store->result = NULL;
    if (!store->conn) return;
    int fd = PQsocket(store->conn), nobody = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nobody >= 0) (void)dup3(nobody, fd, O_CLOEXEC);
    if (nobody >= 0) close(nobody);
    if (nobody < 0) close(fd);
    PQfinish(store->conn);
    store->conn = NULL;
}

static void drop_result(pawl_store *store)
{
    PGresult *result = PQgetResult(store->conn);
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        pawl__postgres_pending *pending = pawl__postgres_next(store);
        if (pending) pending->drop(pending);
    }
    PQclear(result);
}

/*
 * A server that cannot write its answers stops carrying out what was sent. So they are read
 * until none is due, or the time is over.
 */
void pawl__postgres_wire_drain(pawl_store *store)
{
    int64_t end = store->host->now() + DRAIN_MS * PAWL__NS_PER_MS;
    while (store->conn && !store->in_script && !pawl__list_empty(&store->under_way)) {
        int rest = PQflush(store->conn);
        int64_t left = pawl__ms_until(store->host->now(), end);
        if (rest < 0 || left <= 0 || PQstatus(store->conn) != CONNECTION_OK) return;
        struct pollfd socket = {.fd = PQsocket(store->conn),
                                .events = (short)(POLLIN | (rest ? POLLOUT : 0))};
        if (poll(&socket, 1, (int)left) < 0 && errno != EINTR) return;
        if (!PQconsumeInput(store->conn)) return;
        for (unsigned n = 0;
             n < RESULTS_MAX * store->under_way_count + RESULTS_MAX && !PQisBusy(store->conn); n++)
            drop_result(store);
    }
}
