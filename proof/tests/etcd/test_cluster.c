/* SPDX-License-Identifier: MIT */
/* Three members: the leader is killed, and a minority is cut off. */
#define _GNU_SOURCE
#include "rig.h"

static int begin(void **state)
{
    (void)state;
    return rig_begin_with(3);
}

static void the_death_of_the_leader_takes_no_lock_away(void **state)
{
    store_address address = rig_address();
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    const char *name = rig_name(), *token = fresh_token(), *waiter = fresh_token();
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    int leader = etcd_server_leader(rig_server());
    etcd_server_kill(rig_server(), leader);
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
    etcd_server_restart(rig_server(), leader);
    client_close(a);
    client_close(b);
}

/* ---- Cut off ------------------------------------------------------------------------------- */

static client *up_at(int member, const char *owner)
{
    store_address address = rig_address();
    address.host = "127.0.0.1";
    address.port = etcd_server_port(rig_server(), member);
    return client_up(rig_loop(), &address, owner);
}

static uint64_t begin_asking(client *c, pawl_request request)
{
    request.answer_by = host_now() + INT64_C(1000000000);
    uint64_t id = client_submit(c, &request);
    client_flush(c);
    return id;
}

static void expect_nothing(client *c, uint64_t id)
{
    pawl_outcome outcome = client_await(c, id)->reply.outcome;
    if (outcome != PAWL_FAILED && outcome != PAWL_UNKNOWN) FAIL_TEST("outcome %d", (int)outcome);
}

/* Two of three are stopped: who speaks with the third one is told nothing that is not known. */
static void a_minority_confirms_and_grants_nothing(void **state)
{
    client *holder = up_at(2, "holder"), *waiter = up_at(2, "waiter"), *asker = up_at(2, "asker");
    const char *name = rig_name(), *other = rig_name(), *free_one = rig_name();
    const char *held = fresh_token(), *waits = fresh_token(), *asks = fresh_token();
    (void)state;
    /* The members of the case before may still choose a leader. */
    const seen_reply *r = rig_ask_until_known(holder, ask_acquire(name, held, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_GRANTED);
    const uint64_t fence = r->reply.fence;
    r = rig_ask_until_known(waiter, ask_queue(name, waits, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_QUEUED);
    etcd_server_pause(rig_server(), 0);
    etcd_server_pause(rig_server(), 1);
    for (int i = 0; i < 2; i++) {
        uint64_t renewal = begin_asking(holder, ask_renew(name, held, LONG_MS));
        uint64_t refresh = begin_asking(waiter, ask_queue(name, waits, LONG_MS));
        uint64_t attempt = begin_asking(asker, ask_acquire(other, asks, LONG_MS));
        uint64_t look = begin_asking(asker, ask_inspect(free_one, NULL));
        expect_nothing(holder, renewal);
        expect_nothing(waiter, refresh);
        expect_nothing(asker, attempt);
        expect_nothing(asker, look);
    }
    client_await_link(holder, false);
    client_await_link(waiter, false);
    client_await_link(asker, false);
    assert_null(client_pushed(waiter, PAWL_PUSH_GRANT, waits));
    etcd_server_resume(rig_server(), 0);
    etcd_server_resume(rig_server(), 1);
    r = rig_ask_until_known(holder, ask_renew(name, held, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, fence);
    r = rig_ask_until_known(waiter, ask_queue(name, waits, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_QUEUED);
    rig_acquire_soon(asker, other, asks);
    client_close(holder);
    client_close(waiter);
    client_close(asker);
}

/* The leader stands still while the others choose another one, let a lease end and grant again.
 * When it goes on it believes for a moment that it leads, and that the lease lives. */
static void a_leader_that_stood_still_confirms_nothing_that_is_over(void **state)
{
    int leader = etcd_server_leader(rig_server());
    client *old = up_at(leader, "old"), *next = up_at((leader + 1) % 3, "next");
    const char *name = rig_name(), *held = fresh_token(), *token = fresh_token();
    (void)state;
    const seen_reply *r = rig_ask_until_known(old, ask_acquire(name, held, 100));
    assert_int_equal(r->reply.outcome, PAWL_GRANTED);
    const uint64_t fence = r->reply.fence;
    etcd_server_pause(rig_server(), leader);
    uint64_t later = rig_acquire_soon(next, name, token)->reply.fence;
    assert_true(later > fence);
    etcd_server_resume(rig_server(), leader);
    r = rig_ask_until_known(old, ask_renew(name, held, 100));
    assert_int_equal(r->reply.outcome, PAWL_NOT_OWNER);
    r = rig_ask_until_known(next, ask_renew(name, token, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, later);
    client_close(old);
    client_close(next);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(the_death_of_the_leader_takes_no_lock_away),
        cmocka_unit_test(a_minority_confirms_and_grants_nothing),
        cmocka_unit_test(a_leader_that_stood_still_confirms_nothing_that_is_over),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, begin, rig_end);
}
