/* SPDX-License-Identifier: MIT */
/*
 * DOCTOR at real servers: for each of its findings a server of which it is true, and one of which
 * it is not. What it says of TLS is in test_tls.c, of the clock in test_clock.c.
 */
#define _GNU_SOURCE
#include "link_stage.h"

#include "../../ports/free_port.h"
#include "stores/redis/redis_exam.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the doctor says about a topic, to a new client. */
static void expect_finding(stage *s, const char *topic, pawl_severity severity, const char *words)
{
    char whole[256];
    client *c = client_up(s->loop, &s->address, "a");
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_found(c), topic);
    if (client_severity(c, topic) != severity)
        fail_msg("%s has severity %d: %s", topic, (int)client_severity(c, topic), client_found(c));
    snprintf(whole, sizeof(whole), "%s", words);
    says(client_found(c), whole);
    client_close(c);
}

/* ---- Settings ------------------------------------------------------------------------------- */

static void each_setting_is_judged(void **state)
{
    static const struct {
        const char *setting, *value, *topic, *words;
        pawl_severity severity;
    } cases[] = {
        {"client-output-buffer-limit", "pubsub 100000 50000 10", "output-limit",
         "more than 100000 (50000", PAWL_SEVERITY_WARNING},
        {"client-output-buffer-limit", "pubsub 0 50000 10", "output-limit", "more than 0 (50000",
         PAWL_SEVERITY_WARNING},
        {"client-output-buffer-limit", "pubsub 0 0 0", "output-limit", "not cut off early",
         PAWL_SEVERITY_OK},
        {"client-output-buffer-limit", "pubsub 33554432 8388608 60", "output-limit",
         "not cut off early", PAWL_SEVERITY_OK},
        {"timeout", "10", "timeout", "idle for 10 s", PAWL_SEVERITY_NOTE},
        {"timeout", "0", "timeout", "Idle connections stay", PAWL_SEVERITY_OK},
        {"tcp-keepalive", "0", "keepalive", "never notices", PAWL_SEVERITY_WARNING},
        {"tcp-keepalive", "900", "keepalive", "after 900 s", PAWL_SEVERITY_NOTE},
        {"tcp-keepalive", "300", "keepalive", "looks for machines", PAWL_SEVERITY_OK},
        {"maxmemory-policy", "allkeys-lru", "eviction", "removes held locks", PAWL_SEVERITY_NOTE},
        {"maxmemory", "100000000", "eviction", "removes held locks", PAWL_SEVERITY_ERROR},
        {"maxmemory-policy", "noeviction", "eviction", "Nothing is evicted", PAWL_SEVERITY_OK},
        {"maxmemory", "0", "eviction", "Nothing is evicted", PAWL_SEVERITY_OK},
        {"appendonly", "no", "persistence", "A restart forgets locks", PAWL_SEVERITY_WARNING},
        {"appendonly", "yes", "persistence", "last second or two", PAWL_SEVERITY_WARNING},
        {"appendfsync", "always", "persistence", "before it is granted", PAWL_SEVERITY_OK},
        {"appendfsync", "everysec", "persistence", "everysec", PAWL_SEVERITY_WARNING},
        {"appendonly", "no", "persistence", "A restart forgets locks", PAWL_SEVERITY_WARNING},
    };
    stage s = begin(state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_must(s.rig, "CONFIG SET %s %s", cases[i].setting, cases[i].value);
        expect_finding(&s, cases[i].topic, cases[i].severity, cases[i].words);
    }
    end(&s);
}

/* As the finding says: the server's own limit does not close the connection of a client. */
static void an_idle_client_outlives_the_servers_timeout(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "CONFIG SET timeout 1 hz 100");
    redisContext *other = rig_connect(s.rig); /* this one does not */
    client *c = client_up(s.loop, &s.address, "a");
    redisReply *reply = redisCommand(other, "CLIENT ID");
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    while (strstr(rig_text(s.rig, "CLIENT LIST ID %lld", reply->integer), "id="))
        test_loop_for(s.loop, 20);
    freeReplyObject(reply);
    redisFree(other);
    assert_int_equal(client_link_count(c), 1);
    lock_and_unlock(c);
    rig_must(s.rig, "CONFIG SET timeout 0 hz 10");
    client_close(c);
    end(&s);
}

static void a_primary_without_enough_replicas_is_found(void **state)
{
    stage s = begin(state);
    char port[16];
    snprintf(port, sizeof(port), "%d", free_port());
    const char *const arguments[] = {
        "--bind", "127.0.0.1", "--port", port, "--repl-diskless-sync-delay", "0", NULL};
    rig *primary = rig_new(arguments);
    s.address.path = redis_server_socket(primary->server);
    expect_finding(&s, "replication", PAWL_SEVERITY_OK, "without replicas");
    rig_must(primary, "CONFIG SET min-replicas-to-write 1");
    client *c = client_open(s.loop, &s.address, "a"); /* which must not write may look */
    client_await_link(c, true);
    expect(c, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(client_severity(c, "min-replicas"), PAWL_SEVERITY_ERROR);
    says(client_found(c), "0 replicas follow, and min-replicas-to-write is 1");
    client_close(c);
    rig_must(s.rig, "REPLICAOF 127.0.0.1 %s", port);
    while (!strstr(rig_text(primary, "INFO replication"), "min_slaves_good_slaves:1")) continue;
    expect_finding(&s, "min-replicas", PAWL_SEVERITY_OK, "grants no more locks");
    rig_must(primary, "CONFIG SET min-replicas-to-write 0");
    expect_finding(&s, "min-replicas", PAWL_SEVERITY_WARNING, "goes on granting");
    expect_finding(&s, "replication", PAWL_SEVERITY_NOTE, "copy asynchronously");
    rig_must(s.rig, "REPLICAOF NO ONE");
    rig_free(primary);
    end(&s);
}

/* ---- What others do there ---------------------------------------------------------------- */

static void who_listens_to_patterns_is_counted(void **state)
{
    stage s = begin(state);
    expect_finding(&s, "patterns", PAWL_SEVERITY_OK, "Nobody listens");
    redisContext *monitor = rig_connect(s.rig);
    freeReplyObject(redisCommand(monitor, "PSUBSCRIBE nothing*"));
    expect_finding(&s, "patterns", PAWL_SEVERITY_NOTE, "1 patterns are subscribed to");
    for (int i = 0; i < 99; i++) freeReplyObject(redisCommand(monitor, "PSUBSCRIBE nothing%d*", i));
    expect_finding(&s, "patterns", PAWL_SEVERITY_WARNING, "100 patterns are subscribed to");
    redisFree(monitor);
    end(&s);
}

static void keys_of_locks_that_never_end_are_counted(void **state)
{
    static const char many[] = "for i=1,1500 do redis.call('set','pawl:many'..i,1,'px',600000) end";
    stage s = begin(state);
    expect_finding(&s, "endless", PAWL_SEVERITY_OK, "All 0 keys of locks"); /* not the guard's */
    rig_must(s.rig, "EVAL %s 0", many);
    client *c = client_up(s.loop, &s.address, "b");
    expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    expect_finding(&s, "endless", PAWL_SEVERITY_OK, "All 1501 keys of locks");
    rig_must(s.rig, "SET other:y 1"); /* another prefix */
    expect_finding(&s, "endless", PAWL_SEVERITY_OK, "All 1501 keys of locks");
    rig_must(s.rig, "SET pawl:y 1"); /* SET NX of a library that died between it and EXPIRE */
    expect_finding(&s, "endless", PAWL_SEVERITY_WARNING, "1 of 1502 keys of locks");
    expect_finding(&s, "endless", PAWL_SEVERITY_WARNING, "pawl:y");
    client_close(c);
    end(&s);
}

static void commands_that_took_long_are_named_without_their_arguments(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "SLOWLOG RESET");
    rig_must(s.rig, "CONFIG SET slowlog-log-slower-than -1");
    expect_finding(&s, "slow", PAWL_SEVERITY_OK, "No command took long");
    rig_must(s.rig, "CONFIG SET slowlog-log-slower-than 0");
    rig_must(s.rig, "EVAL %s 0 hunter2", "for i=1,2000000 do end");
    rig_must(s.rig, "CONFIG SET slowlog-log-slower-than -1");
    client *c = client_up(s.loop, &s.address, "a");
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_found(c), "slow: 2 slow commands, 1 of them scripts");
    assert_true(client_severity(c, "slow") >= PAWL_SEVERITY_NOTE);
    assert_null(strstr(client_found(c), "hunter2"));
    client_close(c);
    rig_must(s.rig, "SLOWLOG RESET");
    rig_must(s.rig, "CONFIG SET slowlog-log-slower-than 10000");
    end(&s);
}

static void answers_are_measured(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_found(c), "answers half took up to");
    rig_must(s.rig, "CLIENT PAUSE 1500 ALL");
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_found(c), "Of 1 answers");
    assert_int_equal(client_severity(c, "latency"), PAWL_SEVERITY_WARNING);
    client_close(c);
    end(&s);
}

/* ---- Rights ------------------------------------------------------------------------------- */

static void what_is_denied_is_said_once_and_not_judged(void **state)
{
    stage s = begin(state);
    as_joe(&s); /* may ask neither INFO nor CONFIG nor SLOWLOG */
    client *c = client_up(s.loop, &s.address, "a");
    expect(c, ask_doctor(), PAWL_REPORTED);
    const char *config = strstr(client_found(c), "CONFIG is not answered");
    assert_non_null(config);
    assert_null(strstr(config + 1, "CONFIG is not answered"));
    says(client_found(c), "SLOWLOG is not answered");
    static const char *const unknown[] = {"eviction: ", "keepalive: ", "slow: ", "min-replicas: "};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_null(strstr(client_found(c), unknown[i]));
    says(client_found(c), "endless: All 0 keys");
    client_close(c);
    rig_must(s.rig, "ACL SETUSER joe +info +config|get +slowlog|get");
    expect_finding(&s, "keepalive", PAWL_SEVERITY_OK, "looks for machines");
    end(&s);
}

/* Every command is allowed, and yet each lock is refused. */
static void who_may_not_have_an_inbox_is_told_so(void **state)
{
    stage s = begin(state);
    as_joe(&s);
    rig_must(s.rig, "ACL SETUSER joe +info +config|get +slowlog|get");
    expect_finding(&s, "permission", PAWL_SEVERITY_OK, "may run everything");
    rig_must(s.rig, "ACL SETUSER joe resetchannels");
    expect_finding(&s, "permission", PAWL_SEVERITY_ERROR, "&pawl:inbox:*");
    rig_must(s.rig, "ACL SETUSER joe &pawl:inbox:* -subscribe");
    expect_finding(&s, "permission", PAWL_SEVERITY_ERROR, "+subscribe");
    end(&s);
}

/* ---- Versions ------------------------------------------------------------------------------ */

static void the_bugs_of_a_version_are_known(void **state)
{
    static const struct {
        const char *version, *bugs;
        bool valkey;
    } versions[] = {
        {"6.0.0", "CVE-2022-24735 CVE-2024-31449 CVE-2025-49844 ", false},
        {"6.2.6", "CVE-2022-24735 CVE-2024-31449 CVE-2025-49844 ", false},
        {"6.2.7", "CVE-2024-31449 CVE-2025-49844 ", false},
        {"6.2.16", "CVE-2025-49844 ", false},
        {"6.2.20", "", false},
        {"7.0.15", "CVE-2024-31449 CVE-2025-49844 ", false},
        {"7.2.5", "CVE-2024-31449 CVE-2025-49844 ", false},
        {"7.2.11", "", false},
        {"7.4.5", "CVE-2025-49844 ", false},
        {"8.2.1", "CVE-2025-49844 ", false},
        {"8.2.2", "", false},
        {"8.4.0", "", false},
        {"9.0.0", "", false},
        {"7.2.6", "CVE-2024-31449 CVE-2025-49844 ", true},
        {"8.0.5", "CVE-2025-49844 ", true},
        {"8.1.4", "", true},
        {"9.0.0", "", true},
        {"", "", false},
        {"unstable", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        char bugs[256] = "";
        const pawl__redis_bug *bug = NULL;
        while ((bug = pawl__redis_next_bug(bug, versions[i].valkey, versions[i].version)) != NULL)
            snprintf(bugs + strlen(bugs), sizeof(bugs) - strlen(bugs), "%s ", bug->name);
        assert_string_equal(bugs, versions[i].bugs);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(each_setting_is_judged),
        cmocka_unit_test(an_idle_client_outlives_the_servers_timeout),
        cmocka_unit_test(a_primary_without_enough_replicas_is_found),
        cmocka_unit_test(who_listens_to_patterns_is_counted),
        cmocka_unit_test(keys_of_locks_that_never_end_are_counted),
        cmocka_unit_test(commands_that_took_long_are_named_without_their_arguments),
        cmocka_unit_test(answers_are_measured),
        cmocka_unit_test(what_is_denied_is_said_once_and_not_judged),
        cmocka_unit_test(who_may_not_have_an_inbox_is_told_so),
        cmocka_unit_test(the_bugs_of_a_version_are_known),
    };
    return rig_run("what the doctor finds at redis", cases, rig_group_begin, rig_group_end);
}
