/* SPDX-License-Identifier: MIT */
/* The engine's decisions, one by one, on virtual time. */
#include "world.h"

/* ---- Law 2: the local deadline ------------------------------------------- */

static void deadline_counts_from_before_the_request_left(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    int64_t sent_at = w.now;
    pawl_request ask = world_sent(&w, PAWL_VERB_ACQUIRE);
    w.now += 4000 * MS; /* the reply takes its time */
    world_grant(&w, ask.id, 1);
    assert_int_equal(world_only(&w, PAWL__ACT_GRANTED)->deadline,
                     sent_at + (TTL - TTL / 10 - 2) * MS);
    world_close(&w);
}

static void a_renewal_counts_from_its_own_sending(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_pass(&w, TTL / 3 * MS);
    int64_t sent_at = w.now;
    pawl_request renew = world_sent(&w, PAWL_VERB_RENEW);
    w.now += 3000 * MS;
    world_confirm(&w, renew.id, 1, false);
    assert_int_equal(world_only(&w, PAWL__ACT_EXTENDED)->deadline,
                     sent_at + pawl__plan_span_ns(TTL));
    world_close(&w);
}

static void lost_at_the_deadline_whoever_says_otherwise(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_pass(&w, TTL / 3 * MS);
    pawl_request renew = world_sent(&w, PAWL_VERB_RENEW);
    w.now += TTL * MS;                     /* stopped for longer than the lease */
    world_confirm(&w, renew.id, 1, false); /* the first thing read is a confirmation */
    world_only(&w, PAWL__ACT_LOST);
    assert_int_equal(world_count(&w, PAWL__ACT_EXTENDED), 0);
    assert_int_equal(a.state, PAWL__WANT_LOST);
    world_sent(&w, PAWL_VERB_RELEASE); /* harmless by comparison, frees early */
    world_close(&w);
}

static void a_grant_that_is_already_over_is_not_reported(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    w.now += TTL * MS;
    a.waiting->unreachable_at = PAWL__NEVER;
    world_grant(&w, ask.id, 1);
    assert_int_equal(world_count(&w, PAWL__ACT_GRANTED), 0);
    world_close(&w);
}

/* ---- Law 3 ------------------------------------------------------------------ */

static void a_fence_that_does_not_grow_is_refused(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    b.flags = PAWL_ASK_DETACHED; /* so that the lease is not passed on locally */
    world_hold(&w, &a, 100);
    world_want(&w, &b);
    world_release(&w, &a);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 100);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_FENCE);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

/* ---- Law 4: unknown is not failed ---------------------------------------------- */

static void an_unanswered_ask_is_asked_again_with_the_same_token(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request first = world_ask(&w, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, first.token);
    world_fail(&w, first.id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    w.now += 100 * MS;
    world_link(&w, true, PAWL_OK);
    pawl_request second = world_sent(&w, PAWL_VERB_ACQUIRE);
    assert_string_equal(second.token, token);
    assert_true(second.id != first.id);
    world_grant(&w, second.id, 5);
    assert_string_equal(world_only(&w, PAWL__ACT_GRANTED)->token, token);
    world_close(&w);
}

static void a_caller_that_gave_up_is_followed_by_a_release(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    world_cancel(&w, &a);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_CANCELED);
    pawl_request release = world_sent(&w, PAWL_VERB_RELEASE);
    assert_int_equal(a.state, PAWL__WANT_NONE);
    world_grant(&w, ask.id, 1); /* the late grant belongs to nobody */
    assert_int_equal(w.count, 0);
    world_answer(&w, release.id, PAWL_RELEASED);
    assert_false(pawl__engine_busy(w.engine));
    world_close(&w);
}

static void a_late_ask_behind_its_release_is_released_again(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_fail(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    world_cancel(&w, &a);
    world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_NOT_OWNER);
    assert_true(pawl__engine_busy(w.engine));
    world_pass(&w, 1000 * MS);
    world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    assert_false(pawl__engine_busy(w.engine));
    world_close(&w);
}

static void an_unanswered_release_is_sent_again_until_the_lease_has_run_out(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_release_await(&w, &a);
    assert_int_equal(world_count(&w, PAWL__ACT_RELEASED), 0);
    world_fail(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    world_pass(&w, 2 * pawl__plan_retry_ns(TTL));
    world_sent(&w, PAWL_VERB_RELEASE);
    world_pass(&w, TTL * MS);
    assert_int_equal(world_only(&w, PAWL__ACT_RELEASED)->err, PAWL_ERR_UNKNOWN);
    assert_false(pawl__engine_busy(w.engine));
    world_close(&w);
}

/* ---- Law 5: only the owner; nothing is resurrected ------------------------------ */

static void not_owner_on_renewal_is_final(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_pass(&w, TTL / 3 * MS);
    world_answer(&w, world_sent(&w, PAWL_VERB_RENEW).id, PAWL_NOT_OWNER);
    assert_int_equal(world_only(&w, PAWL__ACT_LOST)->err, PAWL_ERR_LOST);
    world_pass(&w, TTL * MS);
    assert_int_equal(world_count(&w, PAWL__ACT_LOST), 0);
    world_release(&w, &a);
    assert_int_equal(world_only(&w, PAWL__ACT_RELEASED)->err, PAWL_ERR_LOST);
    world_close(&w);
}

static void each_acquisition_has_its_own_token(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    char token[PAWL_TOKEN_LEN + 1];
    world_release(&w, &a);
    pawl_request release = world_sent(&w, PAWL_VERB_RELEASE);
    strcpy(token, release.token);
    world_want(&w, &a);
    assert_string_not_equal(world_sent(&w, PAWL_VERB_ACQUIRE).token, token);
    world_close(&w);
}

static void a_release_that_finds_another_owner_is_no_success(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_release_await(&w, &a);
    world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_NOT_OWNER);
    assert_int_equal(world_only(&w, PAWL__ACT_RELEASED)->err, PAWL_ERR_LOST);
    world_close(&w);
}

/* ---- Renewal and doubt ------------------------------------------------------------- */

static void renewal_goes_on_trying_until_the_deadline(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    int64_t deadline = world_only(&w, PAWL__ACT_GRANTED)->deadline;
    world_pass(&w, TTL / 3 * MS);
    world_fail(&w, world_sent(&w, PAWL_VERB_RENEW).id, PAWL_FAILED, PAWL_ERR_LOADING);
    world_only(&w, PAWL__ACT_DOUBT);
    int tries = 0;
    while (pawl__engine_deadline(w.engine) < deadline) {
        w.now = pawl__engine_deadline(w.engine);
        world_pass(&w, 0);
        world_fail(&w, world_sent(&w, PAWL_VERB_RENEW).id, PAWL_FAILED, PAWL_ERR_READONLY);
        assert_int_equal(world_count(&w, PAWL__ACT_DOUBT), 0); /* told once */
        tries++;
    }
    assert_true(tries >= 2);
    w.now = deadline;
    world_pass(&w, 0);
    assert_int_equal(world_only(&w, PAWL__ACT_LOST)->err, PAWL_ERR_READONLY);
    world_close(&w);
}

static void doubt_ends_with_a_confirmation(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_pass(&w, TTL / 3 * MS);
    world_fail(&w, world_sent(&w, PAWL_VERB_RENEW).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    world_only(&w, PAWL__ACT_DOUBT);
    world_pass(&w, 2 * pawl__plan_retry_ns(TTL));
    world_confirm(&w, world_sent(&w, PAWL_VERB_RENEW).id, 1, false);
    assert_true(world_only(&w, PAWL__ACT_EXTENDED)->after_doubt);
    world_close(&w);
}

static void a_link_that_is_down_is_doubt_then_loss_and_recovers(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    int64_t deadline = world_only(&w, PAWL__ACT_GRANTED)->deadline;
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_pass(&w, TTL / 3 * MS);
    world_only(&w, PAWL__ACT_DOUBT);
    w.now = deadline;
    world_pass(&w, 0);
    assert_int_equal(world_only(&w, PAWL__ACT_LOST)->err, PAWL_ERR_UNAVAILABLE);
    world_release(&w, &a);
    world_link(&w, true, PAWL_OK);
    world_hold(&w, &a, 2);
    world_close(&w);
}

/* ---- Waiting -------------------------------------------------------------------------- */

static void a_queued_waiter_is_handed_the_lock_by_a_push(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    int64_t sent_at = w.now;
    pawl_request ask = world_sent(&w, PAWL_VERB_ACQUIRE);
    assert_true(ask.flags & PAWL_ASK_QUEUE);
    world_queue(&w, ask.id, 0, 20000);
    w.now += 5000 * MS;
    world_push(&w, PAWL_PUSH_GRANT, "a", ask.token, 9);
    pawl__action *granted = world_only(&w, PAWL__ACT_GRANTED);
    assert_int_equal(granted->fence, 9);
    int64_t place = pawl_place_span(TTL);
    assert_int_equal(granted->deadline, sent_at + (place - place / 10 - 2) * MS); /* law 2 */
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), 0); /* who is quick asks nothing more */
    world_push(&w, PAWL_PUSH_GRANT, "a", ask.token, 9);   /* twice */
    assert_int_equal(w.count, 0);
    world_close(&w);
}

static void a_push_for_an_old_token_does_nothing(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 0, 20000);
    world_push(&w, PAWL_PUSH_GRANT, "a", "00000000000000000000000000000000000000ff", 9);
    assert_int_equal(w.count, 0);
    assert_int_equal(a.state, PAWL__WANT_WAITING);
    world_close(&w);
}

static void only_the_first_waiters_watch_the_holders_end(void **state)
{
    (void)state;
    for (int64_t position = 0; position < 6; position++) {
        world w;
        world_open(&w);
        pawl__want a = world_claim("a", PAWL__NEVER);
        world_want(&w, &a);
        world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, position, 500);
        world_pass(&w, 700 * MS);
        assert_int_equal(world_sent_count(&w, PAWL_VERB_ACQUIRE), position < 4);
        world_close(&w);
    }
}

static void a_waiter_refreshes_its_place_and_keeps_its_token(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    world_queue(&w, ask.id, 50, 20000);
    world_pass(&w, TTL / 3 * MS);
    ask = world_sent(&w, PAWL_VERB_ACQUIRE);
    assert_string_equal(ask.token, token);
    int64_t refreshed_at = w.now;
    world_queue(&w, ask.id, 40, 20000);
    w.now += 1000 * MS;
    world_push(&w, PAWL_PUSH_GRANT, "a", token, 3);
    assert_int_equal(world_only(&w, PAWL__ACT_GRANTED)->deadline,
                     refreshed_at + pawl__plan_place_ns(TTL));
    world_close(&w);
}

static void a_waiter_re_asks_at_once_when_the_link_is_back(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 9, 20000);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    w.now += 4000 * MS;
    world_pass(&w, 0);
    assert_int_equal(a.state, PAWL__WANT_WAITING); /* a queued waiter survives a short outage */
    world_link(&w, true, PAWL_OK);
    world_sent(&w, PAWL_VERB_ACQUIRE);
    world_close(&w);
}

static void waiting_ends_at_its_time(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", w.now + 700 * MS);
    world_want(&w, &a);
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 9, 20000);
    world_pass(&w, 699 * MS);
    assert_int_equal(w.count, 0);
    world_pass(&w, 1 * MS);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_TIMEOUT);
    world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_LEFT);
    assert_false(pawl__engine_busy(w.engine));
    world_close(&w);
}

static void not_waiting_is_answered_busy_and_leaves_nothing(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", 0);
    pawl_request ask = world_ask(&w, &a);
    assert_false(ask.flags & PAWL_ASK_QUEUE);
    world_answer(&w, ask.id, PAWL_BUSY);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), 0);
    assert_false(pawl__engine_busy(w.engine));
    world_close(&w);
}

/* How an acquisition ends whose patience is over before the store has answered. */
static pawl_err end_of_haste(bool up, pawl_err failure, int64_t wait_ns, int64_t pass_ns)
{
    world w;
    if (up)
        world_open(&w);
    else
        world_open_down(&w);
    pawl__want a = world_claim("a", w.now + wait_ns);
    world_want(&w, &a);
    if (failure) world_fail(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, failure);
    w.now += pass_ns;
    world_step(&w, (pawl__event){.kind = PAWL__EV_TIME});
    pawl_err err = world_only(&w, PAWL__ACT_REFUSED)->err;
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), up ? 1 : 0); /* law 4 */
    world_close(&w);
    return err;
}

static void short_patience_is_a_time_out_unless_the_store_fails(void **state)
{
    (void)state;
    assert_int_equal(end_of_haste(true, PAWL_OK, 5 * MS, 5 * MS), PAWL_ERR_TIMEOUT);
    assert_int_equal(end_of_haste(false, PAWL_OK, 5 * MS, 5 * MS), PAWL_ERR_UNAVAILABLE);
    assert_int_equal(end_of_haste(true, PAWL_ERR_UNAVAILABLE, 5 * MS, 5 * MS),
                     PAWL_ERR_UNAVAILABLE);
    assert_int_equal(end_of_haste(true, PAWL_OK, 60000 * MS, 5000 * MS), PAWL_ERR_UNAVAILABLE);
}

static void an_unreachable_store_is_said_so(void **state)
{
    (void)state;
    world w;
    world_open_down(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", 0);
    world_want(&w, &a);
    world_want(&w, &b);
    world_pass(&w, 5000 * MS);
    assert_int_equal(world_count(&w, PAWL__ACT_REFUSED), 2);
    assert_int_equal(w.actions[0].err, PAWL_ERR_UNAVAILABLE);
    assert_false(pawl__engine_busy(w.engine)); /* nothing was sent, nothing is left */
    world_close(&w);
}

static void a_store_that_refuses_us_is_said_so_at_once(void **state)
{
    (void)state;
    world w;
    world_open_down(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_link(&w, false, PAWL_ERR_AUTH);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_AUTH);
    world_want(&w, &a); /* and so is who comes later */
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_AUTH);
    assert_false(pawl__engine_busy(w.engine));
    world_link(&w, true, PAWL_OK); /* until the store takes us */
    world_hold(&w, &a, 1);
    world_close(&w);
}

static void a_denied_acquisition_ends_with_its_reason(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_fail(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, PAWL_ERR_WRONG_TYPE);
    pawl__action *refused = world_only(&w, PAWL__ACT_REFUSED);
    assert_int_equal(refused->err, PAWL_ERR_WRONG_TYPE);
    assert_string_equal(refused->message, "as told");
    world_close(&w);
}

/* ---- Local sharing and caching ------------------------------------------------------- */

static void local_callers_share_one_lease_in_order(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    pawl__want c = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_want(&w, &b);
    world_want(&w, &c);
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), 0);
    world_release(&w, &a);
    assert_ptr_equal(world_only(&w, PAWL__ACT_GRANTED)->want, &b);
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), 0);
    world_release(&w, &b);
    assert_ptr_equal(world_only(&w, PAWL__ACT_GRANTED)->want, &c);
    world_release(&w, &c);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

static void a_holder_can_see_who_holds_and_that_another_waits(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    assert_null(pawl__engine_holder(w.engine, "a", 1));
    world_hold(&w, &a, 1);
    assert_ptr_equal(pawl__engine_holder(w.engine, "a", 1), &a);
    assert_null(pawl__engine_holder(w.engine, "b", 1));
    assert_false(pawl__want_is_wanted(&a));
    world_want(&w, &b);
    assert_true(pawl__want_is_wanted(&a));
    world_release(&w, &a);
    assert_ptr_equal(pawl__engine_holder(w.engine, "a", 1), &b);
    assert_false(pawl__want_is_wanted(&b));
    world_close(&w);
}

static void a_yield_request_bounds_local_sharing(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want wants[2] = {world_claim("a", PAWL__NEVER), world_claim("a", PAWL__NEVER)};
    world_want(&w, &wants[0]);
    pawl_request ask = world_sent(&w, PAWL_VERB_ACQUIRE);
    world_grant(&w, ask.id, 1);
    world_push(&w, PAWL_PUSH_YIELD, "a", ask.token, 0);
    world_only(&w, PAWL__ACT_YIELD);
    world_push(&w, PAWL_PUSH_YIELD, "a", ask.token, 0);
    assert_int_equal(w.count, 0); /* told once */
    size_t passes = 0;
    for (size_t i = 0;; i = !i) {
        world_want(&w, &wants[!i]);
        world_release(&w, &wants[i]);
        if (world_sent_count(&w, PAWL_VERB_RELEASE)) break;
        assert_true(++passes < 1000);
    }
    assert_int_equal(passes, 64);
    world_sent(&w, PAWL_VERB_ACQUIRE); /* the next local caller queues behind the others */
    world_close(&w);
}

static void a_cached_lease_costs_nothing_and_goes_when_wanted(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    a.retain_ms = 10000;
    pawl_request ask = world_ask(&w, &a);
    world_grant(&w, ask.id, 1);
    world_release(&w, &a);
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), 0);
    world_want(&w, &a);
    world_only(&w, PAWL__ACT_GRANTED);
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), 0);
    world_release(&w, &a);
    world_push(&w, PAWL_PUSH_YIELD, "a", ask.token, 0);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

static void a_cached_lease_is_given_back_after_its_time(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    a.retain_ms = 1500;
    world_hold(&w, &a, 1);
    world_release(&w, &a);
    world_pass(&w, 1499 * MS);
    assert_int_equal(w.count, 0);
    world_pass(&w, 1 * MS);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

static void a_lost_yield_request_is_repeated_by_the_renewal(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    a.retain_ms = 60000;
    world_hold(&w, &a, 1);
    world_release(&w, &a);
    world_pass(&w, TTL / 3 * MS);
    world_confirm(&w, world_sent(&w, PAWL_VERB_RENEW).id, 1, true);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

static void a_detached_lease_is_left_alone(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    a.flags = PAWL_ASK_DETACHED;
    world_hold(&w, &a, 1);
    world_step(&w, (pawl__event){.kind = PAWL__EV_DETACH, .want = &a});
    world_only(&w, PAWL__ACT_RELEASED);
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), 0);
    assert_false(pawl__engine_busy(w.engine));
    world_close(&w);
}

static void closing_tells_everyone_once_and_releases(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", PAWL__NEVER);
    pawl__want c = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_want(&w, &b);
    world_want(&w, &c);
    world_step(&w, (pawl__event){.kind = PAWL__EV_CLOSE});
    assert_int_equal(world_count(&w, PAWL__ACT_REFUSED), 2);
    assert_int_equal(world_count(&w, PAWL__ACT_RELEASED), 1);
    assert_int_equal(world_sent_count(&w, PAWL_VERB_RELEASE), 2);
    world_want(&w, &a);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_CLOSED);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadline_counts_from_before_the_request_left),
        cmocka_unit_test(a_renewal_counts_from_its_own_sending),
        cmocka_unit_test(lost_at_the_deadline_whoever_says_otherwise),
        cmocka_unit_test(a_grant_that_is_already_over_is_not_reported),
        cmocka_unit_test(a_fence_that_does_not_grow_is_refused),
        cmocka_unit_test(an_unanswered_ask_is_asked_again_with_the_same_token),
        cmocka_unit_test(a_caller_that_gave_up_is_followed_by_a_release),
        cmocka_unit_test(a_late_ask_behind_its_release_is_released_again),
        cmocka_unit_test(an_unanswered_release_is_sent_again_until_the_lease_has_run_out),
        cmocka_unit_test(not_owner_on_renewal_is_final),
        cmocka_unit_test(each_acquisition_has_its_own_token),
        cmocka_unit_test(a_release_that_finds_another_owner_is_no_success),
        cmocka_unit_test(renewal_goes_on_trying_until_the_deadline),
        cmocka_unit_test(doubt_ends_with_a_confirmation),
        cmocka_unit_test(a_link_that_is_down_is_doubt_then_loss_and_recovers),
        cmocka_unit_test(a_queued_waiter_is_handed_the_lock_by_a_push),
        cmocka_unit_test(a_push_for_an_old_token_does_nothing),
        cmocka_unit_test(only_the_first_waiters_watch_the_holders_end),
        cmocka_unit_test(a_waiter_refreshes_its_place_and_keeps_its_token),
        cmocka_unit_test(a_waiter_re_asks_at_once_when_the_link_is_back),
        cmocka_unit_test(waiting_ends_at_its_time),
        cmocka_unit_test(not_waiting_is_answered_busy_and_leaves_nothing),
        cmocka_unit_test(short_patience_is_a_time_out_unless_the_store_fails),
        cmocka_unit_test(an_unreachable_store_is_said_so),
        cmocka_unit_test(a_store_that_refuses_us_is_said_so_at_once),
        cmocka_unit_test(a_denied_acquisition_ends_with_its_reason),
        cmocka_unit_test(local_callers_share_one_lease_in_order),
        cmocka_unit_test(a_holder_can_see_who_holds_and_that_another_waits),
        cmocka_unit_test(a_yield_request_bounds_local_sharing),
        cmocka_unit_test(a_cached_lease_costs_nothing_and_goes_when_wanted),
        cmocka_unit_test(a_cached_lease_is_given_back_after_its_time),
        cmocka_unit_test(a_lost_yield_request_is_repeated_by_the_renewal),
        cmocka_unit_test(a_detached_lease_is_left_alone),
        cmocka_unit_test(closing_tells_everyone_once_and_releases),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
