/* SPDX-License-Identifier: MIT */
/* What strangers, a full server and a login do to locks on one etcd. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/etcd/etcd_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static client *up(const char *owner)
{
    store_address address = rig_address();
    return client_up(rig_loop(), &address, owner);
}

/* ---- Leases that end before their time ----------------------------------------------------- */

static void is_lost(void (*hurt)(const char *name))
{
    client *a = up("a"), *b = up("b");
    const char *name = rig_name(), *token = fresh_token();
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    hurt(name);
    assert_string_equal(client_await_push(a, PAWL_PUSH_RECHECK, NULL)->push.name, name);
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    rig_expect(a, ask_release(name, token), PAWL_NOT_OWNER);
    const seen_reply *next = rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    assert_true(next->reply.fence > fence);
    client_close(a);
    client_close(b);
}

static void a_lease_that_an_operator_revokes_is_lost_and_told(void **state)
{
    (void)state;
    is_lost(rig_revoke);
}

static void a_key_that_a_stranger_deletes_is_lost_and_told(void **state)
{
    (void)state;
    is_lost(rig_remove);
}

static size_t waiters_of(client *c, const char *name)
{
    pawl_request request = ask_inspect(name, NULL);
    const seen_reply *r = client_ask(c, &request);
    CHECK(r->reply.outcome == PAWL_REPORTED);
    return client_row(c, r->reply.id, 0)->waiter_count;
}

/* etcd's own lock service gave the lock to such a waiter. */
static void a_waiter_whose_lease_is_over_gets_nothing(void **state)
{
    client *a = up("a"), *b = up("b"), *c = up("c");
    const char *name = rig_name(), *held = fresh_token(), *over = fresh_token();
    const char *lives = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue(name, over, 100), PAWL_QUEUED);
    rig_expect(c, ask_queue(name, lives, LONG_MS), PAWL_QUEUED);
    while (waiters_of(a, name) == 2) test_loop_for(rig_loop(), 20);
    rig_expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(c, PAWL_PUSH_GRANT, lives);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, over));
    rig_expect(b, ask_renew(name, over, LONG_MS), PAWL_NOT_OWNER);
    client_close(a);
    client_close(b);
    client_close(c);
}

static void a_turn_that_came_while_the_server_was_away_is_told(void **state)
{
    client *a = up("a"), *b = up("b");
    const char *name = rig_name(), *held = fresh_token(), *waiter = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    etcd_server_kill(rig_server(), 0);
    client_await_link(b, false);
    etcd_server_restart(rig_server(), 0);
    client_await_link(a, true);
    client_await_link(b, true);
    rig_expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED); /* nothing was forgotten */
    rig_expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, waiter);
    client_close(a);
    client_close(b);
}

/* ---- A server that is restored from a backup, or has lost the end of its log ----------------- */

/* etcd_server_keep, or _go_back. Connections are cut by it, so the first thing that is asked then
 * may have no answer: that is nothing that changes anything. */
static void restart_by(void (*how)(etcd_server *server, int member), client *const *clients,
                       size_t count)
{
    how(rig_server(), 0);
    for (size_t i = 0; i < count; i++)
        (void)rig_ask_until(clients[i], ask_inspect(rig_name(), NULL), PAWL_REPORTED);
}

/* The holder hears that it has lost, and what it says afterwards does the next one no harm. */
static void a_grant_that_the_server_forgot_is_not_confirmed(void **state)
{
    client *const c[] = {up("a"), up("b"), up("c")};
    const char *name = rig_name(), *held = fresh_token(), *waits = fresh_token();
    const char *next = fresh_token();
    (void)state;
    rig_expect(c[0], ask_acquire(name, next, LONG_MS), PAWL_GRANTED);
    rig_expect(c[0], ask_release(name, next), PAWL_RELEASED); /* now it takes the name for quiet */
    restart_by(etcd_server_keep, c, 3);
    next = fresh_token();
    rig_expect(c[0], ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(c[1], ask_queue(name, waits, LONG_MS), PAWL_QUEUED);
    restart_by(etcd_server_go_back, c, 3);
    rig_expect(c[2], ask_acquire(name, next, LONG_MS), PAWL_GRANTED);
    rig_expect(c[0], ask_renew(name, held, LONG_MS), PAWL_NOT_OWNER);
    rig_expect(c[0], ask_release(name, held), PAWL_NOT_OWNER);
    rig_expect(c[1], ask_queue(name, waits, LONG_MS), PAWL_QUEUED);
    rig_expect(c[2], ask_renew(name, next, LONG_MS), PAWL_CONFIRMED);
    rig_expect(c[2], ask_release(name, next), PAWL_RELEASED);
    client_await_push(c[1], PAWL_PUSH_GRANT, waits);
    for (size_t i = 0; i < 3; i++) client_close(c[i]);
}

/* Who let go is the holder again, and its token frees the lock. */
static void a_release_that_the_server_forgot_is_repeated(void **state)
{
    client *const c[] = {up("a"), up("b")};
    const char *name = rig_name(), *first = fresh_token(), *second = fresh_token();
    (void)state;
    rig_expect(c[0], ask_acquire(name, first, LONG_MS), PAWL_GRANTED);
    restart_by(etcd_server_keep, c, 2);
    rig_expect(c[0], ask_release(name, first), PAWL_RELEASED);
    rig_expect(c[1], ask_acquire(name, second, LONG_MS), PAWL_GRANTED);
    restart_by(etcd_server_go_back, c, 2);
    rig_expect(c[1], ask_renew(name, second, LONG_MS), PAWL_NOT_OWNER);
    rig_expect(c[1], ask_acquire(name, second, LONG_MS), PAWL_BUSY);
    rig_expect(c[0], ask_release(name, first), PAWL_RELEASED);
    rig_expect(c[1], ask_acquire(name, second, LONG_MS), PAWL_GRANTED);
    client_close(c[0]);
    client_close(c[1]);
}

/* Its revisions count from less than the waiter has seen: it hears of its turn all the same. */
static void a_waiter_at_a_server_that_went_back_gets_its_turn(void **state)
{
    client *const c[] = {up("a"), up("b")};
    const char *name = rig_name(), *held = fresh_token(), *waits = fresh_token();
    (void)state;
    rig_expect(c[0], ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(c[1], ask_queue(name, waits, LONG_MS), PAWL_QUEUED);
    restart_by(etcd_server_keep, c, 2);
    for (int i = 0; i < 10; i++) rig_lock_and_unlock(c[1]);
    rig_expect(c[1], ask_queue(name, waits, LONG_MS), PAWL_QUEUED);
    restart_by(etcd_server_go_back, c, 2);
    rig_expect(c[0], ask_renew(name, held, LONG_MS), PAWL_CONFIRMED);
    rig_expect(c[1], ask_queue(name, waits, LONG_MS), PAWL_QUEUED);
    rig_expect(c[0], ask_release(name, held), PAWL_RELEASED);
    client_await_push(c[1], PAWL_PUSH_GRANT, waits);
    client_close(c[0]);
    client_close(c[1]);
}

/* ---- Strangers ----------------------------------------------------------------------------- */

static void put(const pawl__etcd_bytes *key, const char *value)
{
    pawl__etcd_text body = {0};
    pawl__etcd_add(&body, "{\"key\":\"");
    pawl__etcd_add_base64(&body, key->at, key->len);
    pawl__etcd_add(&body, "\",\"value\":\"");
    pawl__etcd_add_base64(&body, value, strlen(value));
    pawl__etcd_add(&body, "\"}");
    rig_command("/v3/kv/put", body.at, "\"revision\"");
    pawl__etcd_text_done(&body);
}

static void what_is_not_pawls_is_never_touched(void **state)
{
    client *a = up("a");
    const char *name = rig_name();
    pawl__etcd_bytes key;
    (void)state;
    pawl__etcd_key_of_name(&key, "pawl/", name, strlen(name));
    memcpy(key.at + key.len, "stranger", 8);
    key.len += 8;
    put(&key, "x");
    const seen_reply *r = rig_expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    assert_string_equal(r->text, "somebody who is not pawl");
    for (uint64_t fence = 1; fence < 100; fence++)
        rig_expect(a, ask_break(name, fence), PAWL_NOT_OWNER);
    rig_remove(name);
    rig_expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(a);
}

/* What was never published, or in another form, is no value. */
static void a_value_that_is_not_pawls_is_none(void **state)
{
    static const char *const strange[] = {"hello",
                                          "hello\n",
                                          "pawl1 7\nab",
                                          "pawl2 7 7 1\nab",
                                          "pawl1 7 7\nab",
                                          "pawl1 0 7 1\nab",
                                          "pawl1 -1 7 1\nab",
                                          "pawl1 7 7 3\nab",
                                          "pawl1 7 7 999\nab"};
    client *a = up("a");
    const char *name = rig_name();
    pawl__etcd_bytes key;
    (void)state;
    pawl__etcd_key_of_value(&key, "pawl/", name, strlen(name));
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        put(&key, strange[i]);
        if (rig_expect(a, ask_read(name, 0), PAWL_REPORTED)->reply.value->fence)
            FAIL_TEST("\"%s\" is a value", strange[i]);
    }
    put(&key, "pawl1 7 7 1\nab");
    const pawl_value *value = rig_expect(a, ask_read(name, 0), PAWL_REPORTED)->reply.value;
    assert_string_equal(value->owner, "a");
    assert_int_equal(value->len, 1);
    client_close(a);
}

/* ---- A full server ------------------------------------------------------------------------- */

/* The id of the one member, as a number of JSON. */
static void set_alarm(bool on)
{
    char answer[8192], json[256], id[32];
    CHECK(etcd_server_ask(rig_server(), 0, "/v3/maintenance/status", "{}", NULL, answer,
                          sizeof answer));
    const char *at = strstr(answer, "\"member_id\":\"");
    CHECK(at != NULL);
    at += strlen("\"member_id\":\"");
    snprintf(id, sizeof id, "%.*s", (int)strcspn(at, "\""), at);
    snprintf(json, sizeof json, "{\"action\":\"%s\",\"memberID\":\"%s\",\"alarm\":\"NOSPACE\"}",
             on ? "ACTIVATE" : "DEACTIVATE", id);
    rig_command("/v3/maintenance/alarm", json, " 200 OK");
}

static void a_full_server_grants_nothing_and_takes_no_lock_away(void **state)
{
    client *a = up("a"), *b = up("b");
    const char *name = rig_name(), *other = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    set_alarm(true);
    const seen_reply *r = rig_expect(b, ask_acquire(other, fresh_token(), LONG_MS), PAWL_FAILED);
    assert_int_equal(r->reply.err, PAWL_ERR_STORE_FULL);
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    pawl_request doctor = ask_doctor();
    assert_int_equal(client_ask(a, &doctor)->reply.outcome, PAWL_REPORTED);
    assert_int_equal(client_severity(a, "alarm"), PAWL_SEVERITY_ERROR);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    set_alarm(false);
    rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(a);
    client_close(b);
}

/* ---- The doctor ---------------------------------------------------------------------------- */

static void the_doctor_names_what_endangers_locks(void **state)
{
    client *a = up("a");
    (void)state;
    rig_ask_doctor(a);
    assert_int_equal(client_severity(a, "members"), PAWL_SEVERITY_WARNING); /* there is one */
    assert_int_equal(client_severity(a, "leader"), PAWL_SEVERITY_OK);
    assert_int_equal(client_severity(a, "alarm"), PAWL_SEVERITY_OK);
    assert_int_equal(client_severity(a, "space"), PAWL_SEVERITY_OK);
    assert_non_null(strstr(client_found(a), "version: etcd 3."));
    client_close(a);
}

/* ---- The login ----------------------------------------------------------------------------- */

/* The last case: from here on the server wants a login. */
static void a_login_is_made_and_made_again_when_it_is_over(void **state)
{
    store_address address = rig_address();
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_demand_login();
    client *nobody = client_open(rig_loop(), &address, "nobody");
    assert_int_equal(rig_await_refusal(nobody)->err, PAWL_ERR_AUTH);
    client_close(nobody);
    address.user = "root";
    address.password = "wrong";
    client *wrong = client_open(rig_loop(), &address, "wrong");
    assert_int_equal(rig_await_refusal(wrong)->err, PAWL_ERR_AUTH);
    client_close(wrong);
    address.password = "secret";
    client *a = client_up(rig_loop(), &address, "a");
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    /* Tokens of who gets a password, the same one, are forgotten. */
    rig_command_as_root("/v3/auth/user/changepw", "{\"name\":\"root\",\"password\":\"secret\"}");
    const seen_reply *r = rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, fence);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    assert_int_equal(client_link_count(a), 1); /* nobody has noticed */
    client_close(a);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_lease_that_an_operator_revokes_is_lost_and_told),
        cmocka_unit_test(a_key_that_a_stranger_deletes_is_lost_and_told),
        cmocka_unit_test(a_waiter_whose_lease_is_over_gets_nothing),
        cmocka_unit_test(a_turn_that_came_while_the_server_was_away_is_told),
        cmocka_unit_test(a_grant_that_the_server_forgot_is_not_confirmed),
        cmocka_unit_test(a_release_that_the_server_forgot_is_repeated),
        cmocka_unit_test(a_waiter_at_a_server_that_went_back_gets_its_turn),
        cmocka_unit_test(what_is_not_pawls_is_never_touched),
        cmocka_unit_test(a_value_that_is_not_pawls_is_none),
        cmocka_unit_test(a_full_server_grants_nothing_and_takes_no_lock_away),
        cmocka_unit_test(the_doctor_names_what_endangers_locks),
        cmocka_unit_test(a_login_is_made_and_made_again_when_it_is_over),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
