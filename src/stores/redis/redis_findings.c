/* SPDX-License-Identifier: MIT */
/* What a server's answers mean for locks: one table of checks, and each tells what it found. */
#define _GNU_SOURCE
#include "redis_exam.h"

#include "../../base/instant.h"
#include "../../base/line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_MAJOR_MIN 6
#define CLOCK_OFF_MS      1000      /* smaller differences are usual */
#define SLOW_ANSWER_MS    50        /* renewals of short leases then get tight */
#define OUTPUT_HARD_MIN   (1 << 20) /* bytes: a list of locks has its answers unread for a moment */
#define OUTPUT_SOFT_MIN   (1 << 18)
#define KEEPALIVE_LONG_S  300
#define PATTERNS_MANY     100
#define CERT_SOON_DAYS    30
#define DAY_S             86400

const pawl__redis_asking pawl__redis_askings[PAWL__REDIS_QUESTIONS] = {
    [PAWL__REDIS_ASK_TIME] = {"TIME", "+time", NULL},
    [PAWL__REDIS_ASK_INFO] = {"INFO", "+info", NULL},
    [PAWL__REDIS_ASK_FSYNC] = {"CONFIG", "+config|get", "appendfsync"},
    [PAWL__REDIS_ASK_MIN_REPLICAS] = {"CONFIG", "+config|get", "min-replicas-to-write"},
    [PAWL__REDIS_ASK_OUTPUT_LIMIT] = {"CONFIG", "+config|get", "client-output-buffer-limit"},
    [PAWL__REDIS_ASK_TIMEOUT] = {"CONFIG", "+config|get", "timeout"},
    [PAWL__REDIS_ASK_KEEPALIVE] = {"CONFIG", "+config|get", "tcp-keepalive"},
    [PAWL__REDIS_ASK_SLOWLOG] = {"SLOWLOG", "+slowlog|get", NULL},
    [PAWL__REDIS_ASK_PROBE] = {"EVALSHA", "+evalsha", NULL},
    [PAWL__REDIS_ASK_WRITE] = {"SET", "+set", NULL},
    [PAWL__REDIS_ASK_ERASE] = {"DEL", "+del", NULL},
    [PAWL__REDIS_ASK_KEYS] = {"SCAN", "+scan", NULL},
    [PAWL__REDIS_ASK_TTL] = {"PTTL", "+pttl", NULL},
};

__attribute__((format(printf, 5, 6))) static void find(pawl__redis_exam *exam,
                                                       pawl_severity severity, const char *topic,
                                                       const char *advice, const char *format, ...)
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

static int64_t number_of(const pawl__redis_exam *exam, const char *key)
{
    char found[32];
    return strtoll(value_of(exam->info, key, found, sizeof found), NULL, 10);
}

/* ---- The server ------------------------------------------------------------------------- */

static void check_version(pawl__redis_exam *exam)
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

static void check_bugs(pawl__redis_exam *exam)
{
    char version[32];
    bool valkey = value_of(exam->info, "valkey_version", version, sizeof version)[0];
    if (!valkey) value_of(exam->info, "redis_version", version, sizeof version);
    const pawl__redis_bug *bug = NULL;
    while ((bug = pawl__redis_next_bug(bug, valkey, version)) != NULL)
        find(exam, PAWL_SEVERITY_NOTE, "bugs",
             "Upgrade, unless whoever packages the server has mended it; let nobody run scripts "
             "who must not.",
             "%s %s has %s: %s", valkey ? "Valkey" : "Redis", version, bug->name, bug->what);
}

static void check_eviction(pawl__redis_exam *exam)
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

static void check_persistence(pawl__redis_exam *exam)
{
    const char *fsync = exam->settings[PAWL__REDIS_ASK_FSYNC];
    if (is(exam->info, "aof_last_write_status", "err") ||
        is(exam->info, "rdb_last_bgsave_status", "err"))
        find(exam, PAWL_SEVERITY_ERROR, "disk", "See the server's log; make room on the disk.",
             "The last attempt to write to the disk failed: writes may be refused");
    if (!is(exam->info, "aof_enabled", "1"))
        find(exam, PAWL_SEVERITY_WARNING, "persistence",
             "Set appendonly yes and appendfsync always if a restart must not free locks; let the "
             "resource check fences in any case.",
             "A restart forgets locks that were granted since the last snapshot, or all");
    else if (strcmp(fsync, "always") == 0)
        find(exam, PAWL_SEVERITY_OK, "persistence", "",
             "A lock is on the disk before it is "
             "granted (appendfsync always)");
    else
        find(exam, PAWL_SEVERITY_WARNING, "persistence",
             "Set appendfsync always if a restart must not free locks.",
             "A crash of the server may forget locks of the last second or two (appendfsync %s)",
             fsync[0] ? fsync : "is not readable; everysec by default");
}

/* One that shares the names with others lets nobody in: redis_login.c. */
static void check_cluster(pawl__redis_exam *exam)
{
    if (exam->operation.store->link.login.cluster == PAWL__REDIS_CLUSTER_ALONE)
        find(exam, PAWL_SEVERITY_WARNING, "topology", "Use a server that is no node of a cluster.",
             "The server is a cluster of one node: once others share its names, nobody locks here");
    else if (is(exam->info, "cluster_enabled", "1"))
        find(exam, PAWL_SEVERITY_ERROR, "topology",
             "Use a single server, or let the user run CLUSTER INFO: ACL rule +cluster|info.",
             "The server is a node of a cluster, and may lack names that others have");
}

static void check_replication(pawl__redis_exam *exam)
{
    char replicas[16];
    value_of(exam->info, "connected_slaves", replicas, sizeof replicas);
    check_cluster(exam);
    if (is(exam->info, "role", "slave"))
        find(exam, PAWL_SEVERITY_ERROR, "replication", "Connect to the primary.",
             "The server is a replica: it grants no locks");
    else if (strtol(replicas, NULL, 10) > 0)
        find(exam, PAWL_SEVERITY_NOTE, "replication", "Let the resource check fences.",
             "%s replicas copy asynchronously: a failover may forget the latest locks", replicas);
    else
        find(exam, PAWL_SEVERITY_OK, "replication", "", "A primary without replicas");
}

/* Without it a primary that is cut off goes on granting, while the new primary grants, too. */
static void check_min_replicas(pawl__redis_exam *exam)
{
    const char *setting = exam->settings[PAWL__REDIS_ASK_MIN_REPLICAS];
    int64_t replicas = number_of(exam, "connected_slaves"), wanted = strtoll(setting, NULL, 10);
    int64_t good = wanted > 0 ? number_of(exam, "min_slaves_good_slaves") : replicas;
    if (!setting[0] || (replicas == 0 && wanted == 0)) return;
    if (wanted == 0)
        find(exam, PAWL_SEVERITY_WARNING, "min-replicas", "Set min-replicas-to-write 1.",
             "A primary that is cut off goes on granting beside the one that takes over "
             "(min-replicas-to-write 0)");
    else if (good < wanted)
        find(exam, PAWL_SEVERITY_ERROR, "min-replicas",
             "Start the replicas, or lower min-replicas-to-write.",
             "No lock is granted: %" PRId64
             " replicas follow, and min-replicas-to-write is %" PRId64,
             good, wanted);
    else
        find(exam, PAWL_SEVERITY_OK, "min-replicas", "",
             "A primary that is cut off grants no more locks (min-replicas-to-write %" PRId64
             ", %" PRId64 " replicas follow)",
             wanted, good);
}

/* ---- Connections ------------------------------------------------------------------------ */

/* "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"; 0 is no limit. */
static void check_output_limit(pawl__redis_exam *exam)
{
    const char *setting = strstr(exam->settings[PAWL__REDIS_ASK_OUTPUT_LIMIT], "pubsub ");
    int64_t hard, soft;
    if (!setting || sscanf(setting, "pubsub %" SCNd64 " %" SCNd64, &hard, &soft) != 2) return;
    if ((hard > 0 && hard < OUTPUT_HARD_MIN) || (soft > 0 && soft < OUTPUT_SOFT_MIN))
        find(exam, PAWL_SEVERITY_WARNING, "output-limit",
             "Set client-output-buffer-limit pubsub 32mb 8mb 60, the default.",
             "A client that leaves more than %" PRId64 " (%" PRId64
             " for a while) bytes of answers unread is cut off, and pawl's count as pubsub",
             hard, soft);
    else
        find(exam, PAWL_SEVERITY_OK, "output-limit", "",
             "Clients that are slow to read are not cut off early");
}

static void check_timeout(pawl__redis_exam *exam)
{
    const char *setting = exam->settings[PAWL__REDIS_ASK_TIMEOUT];
    int64_t timeout_s = strtoll(setting, NULL, 10);
    if (!setting[0]) return;
    if (timeout_s > 0)
        find(exam, PAWL_SEVERITY_NOTE, "timeout", "",
             "The server closes connections that are idle for %" PRId64
             " s, but not those that have subscribed, as pawl's have",
             timeout_s);
    else
        find(exam, PAWL_SEVERITY_OK, "timeout", "", "Idle connections stay (timeout 0)");
}

/* A connection whose client vanished still counts as a subscriber. */
static void check_keepalive(pawl__redis_exam *exam)
{
    const char *setting = exam->settings[PAWL__REDIS_ASK_KEEPALIVE];
    int64_t keepalive_s = strtoll(setting, NULL, 10);
    if (!setting[0]) return;
    if (keepalive_s == 0)
        find(exam, PAWL_SEVERITY_WARNING, "keepalive", "Set tcp-keepalive 300, or less.",
             "The server never notices a machine that has vanished (tcp-keepalive 0): locks are "
             "handed to waiters that are gone, and wait for their place to end");
    else if (keepalive_s > KEEPALIVE_LONG_S)
        find(exam, PAWL_SEVERITY_NOTE, "keepalive", "Set tcp-keepalive 300, or less.",
             "The server notices a machine that has vanished after %" PRId64 " s or more",
             keepalive_s);
    else
        find(exam, PAWL_SEVERITY_OK, "keepalive", "",
             "The server looks for machines that have vanished (tcp-keepalive %" PRId64 ")",
             keepalive_s);
}

static void check_patterns(pawl__redis_exam *exam)
{
    char found[32];
    if (!value_of(exam->info, "pubsub_patterns", found, sizeof found)[0]) return;
    int64_t patterns = strtoll(found, NULL, 10);
    if (patterns > 0)
        find(exam, patterns < PATTERNS_MANY ? PAWL_SEVERITY_NOTE : PAWL_SEVERITY_WARNING,
             "patterns", "Let clients SUBSCRIBE to channels, or give locks a server of their own.",
             "%" PRId64 " patterns are subscribed to (PSUBSCRIBE): each hand-over of a lock is "
             "compared with all of them",
             patterns);
    else
        find(exam, PAWL_SEVERITY_OK, "patterns", "", "Nobody listens to patterns of channels");
}

static void check_certificate(pawl__redis_exam *exam)
{
    int64_t left_s;
    if (!pawl__redis_io_cert_left(exam->operation.store, &left_s)) return;
    if (left_s < 0)
        find(exam, PAWL_SEVERITY_ERROR, "certificate", "Renew the server's certificate.",
             "The server's certificate has expired: who verifies it connects no more");
    else if (left_s < (int64_t)CERT_SOON_DAYS * DAY_S)
        find(exam, PAWL_SEVERITY_WARNING, "certificate", "Renew the server's certificate.",
             "The server's certificate expires in %" PRId64 " days; then nobody connects",
             left_s / DAY_S);
    else
        find(exam, PAWL_SEVERITY_OK, "certificate", "",
             "The server's certificate is good for %" PRId64 " days", left_s / DAY_S);
}

static void check_encryption(pawl__redis_exam *exam)
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

/* ---- Time ------------------------------------------------------------------------------- */

static void check_clock(pawl__redis_exam *exam)
{
    int64_t off_ms = (exam->first.server_us - exam->wall_us) / 1000;
    if (!exam->first.server_us) return;
    if (off_ms > CLOCK_OFF_MS || off_ms < -CLOCK_OFF_MS)
        find(exam, PAWL_SEVERITY_NOTE, "clock",
             "Correct the clocks by slewing, not by stepping: a step of the server's clock "
             "lengthens or ends leases.",
             "The server's clock is %" PRId64 " s %s this machine's; pawl does not compare them",
             ((off_ms < 0 ? -off_ms : off_ms) + 500) / 1000, off_ms < 0 ? "behind" : "ahead of");
    else
        find(exam, PAWL_SEVERITY_OK, "clock", "",
             "The server's clock and this machine's agree within a second");
}

/* How much more the server's clock went on than ours. The time on the network is not known. */
static void check_rate(pawl__redis_exam *exam)
{
    if (!exam->first.server_us || !exam->last.server_us) return;
    int64_t most_us = (exam->last.got - exam->first.sent) / PAWL__NS_PER_US;
    int64_t off_us = pawl__redis_clock_step(&exam->first, &exam->last);
    if (off_us)
        find(exam, PAWL_SEVERITY_ERROR, "clock-rate",
             "Let its clock run by itself and be slewed: set forward it ends leases whose holders "
             "believe that they last.",
             "Within %" PRId64 " ms the server's clock went %" PRId64 " ms too %s: it was set, or "
             "runs at another rate",
             most_us / 1000, (off_us < 0 ? -off_us : off_us) / 1000, off_us < 0 ? "little" : "far");
    else
        find(exam, PAWL_SEVERITY_OK, "clock-rate", "",
             "In %" PRId64 " ms the server's clock went as far as ours", most_us / 1000);
}

/* What this client has noticed between two of its renewals. */
static void check_step(pawl__redis_exam *exam)
{
    int64_t step_us = exam->operation.store->watch.step_us;
    if (step_us)
        find(exam, PAWL_SEVERITY_ERROR, "clock-step",
             "Let its clock be slewed: set forward it ends leases whose holders believe that they "
             "last.",
             "While this client was connected, the server's clock was set %s by %" PRId64 " ms",
             step_us > 0 ? "forward" : "back", (step_us > 0 ? step_us : -step_us) / 1000);
}

static int by_size(const void *left, const void *right)
{
    int64_t l = *(const int64_t *)left, r = *(const int64_t *)right;
    return (l > r) - (l < r);
}

static void check_latency(pawl__redis_exam *exam)
{
    size_t n = exam->answer_count;
    if (n == 0) return;
    qsort(exam->answers_ns, n, sizeof exam->answers_ns[0], by_size);
    int64_t p50_us = exam->answers_ns[n / 2] / PAWL__NS_PER_US;
    int64_t p99_us = exam->answers_ns[(n * 99) / 100] / PAWL__NS_PER_US;
    bool slow = p99_us > SLOW_ANSWER_MS * 1000;
    find(exam, slow ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_OK, "latency",
         slow ? "Use a ttl of many times that." : "",
         "Of %zu answers half took up to %" PRId64 " us, and 99 %% up to %" PRId64 " us", n, p50_us,
         p99_us);
}

/* While one command runs, no other does: no renewal, no release. */
static void check_slow(pawl__redis_exam *exam)
{
    bool slow = exam->slowest_us >= SLOW_ANSWER_MS * 1000;
    if (!exam->slow_known) return;
    if (exam->slow_count == 0)
        find(exam, PAWL_SEVERITY_OK, "slow", "", "No command took long (SLOWLOG)");
    else
        find(exam, slow ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_NOTE, "slow",
             "See SLOWLOG GET; give locks a server of their own.",
             "%zu slow commands, %zu of them scripts, and the slowest, %s, took %" PRId64
             " ms: nothing else was answered meanwhile",
             exam->slow_count, exam->slow_scripts, exam->slowest, exam->slowest_us / 1000);
}

/* ---- Locks ------------------------------------------------------------------------------ */

static void check_keys(pawl__redis_exam *exam)
{
    const char *cut = exam->keys_cut ? " that were looked at" : "";
    if (!exam->keys_known) return;
    if (exam->endless_count > 0)
        find(exam, PAWL_SEVERITY_WARNING, "endless",
             "Set it with a ttl (SET ... PX), or let its owner delete it.",
             "%zu of %zu keys of locks%s have no ttl, so they never end by themselves: %s",
             exam->endless_count, exam->key_count, cut, exam->endless);
    else
        find(exam, PAWL_SEVERITY_OK, "endless", "", "All %zu keys of locks%s have a ttl",
             exam->key_count, cut);
}

/* One rule may be missing for several questions. */
static bool is_said_already(const pawl__redis_exam *exam, int which)
{
    const char *rule = pawl__redis_askings[which].rule;
    for (int i = 0; i < which; i++)
        if (exam->denied[i] && strcmp(pawl__redis_askings[i].rule, rule) == 0) return true;
    return false;
}

static void check_denied(pawl__redis_exam *exam)
{
    const pawl__redis_linkage *link = &exam->operation.store->link;
    for (int i = 0; i < PAWL__REDIS_QUESTIONS; i++) {
        char advice[64];
        if (!exam->denied[i]) continue;
        if (is_said_already(exam, i)) continue;
        if (i == PAWL__REDIS_ASK_WRITE || i == PAWL__REDIS_ASK_ERASE) continue;
        if (i == PAWL__REDIS_ASK_PROBE) { /* locks need this one: its text names the rule */
            find(exam, PAWL_SEVERITY_ERROR, "permission", "Add the rule to the user.", "%.400s",
                 exam->denied[i]);
            continue;
        }
        snprintf(advice, sizeof advice, "Add the ACL rule %s for a full examination.",
                 pawl__redis_askings[i].rule);
        find(exam, PAWL_SEVERITY_NOTE, "permission", advice, "%s is not answered: %.300s",
             pawl__redis_askings[i].command, exam->denied[i]);
    }
    if (!exam->missing) return;
    if (exam->missing[0])
        find(exam, PAWL_SEVERITY_ERROR, "permission", "Add these rules to the user.",
             "The user lacks:%s", exam->missing);
    else if (link->looks_only) /* the inbox was refused: no script needs that, but each lock does */
        find(exam, PAWL_SEVERITY_ERROR, "permission", "Add the rule to the user.",
             "The user may look, and not lock: %.400s", link->lacks);
    else
        find(exam, PAWL_SEVERITY_OK, "permission", "",
             "The user may run everything that pawl's scripts run");
}

/* The error says what to do. A key that could not be deleted expires. */
static void check_write(pawl__redis_exam *exam)
{
    if (exam->written)
        find(exam, PAWL_SEVERITY_OK, "write", "", "A key was written and deleted");
    else if (exam->denied[PAWL__REDIS_ASK_WRITE])
        find(exam, PAWL_SEVERITY_ERROR, "write", "No lock is granted until writes are accepted.",
             "A trial write was refused: %.400s", exam->denied[PAWL__REDIS_ASK_WRITE]);
}

static void check_guard(pawl__redis_exam *exam)
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

static void check_watch(pawl__redis_exam *exam)
{
    const pawl_store *store = exam->operation.store;
    if (store->config.watch == PAWL__REDIS_WATCH_OFF)
        find(exam, PAWL_SEVERITY_NOTE, "watch", "Leave watch=off out of the URL.",
             "Nothing is watched between renewals: a lock that somebody deletes is noticed by the "
             "next one");
    else if (!store->watch.usable)
        find(exam, PAWL_SEVERITY_NOTE, "watch",
             "Give the user the rules +client|tracking +client|caching, or use a server of 6.2 or "
             "newer.",
             "A lock that somebody deletes is noticed at its next renewal: %.300s",
             store->watch.why);
    else
        find(exam, PAWL_SEVERITY_OK, "watch", "",
             "A lock that somebody deletes is noticed at once, %s",
             store->config.watch == PAWL__REDIS_WATCH_ON
                 ? "from its grant on (watch=on)"
                 : "from its first renewal on (watch=auto)");
}

static void check_password(pawl__redis_exam *exam)
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

/* ---- The table -------------------------------------------------------------------------- */

static const struct {
    void (*check)(pawl__redis_exam *exam);
    bool needs_info;
} checks[] = {
    {check_encryption, false},  {check_certificate, false},  {check_password, false},
    {check_guard, false},       {check_version, true},       {check_bugs, true},
    {check_eviction, true},     {check_persistence, true},   {check_replication, true},
    {check_min_replicas, true}, {check_output_limit, false}, {check_timeout, false},
    {check_keepalive, false},   {check_patterns, true},      {check_clock, false},
    {check_rate, false},        {check_step, false},         {check_latency, false},
    {check_slow, false},        {check_keys, false},         {check_watch, false},
    {check_write, false},       {check_denied, false},
};

void pawl__redis_examine(pawl__redis_exam *exam)
{
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (exam->info || !checks[i].needs_info) checks[i].check(exam);
    if (exam->incomplete)
        find(exam, PAWL_SEVERITY_NOTE, "doctor", "Ask again.", "Not every question could be asked");
}
