/* SPDX-License-Identifier: MIT */
/* DOCTOR: what in the server's settings endangers locks. Its variables and its state are asked for;
 * then a lock is taken on trial. */
#define _GNU_SOURCE
#include "mariadb_store.h"

#include "../../base/instant.h"
#include "../../base/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_FAR_MS 2000 /* the network's delay comes on top */
#define SLOW_MS      1000
#define FEW          20 /* connections */
#define FACTS_MAX    32

/* What has no name at all servers is looked for under each of its names. */
static const char variables[] =
    "SHOW VARIABLES WHERE Variable_name IN ('version','version_comment',"
    "'innodb_flush_log_at_trx_commit','innodb_doublewrite','sync_binlog','log_bin','wsrep_on',"
    "'group_replication_group_name','rpl_semi_sync_master_enabled',"
    "'rpl_semi_sync_source_enabled','max_connections')";
static const char states[] =
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected','Slaves_connected',"
    "'wsrep_cluster_status','wsrep_ready','Binlog_snapshot_file')";
/* Each %s is the database. */
static const char tables[] =
    "SELECT 'now_us', TIMESTAMPDIFF(MICROSECOND,'1970-01-01',UTC_TIMESTAMP(6)) UNION ALL "
    "SELECT 'no_innodb', COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA='%s' AND "
    "TABLE_NAME IN ('pawl_name','pawl_hold','pawl_slot','pawl_wait','pawl_value','pawl_watch',"
    "'pawl_broken') AND ENGINE<>'InnoDB'";
static const char trial[] = "CALL `%s`.pawl_trial()";

typedef struct visit {
    pawl__mariadb_pending pending;
    uint64_t id;
    int64_t sent;
    unsigned step;
    char *facts[FACTS_MAX][2]; /* names and values of what the server has told */
    size_t fact_count;
} visit;

/* ---- Findings ------------------------------------------------------------------------------ */

typedef struct ward {
    pawl_store *store;
    const visit *v;
} ward;

static void find(const ward *w, pawl_severity severity, const char *topic, const char *text,
                 const char *advice)
{
    pawl_finding finding = {.size = sizeof finding,
                            .severity = severity,
                            .topic = topic,
                            .text = text,
                            .advice = advice};
    w->store->host->finding(w->store->host, w->v->id, &finding);
}

/* "" if the server has no such variable. */
static const char *told(const ward *w, const char *name)
{
    for (size_t i = 0; i < w->v->fact_count; i++)
        if (strcmp(w->v->facts[i][0], name) == 0) return w->v->facts[i][1];
    return "";
}

static bool is_on(const ward *w, const char *name)
{
    return strcmp(told(w, name), "ON") == 0 || strcmp(told(w, name), "1") == 0;
}

static int64_t number(const ward *w, const char *name)
{
    return strtoll(told(w, name), NULL, 10);
}

static void look_at_version(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    const char *version = told(w, "version");
    bool is_mariadb = strstr(version, "MariaDB") != NULL;
    MYSQL *mysql = w->store->asker.call.mysql;
    snprintf(text, sizeof text, "%s %.80s, %s", is_mariadb ? "MariaDB" : "MySQL", version,
             mysql && mysql_get_ssl_cipher(mysql) ? "over TLS" : "without TLS");
    pawl__line_mend(text);
    find(w, PAWL_SEVERITY_OK, "server", text, "");
    unsigned major = 0, minor = 0;
    (void)sscanf(version, "%u.%u", &major, &minor);
    if (is_mariadb ? major < 10 || (major == 10 && minor < 6) : major < 8)
        find(w, PAWL_SEVERITY_ERROR, "version",
             "pawl needs MariaDB 10.6 or MySQL 8.0: older ones cannot skip rows that are locked",
             "upgrade the server");
}

static void look_at_durability(const ward *w)
{
    if (strcmp(told(w, "innodb_flush_log_at_trx_commit"), "1") != 0)
        find(w, PAWL_SEVERITY_ERROR, "durability",
             "innodb_flush_log_at_trx_commit is not 1: a crash of the machine forgets the locks of "
             "the "
             "last second, and they are granted again",
             "let it be 1, or let resources check fences");
    else if (*told(w, "innodb_doublewrite") && !is_on(w, "innodb_doublewrite"))
        find(w, PAWL_SEVERITY_WARNING, "durability",
             "innodb_doublewrite is off: a crash of the machine may damage the data",
             "let it be on, unless the file system writes pages whole");
    else
        find(w, PAWL_SEVERITY_OK, "durability", "a crash of the server forgets no lock", "");
    if (is_on(w, "log_bin") && strcmp(told(w, "sync_binlog"), "1") != 0)
        find(w, PAWL_SEVERITY_NOTE, "binlog",
             "sync_binlog is not 1: after a crash a replica may know less than the primary",
             "let it be 1");
}

static void look_at_cluster(const ward *w)
{
    const char *status = told(w, "wsrep_cluster_status");
    if (is_on(w, "wsrep_on") && strcmp(status, "Primary") != 0)
        find(w, PAWL_SEVERITY_ERROR, "cluster",
             "this node of Galera is not in the primary component: it takes no writes",
             "see to the other nodes");
    else if (is_on(w, "wsrep_on"))
        find(w, PAWL_SEVERITY_OK, "cluster",
             "Galera: a commit is on each node before it is answered", "");
    else if (*told(w, "group_replication_group_name"))
        find(w, PAWL_SEVERITY_NOTE, "cluster",
             "group replication: a majority has each commit before it is answered",
             "let locks be asked of the primary alone");
    else if (is_on(w, "rpl_semi_sync_master_enabled") || is_on(w, "rpl_semi_sync_source_enabled"))
        find(w, PAWL_SEVERITY_NOTE, "replica",
             "semi-synchronous: when replicas are slow the server stops waiting for them, and says "
             "so "
             "to nobody; promoted then, one may have forgotten the latest locks",
             "let its time limit be long, or let resources check fences");
    else if (number(w, "Slaves_connected") > 0)
        find(
            w, PAWL_SEVERITY_WARNING, "replica",
            "the replicas are asynchronous: promoted, one may have forgotten the latest locks, and "
            "grants them again",
            "use semi-synchronous replication or Galera, or let resources check fences");
    else
        find(w, PAWL_SEVERITY_OK, "replica", "no replica is connected", "");
}

static void look_at_tables(const ward *w)
{
    if (number(w, "no_innodb") > 0)
        find(w, PAWL_SEVERITY_ERROR, "tables",
             "tables of pawl are not InnoDB: nothing in them is undone or durable, and requests do "
             "not "
             "wait for each other",
             "ALTER TABLE ... ENGINE = InnoDB");
}

static void look_at_push(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    if (w->store->listener.call.mysql) {
        find(w, PAWL_SEVERITY_OK, "push", "who waits is told of its turn", "");
        return;
    }
    snprintf(text, sizeof text, "nobody is told of its turn, waiters ask again and again: %s",
             w->store->link.no_push);
    find(w, PAWL_SEVERITY_WARNING, "push", text, "");
}

static void look_at_connections(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    int64_t most = number(w, "max_connections"), now = number(w, "Threads_connected");
    snprintf(text, sizeof text,
             "%" PRId64 " of %" PRId64 " connections are in use; each client of pawl has two", now,
             most);
    bool few = most > 0 && most - now < FEW;
    find(w, few ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_OK, "connections", text,
         few ? "raise max_connections: who gets none cannot renew" : "");
}

static void look_at_clock(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    int64_t apart_ms = (number(w, "now_us") - pawl__mariadb_wall_us()) / 1000;
    int64_t far = apart_ms < 0 ? -apart_ms : apart_ms;
    snprintf(text, sizeof text, "the server's clock is %" PRId64 " ms %s this machine's", far,
             apart_ms < 0 ? "behind" : "ahead of");
    find(w, far > CLOCK_FAR_MS ? PAWL_SEVERITY_NOTE : PAWL_SEVERITY_OK, "clock", text,
         far > CLOCK_FAR_MS
             ? "leases are judged by the server's alone; let it be slewed, and never stepped"
             : "");
}

static void look_at_trial(const ward *w, const pawl__mariadb_call *call)
{
    char text[PAWL_MESSAGE_MAX];
    int64_t ms = (w->store->host->now() - w->v->sent) / PAWL__NS_PER_MS;
    if (call->error.number) {
        (void)pawl__mariadb_explain(w->store->config->where, &call->error, text);
        find(w, PAWL_SEVERITY_ERROR, "write", text, "mend that: until then no lock can be taken");
        return;
    }
    snprintf(text, sizeof text, "a lock was taken on trial, and undone, in %" PRId64 " ms", ms);
    find(w, ms >= SLOW_MS ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_OK, "write", text,
         ms >= SLOW_MS ? "see what the server waits for: its disk, a replica, other transactions"
                       : "");
}

/* ---- Asking -------------------------------------------------------------------------------- */

static void visit_free(visit *v)
{
    for (size_t i = 0; i < v->fact_count; i++) {
        free(v->facts[i][0]);
        free(v->facts[i][1]);
    }
    free(v);
}

static void finish(pawl_store *store, visit *v, pawl_outcome outcome, pawl_err err,
                   const char *message)
{
    uint64_t id = v->id;
    visit_free(v);
    pawl__mariadb_say(store, id, outcome, err, message);
}

static void unanswered(pawl_store *store, pawl__mariadb_pending *pending, pawl_err err,
                       const char *message)
{
    finish(store, pawl__container(pending, visit, pending), PAWL_FAILED, err, message);
}

static void drop(pawl__mariadb_pending *pending)
{
    visit_free(pawl__container(pending, visit, pending));
}

/* False when out of memory. */
static bool keep_facts(visit *v, MYSQL_RES *rows)
{
    MYSQL_ROW row;
    if (!rows || mysql_num_fields(rows) != 2) return true;
    while (v->fact_count < FACTS_MAX && (row = mysql_fetch_row(rows)) != NULL) {
        char **fact = v->facts[v->fact_count];
        if (!row[0] || !row[1]) continue;
        fact[0] = strdup(row[0]);
        fact[1] = strdup(row[1]);
        v->fact_count++;
        if (!fact[0] || !fact[1]) return false;
    }
    return true;
}

/* False: nothing was sent, and the visit is the caller's again. */
static bool ask(pawl_store *store, visit *v)
{
    static const char *const questions[] = {variables, states, tables, trial};
    size_t room = strlen(questions[v->step]) + sizeof store->config->database;
    char *sql = malloc(room);
    if (!sql) return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    int len = snprintf(sql, room, questions[v->step], store->config->database);
#pragma GCC diagnostic pop
    v->pending.sql = sql;
    v->pending.sql_len = (size_t)len;
    v->sent = store->host->now();
    if (pawl__mariadb_send(store, &v->pending)) {
        pawl__answers_arm(&store->answers, v->pending.answer_by);
        return true;
    }
    free(sql);
    return false;
}

static void tell(const ward *w)
{
    look_at_version(w);
    look_at_durability(w);
    look_at_cluster(w);
    look_at_tables(w);
    look_at_push(w);
    look_at_connections(w);
    look_at_clock(w);
}

static void answered(pawl_store *store, pawl__mariadb_pending *pending,
                     const pawl__mariadb_call *call)
{
    enum { TABLES = 2, TRIAL = 3 };
    visit *v = pawl__container(pending, visit, pending);
    const ward w = {store, v};
    char message[PAWL_MESSAGE_MAX];
    pawl_err err;
    if (v->step == TRIAL) {
        look_at_trial(&w, call);
        finish(store, v, PAWL_REPORTED, PAWL_OK, NULL);
        return;
    }
    if (call->error.number) {
        pawl_outcome outcome = pawl__mariadb_judge(store, call, false, &err, message);
        finish(store, v, outcome, err, message);
        return;
    }
    bool kept = keep_facts(v, call->rows);
    if (kept && v->step == TABLES) tell(&w);
    v->step++;
    if (kept && ask(store, v)) return;
    err = kept ? pawl__mariadb_send_trouble(store) : PAWL_ERR_NO_MEMORY;
    finish(store, v, PAWL_FAILED, err, pawl_err_text(err));
}

bool pawl__mariadb_doctor(pawl_store *store, const pawl_request *request)
{
    visit *v = calloc(1, sizeof *v);
    if (!v) return false;
    v->pending = (pawl__mariadb_pending){.answer_by = request->answer_by,
                                         .answered = answered,
                                         .unanswered = unanswered,
                                         .drop = drop};
    v->id = request->id;
    if (ask(store, v)) return true;
    visit_free(v);
    return false;
}
