/* SPDX-License-Identifier: MIT */
/* Three servers: the leader is killed, and a minority is left. */
#define _GNU_SOURCE
#include "rig.h"

#define DEAD_TTL_MS 2500
#define REPORTS     500

static int begin(void **state)
{
    (void)state;
    return rig_begin_with(3);
}

static void the_death_of_the_leader_takes_no_lock_away(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name(), *token = fresh_token(), *waiter = fresh_token();
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    int leader = zookeeper_server_leader(rig_server());
    zookeeper_server_kill(rig_server(), leader);
    const seen_reply *r = rig_ask_until_known(a, ask_renew(name, token, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, fence);
    r = rig_ask_until_known(b, ask_queue(name, waiter, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_QUEUED);
    r = rig_ask_until_known(a, ask_release(name, token));
    assert_int_equal(r->reply.outcome, PAWL_RELEASED);
    r = rig_ask_until_known(b, ask_queue(name, waiter, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_GRANTED);
    assert_true(r->reply.fence > fence);
    zookeeper_server_restart(rig_server(), leader);
    client_close(a);
    client_close(b);
}

/* Its lease is longer than its session, so its node belongs to no session. The next leader's clock
 * does not tell how old it is. */
static void what_a_dead_client_holds_ends_under_the_next_leader_too(void **state)
{
    client *b = rig_up("b");
    const char *name = rig_name();
    (void)state;
    int64_t asked_at = rig_hold_and_die(b, "1000", ask_acquire(name, fresh_token(), DEAD_TTL_MS));
    int leader = zookeeper_server_leader(rig_server());
    zookeeper_server_kill(rig_server(), leader);
    rig_acquire_soon(b, name, fresh_token());
    assert_true(host_now() - asked_at >= DEAD_TTL_MS * INT64_C(1000000));
    zookeeper_server_restart(rig_server(), leader);
    client_close(b);
}

static void a_minority_grants_nothing(void **state)
{
    client *a = rig_up("a");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    zookeeper_server_kill(rig_server(), 0);
    zookeeper_server_kill(rig_server(), 1);
    for (int i = 0; i < 3; i++) {
        pawl_request request = ask_acquire(name, token, LONG_MS);
        request.answer_by = host_now() + INT64_C(1000000000);
        const seen_reply *r = client_ask(a, &request);
        assert_true(r->reply.outcome == PAWL_FAILED || r->reply.outcome == PAWL_UNKNOWN);
    }
    zookeeper_server_restart(rig_server(), 0);
    zookeeper_server_restart(rig_server(), 1);
    rig_acquire_soon(a, name, token);
    client_close(a);
}

/* Each client has a server of its own, and one that follows may be behind the other. */
static client *up_at(int member, const char *owner)
{
    store_address address = rig_address();
    address.host = "127.0.0.1";
    address.port = zookeeper_server_port(rig_server(), member);
    return client_up(rig_loop(), &address, owner);
}

/* The servers that were started last may still elect, and be slow: what they answer in the end
 * counts. */
static void hold_and_let_go(client *c, const char *name)
{
    const char *token = fresh_token();
    const seen_reply *r = rig_ask_until_known(c, ask_acquire(name, token, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_GRANTED);
    r = rig_ask_until_known(c, ask_release(name, token));
    /* A release whose answer was lost has been done when it is asked again. */
    assert_true(r->reply.outcome == PAWL_RELEASED || r->reply.outcome == PAWL_NOT_OWNER);
}

static void a_report_shows_nobody_who_has_gone(void **state)
{
    int leader = zookeeper_server_leader(rig_server());
    client *a = up_at((leader + 1) % 3, "a"), *b = up_at((leader + 2) % 3, "b");
    const char *name = rig_name();
    (void)state;
    for (int i = 0; i < REPORTS; i++) {
        hold_and_let_go(a, name);
        const seen_reply *r = rig_ask_until_known(b, ask_inspect(name, NULL));
        assert_int_equal(r->reply.outcome, PAWL_REPORTED);
        assert_false(client_row(b, r->reply.id, 0)->held);
    }
    client_close(a);
    client_close(b);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(the_death_of_the_leader_takes_no_lock_away),
        cmocka_unit_test(what_a_dead_client_holds_ends_under_the_next_leader_too),
        cmocka_unit_test(a_minority_grants_nothing),
        cmocka_unit_test(a_report_shows_nobody_who_has_gone),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, begin, rig_end);
}
