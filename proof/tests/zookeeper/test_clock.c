/* SPDX-License-Identifier: MIT */
/* When a lease is over: by the leader's clock, by that of who holds it, and by another leader's. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/zookeeper/zookeeper_store.h"

#include <poll.h>
#include <string.h>

#define SHORT_MS 200

/* ---- A clock that stands still -----------------------------------------------------------------
 */

static int64_t stands_at;

static int64_t standing_now(void)
{
    return stands_at;
}

/* The client's clock stands still from now on, so that the test says what time it is. */
static void stop_clock(client *c)
{
    pawl_store *store = client_store(c);
    stands_at = host_now();
    store->host->now = standing_now;
}

static void let_clock_go(client *c)
{
    client_store(c)->host->now = host_now;
}

/* For that client the leader's clock shows that instant of a node's life. */
static void set_leader_clock(client *c, const pawl__zk_place *of, int64_t ms_after_write)
{
    pawl__zk_leader *leader = &client_store(c)->leader;
    assert_true(leader->is_known);
    leader->ms = of->changed_ms + ms_after_write;
    leader->at = stands_at;
}

static const pawl_info *look(client *c, const char *name)
{
    pawl_request request = ask_inspect(name, NULL);
    const seen_reply *r = client_ask(c, &request);
    assert_int_equal(r->reply.outcome, PAWL_REPORTED);
    return client_row(c, r->reply.id, 0);
}

/* It asks something, so that it knows the clock. */
static client *come_and_see(const char *owner)
{
    client *c = rig_up(owner);
    rig_expect(c, ask_acquire(rig_name(), fresh_token(), LONG_MS), PAWL_GRANTED);
    return c;
}

/* ---- What is over does not come back ------------------------------------------------------------
 */

/* The leader was away while the lease ended. Others may have been told so before it wrote. */
static void a_renewal_that_comes_late_to_the_leader_is_none(void **state)
{
    client *a = rig_up("a");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, SHORT_MS), PAWL_GRANTED)->reply.fence;
    zookeeper_server_pause(rig_server(), 0);
    pawl_request renew = ask_renew(name, token, LONG_MS);
    uint64_t id = client_submit(a, &renew);
    client_flush(a);
    test_loop_for(rig_loop(), 2 * SHORT_MS);
    zookeeper_server_resume(rig_server(), 0);
    assert_int_equal(client_await(a, id)->reply.outcome, PAWL_NOT_OWNER);
    const seen_reply *next = rig_expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    assert_true(next->reply.fence > fence);
    client_close(a);
}

/* Another leader rules since the node was written, so its clock says nothing of it. */
static void what_is_over_by_the_holders_clock_is_not_written_again(void **state)
{
    client *a = rig_up("a");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, SHORT_MS), PAWL_GRANTED);
    pawl__zk_place *place = pawl__zk_place_find(client_store(a), token);
    assert_non_null(place);
    place->changed -= INT64_C(1) << 32;
    poll(NULL, 0, 2 * SHORT_MS); /* its loop stands still as well, so no timer has ended it */
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    client_close(a);
}

static void a_lock_that_lives_in_a_session_is_not_detached_later(void **state)
{
    client *a = rig_up("a");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    pawl_request detach = ask_acquire(name, token, LONG_MS);
    detach.flags |= PAWL_ASK_DETACHED;
    const seen_reply *r = rig_expect(a, detach, PAWL_FAILED);
    assert_int_equal(r->reply.err, PAWL_ERR_UNSUPPORTED);
    assert_non_null(strstr(r->text, "cannot be detached"));
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
}

/* ---- What others see ----------------------------------------------------------------------------
 */

/* Two clients know the leader's clock not equally well: none of them shows the end too early. */
static void a_report_shows_a_node_until_all_agree_that_it_is_over(void **state)
{
    client *a = rig_up("a"), *b = come_and_see("b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    const pawl__zk_place *place = pawl__zk_place_find(client_store(a), token);
    stop_clock(b);
    set_leader_clock(b, place, LONG_MS - 1);
    assert_int_equal(look(b, name)->remaining_ms, 1);
    set_leader_clock(b, place, LONG_MS + PAWL__ZK_LINGER_MS - 1);
    assert_true(look(b, name)->held);
    assert_int_equal(look(b, name)->remaining_ms, 1);
    set_leader_clock(b, place, LONG_MS + PAWL__ZK_LINGER_MS);
    assert_false(look(b, name)->held);
    let_clock_go(b);
    client_close(a);
    client_close(b);
}

/* Who asks without a place gives up the one it has. But its turn has come, and others wait behind
 * it.
 */
static void who_asks_at_its_turn_does_not_give_up_its_place(void **state)
{
    client *a = rig_up("a"), *b = come_and_see("b"), *c = rig_up("c");
    const char *name = rig_name(), *held = fresh_token(), *next = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue(name, next, 5 * LONG_MS), PAWL_QUEUED);
    rig_expect(c, ask_queue(name, fresh_token(), 5 * LONG_MS), PAWL_QUEUED);
    stop_clock(b);
    set_leader_clock(b, pawl__zk_place_find(client_store(a), held), LONG_MS);
    rig_expect(b, ask_acquire(name, next, 5 * LONG_MS), PAWL_GRANTED);
    let_clock_go(b);
    client_close(a);
    client_close(b);
    client_close(c);
}

/* A request ends the lease before its own, and the watch of that node, set with the first look,
 * tells of the end meanwhile. Two who decide would tell of two turns, perhaps with two fences. */
static void one_request_is_one_turn(void **state)
{
    client *b = rig_up("b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_hold_and_die(b, "40000", ask_acquire(name, fresh_token(), SHORT_MS));
    uint64_t fence = rig_acquire_soon(b, name, token)->reply.fence;
    assert_int_equal(client_push_count(b, PAWL_PUSH_GRANT), 0);
    assert_int_equal(rig_expect(b, ask_queue(name, token, LONG_MS), PAWL_GRANTED)->reply.fence,
                     fence);
    client_close(b);
}

/* ---- Another leader
 * ------------------------------------------------------------------------------ */

/* Its clock and the last one's may differ by a minute: the ttl counts from when it was seen first.
 */
static void under_another_leader_a_ttl_begins_anew(void **state)
{
    client *a = rig_up("a"), *b = come_and_see("b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    const pawl__zk_place *place = pawl__zk_place_find(client_store(a), token);
    pawl__zk_leader *leader = &client_store(b)->leader;
    stop_clock(b);
    leader->epoch++;
    leader->since = stands_at - pawl__ms_to_ns(LONG_MS - 1);
    set_leader_clock(b, place, 2 * LONG_MS);
    assert_int_equal(
        rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY)->reply.holder_ms, 1);
    leader->since -= PAWL__NS_PER_MS;
    rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    let_clock_go(b);
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    client_close(a);
    client_close(b);
}

/* What b knows of the clock is that of the leader before, whose reign began long ago: that says
 * nothing of what was written since. */
static void under_a_leader_that_is_not_known_yet_nothing_is_over(void **state)
{
    client *a = rig_up("a"), *b = come_and_see("b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    pawl__zk_leader *leader = &client_store(b)->leader;
    for (int i = 0; i < 2; i++) {
        leader->epoch--;
        leader->since = host_now() - pawl__ms_to_ns(2 * LONG_MS);
        leader->at = host_now();
        if (i == 0)
            rig_expect(b, ask_break(name, fence - 1), PAWL_NOT_OWNER);
        else
            rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
        rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
        rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
        assert_int_equal(leader->epoch, fence >> 32); /* it has asked meanwhile */
    }
    client_close(a);
    client_close(b);
}

/* So far apart no two clocks are: it was over before that leader came. */
static void what_was_over_a_minute_ago_is_over_under_each_leader(void **state)
{
    client *a = rig_up("a"), *b = come_and_see("b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    const pawl__zk_place *place = pawl__zk_place_find(client_store(a), token);
    pawl__zk_leader *leader = &client_store(b)->leader;
    stop_clock(b);
    leader->epoch++;
    leader->since = stands_at;
    set_leader_clock(b, place, LONG_MS + PAWL__ZK_SKEW_MS - 1);
    rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    set_leader_clock(b, place, LONG_MS + PAWL__ZK_SKEW_MS);
    rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    let_clock_go(b);
    client_close(a);
    client_close(b);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_renewal_that_comes_late_to_the_leader_is_none),
        cmocka_unit_test(what_is_over_by_the_holders_clock_is_not_written_again),
        cmocka_unit_test(a_lock_that_lives_in_a_session_is_not_detached_later),
        cmocka_unit_test(a_report_shows_a_node_until_all_agree_that_it_is_over),
        cmocka_unit_test(who_asks_at_its_turn_does_not_give_up_its_place),
        cmocka_unit_test(one_request_is_one_turn),
        cmocka_unit_test(under_another_leader_a_ttl_begins_anew),
        cmocka_unit_test(under_a_leader_that_is_not_known_yet_nothing_is_over),
        cmocka_unit_test(what_was_over_a_minute_ago_is_over_under_each_leader),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
