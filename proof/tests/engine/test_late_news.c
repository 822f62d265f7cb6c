/* SPDX-License-Identifier: MIT */
/* Late answers and pushes, and what the engine makes of them; found by the simulator. */
#include "trial.h"

/* Law 4: our own release, whose answer was lost, may be what ended the lease. */
static void a_release_that_may_have_been_done_is_not_called_lost(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    trial_grant(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 1);
    trial_release_await(t, &a);
    trial_fail(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    assert_int_equal(trial_count(t, PAWL__ACT_RELEASED), 0);
    trial_pass(t, TTL / 6 * MS);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_NOT_OWNER);
    assert_int_equal(trial_only(t, PAWL__ACT_RELEASED)->err, PAWL_ERR_UNKNOWN);
}

/* Law 4: who only waits at the store did not hold. */
static void a_holder_that_only_waited_is_told_that_it_lost(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    trial_grant(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 1);
    trial_release_await(t, &a);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_LEFT);
    assert_int_equal(trial_only(t, PAWL__ACT_RELEASED)->err, PAWL_ERR_LOST);
}

/* Law 2: an answer confirms the ttl that was asked for, so a token has one ttl for life. */
static void a_lease_is_not_passed_to_a_want_of_another_ttl(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    b.ttl_ms = 4 * TTL;
    trial_want(t, &a);
    trial_grant(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 1);
    trial_want(t, &b);
    trial_pass(t, TTL / 3 * MS);
    uint64_t renewal = trial_sent(t, PAWL_VERB_RENEW).id; /* under way, for the short ttl */
    trial_release(t, &a);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
    trial_sent(t, PAWL_VERB_RELEASE);
    assert_int_equal(trial_sent(t, PAWL_VERB_ACQUIRE).ttl_ms, 4 * TTL);
    trial_confirm(t, renewal, 1, false); /* nobody's any more */
    assert_int_equal(t->count, 0);
}

static void a_cached_lease_does_not_serve_a_want_of_another_ttl(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    a.retain_ms = TTL;
    b.ttl_ms = TTL / 2;
    trial_want(t, &a);
    trial_grant(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 1);
    trial_release(t, &a);
    trial_want(t, &b);
    assert_int_equal(trial_count(t, PAWL__ACT_GRANTED), 0);
    assert_int_equal(trial_sent(t, PAWL_VERB_ACQUIRE).ttl_ms, TTL / 2);
}

/* Law 3: what was drawn before we queued is no grant of ours. */
static void a_push_of_a_grant_that_was_over_when_we_asked_is_ignored(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    trial_queue_behind(t, ask.id, 8);
    trial_push(t, PAWL_PUSH_GRANT, "a", token, 7);
    assert_int_equal(a.state, PAWL__WANT_WAITING);
    trial_push(t, PAWL_PUSH_GRANT, "a", token, 9);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
}

/* Law 2: between two acknowledged asks a whole lease may have come and gone. */
static void a_waiter_that_was_out_of_touch_asks_before_it_believes_a_push(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    trial_queue(t, ask.id, 0, TTL);
    trial_pass(t, TTL * MS); /* stopped; meanwhile the lease was granted, and ran out */
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 0, TTL);
    trial_push(t, PAWL_PUSH_GRANT, "a", token, 7); /* is it that grant, or a new one? */
    assert_int_equal(a.state, PAWL__WANT_WAITING);
    trial_grant(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 9);
    assert_int_equal(trial_only(t, PAWL__ACT_GRANTED)->fence, 9);
}

/* Law 5: the store, asked after the grant, knows us as a waiter. */
static void queued_again_while_held_is_a_loss(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    trial_queue_behind(t, ask.id, 5);
    trial_pass(t, TTL / 3 * MS);
    uint64_t refresh = trial_sent(t, PAWL_VERB_ACQUIRE).id;
    trial_push(t, PAWL_PUSH_GRANT, "a", token, 7);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
    trial_queue_behind(t, refresh, 7);
    trial_only(t, PAWL__ACT_LOST);
}

/* Law 4: what it had at the store, a place or a lease, has run out after that. */
static void a_waiter_that_left_unheard_is_released_for_a_whole_ttl(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 0, TTL);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_cancel(t, &a);
    trial_pass(t, (TTL - 100) * MS);
    trial_link(t, true, PAWL_OK);
    trial_sent(t, PAWL_VERB_RELEASE);
    trial_pass(t, 100 * MS);
    assert_int_equal(pawl__engine_lease_count(t->engine), 0);
}

/* The usual order: the refresh was executed before the hand-off, its answer comes after. */
static void queued_from_before_the_grant_is_no_loss(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    trial_queue_behind(t, ask.id, 5);
    trial_pass(t, TTL / 3 * MS);
    uint64_t refresh = trial_sent(t, PAWL_VERB_ACQUIRE).id;
    trial_push(t, PAWL_PUSH_GRANT, "a", token, 7);
    trial_queue_behind(t, refresh, 5);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
}

/* Law 7: pushes and replies come by two connections, so the yield request may come first. */
static void a_yield_request_may_overtake_the_grant(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    a.retain_ms = TTL;
    pawl_request ask = trial_ask(t, &a);
    trial_push(t, PAWL_PUSH_YIELD, "a", ask.token, 0);
    assert_int_equal(t->count, 0);
    trial_grant(t, ask.id, 1);
    trial_only(t, PAWL__ACT_YIELD);
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE); /* not kept: somebody waits */
}

/* Law 6: who does not wait is answered in bounded time, whatever others have heard before. */
static void who_does_not_wait_is_told_that_the_store_is_gone(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", 0);
    trial_want(t, &a);
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 0, TTL);
    trial_pass(t, TTL / 3 * MS);
    trial_fail(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_want(t, &b);
    trial_pass(t, 5000 * MS);
    assert_int_equal(trial_count(t, PAWL__ACT_REFUSED), 2);
    assert_int_equal(b.state, PAWL__WANT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_yield_request_may_overtake_the_grant),
        TRIAL(who_does_not_wait_is_told_that_the_store_is_gone),
        TRIAL(a_release_that_may_have_been_done_is_not_called_lost),
        TRIAL(a_holder_that_only_waited_is_told_that_it_lost),
        TRIAL(a_lease_is_not_passed_to_a_want_of_another_ttl),
        TRIAL(a_cached_lease_does_not_serve_a_want_of_another_ttl),
        TRIAL(a_push_of_a_grant_that_was_over_when_we_asked_is_ignored),
        TRIAL(a_waiter_that_was_out_of_touch_asks_before_it_believes_a_push),
        TRIAL(a_waiter_that_left_unheard_is_released_for_a_whole_ttl),
        TRIAL(queued_again_while_held_is_a_loss),
        TRIAL(queued_from_before_the_grant_is_no_loss),
    };
    return cmocka_run_group_tests_name("engine: late news", tests, NULL, NULL);
}
