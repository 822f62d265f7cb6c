/* SPDX-License-Identifier: MIT */
/* What the engine believes of answers and pushes that come late; found by the simulator. */
#include "world.h"

/* Law 4: our own release, whose answer was lost, may be what ended the lease. */
static void a_release_that_may_have_been_done_is_not_called_lost(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 1);
    world_release_await(&w, &a);
    world_fail(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    assert_int_equal(world_count(&w, PAWL__ACT_RELEASED), 0);
    world_pass(&w, TTL / 6 * MS);
    world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_NOT_OWNER);
    assert_int_equal(world_only(&w, PAWL__ACT_RELEASED)->err, PAWL_ERR_UNKNOWN);
    world_close(&w);
}

/* Law 4: who only waits at the store did not hold. */
static void a_holder_that_only_waited_is_told_that_it_lost(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 1);
    world_release_await(&w, &a);
    world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_LEFT);
    assert_int_equal(world_only(&w, PAWL__ACT_RELEASED)->err, PAWL_ERR_LOST);
    world_close(&w);
}

/* Law 2: an answer confirms the ttl that was asked for, so a token has one ttl for life. */
static void a_lease_is_not_passed_to_a_want_of_another_ttl(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    b.ttl_ms = 4 * TTL;
    world_want(&w, &a);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 1);
    world_want(&w, &b);
    world_pass(&w, TTL / 3 * MS);
    uint64_t renewal = world_sent(&w, PAWL_VERB_RENEW).id; /* under way, for the short ttl */
    world_release(&w, &a);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
    world_sent(&w, PAWL_VERB_RELEASE);
    assert_int_equal(world_sent(&w, PAWL_VERB_ACQUIRE).ttl_ms, 4 * TTL);
    world_confirm(&w, renewal, 1, false); /* nobody's any more */
    assert_int_equal(w.count, 0);
    world_close(&w);
}

static void a_cached_lease_does_not_serve_a_want_of_another_ttl(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    a.retain_ms = TTL;
    b.ttl_ms = TTL / 2;
    world_want(&w, &a);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 1);
    world_release(&w, &a);
    world_want(&w, &b);
    assert_int_equal(world_count(&w, PAWL__ACT_GRANTED), 0);
    assert_int_equal(world_sent(&w, PAWL_VERB_ACQUIRE).ttl_ms, TTL / 2);
    world_close(&w);
}

/* Law 3: what was drawn before we queued is no grant of ours. */
static void a_push_of_a_grant_that_was_over_when_we_asked_is_ignored(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    world_queue_behind(&w, ask.id, 8);
    world_push(&w, PAWL_PUSH_GRANT, "a", token, 7);
    assert_int_equal(a.state, PAWL__WANT_WAITING);
    world_push(&w, PAWL_PUSH_GRANT, "a", token, 9);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
    world_close(&w);
}

/* Law 2: between two acknowledged asks a whole lease may have come and gone. */
static void a_waiter_that_was_out_of_touch_asks_before_it_believes_a_push(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    world_queue(&w, ask.id, 0, TTL);
    world_pass(&w, TTL * MS); /* stopped; meanwhile the lease was granted, and ran out */
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 0, TTL);
    world_push(&w, PAWL_PUSH_GRANT, "a", token, 7); /* is it that grant, or a new one? */
    assert_int_equal(a.state, PAWL__WANT_WAITING);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 9);
    assert_int_equal(world_only(&w, PAWL__ACT_GRANTED)->fence, 9);
    world_close(&w);
}

/* Law 5: the store, asked after the grant, knows us as a waiter. */
static void queued_again_while_held_is_a_loss(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    world_queue_behind(&w, ask.id, 5);
    world_pass(&w, TTL / 3 * MS);
    uint64_t refresh = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    world_push(&w, PAWL_PUSH_GRANT, "a", token, 7);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
    world_queue_behind(&w, refresh, 7);
    world_only(&w, PAWL__ACT_LOST);
    world_close(&w);
}

/* Law 4: what it had at the store, a place or a lease, has run out after that. */
static void a_waiter_that_left_unheard_is_released_for_a_whole_ttl(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 0, TTL);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_cancel(&w, &a);
    world_pass(&w, (TTL - 100) * MS);
    world_link(&w, true, PAWL_OK);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_pass(&w, 100 * MS);
    assert_int_equal(pawl__engine_lease_count(w.engine), 0);
    world_close(&w);
}

/* The usual order: the refresh was executed before the hand-off, its answer comes after. */
static void queued_from_before_the_grant_is_no_loss(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    world_queue_behind(&w, ask.id, 5);
    world_pass(&w, TTL / 3 * MS);
    uint64_t refresh = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    world_push(&w, PAWL_PUSH_GRANT, "a", token, 7);
    world_queue_behind(&w, refresh, 5);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
    world_close(&w);
}

/* Law 7: pushes and replies come by two connections, so the yield request may come first. */
static void a_yield_request_may_overtake_the_grant(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    a.retain_ms = TTL;
    pawl_request ask = world_ask(&w, &a);
    world_push(&w, PAWL_PUSH_YIELD, "a", ask.token, 0);
    assert_int_equal(w.count, 0);
    world_grant(&w, ask.id, 1);
    world_only(&w, PAWL__ACT_YIELD);
    world_release(&w, &a);
    world_sent(&w, PAWL_VERB_RELEASE); /* not kept: somebody waits */
    world_close(&w);
}

/* Law 6: who does not wait is answered in bounded time, whatever others have heard before. */
static void who_does_not_wait_is_told_that_the_store_is_gone(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", 0);
    world_want(&w, &a);
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 0, TTL);
    world_pass(&w, TTL / 3 * MS);
    world_fail(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_want(&w, &b);
    world_pass(&w, 5000 * MS);
    assert_int_equal(world_count(&w, PAWL__ACT_REFUSED), 2);
    assert_int_equal(b.state, PAWL__WANT_NONE);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_yield_request_may_overtake_the_grant),
        cmocka_unit_test(who_does_not_wait_is_told_that_the_store_is_gone),
        cmocka_unit_test(a_release_that_may_have_been_done_is_not_called_lost),
        cmocka_unit_test(a_holder_that_only_waited_is_told_that_it_lost),
        cmocka_unit_test(a_lease_is_not_passed_to_a_want_of_another_ttl),
        cmocka_unit_test(a_cached_lease_does_not_serve_a_want_of_another_ttl),
        cmocka_unit_test(a_push_of_a_grant_that_was_over_when_we_asked_is_ignored),
        cmocka_unit_test(a_waiter_that_was_out_of_touch_asks_before_it_believes_a_push),
        cmocka_unit_test(a_waiter_that_left_unheard_is_released_for_a_whole_ttl),
        cmocka_unit_test(queued_again_while_held_is_a_loss),
        cmocka_unit_test(queued_from_before_the_grant_is_no_loss),
    };
    return cmocka_run_group_tests_name("engine: late news", tests, NULL, NULL);
}
