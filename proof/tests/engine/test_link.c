/* SPDX-License-Identifier: MIT */
/* The link to the store comes and goes. */
#include "trial.h"

static void what_is_under_way_is_not_sent_twice(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    uint64_t id = trial_ask(t, &a).id;
    trial_step_unfetched(t, (pawl__event){.kind = PAWL__EV_WANT, .want = &b});
    trial_link(t, true, PAWL_OK);
    assert_string_equal(trial_sent(t, PAWL_VERB_ACQUIRE).name, "b");
    trial_link(t, true, PAWL_OK);
    assert_int_equal(t->count, 0);
    trial_grant(t, id, 1);
    trial_only(t, PAWL__ACT_GRANTED);
}

/* Law 7: whatever was to be heard may have been lost. */
static void every_lease_catches_up_when_the_link_is_back(void **state)
{
    trial *t = *state;
    pawl__want asks = want_on("a", PAWL__NEVER), queued = want_on("b", PAWL__NEVER);
    pawl__want held = want_on("c", PAWL__NEVER), kept = want_on("d", PAWL__NEVER);
    pawl__want gone = want_on("e", PAWL__NEVER);
    kept.retain_ms = TTL;
    trial_hold(t, &held, 1);
    trial_hold(t, &kept, 1);
    trial_release(t, &kept);
    trial_hold(t, &gone, 1);
    trial_want(t, &queued);
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 9, TTL);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_release(t, &gone);
    trial_want(t, &asks);
    assert_int_equal(trial_count(t, PAWL__ACT_SEND), 0);
    trial_link(t, true, PAWL_OK);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_ACQUIRE), 2);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RENEW), 2);
    assert_string_equal(trial_sent(t, PAWL_VERB_RELEASE).name, "e");
}

/* A store that will not have us: who has no answer is told at once, and why. */
static void a_final_refusal_ends_those_who_have_no_answer(void **state)
{
    (void)state;
    static const pawl_err final[] = {PAWL_ERR_PERMISSION, PAWL_ERR_UNSUPPORTED, PAWL_ERR_SYSTEM};
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++) {
        trial t;
        trial_open(&t);
        pawl__want held = want_on("a", PAWL__NEVER), asks = want_on("b", PAWL__NEVER);
        pawl__want gone = want_on("c", PAWL__NEVER);
        trial_hold(&t, &held, 1);
        trial_want(&t, &gone);
        trial_cancel(&t, &gone);
        trial_want(&t, &asks);
        trial_step(&t, (pawl__event){.kind = PAWL__EV_LINK, .err = final[i], .message = "no"});
        pawl__action *refused = trial_only(&t, PAWL__ACT_REFUSED);
        assert_ptr_equal(refused->want, &asks);
        assert_int_equal(refused->err, final[i]);
        assert_string_equal(refused->message, "no");
        assert_int_equal(held.state, PAWL__WANT_HOLDING); /* until its deadline */
        trial_close(&t);
    }
}

/* The store says that its reason does not heal, although errors of that class mostly do. */
static void a_reason_that_does_not_heal_is_final(void **state)
{
    trial *t = *state;
    pawl__want asks = want_on("b", PAWL__NEVER), later = want_on("c", PAWL__NEVER);
    trial_want(t, &asks);
    trial_step(t, (pawl__event){.kind = PAWL__EV_LINK,
                                .err = PAWL_ERR_UNAVAILABLE,
                                .final = true,
                                .message = "no such directory"});
    pawl__action *refused = trial_only(t, PAWL__ACT_REFUSED);
    assert_ptr_equal(refused->want, &asks);
    assert_int_equal(refused->err, PAWL_ERR_UNAVAILABLE);
    trial_want(t, &later);
    assert_ptr_equal(trial_only(t, PAWL__ACT_REFUSED)->want, &later);
    trial_link(t, true, PAWL_OK);
    trial_want(t, &asks);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_ACQUIRE), 1);
}

/* A lease that the store has answered may recover; a new lease of the name has no answer yet. */
static void who_comes_after_a_final_refusal(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    pawl__want c = want_on("a", PAWL__NEVER);
    b.ttl_ms = 2 * TTL; /* so that it needs a lease of its own */
    trial_hold(t, &a, 1);
    trial_link(t, false, PAWL_ERR_AUTH);
    trial_want(t, &b);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
    trial_release(t, &a);
    trial_want(t, &c);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_AUTH);
    trial_link(t, true, PAWL_OK);
    assert_int_equal(trial_sent(t, PAWL_VERB_ACQUIRE).ttl_ms, 2 * TTL);
}

/* "Busy" and "queued" are decisions as well: the store knew us then, and may know us again. */
static void who_was_answered_outlives_a_final_refusal(void **state)
{
    (void)state;
    static const pawl_outcome decisions[] = {PAWL_BUSY, PAWL_QUEUED};
    for (size_t i = 0; i < sizeof decisions / sizeof decisions[0]; i++) {
        trial t;
        trial_open(&t);
        pawl__want hasty = want_on("a", 0), waits = want_on("a", PAWL__NEVER);
        uint64_t id = trial_ask(&t, &hasty).id;
        trial_want(&t, &waits);
        trial_answer(&t, id, decisions[i]);
        assert_ptr_equal(trial_only(&t, PAWL__ACT_REFUSED)->want, &hasty);
        trial_link(&t, false, PAWL_ERR_AUTH);
        assert_int_equal(trial_count(&t, PAWL__ACT_REFUSED), 0);
        assert_int_equal(waits.state, PAWL__WANT_WAITING);
        trial_close(&t);
    }
}

static void an_unreachable_store_is_told_with_what_the_link_said(void **state)
{
    trial *t = *state;
    trial_link(t, false, PAWL_ERR_LOADING);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    trial_pass(t, 5000 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_LOADING);
}

/* A caller that does not wait does not wait for a second try to connect, before or after it. */
static void who_does_not_wait_is_told_of_the_first_try_that_failed(void **state)
{
    (void)state;
    trial t;
    trial_open_down(&t);
    pawl__want hasty = want_on("a", 0), patient = want_on("a", PAWL__NEVER);
    pawl__want later = want_on("b", 0), beside = want_on("a", 0);
    trial_want(&t, &patient);
    trial_want(&t, &hasty);
    assert_int_equal(hasty.state, PAWL__WANT_WAITING);
    trial_link(&t, false, PAWL_ERR_UNAVAILABLE);
    assert_ptr_equal(trial_only(&t, PAWL__ACT_REFUSED)->want, &hasty);
    assert_int_equal(trial_only(&t, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
    trial_want(&t, &later);
    assert_int_equal(trial_only(&t, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
    trial_want(&t, &beside);
    assert_ptr_equal(trial_only(&t, PAWL__ACT_REFUSED)->want, &beside);
    trial_link(&t, true, PAWL_OK);
    assert_int_equal(trial_sent_count(&t, PAWL_VERB_ACQUIRE), 1); /* for the patient one */
    trial_close(&t);
}

/* A connection that breaks is no try that failed: the next one may be there at once. */
static void who_does_not_wait_outlives_a_link_that_breaks(void **state)
{
    trial *t = *state;
    pawl__want asked = want_on("a", 0), new = want_on("b", 0);
    trial_want(t, &asked);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_want(t, &new);
    assert_int_equal(asked.state, PAWL__WANT_WAITING);
    assert_int_equal(new.state, PAWL__WANT_WAITING);
    trial_link(t, true, PAWL_OK);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    assert_int_equal(new.state, PAWL__WANT_WAITING);
    trial_link(t, false, PAWL_ERR_LOADING);
    assert_int_equal(trial_count(t, PAWL__ACT_REFUSED), 2);
}

/* Our own holder is known without the store: busy is the truth. */
static void a_holder_of_ours_is_busy_while_the_store_is_away(void **state)
{
    trial *t = *state;
    pawl__want holder = want_on("a", PAWL__NEVER), hasty = want_on("a", 0);
    trial_hold(t, &holder, 1);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_want(t, &hasty);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
}

/* Answered in time: from then on only the caller's own patience counts. */
static void patience_goes_on_when_the_store_has_answered(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", t->now + 8000 * MS), b = want_on("a", PAWL__NEVER);
    uint64_t id = trial_ask(t, &a).id;
    trial_want(t, &b);
    trial_queue(t, id, 9, TTL);
    trial_pass(t, 5000 * MS);
    assert_int_equal(t->count, 0);
    trial_pass(t, 3000 * MS);
    assert_ptr_equal(trial_only(t, PAWL__ACT_REFUSED)->want, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_TIMEOUT);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
}

/* A try to connect has failed: only who does not wait is told at once. */
static void who_waits_comes_while_the_store_is_away(void **state)
{
    trial *t = *state;
    pawl__want waits = want_on("a", PAWL__NEVER), hasty = want_on("b", 0);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_want(t, &waits);
    assert_int_equal(t->count, 0);
    trial_want(t, &hasty);
    assert_ptr_equal(trial_only(t, PAWL__ACT_REFUSED)->want, &hasty);
    trial_link(t, true, PAWL_OK);
    assert_string_equal(trial_sent(t, PAWL_VERB_ACQUIRE).name, "a");
}

/* Whatever the link or the store said before has nothing to do with it. */
static void a_time_that_is_over_has_no_reason(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", t->now + 700 * MS);
    trial_want(t, &a);
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 9, TTL);
    trial_step(t, (pawl__event){
                      .kind = PAWL__EV_LINK, .err = PAWL_ERR_UNAVAILABLE, .message = "no route"});
    trial_link(t, true, PAWL_OK);
    trial_pass(t, 700 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_TIMEOUT);
    assert_string_equal(trial_only(t, PAWL__ACT_REFUSED)->message, "");
}

/* ---- An outage while queued: as long as for a store that was never there --------------------- */

static uint64_t queue_up(trial *t, pawl__want *want)
{
    uint64_t id = trial_ask(t, want).id;
    trial_queue(t, id, 9, TTL);
    return id;
}

static void an_outage_while_queued_ends_the_wait(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", t->now + 60000 * MS);
    queue_up(t, &a);
    trial_want(t, &b);
    trial_pass(t, 1000 * MS);
    trial_step(t, (pawl__event){.kind = PAWL__EV_LINK, .err = PAWL_ERR_LOADING, .message = "no"});
    trial_pass(t, 4999 * MS);
    assert_int_equal(trial_count(t, PAWL__ACT_REFUSED), 0);
    trial_pass(t, 1 * MS);
    assert_int_equal(trial_count(t, PAWL__ACT_REFUSED), 2);
    for (size_t i = 0; i < t->count; i++) {
        assert_int_equal(t->actions[i].err, PAWL_ERR_LOADING);
        assert_string_equal(t->actions[i].message, "no");
    }
}

/* It is unknown whether the lock is busy, so "busy" must not be said. */
static void patience_that_ends_in_an_outage_is_no_time_out(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", t->now + 2000 * MS);
    queue_up(t, &a);
    trial_pass(t, 1000 * MS);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_pass(t, 1000 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
}

static void a_store_that_comes_back_in_time_keeps_its_waiters(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", 0);
    queue_up(t, &a);
    for (int i = 0; i < 3; i++) { /* each outage counts by itself */
        trial_link(t, false, PAWL_ERR_UNAVAILABLE);
        trial_pass(t, 4000 * MS);
        if (i == 0) {
            trial_want(t, &b); /* known to be busy */
            assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
        }
        trial_link(t, true, PAWL_OK);
        trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 9, TTL);
        trial_pass(t, 3000 * MS);
        assert_int_equal(a.state, PAWL__WANT_WAITING);
    }
}

static void a_store_that_falls_silent_ends_the_wait(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    queue_up(t, &a);
    trial_pass(t, TTL / 3 * MS);
    uint64_t refresh = trial_sent(t, PAWL_VERB_ACQUIRE).id;
    trial_pass(t, 4000 * MS);
    trial_fail(t, refresh, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    for (int ms = 0; ms < 5000 && a.state == PAWL__WANT_WAITING; ms += 1000) {
        trial_pass(t, 1000 * MS);
        if (trial_sent_count(t, PAWL_VERB_ACQUIRE))
            trial_fail(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, PAWL_ERR_UNKNOWN);
    }
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
}

/* It cannot be served: neither the holder's release nor its loss would reach the store. */
static void an_outage_ends_the_wait_behind_a_local_holder(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    pawl__want gone = want_on("c", PAWL__NEVER);
    trial_hold(t, &gone, 1);
    trial_release(t, &gone); /* nobody waits for the answer to this */
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_pass(t, 5000 * MS);
    assert_ptr_equal(trial_only(t, PAWL__ACT_REFUSED)->want, &b);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
}

/* The waiters behind a holder now wait for the answer to a new lease. */
static void a_new_lease_that_nobody_answers_ends_the_wait(void **state)
{
    trial *t = *state;
    pawl__want c = want_on("b", PAWL__NEVER), d = want_on("b", PAWL__NEVER);
    d.ttl_ms = 2 * TTL; /* so that it needs a lease of its own */
    trial_hold(t, &c, 2);
    trial_want(t, &d);
    trial_release(t, &c); /* from now on nothing is answered */
    assert_int_equal(trial_sent(t, PAWL_VERB_ACQUIRE).ttl_ms, 2 * TTL);
    trial_pass(t, 5000 * MS);
    assert_ptr_equal(trial_only(t, PAWL__ACT_REFUSED)->want, &d);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
}

static void an_outage_is_waited_out_if_asked(void **state)
{
    (void)state;
    trial t;
    trial_open_patient(&t);
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    queue_up(&t, &a);
    trial_want(&t, &b); /* never answered at all */
    trial_link(&t, false, PAWL_ERR_UNAVAILABLE);
    trial_pass(&t, 600000 * MS);
    assert_int_equal(a.state, PAWL__WANT_WAITING);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
    trial_close(&t);
}

/* A lease on its way out has nobody to refuse, and goes on leaving. */
static void a_failed_try_leaves_a_release_alone(void **state)
{
    trial *t = *state;
    pawl__want held = want_on("a", PAWL__NEVER), hasty = want_on("b", 0);
    trial_hold(t, &held, 1);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_release(t, &held);
    trial_want(t, &hasty);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    assert_ptr_equal(trial_only(t, PAWL__ACT_REFUSED)->want, &hasty);
    assert_true(pawl__engine_releases(t->engine));
}

/* A store may be many servers, and one of them away: who wants its names waits, all others go on.
 */
static void names_whose_server_is_away_wait_alone(void **state)
{
    trial *t = *state;
    pawl__want held = want_on("away", PAWL__NEVER), asks = want_on("away too", PAWL__NEVER);
    pawl__want other = want_on("here", PAWL__NEVER);
    trial_hold(t, &held, 1);
    trial_fail(t, trial_ask(t, &asks).id, PAWL_FAILED, PAWL_ERR_UNAVAILABLE);
    assert_int_equal(t->count, 0);
    trial_hold(t, &other, 2);

    trial_push(t, PAWL_PUSH_RECHECK, "away", NULL, 0);
    assert_string_equal(trial_sent(t, PAWL_VERB_RENEW).name, "away");
    trial_push(t, PAWL_PUSH_RECHECK, "away too", NULL, 0);
    trial_grant(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 3);
    assert_ptr_equal(trial_only(t, PAWL__ACT_GRANTED)->want, &asks);
}

/* And as long as for a store that is away. */
static void who_wants_a_name_whose_server_stays_away_is_told(void **state)
{
    trial *t = *state;
    pawl__want hasty = want_on("away", 0), other = want_on("here", PAWL__NEVER);
    trial_hold(t, &other, 1);
    trial_fail(t, trial_ask(t, &hasty).id, PAWL_FAILED, PAWL_ERR_UNAVAILABLE);
    trial_pass(t, 4999 * MS);
    assert_int_equal(hasty.state, PAWL__WANT_WAITING);
    if (trial_sent_count(t, PAWL_VERB_ACQUIRE))
        trial_fail(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, PAWL_ERR_UNAVAILABLE);
    trial_pass(t, 2 * MS);
    pawl__action *refused = trial_only(t, PAWL__ACT_REFUSED);
    assert_ptr_equal(refused->want, &hasty);
    assert_int_equal(refused->err, PAWL_ERR_UNAVAILABLE);
    assert_int_equal(other.state, PAWL__WANT_HOLDING);
}

/* ---- A store that may have lost its last writes ------------------------------------------ */

static void change(trial *t, pawl__want *want, pawl_mode mode)
{
    pawl__waiting *waiting = want_on("a", PAWL__NEVER).waiting;
    trial_step(
        t, (pawl__event){.kind = PAWL__EV_CHANGE, .want = want, .mode = mode, .waiting = waiting});
}

static void change_is_granted(trial *t, pawl__want *want, pawl_mode mode, uint64_t fence)
{
    change(t, want, mode);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, fence);
}

static void link_comes_back(trial *t)
{
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    trial_link(t, true, PAWL_OK);
}

static void a_downgrade_is_told_again_when_the_link_is_back(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_UPDATE);
    trial_hold(t, &a, 1);
    change_is_granted(t, &a, PAWL_MODE_SHARED, 1);
    link_comes_back(t);
    pawl_request again = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RENEW), 0);
    assert_int_equal(again.mode, PAWL_MODE_SHARED);
    assert_int_equal(again.change, 2);
    trial_grant(t, again.id, 1);
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_pass(t, TTL / 3 * MS);
    trial_sent(t, PAWL_VERB_RENEW);
}

/* The latest one is on its way anyway. */
static void a_change_under_way_is_told_once_when_the_link_is_back(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_UPDATE);
    trial_hold(t, &a, 1);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    change(t, &a, PAWL_MODE_SHARED);
    trial_link(t, true, PAWL_OK);
    assert_int_equal(trial_sent(t, PAWL_VERB_CHANGE).change, 1);
}

/* If the store has lost it, its answer has the fence of before. */
static void an_upgrade_is_not_told_again(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_UPDATE);
    trial_hold(t, &a, 1);
    change_is_granted(t, &a, PAWL_MODE_EXCLUSIVE, 2);
    link_comes_back(t);
    trial_confirm(t, trial_sent(t, PAWL_VERB_RENEW).id, 1, false);
    assert_int_equal(trial_only(t, PAWL__ACT_LOST)->err, PAWL_ERR_LOST);
}

static void an_idle_lease_that_was_changed_is_given_back(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_UPDATE);
    a.retain_ms = 60000;
    trial_hold(t, &a, 1);
    change_is_granted(t, &a, PAWL_MODE_EXCLUSIVE, 2);
    change_is_granted(t, &a, PAWL_MODE_UPDATE, 2);
    trial_release(t, &a);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
    link_comes_back(t);
    trial_sent(t, PAWL_VERB_RELEASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_failed_try_leaves_a_release_alone),
        TRIAL(names_whose_server_is_away_wait_alone),
        TRIAL(who_wants_a_name_whose_server_stays_away_is_told),
        TRIAL(what_is_under_way_is_not_sent_twice),
        TRIAL(every_lease_catches_up_when_the_link_is_back),
        cmocka_unit_test(a_final_refusal_ends_those_who_have_no_answer),
        TRIAL(a_reason_that_does_not_heal_is_final),
        TRIAL(who_comes_after_a_final_refusal),
        cmocka_unit_test(who_was_answered_outlives_a_final_refusal),
        TRIAL(an_unreachable_store_is_told_with_what_the_link_said),
        cmocka_unit_test(who_does_not_wait_is_told_of_the_first_try_that_failed),
        TRIAL(who_does_not_wait_outlives_a_link_that_breaks),
        TRIAL(a_holder_of_ours_is_busy_while_the_store_is_away),
        TRIAL(patience_goes_on_when_the_store_has_answered),
        TRIAL(who_waits_comes_while_the_store_is_away),
        TRIAL(a_time_that_is_over_has_no_reason),
        TRIAL(an_outage_while_queued_ends_the_wait),
        TRIAL(patience_that_ends_in_an_outage_is_no_time_out),
        TRIAL(a_store_that_comes_back_in_time_keeps_its_waiters),
        TRIAL(a_store_that_falls_silent_ends_the_wait),
        TRIAL(an_outage_ends_the_wait_behind_a_local_holder),
        TRIAL(a_new_lease_that_nobody_answers_ends_the_wait),
        cmocka_unit_test(an_outage_is_waited_out_if_asked),
        TRIAL(a_downgrade_is_told_again_when_the_link_is_back),
        TRIAL(a_change_under_way_is_told_once_when_the_link_is_back),
        TRIAL(an_upgrade_is_not_told_again),
        TRIAL(an_idle_lease_that_was_changed_is_given_back),
    };
    return cmocka_run_group_tests_name("engine: link", tests, NULL, NULL);
}
