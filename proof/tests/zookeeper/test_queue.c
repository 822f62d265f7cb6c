/* SPDX-License-Identifier: MIT */
/* Who waits for whom, and which permits a node has. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/zookeeper/zookeeper_store.h"

#include <stdio.h>
#include <string.h>

#define CAPACITY    3
#define DEAD_TTL_MS 500
#define SLOW_MS     600000 /* no place ends while many are made on a slow machine */

/* ---- Watches -------------------------------------------------------------------------------- */

static const pawl__zk_place *place_of(client *c, const char *token)
{
    const pawl__zk_place *place = pawl__zk_place_find(client_store(c), token);
    assert_non_null(place);
    return place;
}

static void awaits(client *c, const char *token, const pawl__zk_place *other)
{
    assert_string_equal(place_of(c, token)->before, other->child);
}

/* Readers watch the writer before them, a writer the node before its own: nobody is woken who is
 * not next. */
static void each_watches_only_what_must_go_first(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name(), *held = fresh_token(), *tokens[5];
    static const pawl_mode modes[5] = {PAWL_MODE_SHARED, PAWL_MODE_SHARED, PAWL_MODE_EXCLUSIVE,
                                       PAWL_MODE_SHARED, PAWL_MODE_EXCLUSIVE};
    (void)state;
    rig_expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    for (int i = 0; i < 5; i++) {
        tokens[i] = fresh_token();
        const seen_reply *r = rig_expect(
            b, ask_mode(name, tokens[i], modes[i], LONG_MS, PAWL_ASK_QUEUE), PAWL_QUEUED);
        assert_int_equal(r->reply.position, i);
    }
    awaits(b, tokens[0], place_of(a, held));
    awaits(b, tokens[1], place_of(a, held));
    awaits(b, tokens[2], place_of(b, tokens[1]));
    awaits(b, tokens[3], place_of(b, tokens[2]));
    awaits(b, tokens[4], place_of(b, tokens[3]));
    rig_expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, tokens[0]);
    client_await_push(b, PAWL_PUSH_GRANT, tokens[1]);
    awaits(b, tokens[2], place_of(b, tokens[1]));
    rig_expect(b, ask_release(name, tokens[1]), PAWL_RELEASED);
    rig_expect(b, ask_release(name, tokens[0]), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, tokens[2]);
    client_close(a);
    client_close(b);
}

/* A herd would cost as many requests for each hand-over as there are waiters. */
static void a_hand_over_costs_the_same_however_many_wait(void **state)
{
    enum { WAITERS = 60, ENOUGH = 12 };
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name(), *tokens[WAITERS + 1];
    (void)state;
    tokens[0] = fresh_token();
    rig_expect(a, ask_acquire(name, tokens[0], SLOW_MS), PAWL_GRANTED);
    for (int i = 1; i <= WAITERS; i++) {
        tokens[i] = fresh_token();
        rig_expect(b, ask_queue(name, tokens[i], SLOW_MS), PAWL_QUEUED);
    }
    long before = zookeeper_server_received(rig_server(), 0);
    for (int i = 0; i < WAITERS; i++) {
        rig_expect(i ? b : a, ask_release(name, tokens[i]), PAWL_RELEASED);
        client_await_push(b, PAWL_PUSH_GRANT, tokens[i + 1]);
    }
    assert_in_range(zookeeper_server_received(rig_server(), 0) - before, WAITERS, WAITERS * ENOUGH);
    client_close(a);
    client_close(b);
}

/* ---- One request behind another ------------------------------------------------------------- */

static bool is_under_way(client *c, size_t at)
{
    const pawl__link *l = client_store(c)->ops.next;
    for (; at > 0; at--) l = l->next;
    assert_true(l != &client_store(c)->ops);
    return pawl__container(l, pawl__zk_op, in_ops)->started;
}

/* The deletion of a node concerns its token alone, and what is sent behind it comes behind it. */
static void a_release_does_not_hold_up_the_next_token(void **state)
{
    client *a = rig_up("a");
    const char *name = rig_name(), *first = fresh_token(), *second = fresh_token();
    pawl_request release = ask_release(name, first);
    pawl_request next = ask_acquire(name, second, LONG_MS), again = ask_release(name, second);
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, first, LONG_MS), PAWL_GRANTED)->reply.fence;
    uint64_t ids[] = {client_submit(a, &release), client_submit(a, &next),
                      client_submit(a, &again)};
    assert_true(is_under_way(a, 0) && is_under_way(a, 1));
    assert_false(is_under_way(a, 2)); /* of a token that has not got it yet */
    client_flush(a);
    assert_int_equal(client_await(a, ids[0])->reply.outcome, PAWL_RELEASED);
    const seen_reply *r = client_await(a, ids[1]);
    assert_int_equal(r->reply.outcome, PAWL_GRANTED);
    assert_true(r->reply.fence > fence);
    assert_int_equal(client_await(a, ids[2])->reply.outcome, PAWL_RELEASED);
    assert_string_equal(rig_children(name), "");
    client_close(a);
}

/* Else the release might end the node that comes behind it. */
static void the_same_token_waits_for_its_release(void **state)
{
    client *a = rig_up("a");
    const char *name = rig_name(), *token = fresh_token();
    pawl_request release = ask_release(name, token), next = ask_acquire(name, token, LONG_MS);
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    uint64_t ids[] = {client_submit(a, &release), client_submit(a, &next)};
    assert_true(is_under_way(a, 0));
    assert_false(is_under_way(a, 1));
    client_flush(a);
    assert_int_equal(client_await(a, ids[0])->reply.outcome, PAWL_RELEASED);
    assert_int_equal(client_await(a, ids[1])->reply.outcome, PAWL_GRANTED);
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
}

/* Each acquires behind its release as fast as it can: who waits hears of its turn even if that
 * comes before it has looked whom it waits for. */
static void turns_that_come_at_once_are_heard(void **state)
{
    enum { ROUNDS = 60 };
    client *who[2] = {rig_up("a"), rig_up("b")};
    const char *name = rig_name(), *held = fresh_token();
    uint64_t fence = 0;
    (void)state;
    rig_expect(who[0], ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    for (int round = 0; round < ROUNDS; round++) {
        client *holder = who[round % 2], *waiter = who[1 - round % 2];
        const char *next = fresh_token();
        pawl_request queue = ask_queue(name, next, LONG_MS), release = ask_release(name, held);
        uint64_t asked = client_submit(waiter, &queue);
        client_flush(waiter);
        uint64_t left = client_submit(holder, &release);
        client_flush(holder);
        const seen_reply *r = client_await(waiter, asked);
        assert_int_equal(client_await(holder, left)->reply.outcome, PAWL_RELEASED);
        uint64_t granted = r->reply.fence;
        if (r->reply.outcome == PAWL_QUEUED)
            granted = client_await_push(waiter, PAWL_PUSH_GRANT, next)->push.fence;
        else
            assert_int_equal(r->reply.outcome, PAWL_GRANTED);
        assert_true(granted > fence);
        fence = granted;
        held = next;
    }
    client_close(who[0]);
    client_close(who[1]);
}

static pawl_request permits(const char *name, const char *token, uint32_t units, unsigned flags)
{
    return ask_permits(name, token, units, CAPACITY, LONG_MS, flags);
}

/* Any holder may make room, so the first waiter looks at all of them; the next one hears when that
 * one begins to hold or is gone. */
static void of_those_who_wait_for_permits_one_alone_watches_all(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name(), *held[CAPACITY], *waits[3];
    (void)state;
    for (uint32_t i = 0; i < CAPACITY; i++) {
        held[i] = fresh_token();
        rig_expect(a, permits(name, held[i], 1, 0), PAWL_GRANTED);
    }
    for (int i = 0; i < 3; i++) {
        waits[i] = fresh_token();
        rig_expect(b, permits(name, waits[i], 1, PAWL_ASK_QUEUE), PAWL_QUEUED);
    }
    assert_true(place_of(b, waits[0])->awaits_any);
    assert_false(place_of(b, waits[1])->awaits_any || place_of(b, waits[2])->awaits_any);
    awaits(b, waits[1], place_of(b, waits[0]));
    awaits(b, waits[2], place_of(b, waits[1]));
    rig_expect(a, ask_release(name, held[1]), PAWL_RELEASED); /* not the one before it */
    const seen_push *push = client_await_push(b, PAWL_PUSH_GRANT, waits[0]);
    assert_int_equal(push->slots[0], 1);
    rig_expect(a, ask_release(name, held[2]), PAWL_RELEASED);
    push = client_await_push(b, PAWL_PUSH_GRANT, waits[1]);
    assert_int_equal(push->slots[0], 2);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, waits[2]));
    client_close(a);
    client_close(b);
}

/* ---- Which permits ----------------------------------------------------------------------------
 */

/* A client that stands still before it has written which permit it has may have seen others in its
 * way that are gone now. Who comes behind it does not guess. */
static void nobody_has_permits_before_all_before_it_have_written_theirs(void **state)
{
    client *b = rig_up("b");
    const char *name = rig_name(), *waiter = fresh_token();
    char child[PAWL__ZK_CHILD_MAX + 1];
    (void)state;
    pawl__zk_child_make(child, fresh_token(), &(pawl__zk_want){PAWL_MODE_PERMIT, 1, CAPACITY},
                        false);
    rig_create(name, child, "pawl1 w 60000 17 who stands still");
    rig_expect(b, permits(name, fresh_token(), 1, 0), PAWL_BUSY);
    rig_expect(b, permits(name, waiter, 1, PAWL_ASK_QUEUE), PAWL_QUEUED);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, waiter));
    rig_write(name, child, "pawl1 p 60000 17 02 who stands still");
    const seen_push *push = client_await_push(b, PAWL_PUSH_GRANT, waiter);
    assert_int_equal(push->slots[0], 0);
    const seen_reply *r = rig_expect(b, permits(name, fresh_token(), 1, 0), PAWL_GRANTED);
    assert_int_equal(r->slots[0], 2);
    client_close(b);
}

/* Those behind it rely on what it has written, though it does not know whether it was written. */
static void permits_that_were_written_stay(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name(), *first = fresh_token(), *token = fresh_token();
    (void)state;
    rig_expect(a, permits(name, first, 1, 0), PAWL_GRANTED);
    rig_expect(b, permits(name, token, 1, 0), PAWL_GRANTED);
    rig_expect(a, ask_release(name, first), PAWL_RELEASED);
    pawl__zk_place *place = pawl__zk_place_find(client_store(b), token);
    assert_non_null(place);
    place->holds = false; /* as if the answer had been lost */
    const seen_reply *r = rig_expect(b, permits(name, token, 1, 0), PAWL_GRANTED);
    assert_int_equal(r->slots[0], 1);
    place->holds = false;
    rig_expect(b, permits(name, token, 1, PAWL_ASK_QUEUE), PAWL_GRANTED);
    r = rig_expect(a, permits(name, fresh_token(), 2, 0), PAWL_GRANTED);
    assert_int_equal(r->slots[0], 0);
    assert_int_equal(r->slots[1], 2);
    client_close(a);
    client_close(b);
}

/* Among those who hold, in the middle, one has died. */
static void permits_of_the_dead_are_found_wherever_they_stand(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name();
    (void)state;
    rig_expect(a, permits(name, fresh_token(), 1, 0), PAWL_GRANTED);
    (void)rig_hold_and_die(b, "40000",
                           ask_permits(name, fresh_token(), 1, CAPACITY, DEAD_TTL_MS, 0));
    const seen_reply *last = rig_expect(a, permits(name, fresh_token(), 1, 0), PAWL_GRANTED);
    const seen_reply *r = NULL;
    for (int64_t start = host_now(); !r || r->reply.outcome != PAWL_GRANTED;) {
        pawl_request request = permits(name, fresh_token(), 1, 0);
        CHECK(host_now() - start < INT64_C(60000000000));
        r = client_ask(b, &request);
        test_loop_for(rig_loop(), 20);
    }
    assert_int_equal(r->slots[0] + last->slots[0], 1 + 2);
    client_close(a);
    client_close(b);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(each_watches_only_what_must_go_first),
        cmocka_unit_test(a_hand_over_costs_the_same_however_many_wait),
        cmocka_unit_test(a_release_does_not_hold_up_the_next_token),
        cmocka_unit_test(the_same_token_waits_for_its_release),
        cmocka_unit_test(turns_that_come_at_once_are_heard),
        cmocka_unit_test(of_those_who_wait_for_permits_one_alone_watches_all),
        cmocka_unit_test(nobody_has_permits_before_all_before_it_have_written_theirs),
        cmocka_unit_test(permits_that_were_written_stay),
        cmocka_unit_test(permits_of_the_dead_are_found_wherever_they_stand),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
