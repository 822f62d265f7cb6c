/* SPDX-License-Identifier: MIT */
/*
 * DOCTOR: what of this server's set-up endangers locks. INFO and CONFIG may be
 * denied: then that is a note, and what they would have told is not checked. A key
 * is written and deleted, because a server may look well and yet refuse writes.
 */
#define _GNU_SOURCE
#include "redis_scripts.h"
#include "redis_store.h"

#include "../../base/instant.h"
#include "../../base/line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_MAJOR_MIN 6
#define CLOCK_OFF_MS      1000   /* less is what machines without care have */
#define TRIAL_LIFE_MS     "1000" /* of the key that is written: it is deleted at once */
#define SLOW_ANSWER_MS    50     /* renewals of short leases then get tight */

/* Single settings, never CONFIG GET *: that would bring passwords. */
typedef enum question {
    ASK_TIME = 0,
    ASK_INFO,
    ASK_FSYNC,
    ASK_PROBE,
    ASK_WRITE,
    ASK_ERASE,
    QUESTIONS
} question;

static const struct {
    const char *command, *rule;
} questions[QUESTIONS] = {
    [ASK_TIME] = {"TIME", "+time"},          [ASK_INFO] = {"INFO", "+info"},
    [ASK_FSYNC] = {"CONFIG", "+config|get"}, [ASK_PROBE] = {"EVALSHA", "+evalsha"},
    [ASK_WRITE] = {"SET", "+set"},           [ASK_ERASE] = {"DEL", "+del"},
};

typedef struct examination {
    pawl__redis_operation operation;
    char *info;     /* INFO's text; NULL if denied */
    char fsync[16]; /* appendfsync; "" if denied */
    char *denied[QUESTIONS];
    int64_t asked_at, answer_ns; /* of TIME */
    int64_t client_us, server_us;
    bool written;    /* the trial write was taken */
    bool incomplete; /* not every question could be sent */
    char *missing;   /* commands that the scripts need and may not run; NULL: not known */
} examination;

typedef struct step {
    pawl__redis_pending pending;
    examination *exam;
    question which;
} step;

static pawl__redis_bytes text(const char *string)
{
    return (pawl__redis_bytes){.data = string, .len = strlen(string)};
}

/* ---- Findings ------------------------------------------------------------------------- */

__attribute__((format(printf, 5, 6))) static void find(examination *exam, pawl_severity severity,
                                                       const char *topic, const char *advice,
                                                       const char *format, ...)
{
    char line[PAWL_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pawl__line_mend(line); /* it may quote the server */
    pawl_host *host = exam->operation.store->host;
    pawl_finding finding = {.size = sizeof finding,
                            .severity = severity,
                            .topic = topic,
                            .text = line,
                            .advice = advice};
    host->finding(host, exam->operation.id, &finding);
}

/* The value of "key:value" on a line of its own; "" if there is none. */
static const char *value_of(const char *lines, const char *key, char *ret_value, size_t room)
{
    size_t key_len = strlen(key);
    ret_value[0] = '\0';
    for (const char *at = lines; at && *at; at = strchr(at, '\n')) {
        if (*at == '\n') at++;
        if (strncmp(at, key, key_len) != 0 || at[key_len] != ':') continue;
        size_t len = strcspn(at + key_len + 1, "\r\n");
        if (len >= room) len = room - 1;
        memcpy(ret_value, at + key_len + 1, len);
        ret_value[len] = '\0';
        break;
    }
    return ret_value;
}

static bool is(const char *lines, const char *key, const char *value)
{
    char found[64];
    return strcmp(value_of(lines, key, found, sizeof found), value) == 0;
}

static void check_version(examination *exam)
{
    char redis[32], valkey[32];
    value_of(exam->info, "redis_version", redis, sizeof redis);
    value_of(exam->info, "valkey_version", valkey, sizeof valkey);
    int major = (int)strtol(redis, NULL, 10);
    if (valkey[0])
        find(exam, PAWL_SEVERITY_OK, "version", "", "Valkey %s", valkey);
    else if (major >= VERSION_MAJOR_MIN)
        find(exam, PAWL_SEVERITY_OK, "version", "", "Redis %s", redis);
    else
        find(exam, PAWL_SEVERITY_ERROR, "version", "Upgrade the server.",
             "Redis %s is older than %d.0, the oldest that pawl supports", redis,
             VERSION_MAJOR_MIN);
}

static void check_eviction(examination *exam)
{
    char policy[32], limit[32];
    value_of(exam->info, "maxmemory_policy", policy, sizeof policy);
    value_of(exam->info, "maxmemory", limit, sizeof limit);
    if (strcmp(policy, "noeviction") == 0) {
        find(exam, PAWL_SEVERITY_OK, "eviction", "",
             "Nothing is evicted (maxmemory-policy "
             "noeviction)");
        return;
    }
    bool limited = strcmp(limit, "0") != 0;
    find(exam, limited ? PAWL_SEVERITY_ERROR : PAWL_SEVERITY_NOTE, "eviction",
         "Set maxmemory-policy noeviction, or give locks a server of their own.",
         "maxmemory-policy %s removes held locks when memory is full (maxmemory %s)", policy,
         limited ? limit : "is not limited now");
}

static void check_persistence(examination *exam)
{
    if (is(exam->info, "aof_last_write_status", "err") ||
        is(exam->info, "rdb_last_bgsave_status", "err"))
        find(exam, PAWL_SEVERITY_ERROR, "disk", "See the server's log; make room on the disk.",
             "The last attempt to write to the disk failed: writes may be refused");
    if (!is(exam->info, "aof_enabled", "1"))
        find(exam, PAWL_SEVERITY_WARNING, "persistence",
             "Set appendonly yes and appendfsync always if a restart must not free locks; let the "
             "resource check fences in any case.",
             "A restart forgets locks that were granted since the last snapshot, or all");
    else if (strcmp(exam->fsync, "always") == 0)
        find(exam, PAWL_SEVERITY_OK, "persistence", "",
             "A lock is on the disk before it is "
             "granted (appendfsync always)");
    else
        find(exam, PAWL_SEVERITY_WARNING, "persistence",
             "Set appendfsync always if a restart must not free locks.",
             "A crash of the server may forget locks of the last second or two (appendfsync %s)",
             exam->fsync[0] ? exam->fsync : "is not readable; everysec by default");
}

static void check_replication(examination *exam)
{
    char replicas[16];
    value_of(exam->info, "connected_slaves", replicas, sizeof replicas);
    if (is(exam->info, "cluster_enabled", "1"))
        find(exam, PAWL_SEVERITY_ERROR, "topology", "Use a single server.",
             "The server is a node of a cluster; redis:// is for a single one");
    if (is(exam->info, "role", "slave"))
        find(exam, PAWL_SEVERITY_ERROR, "replication", "Connect to the primary.",
             "The server is a replica: it grants no locks");
    else if (strtol(replicas, NULL, 10) > 0)
        find(exam, PAWL_SEVERITY_NOTE, "replication", "Let the resource check fences.",
             "%s replicas copy asynchronously: a failover may forget the latest locks", replicas);
    else
        find(exam, PAWL_SEVERITY_OK, "replication", "", "A primary without replicas");
}

static void check_clock(examination *exam)
{
    int64_t off_ms = (exam->server_us - exam->client_us) / 1000;
    int64_t answer_us = exam->answer_ns / PAWL__NS_PER_US;
    if (off_ms > CLOCK_OFF_MS || off_ms < -CLOCK_OFF_MS)
        find(exam, PAWL_SEVERITY_NOTE, "clock",
             "Correct the clocks by slewing, not by stepping: a step of the server's clock "
             "lengthens or ends leases.",
             "The server's clock is %" PRId64 " s %s this machine's; pawl does not compare them",
             (off_ms < 0 ? -off_ms : off_ms) / 1000, off_ms < 0 ? "behind" : "ahead of");
    else
        find(exam, PAWL_SEVERITY_OK, "clock", "",
             "The server's clock and this machine's agree within a second");
    if (answer_us > SLOW_ANSWER_MS * 1000)
        find(exam, PAWL_SEVERITY_WARNING, "latency", "Use a ttl of many times that.",
             "An answer takes %" PRId64 " ms", answer_us / 1000);
    else
        find(exam, PAWL_SEVERITY_OK, "latency", "", "An answer takes %" PRId64 " us", answer_us);
}

static void check_denied(examination *exam)
{
    for (int i = 0; i < QUESTIONS; i++) {
        char advice[64];
        if (!exam->denied[i]) continue;
        if (i == ASK_WRITE || i == ASK_ERASE) continue;
        if (i == ASK_PROBE) { /* locks need this one: its text names the rule */
            find(exam, PAWL_SEVERITY_ERROR, "permission", "Add the rule to the user.", "%.400s",
                 exam->denied[i]);
            continue;
        }
        snprintf(advice, sizeof advice, "Add the ACL rule %s for a full examination.",
                 questions[i].rule);
        find(exam, PAWL_SEVERITY_NOTE, "permission", advice, "%s is not answered: %.300s",
             questions[i].command, exam->denied[i]);
    }
    if (!exam->missing) return;
    if (exam->missing[0])
        find(exam, PAWL_SEVERITY_ERROR, "permission", "Add these rules to the user.",
             "The user lacks:%s", exam->missing);
    else
        find(exam, PAWL_SEVERITY_OK, "permission", "",
             "The user may run everything that pawl's scripts run");
}

/* Its text says what to do. A key that could not be deleted expires. */
static void check_write(examination *exam)
{
    if (exam->written)
        find(exam, PAWL_SEVERITY_OK, "write", "", "A key was written and deleted");
    else if (exam->denied[ASK_WRITE])
        find(exam, PAWL_SEVERITY_ERROR, "write", "No lock is granted until writes are accepted.",
             "A trial write was refused: %.400s", exam->denied[ASK_WRITE]);
}

static void check_encryption(examination *exam)
{
    pawl_store *store = exam->operation.store;
    char how[PAWL_MESSAGE_MAX / 4];
    pawl__redis_io_describe(store, how, sizeof how);
    if (!how[0]) return;
    if (store->config.tls_unverified)
        find(exam, PAWL_SEVERITY_WARNING, "tls",
             "Name the certificate's authority with tls_ca=, and leave tls_verify=none out.",
             "Encrypted (%s), but the server's certificate is not verified: it may be anybody's",
             how);
    else
        find(exam, PAWL_SEVERITY_OK, "tls", "", "Encrypted (%s); the certificate is verified", how);
}

static void check_guard(examination *exam)
{
    const pawl_store *store = exam->operation.store;
    int64_t left_ms = pawl__redis_guard_left_ms(store);
    if (store->config.guard == PAWL__REDIS_GUARD_OFF)
        find(exam, PAWL_SEVERITY_WARNING, "guard", "Leave guard=off out of the URL.",
             "The restart guard is off: a lock that a restart forgets may have two holders");
    else if (store->guard.blind)
        find(exam, PAWL_SEVERITY_WARNING, "guard", "Let the user run INFO: ACL rule +info.",
             "No restart guard, because a restart cannot be seen: %.350s", store->guard.why);
    else if (left_ms > 0)
        find(exam, PAWL_SEVERITY_WARNING, "guard", "Wait; leases that are held are renewed.",
             "The restart guard is active: nothing is granted for %" PRId64 ".%" PRId64
             " s, until holders that the server may have forgotten have run out",
             left_ms / 1000, left_ms % 1000 / 100);
    else if (store->config.guard == PAWL__REDIS_GUARD_ON)
        find(exam, PAWL_SEVERITY_OK, "guard", "",
             "After a restart nothing is granted for %" PRId64 " ms (guard=on)",
             store->config.guard_ms);
    else
        find(exam, PAWL_SEVERITY_OK, "guard", "",
             "After a restart nothing is granted for %" PRId64
             " ms, where somebody knows of the run before (guard=auto)",
             store->config.guard_ms);
}

static void check_password(examination *exam)
{
    const pawl__redis_config *config = &exam->operation.store->config;
    if (config->password_exposed)
        find(exam, PAWL_SEVERITY_WARNING, "password",
             "Take the right to read from others: chmod o-r.",
             "Everybody on this machine may read the password's file %.300s",
             config->password_file);
    if (exam->operation.store->link.login.stale)
        find(exam, PAWL_SEVERITY_WARNING, "password",
             "Put the password there before it is changed at the server.",
             "The password's file cannot be read; the one read before is used");
}

static void conclude(examination *exam)
{
    check_encryption(exam);
    check_guard(exam);
    check_password(exam);
    if (exam->info) {
        check_version(exam);
        check_eviction(exam);
        check_persistence(exam);
        check_replication(exam);
    }
    if (exam->server_us) check_clock(exam);
    check_write(exam);
    check_denied(exam);
    if (exam->incomplete)
        find(exam, PAWL_SEVERITY_NOTE, "doctor", "Ask again.", "Not every question could be asked");
    pawl__redis_operation_end(&exam->operation, PAWL_REPORTED, PAWL_OK, NULL);
}

/* ---- Questions and answers --------------------------------------------------------------- */

/* {seconds, microseconds}; a clock beyond the year 30000 is no answer. */
static void take_time(examination *exam, const pawl__redis_value *value)
{
    if (value->type != PAWL__REDIS_ARRAY || value->count != 2) return;
    for (int i = 0; i < 2; i++)
        if (value->items[i].type != PAWL__REDIS_STRING || value->items[i].text.len > 12) return;
    exam->server_us = strtoll(value->items[0].text.data, NULL, 10) * 1000000 +
                      strtoll(value->items[1].text.data, NULL, 10);
    exam->client_us = pawl__redis_wall_us();
    exam->answer_ns = exam->operation.store->host->now() - exam->asked_at;
}

/* {key, value} */
static void take_setting(const pawl__redis_value *value, char *ret_setting, size_t room)
{
    if (value->type != PAWL__REDIS_ARRAY || value->count != 2) return;
    if (value->items[1].type != PAWL__REDIS_STRING) return;
    snprintf(ret_setting, room, "%s", value->items[1].text.data);
}

static void take_probe(examination *exam, const pawl__redis_value *value)
{
    char missing[PAWL_MESSAGE_MAX / 2] = "";
    size_t n = 0;
    if (value->type != PAWL__REDIS_ARRAY) return;
    for (size_t i = 1; i < value->count && n < sizeof missing; i++)
        if (value->items[i].type == PAWL__REDIS_STRING)
            n += (size_t)snprintf(missing + n, sizeof missing - n, " +%s",
                                  value->items[i].text.data);
    exam->missing = strdup(missing);
}

static void take_answer(examination *exam, question which, const pawl__redis_value *value)
{
    pawl_store *store = exam->operation.store;
    char message[PAWL_MESSAGE_MAX];
    if (value->type == PAWL__REDIS_ERROR) {
        (void)pawl__redis_explain(&store->space, questions[which].command, NULL, NULL, value->text,
                                  message);
        exam->denied[which] = strdup(message);
        return;
    }
    switch (which) {
    case ASK_TIME:
        take_time(exam, value);
        return;
    case ASK_INFO:
        if (value->type == PAWL__REDIS_STRING) exam->info = strdup(value->text.data);
        return;
    case ASK_FSYNC:
        take_setting(value, exam->fsync, sizeof exam->fsync);
        return;
    case ASK_PROBE:
        take_probe(exam, value);
        return;
    case ASK_WRITE:
        exam->written = value->type == PAWL__REDIS_STATUS;
        return;
    case ASK_ERASE:
    case QUESTIONS:
        return;
    }
}

static void drop(pawl__redis_pending *pending)
{
    free(pawl__container(pending, step, pending));
}

static void answered(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value)
{
    step *s = pawl__container(pending, step, pending);
    examination *exam = s->exam;
    question which = s->which;
    (void)store;
    free(s);
    if (!exam->operation.over) take_answer(exam, which, value);
    exam->operation.due--;
    if (exam->operation.due == 0 && !exam->operation.over) conclude(exam);
    pawl__redis_operation_free_if_over(&exam->operation);
}

static void unanswered(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                       pawl_err err, const char *message)
{
    examination *exam = pawl__container(pending, step, pending)->exam;
    (void)store, (void)maybe_done;
    drop(pending);
    exam->operation.due--;
    pawl__redis_operation_end(&exam->operation, PAWL_FAILED, err, message);
    pawl__redis_operation_free_if_over(&exam->operation);
}

static void release(pawl__redis_operation *operation)
{
    examination *exam = pawl__container(operation, examination, operation);
    for (int i = 0; i < QUESTIONS; i++) free(exam->denied[i]);
    free(exam->info);
    free(exam->missing);
    free(exam);
}

static bool ask(examination *exam, question which, const pawl__redis_bytes *argv, size_t argc)
{
    pawl_store *store = exam->operation.store;
    int64_t timeout = pawl__ms_to_ns(PAWL__REDIS_STEP_TIMEOUT_MS);
    step *s = malloc(sizeof *s);
    if (!s) return false;
    *s = (step){.pending = {.answer_by = pawl__instant_add(store->host->now(), timeout),
                            .answered = answered,
                            .unanswered = unanswered,
                            .drop = drop},
                .exam = exam,
                .which = which};
    if (!pawl__redis_send(store, argv, argc, &s->pending)) {
        free(s);
        return false;
    }
    exam->operation.due++;
    return true;
}

/* SET and DEL of the record key of the probe's lock: no lock key, so that no list shows it. */
static bool try_to_write(examination *exam, pawl__redis_bytes key)
{
    const pawl__redis_bytes set[] = {text("SET"), key, text("doctor"), text("PX"),
                                     text(TRIAL_LIFE_MS)};
    const pawl__redis_bytes del[] = {text("DEL"), key};
    return ask(exam, ASK_WRITE, set, sizeof set / sizeof set[0]) && ask(exam, ASK_ERASE, del, 2);
}

bool pawl__redis_doctor(pawl_store *store, const pawl_request *request)
{
    examination *exam = calloc(1, sizeof *exam);
    pawl__redis_probe probe;
    if (!exam) return false;
    const pawl__redis_bytes time_words[] = {text("TIME")};
    const pawl__redis_bytes info_words[] = {text("INFO")};
    const pawl__redis_bytes fsync_words[] = {text("CONFIG"), text("GET"), text("appendfsync")};
    /* The link came up through this script: the server knows it. */
    pawl__redis_probe_encode(&store->space, pawl__redis_scripts[PAWL__REDIS_PROBE].sha1, true, "h",
                             &probe);

    exam->asked_at = store->host->now();
    exam->operation.store = store;
    if (!ask(exam, ASK_TIME, time_words, 1)) {
        free(exam);
        return false;
    }
    pawl__redis_operation_begin(&exam->operation, store, request, release);
    if (!ask(exam, ASK_INFO, info_words, 1) || !ask(exam, ASK_FSYNC, fsync_words, 3) ||
        !ask(exam, ASK_PROBE, probe.argv, probe.argc) ||
        !try_to_write(exam, probe.argv[3 + PAWL__REDIS_KEY_RECORD]))
        exam->incomplete = true;
    return true;
}
