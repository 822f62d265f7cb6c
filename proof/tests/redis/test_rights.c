/* SPDX-License-Identifier: MIT */
/*
 * What the user of a real server may do, what the doctor finds there, and what is no server for
 * locks at all.
 */
#define _GNU_SOURCE
#include "link_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const pawl_store_ops pawl_store_entry;

/* ---- Permissions ---------------------------------------------------------------------------- */

static void the_minimal_acl_suffices(void **state)
{
    stage s = begin(state);
    as_joe(&s);
    rig_must(s.rig, "SCRIPT FLUSH"); /* so EVAL is needed too */
    client *a = client_up(s.loop, &s.address, "a"), *b = client_up(s.loop, &s.address, "b");
    const char *first = fresh_token(), *second = fresh_token(), *third = fresh_token();
    expect(a, ask_acquire("x", first, LONG_MS), PAWL_GRANTED);
    expect(a, ask_renew("x", first, LONG_MS), PAWL_CONFIRMED);
    expect(b, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    expect(b, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    (void)client_await_push(a, PAWL_PUSH_YIELD, first);
    expect(a, ask_queue("x", third, LONG_MS), PAWL_QUEUED);
    expect(a, ask_release("x", third), PAWL_LEFT);
    expect(a, ask_release("x", first), PAWL_RELEASED);
    uint64_t fence = client_await_push(b, PAWL_PUSH_GRANT, second)->push.fence;
    expect(a, ask_inspect("x", second), PAWL_REPORTED);
    expect(a, ask_list(""), PAWL_REPORTED);
    expect(a, ask_break("x", fence), PAWL_RELEASED);
    (void)client_await_push(b, PAWL_PUSH_RECHECK, NULL);
    expect(a, ask_doctor(), PAWL_REPORTED);
    client_close(a);
    client_close(b);
    end(&s);
}

/* A user who may only look is told at once, at the first request to lock, which rule is missing. */
static void may_only_look(client *c, const char *rule)
{
    const seen_reply *a = expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_FAILED);
    assert_int_equal(a->reply.err, PAWL_ERR_PERMISSION);
    says(a->text, rule);
    expect(c, ask_list(""), PAWL_REPORTED);
    expect(c, ask_inspect("x", NULL), PAWL_REPORTED);
}

static void a_missing_permission_is_named_at_once(void **state)
{
    static const struct {
        const char *command;
        bool looks; /* one may look without it */
    } cases[] = {{"evalsha", false}, {"eval", false},     {"subscribe", true}, {"publish", true},
                 {"get", false},     {"set", true},       {"del", true},       {"exists", true},
                 {"pexpire", true},  {"pexpireat", true}, {"pttl", false},     {"time", false},
                 {"zadd", true},     {"zcard", false},    {"zrange", false},   {"zrank", true},
                 {"zrem", true},     {"hget", true},      {"hmget", false},    {"hset", true},
                 {"hdel", true},     {"pubsub", true}};
    stage s = begin(state);
    as_joe(&s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char rule[32];
        rig_must(s.rig, "SCRIPT FLUSH");
        rig_must(s.rig, "ACL SETUSER joe -%s", cases[i].command);
        snprintf(rule, sizeof(rule), "+%s", cases[i].command);
        char twice[80]; /* whatever else is said, no rule is named twice */
        snprintf(twice, sizeof(twice), " %s %s", rule, rule);
        client *c = client_open(s.loop, &s.address, "a");
        if (cases[i].looks) {
            client_await_link(c, true);
            may_only_look(c, rule);
        } else {
            const char *told = await_down(c, PAWL_ERR_PERMISSION);
            says(told, rule);
            assert_null(strstr(told, twice));
        }
        client_close(c);
        rig_must(s.rig, "ACL SETUSER joe +%s", cases[i].command);
    }
    end(&s);
}

#define LOOKERS_ACL                                                                                \
    "resetkeys resetchannels -@all ~pawl:* ~{pawl:* +hello +eval +evalsha +get +pttl +time "       \
    "+zcard "                                                                                      \
    "+zrange +hmget +scan"

static void whoever_may_only_read_looks(void **state)
{
    stage s = begin(state);
    client *holder = client_up(s.loop, &s.address, "holder");
    const char *token = fresh_token();
    uint64_t fence = expect(holder, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_must(s.rig, "ACL SETUSER joe reset on >secret " LOOKERS_ACL);
    as_joe(&s);
    client *c = client_up(s.loop, &s.address, "a");
    may_only_look(c, "+set +del +exists +pexpire +pexpireat +zadd");
    may_only_look(c, "+subscribe &pawl:inbox:*");
    pawl_request look = ask_inspect("x", NULL);
    uint64_t id = expect(c, look, PAWL_REPORTED)->reply.id;
    assert_true(client_row_named(c, id, "x")->held);
    id = expect(c, ask_list(""), PAWL_REPORTED)->reply.id;
    assert_int_equal(client_row_count(c, id), 1);
    expect(holder, ask_publish("x", token, "v"), PAWL_CONFIRMED);
    expect(c, ask_read("x", 0), PAWL_REPORTED);
    pawl_request forbidden[] = {ask_queue("x", fresh_token(), LONG_MS),
                                ask_renew("x", token, LONG_MS), ask_release("x", token),
                                ask_break("x", fence), ask_read("x", LONG_MS)};
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
        assert_int_equal(expect(c, forbidden[i], PAWL_FAILED)->reply.err, PAWL_ERR_PERMISSION);
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_error_found(c), "+set");
    expect(holder, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    client_close(holder);
    client_close(c);
    end(&s);
}

typedef struct lock_wish {
    client *client;
    const char *token;
} lock_wish;

static bool is_granted(void *arg)
{
    lock_wish *w = arg;
    pawl_request request = ask_acquire("x", w->token, LONG_MS);
    return client_ask(w->client, &request)->reply.outcome == PAWL_GRANTED;
}

static void rules_that_are_given_later_are_noticed(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "ACL SETUSER joe reset on >secret " LOOKERS_ACL);
    as_joe(&s);
    client *c = client_up(s.loop, &s.address, "a");
    may_only_look(c, "+set");
    rig_must(s.rig, "ACL SETUSER joe reset on >secret " MINIMAL_ACL);
    lock_wish wish = {.client = c, .token = fresh_token()};
    test_loop_until(s.loop, is_granted, &wish, "the lock");
    client_close(c);
    end(&s);
}

static void missing_permissions_are_named_together(void **state)
{
    stage s = begin(state);
    as_joe(&s);
    rig_must(s.rig, "ACL SETUSER joe -zadd -hset -pttl");
    client *c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_PERMISSION), "+pttl +zadd +hset"); /* pttl is for looking */
    rig_must(s.rig, "ACL SETUSER joe +zadd +hset +pttl");
    client_await_link(c, true);
    client_close(c);
    end(&s);
}

static void missing_channels_and_keys_are_named(void **state)
{
    stage s = begin(state);
    as_joe(&s);
    rig_must(s.rig, "ACL SETUSER joe resetchannels");
    client *c = client_up(s.loop, &s.address, "a");
    may_only_look(c, "&pawl:inbox:*");
    client_close(c);
    rig_must(s.rig, "ACL SETUSER joe &pawl:inbox:* resetkeys");
    c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_PERMISSION), "~pawl:* ~{pawl:*");
    client_close(c);
    rig_must(s.rig, "ACL SETUSER joe ~pawl:*"); /* half of it: the companions are missing */
    c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_PERMISSION), "~pawl:* ~{pawl:*");
    client_close(c);
    rig_must(s.rig, "ACL SETUSER joe ~{pawl:*");
    c = client_up(s.loop, &s.address, "a");
    lock_and_unlock(c);
    rig_must(s.rig, "ACL SETUSER joe resetkeys ~pawl:*"); /* taken away later: doctor finds it */
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_error_found(c), "~pawl:* ~{pawl:*");
    client_close(c);
    end(&s);
}

static void a_permission_taken_away_later_is_named_too(void **state)
{
    stage s = begin(state);
    as_joe(&s);
    client *c = client_up(s.loop, &s.address, "a");
    expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_must(s.rig, "ACL SETUSER joe -zadd");
    const seen_reply *a = expect(c, ask_queue("x", fresh_token(), LONG_MS), PAWL_FAILED);
    assert_int_equal(a->reply.err, PAWL_ERR_PERMISSION);
    says(a->text, "+zadd");
    rig_must(s.rig, "ACL SETUSER joe +zadd -scan");
    a = expect(c, ask_list(""), PAWL_FAILED);
    assert_int_equal(a->reply.err, PAWL_ERR_PERMISSION);
    says(a->text, "+scan");
    client_close(c);
    end(&s);
}

static void whoever_may_not_publish_still_hands_off(void **state)
{
    stage s = begin(state);
    as_joe(&s);
    client *a = client_up(s.loop, &s.address, "a"), *b = client_up(s.loop, &s.address, "b");
    const char *first = fresh_token(), *second = fresh_token();
    expect(a, ask_acquire("x", first, LONG_MS), PAWL_GRANTED);
    expect(b, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    rig_must(s.rig, "ACL SETUSER joe -publish -pubsub");
    expect(a, ask_release("x", first), PAWL_RELEASED);
    expect(b, ask_queue("x", second, LONG_MS), PAWL_GRANTED); /* it finds out by asking */
    client_close(a);
    client_close(b);
    end(&s);
}

/* ---- Doctor ----------------------------------------------------------------------- */

static void the_doctor_examines_and_says_what_was_denied(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    expect(c, ask_doctor(), PAWL_REPORTED);
    assert_true(client_finding_count(c) >= 7);
    client_close(c);
    as_joe(&s); /* may neither INFO nor CONFIG */
    c = client_up(s.loop, &s.address, "a");
    expect(c, ask_doctor(), PAWL_REPORTED);
    assert_true(client_finding_count(c) >= 4);
    client_close(c);
    end(&s);
}

static void the_doctor_finds(client *c, const char *words)
{
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_error_found(c), words);
}

static void the_doctor_writes_and_leaves_nothing(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    int64_t sets = rig_calls(s.rig, "set"), dels = rig_calls(s.rig, "del");
    expect(c, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(rig_calls(s.rig, "set"), sets + 2); /* the probe's too */
    assert_int_equal(rig_calls(s.rig, "del"), dels + 2);
    assert_int_equal(rig_int(s.rig, "DBSIZE"), 1); /* the guard's record */
    client_close(c);
    end(&s);
}

static void the_doctor_finds_that_writes_are_refused(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    rig_must(s.rig, "CONFIG SET maxmemory 1");
    the_doctor_finds(c, "memory is full");
    rig_must(s.rig, "CONFIG SET maxmemory 0");
    rig_must(s.rig, "CONFIG SET min-replicas-to-write 3");
    the_doctor_finds(c, "too few replicas");
    rig_must(s.rig, "CONFIG SET min-replicas-to-write 0");
    rig_must(s.rig, "REPLICAOF 127.0.0.1 1");
    the_doctor_finds(c, "replica");
    rig_must(s.rig, "REPLICAOF NO ONE");
    client_close(c);
    end(&s);
}

/* An unknown user is refused, also by a server that lets everybody in without a user. */
static void a_refused_login_is_not_replaced_by_another_one(void **state)
{
    stage s = begin(state);
    s.address.user = "jim";
    s.address.password = "secret";
    client *c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_AUTH), "refused the user or password");
    client_close(c);
    end(&s);
}

/* ---- A Sentinel ------------------------------------------------------------------- */

static void a_sentinel_is_said_to_be_one(void **state)
{
    static const char config[] = "sentinel monitor shop 127.0.0.1 1 1\n";
    stage s = begin(state);
    redis_server *sentinel = redis_server_start_sentinel(config);
    store_address address = {
        .ops = &pawl_store_entry, .scheme = "redis+unix", .path = redis_server_socket(sentinel)};
    client *c = client_open(s.loop, &address, "a");
    const char *said = await_down(c, PAWL_ERR_UNSUPPORTED);
    says(said, "is a Sentinel");
    says(said, "get-master-addr-by-name");
    says(said, "redis://HOST:PORT");
    client_close(c);
    address.options[address.option_count++] = (pawl_url_option){.key = "db", .value = "2"};
    c = client_open(s.loop, &address, "a");
    says(await_down(c, PAWL_ERR_UNSUPPORTED), "is a Sentinel");
    client_close(c);
    address.user = "joe"; /* a Sentinel has users of its own, and refuses those of the Redis */
    address.password = "secret";
    for (int i = 0; i < 2; i++) {
        if (i == 1) add_option(&address, "guard", "on");
        c = client_open(s.loop, &address, "a");
        says(await_down(c, PAWL_ERR_UNSUPPORTED), "is a Sentinel");
        client_close(c);
    }
    redis_server_stop(sentinel);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(the_minimal_acl_suffices),
        cmocka_unit_test(a_missing_permission_is_named_at_once),
        cmocka_unit_test(whoever_may_only_read_looks),
        cmocka_unit_test(rules_that_are_given_later_are_noticed),
        cmocka_unit_test(missing_permissions_are_named_together),
        cmocka_unit_test(missing_channels_and_keys_are_named),
        cmocka_unit_test(a_permission_taken_away_later_is_named_too),
        cmocka_unit_test(whoever_may_not_publish_still_hands_off),
        cmocka_unit_test(the_doctor_examines_and_says_what_was_denied),
        cmocka_unit_test(the_doctor_writes_and_leaves_nothing),
        cmocka_unit_test(the_doctor_finds_that_writes_are_refused),
        cmocka_unit_test(a_refused_login_is_not_replaced_by_another_one),
        cmocka_unit_test(a_sentinel_is_said_to_be_one),
    };
    return rig_run("rights at redis", cases, rig_group_begin, rig_group_end);
}
