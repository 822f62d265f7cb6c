/* SPDX-License-Identifier: MIT */
/* A holder gets another mode: upgrades, downgrades, and what comes between (rule 10 of
 * pawl/store.h). */
#include "trial.h"

/* ---- Changes -------------------------------------------------------------------------------- */

static void hold_update(trial *t, pawl__want *want)
{
    *want = want_of_mode(PAWL_MODE_UPDATE);
    trial_hold(t, want, 1);
}

static void an_upgrade_is_told_when_the_store_has_granted_it(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(request.mode, PAWL_MODE_EXCLUSIVE);
    assert_int_equal(request.change, 1);
    assert_true(request.flags & PAWL_ASK_QUEUE);
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_grant(t, request.id, 2);
    pawl__action *changed = trial_only(t, PAWL__ACT_CHANGED);
    assert_int_equal(changed->err, PAWL_OK);
    assert_int_equal(changed->fence, 2);
    trial_only(t, PAWL__ACT_EXTENDED);
    trial_pass(t, TTL / 3 * MS);
    pawl_request renewal = trial_sent(t, PAWL_VERB_RENEW); /* an ordinary one again */
    trial_confirm(t, renewal.id, 2, false);
    trial_only(t, PAWL__ACT_EXTENDED);
}

static void an_upgrade_that_queues_is_renewed_by_its_own_request(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, TTL);
    trial_only(t, PAWL__ACT_EXTENDED);
    for (int i = 0; i < 5; i++) {
        trial_pass(t, TTL / 3 * MS);
        pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
        assert_int_equal(request.change, 1); /* the same change */
        trial_queue(t, request.id, 0, TTL);
        assert_int_equal(trial_only(t, PAWL__ACT_EXTENDED)->err, PAWL_OK);
    }
}

static void a_push_of_an_upgrade_is_asked_about_before_it_is_believed(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, TTL);
    trial_push(t, PAWL_PUSH_GRANT, "a", trial_token_of(t, &a), 2);
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 2);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
}

static void an_upgrade_whose_time_is_over_is_taken_back(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, t->now + 50 * MS);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, TTL);
    trial_pass(t, 50 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_TIMEOUT);
    pawl_request back = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(back.mode, PAWL_MODE_UPDATE);
    assert_int_equal(back.change, 2);
    trial_push(t, PAWL_PUSH_GRANT, "a", trial_token_of(t, &a), 2); /* it crossed */
    assert_int_equal(t->count, 0);
    trial_grant(t, back.id, 2); /* the fence that the upgrade drew stays */
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_pass(t, TTL / 3 * MS);
    trial_confirm(t, trial_sent(t, PAWL_VERB_RENEW).id, 2, false);
    trial_only(t, PAWL__ACT_EXTENDED); /* held, in the mode of before */
}

static void an_upgrade_that_does_not_wait_hears_busy(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, 0);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    assert_false(request.flags & PAWL_ASK_QUEUE);
    trial_answer(t, request.id, PAWL_BUSY);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_BUSY);
    trial_only(t, PAWL__ACT_EXTENDED);
    trial_pass(t, TTL / 3 * MS);
    trial_sent(t, PAWL_VERB_RENEW);
}

static void an_upgrade_that_does_not_wait_ends_with_the_link(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, 0);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_UNAVAILABLE);
}

static void a_waiting_upgrade_survives_an_unknown_answer(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_only(t, PAWL__ACT_DOUBT);
    trial_pass(t, 3000 * MS);
    pawl_request again = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(again.change, 1); /* it may have been done: the same change */
    trial_grant(t, again.id, 2);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
}

static void a_waiting_upgrade_ends_when_the_store_is_silent(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    int64_t before = t->now;
    while (!trial_count(t, PAWL__ACT_CHANGED) && t->now < before + 10000 * MS)
        trial_pass(t, 100 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_UNAVAILABLE);
    assert_int_equal(a.state, PAWL__WANT_HOLDING); /* what it had, it has */
}

/* The reason is the link's, if it is the link; a time that is over has none, whatever was before.
 */
static void an_upgrade_that_ends_says_why(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_step(t, (pawl__event){
                      .kind = PAWL__EV_LINK, .err = PAWL_ERR_UNAVAILABLE, .message = "no route"});
    for (int i = 0; i < 100 && !trial_count(t, PAWL__ACT_CHANGED); i++) trial_pass(t, 100 * MS);
    assert_string_equal(trial_only(t, PAWL__ACT_CHANGED)->message, "no route");
    trial_link(t, true, PAWL_OK);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 1); /* it is in the mode of before */
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, t->now + 50 * MS);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, TTL);
    trial_pass(t, 50 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_TIMEOUT);
    assert_string_equal(trial_only(t, PAWL__ACT_CHANGED)->message, "");
}

static void an_upgrade_without_a_new_fence_is_a_loss(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 1);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_FENCE);
    assert_int_equal(trial_only(t, PAWL__ACT_LOST)->err, PAWL_ERR_FENCE);
}

static void a_release_ends_an_upgrade(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_release(t, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_CANCELED);
    trial_only(t, PAWL__ACT_RELEASED);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void an_upgrade_is_canceled(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, TTL);
    trial_cancel(t, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_CANCELED);
    assert_int_equal(trial_sent(t, PAWL_VERB_CHANGE).mode, PAWL_MODE_UPDATE);
}

static void a_downgrade_counts_at_once_and_is_repeated_until_the_store_knows(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_EXCLUSIVE);
    trial_hold(t, &a, 5);
    trial_change(t, &a, PAWL_MODE_SHARED, 0);
    pawl__action *changed = trial_only(t, PAWL__ACT_CHANGED);
    assert_int_equal(changed->err, PAWL_OK);
    assert_int_equal(changed->fence, 5);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(request.mode, PAWL_MODE_SHARED);
    trial_fail(t, request.id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_pass(t, 3000 * MS);
    request = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(request.change, 1);
    trial_grant(t, request.id, 5);
    trial_pass(t, TTL / 3 * MS);
    trial_sent(t, PAWL_VERB_RENEW);
}

static void a_lease_that_was_downgraded_is_not_passed_on(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_EXCLUSIVE), b = want_of_mode(PAWL_MODE_EXCLUSIVE);
    a.retain_ms = 60000;
    trial_hold(t, &a, 5);
    trial_change(t, &a, PAWL_MODE_SHARED, 0);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 5);
    trial_want(t, &b);
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
    assert_int_equal(trial_sent(t, PAWL_VERB_ACQUIRE).mode, PAWL_MODE_EXCLUSIVE);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
}

static void a_change_waits_for_the_request_in_flight(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_pass(t, TTL / 3 * MS);
    pawl_request renewal = trial_sent(t, PAWL_VERB_RENEW);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_CHANGE), 0);
    trial_confirm(t, renewal.id, 1, false);
    trial_sent(t, PAWL_VERB_CHANGE);
}

/* Law 1: what the store says of an older change does not decide about the newer one. */
static void an_answer_to_an_older_change_is_not_taken_for_the_newer(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_EXCLUSIVE);
    trial_hold(t, &a, 5);
    trial_change(t, &a, PAWL_MODE_UPDATE, 0);
    pawl_request down = trial_sent(t, PAWL_VERB_CHANGE);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_grant(t, down.id, 5); /* UPDATE, not EXCLUSIVE */
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    pawl_request up = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(up.change, 2);
    assert_int_equal(up.mode, PAWL_MODE_EXCLUSIVE);
    trial_grant(t, up.id, 6);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->fence, 6);
}

static void what_cannot_be_changed_is_refused_here(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED);
    trial_hold(t, &a, 1);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_MODE);
    assert_int_equal(t->count, 1);
}

static void no_lock_becomes_permits(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_PERMIT, 0);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_MODE);
}

static void a_loss_ends_an_upgrade(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_broken(t, trial_sent(t, PAWL_VERB_CHANGE).id, "eve");
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_LOST);
    assert_string_equal(trial_only(t, PAWL__ACT_LOST)->message, "broken by eve");
}

static void a_change_of_what_is_lost_is_no_change(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_pass(t, TTL * MS);
    assert_int_equal(a.state, PAWL__WANT_LOST);
    trial_change(t, &a, PAWL_MODE_SHARED, 0);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_LOST);
}

static void a_change_to_what_it_is_needs_no_request(void **state)
{
    static const pawl_mode modes[] = {PAWL_MODE_EXCLUSIVE, PAWL_MODE_SHARED, PAWL_MODE_UPDATE};
    for (int i = 0; i < 3; i++) {
        trial *t = *state;
        pawl__want a = want_of_mode(modes[i]);
        trial_hold(t, &a, (uint64_t)i + 1);
        trial_change(t, &a, modes[i], 0);
        assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
        assert_int_equal(t->count, 1);
        trial_release(t, &a);
        trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    }
}

/* Its caller has gone on, and may have asked for the upgrade that CHANGED is about. */
static void a_downgrade_that_nobody_waits_for_is_told_to_nobody(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_EXCLUSIVE);
    trial_hold(t, &a, 1);
    const pawl__event event = {.kind = PAWL__EV_CHANGE, .want = &a, .mode = PAWL_MODE_UPDATE};
    trial_step(t, event);
    assert_int_equal(trial_sent(t, PAWL_VERB_CHANGE).mode, PAWL_MODE_UPDATE);
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_step(t, event); /* it is in that mode already */
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
}

static void a_second_upgrade_is_ignored_and_a_downgrade_ends_the_first(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    pawl__waiting *first = trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    pawl_request up = trial_sent(t, PAWL_VERB_CHANGE);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    assert_int_equal(t->count, 0);
    assert_ptr_equal(a.waiting, first);
    trial_change(t, &a, PAWL_MODE_SHARED, 0);
    trial_only(t, PAWL__ACT_CHANGED); /* one word about both */
    assert_null(a.waiting);
    trial_queue(t, up.id, 0, TTL); /* the older one's answer: the newer follows */
    pawl_request down = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(down.mode, PAWL_MODE_SHARED);
    trial_grant(t, down.id, 1);
    trial_pass(t, TTL / 3 * MS);
    trial_sent(t, PAWL_VERB_RENEW);
}

static void an_older_upgrade_that_is_busy_or_refused_does_not_end_the_newer(void **state)
{
    for (int refused = 0; refused < 2; refused++) {
        trial *t = *state;
        pawl__want a = want_of_mode(PAWL_MODE_UPDATE);
        trial_hold(t, &a, 10 + (uint64_t)refused);
        trial_change(t, &a, PAWL_MODE_EXCLUSIVE, 0);
        pawl_request older = trial_sent(t, PAWL_VERB_CHANGE);
        trial_cancel(t, &a);
        trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
        if (refused)
            trial_fail(t, older.id, PAWL_FAILED, PAWL_ERR_PERMISSION);
        else
            trial_answer(t, older.id, PAWL_BUSY);
        assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
        pawl_request newer = trial_sent(t, PAWL_VERB_CHANGE);
        assert_int_equal(newer.change, 3);
        trial_grant(t, newer.id, 20 + (uint64_t)refused);
        assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
        trial_release(t, &a);
        trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    }
}

static void an_upgrade_that_the_store_refuses_ends_with_its_word(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_FAILED, PAWL_ERR_MODE);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_MODE);
    trial_confirm(t, trial_sent(t, PAWL_VERB_RENEW).id, 1, false); /* held as before */
    trial_only(t, PAWL__ACT_EXTENDED);
}

static void a_store_that_is_busy_now_is_asked_again(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, -1);
    trial_pass(t, TTL / 3 * MS);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_FAILED, PAWL_ERR_STORE_BUSY);
    trial_only(t, PAWL__ACT_DOUBT);
    trial_pass(t, 3000 * MS);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_FAILED, PAWL_ERR_STORE_BUSY);
    trial_pass(t, 2500 * MS); /* five seconds of silence */
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_UNAVAILABLE);
}

static void who_does_not_wait_for_an_upgrade_hears_that_the_answer_is_missing(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, 0);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_UNKNOWN);
    pawl_request back = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(back.mode, PAWL_MODE_UPDATE);
    trial_fail(t, back.id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN); /* nobody waits for it */
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_pass(t, 3000 * MS);
    trial_sent(t, PAWL_VERB_CHANGE);
}

/* The answer to what was asked before is none to it, and gives the store no more time. */
static void who_does_not_wait_for_an_upgrade_gives_the_store_one_timeout_in_all(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    pawl_request older = trial_sent(t, PAWL_VERB_CHANGE);
    trial_cancel(t, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_CANCELED);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, 0);
    trial_pass(t, 3000 * MS);
    trial_queue(t, older.id, 0, -1);
    trial_sent(t, PAWL_VERB_CHANGE);
    trial_pass(t, 1999 * MS);
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_pass(t, 1 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_UNAVAILABLE);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
}

static void an_upgrade_that_was_granted_but_is_wanted_by_others_says_so(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    pawl_reply reply = {.id = request.id, .outcome = PAWL_GRANTED, .fence = 2, .waiting = true};
    trial_step(t, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
    trial_only(t, PAWL__ACT_YIELD);
}

static void a_fence_that_goes_back_in_a_change_is_a_loss(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_EXCLUSIVE);
    trial_hold(t, &a, 5);
    trial_change(t, &a, PAWL_MODE_SHARED, 0);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 4);
    assert_int_equal(trial_only(t, PAWL__ACT_LOST)->err, PAWL_ERR_FENCE);
}

static void a_holder_that_ends_soon_is_asked_about_soon(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, 0); /* at once, but not without pause */
    assert_int_equal(trial_sent_count(t, PAWL_VERB_CHANGE), 0);
    trial_pass(t, 5 * MS);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, 100);
    trial_pass(t, 101 * MS);
    trial_sent(t, PAWL_VERB_CHANGE);
}

static void the_word_of_an_upgrade_comes_while_its_request_is_under_way(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    trial_push(t, PAWL_PUSH_GRANT, "a", trial_token_of(t, &a), 2);
    assert_int_equal(t->count, 0);
    trial_queue(t, request.id, 0, TTL); /* answered before: asked once more */
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 2);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
}

static void an_upgrade_that_waits_is_not_passed_on(void **state)
{
    trial *t = *state;
    pawl__want a, b = want_of_mode(PAWL_MODE_UPDATE);
    hold_update(t, &a);
    trial_want(t, &b);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
    assert_int_equal(trial_sent(t, PAWL_VERB_ACQUIRE).mode, PAWL_MODE_UPDATE);
}

static void an_upgrade_that_waits_outlasts_a_link_that_comes_back(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_link(t, true, PAWL_OK);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 2);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
}

static void the_reason_of_a_refused_change_is_passed_on(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    pawl_reply reply = {.id = request.id,
                        .outcome = PAWL_FAILED,
                        .err = PAWL_ERR_UNSUPPORTED,
                        .message = "no modes here"};
    trial_step(t, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
    assert_string_equal(trial_only(t, PAWL__ACT_CHANGED)->message, "no modes here");
    trial_confirm(t, trial_sent(t, PAWL_VERB_RENEW).id, 1, false);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    reply.id = trial_sent(t, PAWL_VERB_CHANGE).id;
    reply.message = NULL;
    trial_step(t, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
    assert_string_equal(trial_only(t, PAWL__ACT_CHANGED)->message,
                        pawl_err_text(PAWL_ERR_UNSUPPORTED));
}

static void permits_do_not_change(void **state)
{
    static const uint16_t slots[] = {0};
    trial *t = *state;
    pawl__want a = want_of_permits(1);
    trial_grant_slots(t, trial_ask(t, &a).id, 1, slots, 1);
    for (int mode = 0; mode < PAWL_MODE_PERMIT; mode++) {
        trial_change(t, &a, (pawl_mode)mode, 0);
        assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_MODE);
    }
}

/* ---- The store may not have heard of the change before -----------------------------------------
 */

static void hold_exclusive(trial *t, pawl__want *want)
{
    *want = want_on("a", PAWL__NEVER);
    trial_hold(t, want, 1);
}

static void an_upgrade_before_the_store_hears_of_the_downgrade_keeps_the_fence(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_exclusive(t, &a);
    trial_pass(t, TTL / 3 * MS);
    pawl_request renewal = trial_sent(t, PAWL_VERB_RENEW);
    trial_change(t, &a, PAWL_MODE_UPDATE, PAWL__NEVER); /* waits for that answer */
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_confirm(t, renewal.id, 1, false);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(request.mode, PAWL_MODE_EXCLUSIVE);
    assert_int_equal(request.change, 2);
    trial_grant(t, request.id, 1); /* to the store it was exclusive all the time */
    pawl__action *changed = trial_only(t, PAWL__ACT_CHANGED);
    assert_int_equal(changed->err, PAWL_OK);
    assert_int_equal(changed->fence, 1);
    assert_int_equal(trial_count(t, PAWL__ACT_LOST), 0);
}

static void an_upgrade_after_one_that_was_taken_back_in_vain_keeps_its_fence(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    pawl_request first = trial_sent(t, PAWL_VERB_CHANGE);
    trial_cancel(t, &a);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_grant(t, first.id, 2); /* the store never hears that it was taken back */
    pawl_request again = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(again.change, 3);
    trial_grant(t, again.id, 2);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
    assert_int_equal(trial_count(t, PAWL__ACT_LOST), 0);
}

/* The fence that it had would be the old one of before others came in. */
static void lose_by_fence(trial *t, pawl__want *a)
{
    trial_change(t, a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 1);
    assert_int_equal(trial_only(t, PAWL__ACT_LOST)->err, PAWL_ERR_FENCE);
}

static void an_upgrade_after_a_downgrade_that_was_done_draws_a_fence(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_exclusive(t, &a);
    trial_change(t, &a, PAWL_MODE_UPDATE, PAWL__NEVER);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 1);
    lose_by_fence(t, &a);
}

/* Its answer was lost: that the upgrade has to wait, or is refused, shows that it was done. */
static void lose_after(trial *t, int64_t wait_until, pawl_outcome outcome)
{
    pawl__want a;
    hold_exclusive(t, &a);
    trial_change(t, &a, PAWL_MODE_UPDATE, PAWL__NEVER);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_change(t, &a, PAWL_MODE_EXCLUSIVE, wait_until);
    trial_answer(t, trial_sent(t, PAWL_VERB_CHANGE).id, outcome);
    if (outcome == PAWL_QUEUED) trial_cancel(t, &a);
    if (outcome == PAWL_QUEUED)
        trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    lose_by_fence(t, &a);
}

static void an_upgrade_after_one_that_waited_draws_a_fence(void **state)
{
    lose_after(*state, PAWL__NEVER, PAWL_QUEUED);
}

static void an_upgrade_after_one_that_was_busy_draws_a_fence(void **state)
{
    lose_after(*state, 0, PAWL_BUSY);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        TRIAL(an_upgrade_is_told_when_the_store_has_granted_it),
        TRIAL(an_upgrade_that_queues_is_renewed_by_its_own_request),
        TRIAL(a_push_of_an_upgrade_is_asked_about_before_it_is_believed),
        TRIAL(an_upgrade_whose_time_is_over_is_taken_back),
        TRIAL(an_upgrade_that_does_not_wait_hears_busy),
        TRIAL(an_upgrade_that_does_not_wait_ends_with_the_link),
        TRIAL(a_waiting_upgrade_survives_an_unknown_answer),
        TRIAL(a_waiting_upgrade_ends_when_the_store_is_silent),
        TRIAL(an_upgrade_that_ends_says_why),
        TRIAL(an_upgrade_without_a_new_fence_is_a_loss),
        TRIAL(a_release_ends_an_upgrade),
        TRIAL(an_upgrade_is_canceled),
        TRIAL(a_downgrade_counts_at_once_and_is_repeated_until_the_store_knows),
        TRIAL(a_lease_that_was_downgraded_is_not_passed_on),
        TRIAL(a_change_waits_for_the_request_in_flight),
        TRIAL(an_answer_to_an_older_change_is_not_taken_for_the_newer),
        TRIAL(what_cannot_be_changed_is_refused_here),
        TRIAL(a_loss_ends_an_upgrade),
        TRIAL(no_lock_becomes_permits),
        TRIAL(an_upgrade_that_waits_outlasts_a_link_that_comes_back),
        TRIAL(the_reason_of_a_refused_change_is_passed_on),
        TRIAL(a_change_of_what_is_lost_is_no_change),
        TRIAL(a_change_to_what_it_is_needs_no_request),
        TRIAL(permits_do_not_change),
        TRIAL(a_downgrade_that_nobody_waits_for_is_told_to_nobody),
        TRIAL(a_second_upgrade_is_ignored_and_a_downgrade_ends_the_first),
        TRIAL(an_older_upgrade_that_is_busy_or_refused_does_not_end_the_newer),
        TRIAL(an_upgrade_that_the_store_refuses_ends_with_its_word),
        TRIAL(a_store_that_is_busy_now_is_asked_again),
        TRIAL(who_does_not_wait_for_an_upgrade_hears_that_the_answer_is_missing),
        TRIAL(who_does_not_wait_for_an_upgrade_gives_the_store_one_timeout_in_all),
        TRIAL(an_upgrade_that_was_granted_but_is_wanted_by_others_says_so),
        TRIAL(a_fence_that_goes_back_in_a_change_is_a_loss),
        TRIAL(a_holder_that_ends_soon_is_asked_about_soon),
        TRIAL(the_word_of_an_upgrade_comes_while_its_request_is_under_way),
        TRIAL(an_upgrade_that_waits_is_not_passed_on),
        TRIAL(an_upgrade_before_the_store_hears_of_the_downgrade_keeps_the_fence),
        TRIAL(an_upgrade_after_one_that_was_taken_back_in_vain_keeps_its_fence),
        TRIAL(an_upgrade_after_a_downgrade_that_was_done_draws_a_fence),
        TRIAL(an_upgrade_after_one_that_waited_draws_a_fence),
        TRIAL(an_upgrade_after_one_that_was_busy_draws_a_fence),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
