/* SPDX-License-Identifier: MIT */
/* The link: an attempt to connect, the greeting, loss, back-off. postgres_store.h describes
 * what is sent. */
#define _GNU_SOURCE
#include "postgres_store.h"

#include "../../base/instant.h"
#include "../../base/line.h"
#include "../../base/random.h"
#include "../common/sql_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "pawl format 1"  /* what schema.sql writes beside the schema */
#define OLDER  FORMAT ", older" /* schema.sql adds what it lacks */

static void break_it(pawl_store *store, pawl_err err, const char *what)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s: %s", store->config.where, what);
    pawl__postgres_link_break(store, err, message);
}

/* ---- Loss ---------------------------------------------------------------------------------- */

static void wait_for_next_attempt(pawl_store *store, bool was_up)
{
    pawl__postgres_linkage *link = &store->link;
    if (was_up) pawl__retry_lost(&link->retry, store->host->now() - link->up_since);
    int64_t wait_ms = pawl__retry_pause(&link->retry, link->err, &link->random);
    pawl__timer_set(&store->link_timer, pawl__ms_to_ns(wait_ms));
    if (pawl__retry_is_news(&link->retry, was_up, link->err, link->message))
        store->host->link(store->host, false, link->err, link->message);
}

static void end_attempt(pawl_store *store)
{
    if (!store->attempt) return;
    event_del(&store->connected);
    pawl__postgres_attempt_cancel(store->attempt);
    store->attempt = NULL;
}

static void tear_down(pawl_store *store)
{
    pawl__postgres_linkage *link = &store->link;
    bool was_up = link->state == PAWL__POSTGRES_UP;
    link->state = PAWL__POSTGRES_WAITING;
    end_attempt(store);
    pawl__postgres_wire_end(store);
    pawl__postgres_abandon(store);
    link->broken = false;
    wait_for_next_attempt(store, was_up);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__postgres_give_refusals(store); /* before the host hears of it */
    if (store->link.broken) tear_down(store);
    pawl__postgres_give_refusals(store);
}

/* ---- The greeting -------------------------------------------------------------------------- */

typedef struct greeting {
    pawl__postgres_pending pending;
    void (*greeted)(pawl_store *store, const PGresult *result);
} greeting;

static void greeting_answered(pawl_store *store, pawl__postgres_pending *pending,
                              const PGresult *result, bool doubt)
{
    greeting *g = pawl__container(pending, greeting, pending);
    void (*greeted)(pawl_store *, const PGresult *) = g->greeted;
    (void)doubt;
    free(g);
    greeted(store, result);
}

static void greeting_lost(pawl_store *store, pawl__postgres_pending *pending, pawl_err err,
                          const char *message)
{
    (void)store, (void)err, (void)message; /* the link tells it */
    free(pawl__container(pending, greeting, pending));
}

static void greeting_drop(pawl__postgres_pending *pending)
{
    free(pawl__container(pending, greeting, pending));
}

static void greet(pawl_store *store, const char *sql, bool is_script,
                  void (*greeted)(pawl_store *, const PGresult *))
{
    pawl__postgres_statement s = {.sql = sql};
    greeting *g = malloc(sizeof *g);
    if (!g) {
        break_it(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
        return;
    }
    *g = (greeting){.pending = {.answer_by = PAWL__NEVER,
                                .answered = greeting_answered,
                                .unanswered = greeting_lost,
                                .drop = greeting_drop},
                    .greeted = greeted};
    bool sent = is_script ? pawl__postgres_send_script(store, sql, &g->pending)
                          : pawl__postgres_send(store, &s, &g->pending);
    if (!sent) free(g); /* the link has failed already */
}

/* True if the statement failed; then the link is about to break. */
static bool refused(pawl_store *store, const PGresult *result)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_err err;
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return false;
    (void)pawl__postgres_judge(store, result, false, &err, message);
    pawl__postgres_link_break(store, err, message);
    return true;
}

/* ---- Up ------------------------------------------------------------------------------------ */

static void warn_of_pooler(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    if (!store->link.pooled || store->link.warned_of_pooler) return;
    store->link.warned_of_pooler = true;
    snprintf(message, sizeof message,
             "%s: a pooler is between pawl and the server, so nobody can be told of a turn: "
             "waiters ask again and again; connect to the server itself",
             store->config.where);
    store->host->warn(store->host, message);
}

static void be_up(pawl_store *store)
{
    pawl__postgres_linkage *link = &store->link;
    if (link->broken) return;
    link->state = PAWL__POSTGRES_UP;
    link->comes_back = true;
    link->up_since = store->host->now();
    pawl__retry_up(&link->retry);
    store->caps.push = link->listens;
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    warn_of_pooler(store);
    store->host->link(store->host, true, PAWL_OK, "");
}

/* Our own word came back: pushes work. */
static void on_word(pawl_store *store, const char *word)
{
    pawl__postgres_linkage *link = &store->link;
    if (link->state != PAWL__POSTGRES_LISTENING || strcmp(word, link->word) != 0) return;
    link->listens = true;
    be_up(store);
}

static void hear(pawl_store *store, const char *payload)
{
    if (strncmp(payload, "w ", 2) == 0)
        on_word(store, payload);
    else if (store->link.state == PAWL__POSTGRES_UP)
        pawl__sql_hear(store->host, payload);
}

static void listened(pawl_store *store, const PGresult *result)
{
    (void)refused(store, result);
}

/* If the server has taken our LISTEN, our own message is on its way. */
static void spoke(pawl_store *store, const PGresult *result)
{
    if (refused(store, result) || store->link.state != PAWL__POSTGRES_LISTENING) return;
    store->link.spoke = true;
    pawl__timer_set(&store->link_timer, pawl__ms_to_ns(PAWL__POSTGRES_HEAR_MS));
}

/* Whatever came of it: it was a help, and what is wrong is said to requests. */
static void warmed_up(pawl_store *store, const PGresult *result)
{
    (void)result;
    store->link.warms_up = false;
}

/* Without memory for it the first requests just take longer. A session in which it has no answer
 * is given up as late, and the next one goes without, so that it keeps nobody out. */
static void warm_up(pawl_store *store)
{
    pawl__postgres_linkage *link = &store->link;
    bool was_mute = link->warms_up;
    link->warms_up = false;
    if (!link->comes_back || was_mute) return;
    char *text = pawl__postgres_with_schema(store, pawl__postgres_warm_up);
    link->warms_up = text;
    if (text) greet(store, text, false, warmed_up);
    free(text);
}

static void listen_to_inbox(pawl_store *store)
{
    pawl__postgres_linkage *link = &store->link;
    char sql[300];
    link->state = PAWL__POSTGRES_LISTENING;
    if (link->pooled) {
        be_up(store);
        return;
    }
    snprintf(link->word, sizeof link->word, "w %016" PRIx64, pawl__random_next(&link->random));
    snprintf(sql, sizeof sql, "LISTEN \"pawl_%.40s\"", store->host->client_id);
    greet(store, sql, false, listened);
    warm_up(store);
    snprintf(sql, sizeof sql, "SELECT %s.be_there('%.40s'), pg_notify('pawl_%.40s', '%s')",
             store->config.schema, store->host->client_id, store->host->client_id, link->word);
    greet(store, sql, false, spoke);
}

/* ---- The schema ---------------------------------------------------------------------------- */

static void created(pawl_store *store, const PGresult *result)
{
    char message[PAWL_MESSAGE_MAX];
    const char *code = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (code && strcmp(code, "42501") == 0) {
        snprintf(
            message, sizeof message,
            "%s: pawl's schema \"%s\" is not there, or older, and this user may not create it: let "
            "somebody who may run `pawl schema postgres`, and what its head says",
            store->config.where, store->config.schema);
        pawl__postgres_link_break(store, PAWL_ERR_PERMISSION, message);
        return;
    }
    if (!refused(store, result)) listen_to_inbox(store);
}

static void create(pawl_store *store)
{
    char *text = pawl__postgres_with_schema(store, pawl__postgres_schema);
    store->link.state = PAWL__POSTGRES_CREATING;
    if (text)
        greet(store, text, true, created);
    else
        break_it(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
    free(text);
}

/* ---- The session's search_path ------------------------------------------------------------- */

/* Written before what may be asked for before the path is set. */
#define OWN "pg_catalog."

/*
 * The server takes the function or the operator whose types fit best, in whatever schema of the
 * path: who may create in one of them, public mostly, could put one there that fits better than the
 * server's own. It would be carried out with our user's rights, and two users with different paths
 * would lock by different numbers. All of pawl's own names have their schema.
 * A pooler's session is not ours: what is set there stays for others.
 */
static void set_path(pawl_store *store, void (*greeted)(pawl_store *, const PGresult *))
{
    greet(store, "SELECT " OWN "set_config('search_path', 'pg_catalog, pg_temp', false)", false,
          greeted);
}

static void path_set(pawl_store *store, const PGresult *result)
{
    (void)refused(store, result);
}

static void path_set_to_create(pawl_store *store, const PGresult *result)
{
    if (!refused(store, result)) create(store);
}

/* ---- The first look ------------------------------------------------------------------------ */

static bool is_true(const PGresult *result, int column)
{
    return strcmp(PQgetvalue(result, 0, column), "t") == 0;
}

static bool may_be_used(pawl_store *store, const PGresult *result)
{
    const char *version = PQgetvalue(result, 0, 1);
    if (strncmp(version, "PostgreSQL ", 11) != 0 || PQparameterStatus(store->conn, "crdb_version"))
        break_it(store, PAWL_ERR_UNSUPPORTED,
                 "this is not PostgreSQL, but something that speaks like it; pawl needs its "
                 "advisory locks and notifications");
    else if (strtol(PQgetvalue(result, 0, 2), NULL, 10) < PAWL__POSTGRES_SERVER_MIN)
        break_it(store, PAWL_ERR_UNSUPPORTED, "pawl needs PostgreSQL 12 or newer");
    else if (is_true(result, 0))
        break_it(store, PAWL_ERR_READONLY, "the server is a standby; connect to the primary");
    return !store->link.broken;
}

static void looked(pawl_store *store, const PGresult *result)
{
    if (refused(store, result)) return;
    if (PQntuples(result) != 1 || PQnfields(result) != 5) {
        break_it(store, PAWL_ERR_PROTOCOL, pawl_err_text(PAWL_ERR_PROTOCOL));
        return;
    }
    if (!may_be_used(store, result)) return;
    store->link.pooled = strtol(PQgetvalue(result, 0, 3), NULL, 10) != PQbackendPID(store->conn);
    const char *format = PQgetvalue(result, 0, 4);
    bool fits = strcmp(format, FORMAT) == 0;
    if (!fits && strncmp(format, "pawl format ", 12) == 0 && strcmp(format, OLDER) != 0) {
        break_it(store, PAWL_ERR_VERSION,
                 "the schema was made by another version of pawl, whose format does not fit");
        return;
    }
    if (!store->link.pooled) set_path(store, fits ? path_set : path_set_to_create);
    if (fits)
        listen_to_inbox(store);
    else if (store->link.pooled)
        create(store);
}

static void look(pawl_store *store)
{
    char sql[800];
    store->link.state = PAWL__POSTGRES_LOOKING;
    snprintf(sql, sizeof sql,
             "SELECT " OWN "pg_is_in_recovery(), " OWN "version(), " OWN
             "current_setting('server_version_num'), " OWN "pg_backend_pid(), " OWN
             "obj_description(" OWN "to_regnamespace('%s'), 'pg_namespace') OPERATOR(" OWN "||) "
             "CASE WHEN " OWN "to_regclass('%s.watch') IS NULL OR " OWN
             "to_regprocedure('%s.publish(bytea,text,bytea,bigint,bigint,text)') IS NULL "
             "THEN ', older' ELSE '' END",
             store->config.schema, store->config.schema, store->config.schema);
    greet(store, sql, false, looked);
}

/* ---- Attempts ------------------------------------------------------------------------------ */

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    char message[PAWL_MESSAGE_MAX];
    pawl_err err;
    (void)fd, (void)what;
    event_del(&store->connected);
    PGconn *conn = pawl__postgres_attempt_take(store->attempt, &err, message);
    store->attempt = NULL;
    if (!conn)
        pawl__postgres_link_break(store, err, message);
    else if (pawl__postgres_wire_begin(store, conn))
        look(store);
    else
        break_it(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

static void begin_attempt(pawl_store *store)
{
    pawl__postgres_linkage *link = &store->link;
    link->state = PAWL__POSTGRES_CONNECTING;
    link->spoke = link->listens = link->pooled = false;
    store->attempt = pawl__postgres_attempt_start(&store->config, store->host->now);
    if (store->attempt) {
        event_assign(&store->connected, store->host->base,
                     pawl__postgres_attempt_fd(store->attempt), EV_READ | EV_PERSIST, on_connected,
                     store);
        if (event_add(&store->connected, NULL) == 0) {
            int64_t wait_ms = store->config.connect_timeout_ms * 2;
            pawl__timer_set(&store->link_timer, pawl__ms_to_ns(wait_ms));
            return;
        }
    }
    break_it(store, PAWL_ERR_NO_MEMORY, "no memory, descriptor or thread to connect with");
}

static void on_link_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__timer_set(&store->link_timer, PAWL__NEVER);
    switch (store->link.state) {
    case PAWL__POSTGRES_WAITING:
        begin_attempt(store);
        return;
    case PAWL__POSTGRES_UP:
        return;
    case PAWL__POSTGRES_LISTENING:
        if (store->link.spoke) { /* and the message did not come back */
            store->link.pooled = true;
            be_up(store);
            return;
        }
        /* fall through */
    default: /* the server accepted, and does not answer */
        break_it(store, PAWL_ERR_UNAVAILABLE, "the server did not answer the greeting in time");
    }
}

bool pawl__postgres_link_init(pawl_store *store, uint64_t seed)
{
    store->link.err = PAWL_ERR_UNAVAILABLE;
    snprintf(store->link.message, sizeof store->link.message, "%s: not connected yet",
             store->config.where);
    store->link.random = seed;
    pawl__retry_init(&store->link.retry);
    store->hear = hear;
    event_assign(&store->turn, store->host->base, -1, 0, on_turn, store);
    bool timed = pawl__timer_add(&store->link_timer, store->host->base, on_link_timer, store);
    if (timed) pawl__timer_set(&store->link_timer, 0);
    return timed;
}

/* A waiter that leaves says so; else the server could hand it a lock that nobody takes. */
void pawl__postgres_say_farewell(pawl_store *store)
{
    char sql[200];
    if (!store->link.listens) return;
    snprintf(sql, sizeof sql, "SELECT %s.be_gone('%.40s')", store->config.schema,
             store->host->client_id);
    greet(store, sql, false, listened);
}

void pawl__postgres_link_done(pawl_store *store)
{
    end_attempt(store);
    pawl__postgres_wire_end(store);
    event_del(&store->turn);
    event_del(&store->link_timer);
    pawl__answers_done(&store->answers);
}
