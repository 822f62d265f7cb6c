/* SPDX-License-Identifier: MIT */
/* The engine's decisions, one by one, on virtual time. */
#include "trial.h"

/* ---- Law 2: the local deadline ------------------------------------------- */

static void deadline_counts_from_before_the_request_left(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    int64_t sent_at = t->now;
    pawl_request ask = trial_sent(t, PAWL_VERB_ACQUIRE);
    t->now += 4000 * MS; /* the reply takes its time */
    trial_grant(t, ask.id, 1);
    assert_int_equal(trial_only(t, PAWL__ACT_GRANTED)->deadline,
                     sent_at + (TTL - TTL / 10 - 2) * MS);
}

static void a_renewal_counts_from_its_own_sending(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_pass(t, TTL / 3 * MS);
    int64_t sent_at = t->now;
    pawl_request renew = trial_sent(t, PAWL_VERB_RENEW);
    t->now += 3000 * MS;
    trial_confirm(t, renew.id, 1, false);
    assert_int_equal(trial_only(t, PAWL__ACT_EXTENDED)->deadline,
                     sent_at + pawl__plan_span_ns(TTL));
}

static void lost_at_the_deadline_whoever_says_otherwise(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_pass(t, TTL / 3 * MS);
    pawl_request renew = trial_sent(t, PAWL_VERB_RENEW);
    t->now += TTL * MS;                   /* stopped for longer than the lease */
    trial_confirm(t, renew.id, 1, false); /* the first thing read is a confirmation */
    trial_only(t, PAWL__ACT_LOST);
    assert_int_equal(trial_count(t, PAWL__ACT_EXTENDED), 0);
    assert_int_equal(a.state, PAWL__WANT_LOST);
    trial_sent(t, PAWL_VERB_RELEASE); /* harmless by comparison, frees early */
}

static void a_grant_that_is_already_over_is_not_reported(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    t->now += TTL * MS;
    a.waiting->unreachable_at = PAWL__NEVER;
    trial_grant(t, ask.id, 1);
    assert_int_equal(trial_count(t, PAWL__ACT_GRANTED), 0);
}

/* ---- Law 3 ------------------------------------------------------------------ */

static void a_fence_that_does_not_grow_is_refused(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    b.flags = PAWL_ASK_DETACHED; /* so that the lease is not passed on locally */
    trial_hold(t, &a, 100);
    trial_want(t, &b);
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
    trial_grant(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 100);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_FENCE);
    trial_sent(t, PAWL_VERB_RELEASE);
}

/* ---- Law 4: unknown is not failed ---------------------------------------------- */

static void an_unanswered_ask_is_asked_again_with_the_same_token(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request first = trial_ask(t, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, first.token);
    trial_fail(t, first.id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    t->now += 100 * MS;
    trial_link(t, true, PAWL_OK);
    pawl_request second = trial_sent(t, PAWL_VERB_ACQUIRE);
    assert_string_equal(second.token, token);
    assert_true(second.id != first.id);
    trial_grant(t, second.id, 5);
    assert_string_equal(trial_only(t, PAWL__ACT_GRANTED)->token, token);
}

static void a_caller_that_gave_up_is_followed_by_a_release(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    trial_cancel(t, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_CANCELED);
    pawl_request release = trial_sent(t, PAWL_VERB_RELEASE);
    assert_int_equal(a.state, PAWL__WANT_NONE);
    trial_grant(t, ask.id, 1); /* the late grant belongs to nobody */
    assert_int_equal(t->count, 0);
    trial_answer(t, release.id, PAWL_RELEASED);
    assert_false(pawl__engine_busy(t->engine));
}

static void a_late_ask_behind_its_release_is_released_again(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    trial_fail(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_cancel(t, &a);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_NOT_OWNER);
    assert_true(pawl__engine_busy(t->engine));
    trial_pass(t, 1000 * MS);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    assert_false(pawl__engine_busy(t->engine));
}

static void an_unanswered_release_is_sent_again_until_the_lease_has_run_out(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_release_await(t, &a);
    assert_int_equal(trial_count(t, PAWL__ACT_RELEASED), 0);
    trial_fail(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_pass(t, 2 * pawl__plan_retry_ns(TTL));
    trial_sent(t, PAWL_VERB_RELEASE);
    trial_pass(t, TTL * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_RELEASED)->err, PAWL_ERR_UNKNOWN);
    assert_false(pawl__engine_busy(t->engine));
}

/* ---- Law 5: only the owner; nothing is resurrected ------------------------------ */

static void not_owner_on_renewal_is_final(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_pass(t, TTL / 3 * MS);
    trial_answer(t, trial_sent(t, PAWL_VERB_RENEW).id, PAWL_NOT_OWNER);
    assert_int_equal(trial_only(t, PAWL__ACT_LOST)->err, PAWL_ERR_LOST);
    trial_pass(t, TTL * MS);
    assert_int_equal(trial_count(t, PAWL__ACT_LOST), 0);
    trial_release(t, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_RELEASED)->err, PAWL_ERR_LOST);
}

static void a_loss_names_who_broke_the_lease(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_push(t, PAWL_PUSH_RECHECK, "a", NULL, 0); /* it asks at once */
    trial_broken(t, trial_sent(t, PAWL_VERB_RENEW).id, "eve@host 42 pawl");
    const pawl__action *lost = trial_only(t, PAWL__ACT_LOST);
    assert_int_equal(lost->err, PAWL_ERR_LOST);
    assert_string_equal(lost->message, "broken by eve@host 42 pawl");
}

static void each_acquisition_has_its_own_token(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    char token[PAWL_TOKEN_LEN + 1];
    trial_release(t, &a);
    pawl_request release = trial_sent(t, PAWL_VERB_RELEASE);
    strcpy(token, release.token);
    trial_want(t, &a);
    assert_string_not_equal(trial_sent(t, PAWL_VERB_ACQUIRE).token, token);
}

static void a_release_that_finds_another_owner_is_no_success(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_release_await(t, &a);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_NOT_OWNER);
    assert_int_equal(trial_only(t, PAWL__ACT_RELEASED)->err, PAWL_ERR_LOST);
}

/* ---- Renewal and doubt ------------------------------------------------------------- */

static void renewal_goes_on_trying_until_the_deadline(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    int64_t deadline = trial_only(t, PAWL__ACT_GRANTED)->deadline;
    trial_pass(t, TTL / 3 * MS);
    trial_fail(t, trial_sent(t, PAWL_VERB_RENEW).id, PAWL_FAILED, PAWL_ERR_LOADING);
    trial_only(t, PAWL__ACT_DOUBT);
    int tries = 0;
    while (pawl__engine_deadline(t->engine) < deadline) {
        t->now = pawl__engine_deadline(t->engine);
        trial_pass(t, 0);
        trial_fail(t, trial_sent(t, PAWL_VERB_RENEW).id, PAWL_FAILED, PAWL_ERR_READONLY);
        assert_int_equal(trial_count(t, PAWL__ACT_DOUBT), 0); /* told once */
        tries++;
    }
    assert_true(tries >= 2);
    t->now = deadline;
    trial_pass(t, 0);
    assert_int_equal(trial_only(t, PAWL__ACT_LOST)->err, PAWL_ERR_READONLY);
}

static void doubt_ends_with_a_confirmation(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_pass(t, TTL / 3 * MS);
    trial_fail(t, trial_sent(t, PAWL_VERB_RENEW).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_only(t, PAWL__ACT_DOUBT);
    trial_pass(t, 2 * pawl__plan_retry_ns(TTL));
    trial_confirm(t, trial_sent(t, PAWL_VERB_RENEW).id, 1, false);
    assert_true(trial_only(t, PAWL__ACT_EXTENDED)->after_doubt);
    trial_pass(t, TTL / 3 * MS);
    trial_confirm(t, trial_sent(t, PAWL_VERB_RENEW).id, 1, false);
    assert_false(trial_only(t, PAWL__ACT_EXTENDED)->after_doubt); /* told once */
}

static void a_link_that_is_down_is_doubt_then_loss_and_recovers(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    int64_t deadline = trial_only(t, PAWL__ACT_GRANTED)->deadline;
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_pass(t, TTL / 3 * MS);
    trial_only(t, PAWL__ACT_DOUBT);
    t->now = deadline;
    trial_pass(t, 0);
    assert_int_equal(trial_only(t, PAWL__ACT_LOST)->err, PAWL_ERR_UNAVAILABLE);
    trial_release(t, &a);
    trial_link(t, true, PAWL_OK);
    trial_hold(t, &a, 2);
}

/* ---- Waiting -------------------------------------------------------------------------- */

static void a_queued_waiter_is_handed_the_lock_by_a_push(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    int64_t sent_at = t->now;
    pawl_request ask = trial_sent(t, PAWL_VERB_ACQUIRE);
    assert_true(ask.flags & PAWL_ASK_QUEUE);
    trial_queue(t, ask.id, 0, 20000);
    t->now += 5000 * MS;
    trial_push(t, PAWL_PUSH_GRANT, "a", ask.token, 9);
    pawl__action *granted = trial_only(t, PAWL__ACT_GRANTED);
    assert_int_equal(granted->fence, 9);
    int64_t place = pawl_place_span(TTL);
    assert_int_equal(granted->deadline, sent_at + (place - place / 10 - 2) * MS); /* law 2 */
    assert_int_equal(trial_count(t, PAWL__ACT_SEND), 0); /* who is quick asks nothing more */
    trial_push(t, PAWL_PUSH_GRANT, "a", ask.token, 9);   /* twice */
    assert_int_equal(t->count, 0);
}

static void a_push_for_an_old_token_does_nothing(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 0, 20000);
    trial_push(t, PAWL_PUSH_GRANT, "a", "00000000000000000000000000000000000000ff", 9);
    assert_int_equal(t->count, 0);
    assert_int_equal(a.state, PAWL__WANT_WAITING);
}

static void only_the_first_waiters_watch_the_holders_end(void **state)
{
    (void)state;
    for (int64_t position = 0; position < 6; position++) {
        trial t;
        trial_open(&t);
        pawl__want a = want_on("a", PAWL__NEVER);
        trial_want(&t, &a);
        trial_queue(&t, trial_sent(&t, PAWL_VERB_ACQUIRE).id, position, 500);
        trial_pass(&t, 700 * MS);
        assert_int_equal(trial_sent_count(&t, PAWL_VERB_ACQUIRE), position < 4);
        trial_close(&t);
    }
}

static void a_waiter_refreshes_its_place_and_keeps_its_token(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    trial_queue(t, ask.id, 50, 20000);
    trial_pass(t, TTL / 3 * MS);
    ask = trial_sent(t, PAWL_VERB_ACQUIRE);
    assert_string_equal(ask.token, token);
    int64_t refreshed_at = t->now;
    trial_queue(t, ask.id, 40, 20000);
    t->now += 1000 * MS;
    trial_push(t, PAWL_PUSH_GRANT, "a", token, 3);
    assert_int_equal(trial_only(t, PAWL__ACT_GRANTED)->deadline,
                     refreshed_at + pawl__plan_place_ns(TTL));
}

static void a_waiter_re_asks_at_once_when_the_link_is_back(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 9, 20000);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    t->now += 4000 * MS;
    trial_pass(t, 0);
    assert_int_equal(a.state, PAWL__WANT_WAITING); /* a queued waiter survives a short outage */
    trial_link(t, true, PAWL_OK);
    trial_sent(t, PAWL_VERB_ACQUIRE);
}

static void waiting_ends_at_its_time(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", t->now + 700 * MS);
    trial_want(t, &a);
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 9, 20000);
    trial_pass(t, 699 * MS);
    assert_int_equal(t->count, 0);
    trial_pass(t, 1 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_TIMEOUT);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_LEFT);
    assert_false(pawl__engine_busy(t->engine));
}

/* The first step of an acquisition of several names. */
static pawl__want want_to_try_until(int64_t wait_until)
{
    pawl__want want = want_on("a", wait_until);
    want.waiting->only_tries = true;
    return want;
}

static void a_try_waits_for_the_answer_until_its_time(void **state)
{
    trial *t = *state;
    pawl__want a = want_to_try_until(t->now + 700 * MS);
    assert_false(trial_ask(t, &a).flags & PAWL_ASK_QUEUE);
    trial_pass(t, 699 * MS);
    assert_int_equal(t->count, 0);
    trial_pass(t, 1 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_TIMEOUT);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    assert_false(pawl__engine_busy(t->engine));
}

static void a_try_with_a_limit_does_not_wait_for_the_lock(void **state)
{
    trial *t = *state;
    pawl__want a = want_to_try_until(t->now + 700 * MS), b = want_to_try_until(PAWL__NEVER);
    trial_answer(t, trial_ask(t, &a).id, PAWL_BUSY);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
    trial_answer(t, trial_ask(t, &b).id, PAWL_BUSY);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
    assert_false(pawl__engine_busy(t->engine));
}

static void not_waiting_is_answered_busy_and_leaves_nothing(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", 0);
    pawl_request ask = trial_ask(t, &a);
    assert_false(ask.flags & PAWL_ASK_QUEUE);
    trial_answer(t, ask.id, PAWL_BUSY);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
    assert_int_equal(trial_count(t, PAWL__ACT_SEND), 0);
    assert_false(pawl__engine_busy(t->engine));
}

/* How an acquisition ends whose patience is over before the store has answered. */
static pawl_err end_of_haste(bool up, pawl_err failure, int64_t wait_ns, int64_t pass_ns)
{
    trial t;
    if (up)
        trial_open(&t);
    else
        trial_open_down(&t);
    pawl__want a = want_on("a", t.now + wait_ns);
    trial_want(&t, &a);
    if (failure) trial_fail(&t, trial_sent(&t, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, failure);
    t.now += pass_ns;
    trial_step(&t, (pawl__event){.kind = PAWL__EV_TIME});
    pawl_err err = trial_only(&t, PAWL__ACT_REFUSED)->err;
    assert_int_equal(trial_count(&t, PAWL__ACT_SEND), up ? 1 : 0); /* law 4 */
    trial_close(&t);
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
    trial t;
    trial_open_down(&t);
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", 0);
    trial_want(&t, &a);
    trial_want(&t, &b);
    trial_pass(&t, 5000 * MS);
    assert_int_equal(trial_count(&t, PAWL__ACT_REFUSED), 2);
    assert_int_equal(t.actions[0].err, PAWL_ERR_UNAVAILABLE);
    assert_false(pawl__engine_busy(t.engine)); /* nothing was sent, nothing is left */
    trial_close(&t);
}

static void without_patience_an_outage_ends_whoever_waits_at_once(void **state)
{
    (void)state;
    trial t;
    trial_open_with(&t, 7, 0);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_step_unfetched(&t, (pawl__event){.kind = PAWL__EV_WANT, .want = &a});
    assert_int_equal(pawl__engine_deadline(t.engine), t.now);
    trial_pass(&t, 0);
    assert_int_equal(trial_only(&t, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
    trial_close(&t);
}

static void a_store_that_refuses_us_is_said_so_at_once(void **state)
{
    (void)state;
    trial t;
    trial_open_down(&t);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(&t, &a);
    trial_link(&t, false, PAWL_ERR_AUTH);
    assert_int_equal(trial_only(&t, PAWL__ACT_REFUSED)->err, PAWL_ERR_AUTH);
    trial_want(&t, &a); /* and so is who comes later */
    assert_int_equal(trial_only(&t, PAWL__ACT_REFUSED)->err, PAWL_ERR_AUTH);
    assert_false(pawl__engine_busy(t.engine));
    trial_link(&t, true, PAWL_OK); /* until the store takes us */
    trial_hold(&t, &a, 1);
    trial_close(&t);
}

static void a_denied_acquisition_ends_with_its_reason(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    trial_fail(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, PAWL_ERR_WRONG_TYPE);
    pawl__action *refused = trial_only(t, PAWL__ACT_REFUSED);
    assert_int_equal(refused->err, PAWL_ERR_WRONG_TYPE);
    assert_string_equal(refused->message, "as told");
}

/* ---- Local sharing and caching ------------------------------------------------------- */

static void local_callers_share_one_lease_in_order(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    pawl__want c = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    trial_want(t, &c);
    assert_int_equal(trial_count(t, PAWL__ACT_SEND), 0);
    trial_release(t, &a);
    assert_ptr_equal(trial_only(t, PAWL__ACT_GRANTED)->want, &b);
    assert_int_equal(trial_count(t, PAWL__ACT_SEND), 0);
    trial_release(t, &b);
    assert_ptr_equal(trial_only(t, PAWL__ACT_GRANTED)->want, &c);
    trial_release(t, &c);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void a_holder_can_see_who_holds_and_that_another_waits(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    assert_null(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_EXCLUSIVE));
    trial_hold(t, &a, 1);
    assert_ptr_equal(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_EXCLUSIVE), &a);
    assert_null(pawl__engine_holder(t->engine, "b", 1, PAWL_MODE_EXCLUSIVE));
    assert_false(pawl__want_is_wanted(&a));
    trial_want(t, &b);
    assert_true(pawl__want_is_wanted(&a));
    trial_release(t, &a);
    assert_ptr_equal(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_EXCLUSIVE), &b);
    assert_false(pawl__want_is_wanted(&b));
}

static void a_yield_request_bounds_local_sharing(void **state)
{
    trial *t = *state;
    pawl__want wants[2] = {want_on("a", PAWL__NEVER), want_on("a", PAWL__NEVER)};
    trial_want(t, &wants[0]);
    pawl_request ask = trial_sent(t, PAWL_VERB_ACQUIRE);
    trial_grant(t, ask.id, 1);
    trial_push(t, PAWL_PUSH_YIELD, "a", ask.token, 0);
    trial_only(t, PAWL__ACT_YIELD);
    trial_push(t, PAWL_PUSH_YIELD, "a", ask.token, 0);
    assert_int_equal(t->count, 0); /* told once */
    size_t passes = 0;
    for (size_t i = 0;; i = !i) {
        trial_want(t, &wants[!i]);
        trial_release(t, &wants[i]);
        if (trial_sent_count(t, PAWL_VERB_RELEASE)) break;
        assert_true(++passes < 1000);
    }
    assert_int_equal(passes, 64);
    trial_sent(t, PAWL_VERB_ACQUIRE); /* the next local caller queues behind the others */
}

static void a_cached_lease_costs_nothing_and_goes_when_wanted(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    a.retain_ms = 10000;
    pawl_request ask = trial_ask(t, &a);
    trial_grant(t, ask.id, 1);
    trial_release(t, &a);
    assert_int_equal(trial_count(t, PAWL__ACT_SEND), 0);
    trial_want(t, &a);
    trial_only(t, PAWL__ACT_GRANTED);
    assert_int_equal(trial_count(t, PAWL__ACT_SEND), 0);
    trial_release(t, &a);
    trial_push(t, PAWL_PUSH_YIELD, "a", ask.token, 0);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void a_cached_lease_is_given_back_after_its_time(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    a.retain_ms = 1500;
    trial_hold(t, &a, 1);
    trial_release(t, &a);
    trial_pass(t, 1499 * MS);
    assert_int_equal(t->count, 0);
    trial_pass(t, 1 * MS);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void a_lease_that_is_to_end_is_neither_passed_on_nor_kept(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    b.retain_ms = 10000;
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    trial_step(t, (pawl__event){.kind = PAWL__EV_RELEASE, .want = &a, .ends_lease = true});
    assert_int_equal(trial_count(t, PAWL__ACT_GRANTED), 0);
    trial_sent(t, PAWL_VERB_RELEASE);
    trial_grant(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 2); /* b has a lease of its own */
    trial_only(t, PAWL__ACT_GRANTED);
    trial_step(t, (pawl__event){.kind = PAWL__EV_RELEASE, .want = &b, .ends_lease = true});
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void a_lost_yield_request_is_repeated_by_the_renewal(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    a.retain_ms = 60000;
    trial_hold(t, &a, 1);
    trial_release(t, &a);
    trial_pass(t, TTL / 3 * MS);
    trial_confirm(t, trial_sent(t, PAWL_VERB_RENEW).id, 1, true);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void a_detached_lease_is_left_alone(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    a.flags = PAWL_ASK_DETACHED;
    trial_hold(t, &a, 1);
    trial_step(t, (pawl__event){.kind = PAWL__EV_DETACH, .want = &a});
    trial_only(t, PAWL__ACT_RELEASED);
    assert_int_equal(trial_count(t, PAWL__ACT_SEND), 0);
    assert_false(pawl__engine_busy(t->engine));
}

static void closing_tells_everyone_once_and_releases(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    pawl__want c = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    trial_want(t, &c);
    trial_step(t, (pawl__event){.kind = PAWL__EV_CLOSE});
    assert_int_equal(trial_count(t, PAWL__ACT_REFUSED), 2);
    assert_int_equal(trial_count(t, PAWL__ACT_RELEASED), 1);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 2);
    trial_want(t, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_CLOSED);
}

/* Zero is an instant like any other: a clock may count from any of them. */
static void time_may_begin_before_zero(void **state)
{
    (void)state;
    trial t;
    trial_open_down(&t);
    t.now = -3600 * INT64_C(1000) * MS;
    trial_link(&t, true, PAWL_OK);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(&t, &a, 1);
    assert_true(trial_only(&t, PAWL__ACT_GRANTED)->deadline < t.now + TTL * MS);
    trial_pass(&t, TTL * MS);
    assert_int_equal(a.state, PAWL__WANT_LOST);
    trial_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(deadline_counts_from_before_the_request_left),
        TRIAL(a_renewal_counts_from_its_own_sending),
        TRIAL(lost_at_the_deadline_whoever_says_otherwise),
        TRIAL(a_grant_that_is_already_over_is_not_reported),
        TRIAL(a_fence_that_does_not_grow_is_refused),
        TRIAL(an_unanswered_ask_is_asked_again_with_the_same_token),
        TRIAL(a_caller_that_gave_up_is_followed_by_a_release),
        TRIAL(a_late_ask_behind_its_release_is_released_again),
        TRIAL(an_unanswered_release_is_sent_again_until_the_lease_has_run_out),
        TRIAL(not_owner_on_renewal_is_final),
        TRIAL(a_loss_names_who_broke_the_lease),
        TRIAL(each_acquisition_has_its_own_token),
        TRIAL(a_release_that_finds_another_owner_is_no_success),
        TRIAL(renewal_goes_on_trying_until_the_deadline),
        TRIAL(doubt_ends_with_a_confirmation),
        TRIAL(a_link_that_is_down_is_doubt_then_loss_and_recovers),
        TRIAL(a_queued_waiter_is_handed_the_lock_by_a_push),
        TRIAL(a_push_for_an_old_token_does_nothing),
        cmocka_unit_test(only_the_first_waiters_watch_the_holders_end),
        TRIAL(a_waiter_refreshes_its_place_and_keeps_its_token),
        TRIAL(a_waiter_re_asks_at_once_when_the_link_is_back),
        TRIAL(waiting_ends_at_its_time),
        TRIAL(a_try_waits_for_the_answer_until_its_time),
        TRIAL(a_try_with_a_limit_does_not_wait_for_the_lock),
        TRIAL(not_waiting_is_answered_busy_and_leaves_nothing),
        cmocka_unit_test(short_patience_is_a_time_out_unless_the_store_fails),
        cmocka_unit_test(an_unreachable_store_is_said_so),
        cmocka_unit_test(without_patience_an_outage_ends_whoever_waits_at_once),
        cmocka_unit_test(a_store_that_refuses_us_is_said_so_at_once),
        TRIAL(a_denied_acquisition_ends_with_its_reason),
        TRIAL(local_callers_share_one_lease_in_order),
        TRIAL(a_holder_can_see_who_holds_and_that_another_waits),
        TRIAL(a_yield_request_bounds_local_sharing),
        TRIAL(a_cached_lease_costs_nothing_and_goes_when_wanted),
        TRIAL(a_cached_lease_is_given_back_after_its_time),
        TRIAL(a_lease_that_is_to_end_is_neither_passed_on_nor_kept),
        TRIAL(a_lost_yield_request_is_repeated_by_the_renewal),
        TRIAL(a_detached_lease_is_left_alone),
        TRIAL(closing_tells_everyone_once_and_releases),
        cmocka_unit_test(time_may_begin_before_zero),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
