/* SPDX-License-Identifier: MIT */
/* DOCTOR: what in the server's settings endangers locks. One question, each answer of which is one
 * finding; then a lock is taken, and undone in the same transaction. */
#define _GNU_SOURCE
#include "postgres_store.h"

#include "../../base/instant.h"
#include "../../base/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_TIMEOUT_MS 1000
#define CLOCK_FAR_MS     2000 /* the network's delay comes on top */
#define OLD_S            600
#define SLOW_MS          1000

enum {
    VERSION,
    FSYNC,
    COMMIT,
    STANDBY_NAMES,
    STANDBYS,
    ISOLATION,
    STATEMENT_TIMEOUT,
    IDLE_TIMEOUT,
    UNLOGGED,
    RIGHTS,
    CLOCK,
    OLDEST,
    COLUMNS
};

#define TABLES                                                                                     \
    "to_regclass('@.name'),to_regclass('@.hold'),to_regclass('@.wait'),to_regclass('@.value'),"    \
    "to_regclass('@.watch')"

/* Each @ is the schema. */
static const char question[] =
    "SELECT current_setting('server_version'), current_setting('fsync'), "
    "current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), "
    "(SELECT count(*) FROM pg_stat_get_wal_senders()), "
    "current_setting('default_transaction_isolation'), "
    "(SELECT setting FROM pg_settings WHERE name='statement_timeout'), "
    "(SELECT setting FROM pg_settings WHERE name='idle_session_timeout'), "
    "(SELECT count(*) FROM pg_class WHERE oid IN (" TABLES ") AND relpersistence<>'p'), "
    "(SELECT coalesce(bool_and(has_table_privilege(t,'SELECT') AND has_table_privilege(t,'INSERT') "
    "AND has_table_privilege(t,'UPDATE') AND has_table_privilege(t,'DELETE')),false) "
    "FROM unnest(ARRAY[" TABLES "]) t), "
    "floor(extract(epoch FROM clock_timestamp())*1000000)::bigint, "
    "(SELECT coalesce(floor(extract(epoch FROM clock_timestamp()-min(xact_start))),0)::bigint "
    "FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND datname=current_database())";

/* Does all that a grant does, with the wait of its commit; nothing of it stays. */
static const char trial[] =
    "DO $$ BEGIN "
    "PERFORM @.take(('pawl doctor ' || md5(random()::text))::bytea, md5(random()::text), '', "
    "'pawl doctor'::bytea, 1000000, 0, 0, 0, false); "
    "RAISE EXCEPTION 'undone' USING ERRCODE = 'PWTRY'; "
    "EXCEPTION WHEN SQLSTATE 'PWTRY' THEN NULL; END $$";

typedef struct visit {
    pawl__postgres_pending pending;
    uint64_t id;
    int64_t sent;
} visit;

/* ---- Findings ------------------------------------------------------------------------------ */

typedef struct ward {
    pawl_store *store;
    uint64_t id;
    const PGresult *result;
} ward;

static void find(const ward *w, pawl_severity severity, const char *topic, const char *text,
                 const char *advice)
{
    pawl_finding finding = {.size = sizeof finding,
                            .severity = severity,
                            .topic = topic,
                            .text = text,
                            .advice = advice};
    w->store->host->finding(w->store->host, w->id, &finding);
}

static const char *told(const ward *w, int column)
{
    return PQgetvalue(w->result, 0, column);
}

static int64_t number(const ward *w, int column)
{
    return strtoll(told(w, column), NULL, 10);
}

static void look_at_version(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    snprintf(text, sizeof text, "PostgreSQL %.80s, %s", told(w, VERSION),
             PQsslInUse(w->store->conn) ? "over TLS" : "without TLS");
    pawl__line_mend(text);
    find(w, PAWL_SEVERITY_OK, "server", text, "");
}

static void look_at_durability(const ward *w)
{
    if (strcmp(told(w, FSYNC), "on") != 0)
        find(w, PAWL_SEVERITY_ERROR, "durability",
             "fsync is off: after a crash of the machine locks may be forgotten, or the data be "
             "damaged",
             "set fsync = on");
    else if (strcmp(told(w, COMMIT), "off") == 0)
        find(w, PAWL_SEVERITY_NOTE, "durability",
             "synchronous_commit is off; pawl's requests switch it on for themselves",
             "let it be on for pawl's user, which saves them a transaction each");
    else
        find(w, PAWL_SEVERITY_OK, "durability", "a crash of the server forgets no lock", "");
}

static void look_at_standbys(const ward *w)
{
    const char *commit = told(w, COMMIT);
    bool named = told(w, STANDBY_NAMES)[0] != '\0';
    bool waits = strcmp(commit, "on") == 0 || strcmp(commit, "remote_apply") == 0;
    if (number(w, STANDBYS) == 0 && !named)
        find(w, PAWL_SEVERITY_OK, "standby", "no standby is connected", "");
    else if (!named)
        find(w, PAWL_SEVERITY_WARNING, "standby",
             "the standby is asynchronous: promoted, it may have forgotten the latest locks, and "
             "grants them again",
             "set synchronous_standby_names, or let resources check fences");
    else if (!waits)
        find(w, PAWL_SEVERITY_WARNING, "standby",
             "synchronous_commit does not wait until a standby has written the commit",
             "let it be on for pawl's user");
    else
        find(w, PAWL_SEVERITY_OK, "standby", "a synchronous standby has every lock", "");
}

static void look_at_tables(const ward *w)
{
    if (number(w, UNLOGGED) > 0)
        find(w, PAWL_SEVERITY_ERROR, "tables",
             "tables of pawl are UNLOGGED: a crash of the server empties them, and what is held is "
             "granted again",
             "ALTER TABLE ... SET LOGGED");
    if (strcmp(told(w, RIGHTS), "t") != 0)
        find(w, PAWL_SEVERITY_ERROR, "rights", "this user may not use all of pawl's tables",
             "give it the rights that pawl schema postgres shows at its head");
    if (strcmp(told(w, ISOLATION), "read committed") != 0)
        find(w, PAWL_SEVERITY_NOTE, "isolation",
             "the default isolation is not read committed; pawl's requests choose it themselves",
             "let it be read committed for pawl's user, which saves them a transaction each");
}

static void look_at_push(const ward *w)
{
    if (w->store->link.listens)
        find(w, PAWL_SEVERITY_OK, "push", "who waits is told of its turn", "");
    else
        find(w, PAWL_SEVERITY_WARNING, "push",
             "a pooler is in between, so nobody is told of its turn: waiters ask again and again",
             "connect to the server itself");
}

static void look_at_timeouts(const ward *w)
{
    int64_t statement = number(w, STATEMENT_TIMEOUT), idle = number(w, IDLE_TIMEOUT);
    if (statement > 0 && statement < SHORT_TIMEOUT_MS)
        find(w, PAWL_SEVERITY_WARNING, "timeouts",
             "statement_timeout is shorter than a second: requests that wait for another one may "
             "fail",
             "let it be longer for pawl's user, or 0");
    if (idle > 0)
        find(w, PAWL_SEVERITY_NOTE, "timeouts",
             "idle_session_timeout cuts the connection of who waits; it connects anew",
             "let it be 0 for pawl's user");
}

static void look_at_age(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    if (number(w, OLDEST) < OLD_S) return;
    snprintf(text, sizeof text,
             "a transaction has been open for %" PRId64 " s: meanwhile no row that pawl has left "
             "behind is cleaned up, and requests get slower",
             number(w, OLDEST));
    find(w, PAWL_SEVERITY_WARNING, "age", text, "end it; see pg_stat_activity");
}

static void look_at_clock(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    int64_t apart_ms = (number(w, CLOCK) - pawl__postgres_wall_us()) / 1000;
    int64_t far = apart_ms < 0 ? -apart_ms : apart_ms;
    snprintf(text, sizeof text, "the server's clock is %" PRId64 " ms %s this machine's", far,
             apart_ms < 0 ? "behind" : "ahead of");
    find(w, far > CLOCK_FAR_MS ? PAWL_SEVERITY_NOTE : PAWL_SEVERITY_OK, "clock", text,
         far > CLOCK_FAR_MS
             ? "leases are judged by the server's alone; let it be slewed, and never stepped"
             : "");
}

static void look_at_trial(const ward *w, int64_t ms, bool doubt)
{
    char text[PAWL_MESSAGE_MAX];
    if (PQresultStatus(w->result) != PGRES_COMMAND_OK) {
        (void)pawl__postgres_explain(w->store->config.where, w->result, text);
        find(w, PAWL_SEVERITY_ERROR, "write", text, "mend that: until then no lock can be taken");
        return;
    }
    snprintf(text, sizeof text, "a lock was taken on trial, and undone, in %" PRId64 " ms", ms);
    if (doubt)
        find(w, PAWL_SEVERITY_ERROR, "write", "the commit of a trial came with a warning",
             "see to the standby that it waits for");
    else if (ms >= SLOW_MS)
        find(w, PAWL_SEVERITY_WARNING, "write", text,
             "see what the server waits for: its disk, a standby, other transactions");
    else
        find(w, PAWL_SEVERITY_OK, "write", text, "");
}

/* ---- Asking -------------------------------------------------------------------------------- */

static void finish(pawl_store *store, visit *v, pawl_outcome outcome, pawl_err err,
                   const char *message)
{
    uint64_t id = v->id;
    free(v);
    pawl__postgres_say(store, id, outcome, err, message);
}

static void unanswered(pawl_store *store, pawl__postgres_pending *pending, pawl_err err,
                       const char *message)
{
    finish(store, pawl__container(pending, visit, pending), PAWL_FAILED, err, message);
}

static void drop(pawl__postgres_pending *pending)
{
    free(pawl__container(pending, visit, pending));
}

/* False: nothing was sent, and the visit is the caller's again. */
static bool ask(pawl_store *store, visit *v, const char *text,
                void (*answered)(pawl_store *, pawl__postgres_pending *, const PGresult *, bool))
{
    char *sql = pawl__postgres_with_schema(store, text);
    v->pending.answered = answered;
    v->sent = store->host->now();
    bool sent =
        sql && pawl__postgres_send(store, &(pawl__postgres_statement){.sql = sql}, &v->pending);
    if (sent) pawl__answers_arm(&store->answers, v->pending.answer_by);
    free(sql);
    return sent;
}

static void tried(pawl_store *store, pawl__postgres_pending *pending, const PGresult *result,
                  bool doubt)
{
    visit *v = pawl__container(pending, visit, pending);
    ward w = {.store = store, .id = v->id, .result = result};
    look_at_trial(&w, (store->host->now() - v->sent) / PAWL__NS_PER_MS, doubt);
    finish(store, v, PAWL_REPORTED, PAWL_OK, NULL);
}

static void answered(pawl_store *store, pawl__postgres_pending *pending, const PGresult *result,
                     bool doubt)
{
    visit *v = pawl__container(pending, visit, pending);
    ward w = {.store = store, .id = v->id, .result = result};
    char message[PAWL_MESSAGE_MAX];
    pawl_err err;
    (void)doubt;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1 ||
        PQnfields(result) != COLUMNS) {
        pawl_outcome outcome = pawl__postgres_judge(store, result, false, &err, message);
        finish(store, v, outcome, err, message);
        return;
    }
    look_at_version(&w);
    look_at_durability(&w);
    look_at_standbys(&w);
    look_at_tables(&w);
    look_at_push(&w);
    look_at_timeouts(&w);
    look_at_age(&w);
    look_at_clock(&w);
    if (ask(store, v, trial, tried)) return;
    err = pawl__postgres_send_trouble(store);
    finish(store, v, PAWL_FAILED, err, pawl_err_text(err));
}

bool pawl__postgres_doctor(pawl_store *store, const pawl_request *request)
{
    visit *v = malloc(sizeof *v);
    if (!v) return false;
    *v = (visit){
        .pending = {.answer_by = request->answer_by, .unanswered = unanswered, .drop = drop},
        .id = request->id};
    bool sent = ask(store, v, question, answered);
    if (!sent) free(v);
    return sent;
}
