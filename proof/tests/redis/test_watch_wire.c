/* SPDX-License-Identifier: MIT */
/* What is watched between renewals, on a scripted wire: bounds, old servers, steps of clocks. */
#include "wire_stage.h"

#include <stdio.h>
#include <string.h>

static const char token[] = "0123456789012345678901234567890123456789";

/* A server that says this version; the link is up. */
static void begin_at(stage *s, const char *version, pawl__redis_watch_mode mode)
{
    begin(s);
    s->store.config.watch = mode;
    attempt(s);
    pawl__redis_value hello[] = {string("version"), string(version), string("role"),
                                 string("master")};
    answer(s, hello, 4);
    push(s, "subscribe", "1");
    answer_probe(s);
    push(s, "message", s->store.link.word);
    answer_guard(s, "0 run1");
    assert_int_equal(s->ups, 1);
}

static void renew(stage *s)
{
    pawl_request request = {.id = 1,
                            .verb = PAWL_VERB_RENEW,
                            .name = "x",
                            .name_len = 1,
                            .token = token,
                            .ttl_ms = 1000,
                            .answer_by = now + 1000 * MS};
    pawl__redis_ask(&s->store, &request);
}

/* Its answer, and those to what is said beside it. value: of the key. */
static void confirm(stage *s, bool is_first, pawl__redis_value value)
{
    unsigned before = s->cachings;
    hear(s, string("3 7 0"));
    if (s->cachings == before) return;
    if (is_first) hear(s, string("OK")); /* TRACKING */
    hear(s, string("OK"));               /* CACHING */
    hear(s, value);
}

static void answer_time(stage *s, int64_t us)
{
    char seconds[24], rest[24];
    snprintf(seconds, sizeof(seconds), "%lld", (long long)(us / 1000000));
    snprintf(rest, sizeof(rest), "%lld", (long long)(us % 1000000));
    pawl__redis_value items[] = {string(seconds), string(rest)};
    answer(s, items, 2);
}

/* ---- Keys ----------------------------------------------------------------------------- */

static void old_servers_are_not_asked(void **state)
{
    static const struct {
        const char *version;
        bool watches;
    } servers[] = {
        {"6.0.16", false}, {"", false}, {"6.2.0", true}, {"7.0.15", true}, {"9.1.2", true}};
    (void)state;
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
        stage s;
        begin_at(&s, servers[i].version, PAWL__REDIS_WATCH_AUTO);
        renew(&s);
        answer_time(&s, 1000000);
        hear(&s, string("3 7 0"));
        assert_int_equal(s.cachings, servers[i].watches);
        end(&s);
    }
}

static void why_a_server_cannot_be_watched_is_said(void **state)
{
    stage s;
    (void)state;
    begin_at(&s, "6.0.16", PAWL__REDIS_WATCH_ON);
    assert_non_null(strstr(s.warning, "older than 6.2"));
    end(&s);
    begin_at(&s, "new", PAWL__REDIS_WATCH_ON);
    assert_non_null(strstr(s.warning, "does not say its version"));
    end(&s);
}

/* Nothing is tracked yet on this connection: something in between says it, and nobody can act. */
static void before_the_link_is_up_nothing_has_changed(void **state)
{
    pawl__redis_value key = string("pawl:x");
    pawl__redis_value items[] = {string("invalidate"),
                                 {.type = PAWL__REDIS_ARRAY, .items = &key, .count = 1}};
    stage s;
    (void)state;
    begin(&s);
    s.store.config.watch = PAWL__REDIS_WATCH_AUTO;
    attempt(&s);
    answer_hello(&s);
    hear(&s, (pawl__redis_value){.type = PAWL__REDIS_PUSH, .items = items, .count = 2});
    assert_int_equal(s.pushes, 0);
    end(&s);
}

/* Between the renewal and the reading of the key it was written over. */
static void a_key_that_changed_before_it_was_read_is_noticed(void **state)
{
    stage s;
    (void)state;
    begin_at(&s, "7.0.15", PAWL__REDIS_WATCH_AUTO);
    renew(&s);
    answer_time(&s, 1000000);
    confirm(&s, true, string(token));
    assert_string_equal(s.words, "GET pawl:x");
    assert_int_equal(s.pushes, 0);
    renew(&s);
    confirm(&s, false, (pawl__redis_value){.type = PAWL__REDIS_NIL});
    assert_int_equal(s.pushes, 1);
    assert_string_equal(s.name, "x");
    end(&s);
}

static void so_many_keys_in_a_second_and_no_more(void **state)
{
    stage s;
    (void)state;
    begin_at(&s, "7.0.15", PAWL__REDIS_WATCH_AUTO);
    for (int second = 1; second <= 2; second++) {
        for (int i = 0; i < PAWL__REDIS_WATCHED_PER_S + 5; i++) {
            renew(&s);
            if (i == 0) answer_time(&s, now / 1000);
            confirm(&s, second == 1 && i == 0, string(token));
        }
        assert_int_equal(s.cachings, second * PAWL__REDIS_WATCHED_PER_S);
        now += 1000 * MS;
    }
    end(&s);
}

/* A server that tells of our own changes, or has too much to remember, is not asked any more. */
static void alarms_without_a_loss_end_it(void **state)
{
    pawl__redis_value key = string("pawl:x");
    pawl__redis_value items[] = {string("invalidate"),
                                 {.type = PAWL__REDIS_ARRAY, .items = &key, .count = 1}};
    stage s;
    (void)state;
    begin_at(&s, "7.0.15", PAWL__REDIS_WATCH_ON);
    for (int round = 0; round < 2; round++) {
        for (int i = 1; i < PAWL__REDIS_ALARMS_MAX; i++)
            hear(&s, (pawl__redis_value){.type = PAWL__REDIS_PUSH, .items = items, .count = 2});
        assert_int_equal(s.warnings, 0);
        if (round == 1) break;
        renew(&s); /* it was gone: the alarms were worth it */
        answer_time(&s, 1000000);
        hear(&s, string("6"));
    }
    hear(&s, (pawl__redis_value){.type = PAWL__REDIS_PUSH, .items = items, .count = 2});
    assert_non_null(strstr(s.warning, "cannot be watched"));
    assert_int_equal(s.pushes,
                     2 * PAWL__REDIS_ALARMS_MAX - 1); /* hints are passed on all the same */
    renew(&s);
    hear(&s, string("3 7 0"));
    assert_int_equal(s.cachings, 0);
    end(&s);
}

static void keys_of_nobody_are_no_news(void **state)
{
    static const char *const keys[] = {"other:x", "pawl:", "paw"};
    stage s;
    (void)state;
    begin_at(&s, "7.0.15", PAWL__REDIS_WATCH_AUTO);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        pawl__redis_value key = string(keys[i]);
        pawl__redis_value items[] = {string("invalidate"),
                                     {.type = PAWL__REDIS_ARRAY, .items = &key, .count = 1}};
        hear(&s, (pawl__redis_value){.type = PAWL__REDIS_PUSH, .items = items, .count = 2});
    }
    assert_int_equal(s.pushes, 0);
    end(&s);
}

/* ---- The clock ------------------------------------------------------------------------ */

/* A renewal after this span of ours, for which the server's clock went so far. */
static void renew_after(stage *s, int64_t ours_ms, int64_t *server_us, int64_t server_ms)
{
    now += ours_ms * MS;
    *server_us += server_ms * 1000;
    renew(s);
    answer_time(s, *server_us);
    confirm(s, false, string(token));
}

static void a_step_of_the_servers_clock_puts_all_in_doubt(void **state)
{
    int64_t server_us = INT64_C(1700000000000000);
    stage s;
    (void)state;
    begin_at(&s, "7.0.15", PAWL__REDIS_WATCH_AUTO);
    renew(&s);
    answer_time(&s, server_us);
    confirm(&s, true, string(token));
    renew_after(&s, 10000, &server_us, 10000);
    renew_after(&s, 10000, &server_us, 10400); /* slewed, or measured badly */
    renew_after(&s, 10000, &server_us, 9600);
    assert_int_equal(s.pushes + s.warnings, 0);
    renew_after(&s, 10000, &server_us, 13000);
    assert_non_null(strstr(s.warning, "set forward by 3.000 s"));
    assert_int_equal(s.pushes, 1);
    assert_int_equal(s.push.kind, PAWL_PUSH_RECHECK);
    assert_int_equal(s.push.name_len, 0);
    assert_int_equal(s.store.watch.step_us, 3000000);
    renew_after(&s, 10000, &server_us, 10000); /* told once */
    assert_int_equal(s.warnings, 1);
    renew_after(&s, 10000, &server_us, -50000);
    assert_non_null(strstr(s.warning, "set back by 60.000 s"));
    assert_int_equal(s.pushes, 1); /* nothing ends early by that */
    end(&s);
}

/* The address may lead to another server now, with another clock. */
static void clocks_of_two_connections_are_not_compared(void **state)
{
    stage s;
    (void)state;
    begin_at(&s, "7.0.15", PAWL__REDIS_WATCH_AUTO);
    renew(&s);
    answer_time(&s, 1000000);
    (void)pause_after_a_cut(&s);
    come_up(&s);
    now += 1000 * MS;
    renew(&s);
    answer_time(&s, 99000000);
    assert_int_equal(s.warnings, 0);
    end(&s);
}

static void the_time_is_asked_for_now_and_then(void **state)
{
    stage s;
    (void)state;
    begin_at(&s, "6.0.16", PAWL__REDIS_WATCH_AUTO);
    uint64_t sent = s.sent;
    renew(&s);
    renew(&s); /* it is under way */
    assert_int_equal(s.sent, sent + 3);
    answer_time(&s, 1000000);
    hear(&s, string("3 7 0"));
    hear(&s, string("3 7 0"));
    renew(&s);
    assert_int_equal(s.sent, sent + 4);
    now += PAWL__REDIS_CLOCK_PAUSE_MS * MS;
    renew(&s);
    assert_int_equal(s.sent, sent + 6);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(old_servers_are_not_asked),
        cmocka_unit_test(why_a_server_cannot_be_watched_is_said),
        cmocka_unit_test(before_the_link_is_up_nothing_has_changed),
        cmocka_unit_test(a_key_that_changed_before_it_was_read_is_noticed),
        cmocka_unit_test(so_many_keys_in_a_second_and_no_more),
        cmocka_unit_test(alarms_without_a_loss_end_it),
        cmocka_unit_test(keys_of_nobody_are_no_news),
        cmocka_unit_test(a_step_of_the_servers_clock_puts_all_in_doubt),
        cmocka_unit_test(clocks_of_two_connections_are_not_compared),
        cmocka_unit_test(the_time_is_asked_for_now_and_then),
    };
    return cmocka_run_group_tests_name("watching, on a scripted wire", cases, NULL, NULL);
}
