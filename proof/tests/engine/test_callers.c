/* SPDX-License-Identifier: MIT */
/* What callers may do at any time, and what they share. */
#include "trial.h"

#include <stdio.h>

/* ---- At the wrong time: nothing happens, nothing is told twice (law 6) ------------ */

static void what_is_not_held_is_not_given_back(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_release(t, &a);
    assert_int_equal(t->count, 0);
    pawl_request ask = trial_ask(t, &a);
    trial_release(t, &a);
    trial_step(t, (pawl__event){.kind = PAWL__EV_DETACH, .want = &a});
    assert_int_equal(t->count, 0);
    trial_grant(t, ask.id, 1);
    trial_only(t, PAWL__ACT_GRANTED);
}

static void only_who_waits_can_cancel(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_cancel(t, &a);
    assert_int_equal(t->count, 0);
    trial_want(t, &b);
    trial_step_unfetched(t, (pawl__event){.kind = PAWL__EV_CANCEL, .want = &b});
    trial_cancel(t, &b); /* he has not yet heard of the first time */
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_CANCELED);
}

static void a_release_replaces_the_renewal_that_has_not_left(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    t->now += TTL / 3 * MS;
    trial_step_unfetched(t, (pawl__event){.kind = PAWL__EV_TIME});
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RENEW), 0);
}

/* ---- Who does not wait ------------------------------------------------------------ */

static void expect_busy(trial *t, const pawl__want *want)
{
    assert_ptr_equal(trial_only(t, PAWL__ACT_REFUSED)->want, want);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
}

static void who_does_not_wait_hears_at_once_what_is_known(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b;
    pawl_request ask = trial_ask(t, &a);
    b = want_on("a", 0);
    trial_want(t, &b); /* the store is being asked: it decides */
    assert_int_equal(t->count, 0);
    trial_queue(t, ask.id, 0, TTL);
    expect_busy(t, &b);
    b = want_on("a", 0);
    trial_want(t, &b); /* queued */
    expect_busy(t, &b);
    trial_push(t, PAWL_PUSH_GRANT, "a", ask.token, 9);
    b = want_on("a", 0);
    trial_want(t, &b); /* held */
    expect_busy(t, &b);
    trial_pass(t, TTL / 3 * MS);
    trial_fail(t, trial_sent(t, PAWL_VERB_RENEW).id, PAWL_FAILED, PAWL_ERR_LOADING);
    b = want_on("a", 0);
    trial_want(t, &b); /* held, in doubt */
    expect_busy(t, &b);
}

/* The place was asked for by one who waits no more. */
static void a_place_that_nobody_wants_is_given_up(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", 0);
    pawl_request ask = trial_ask(t, &a);
    trial_want(t, &b);
    trial_cancel(t, &a);
    assert_int_equal(trial_count(t, PAWL__ACT_SEND), 0);
    trial_queue(t, ask.id, 0, TTL);
    expect_busy(t, &b);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_LEFT);
    assert_false(pawl__engine_busy(t->engine));
}

/* ---- Owners' labels --------------------------------------------------------------- */

static pawl__want want_of_owner(const char *owner)
{
    pawl__want want = want_on("a", PAWL__NEVER);
    want.owner = owner;
    return want;
}

static void a_lease_carries_the_label_of_who_asked(void **state)
{
    trial *t = *state;
    char label[] = "nightly";
    pawl__want a = want_of_owner(label), b = want_on("b", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    assert_string_equal(ask.owner, "nightly");
    trial_cancel(t, &a);
    memset(label, 'x', sizeof label - 1); /* the caller may have freed it by now */
    assert_string_equal(trial_sent(t, PAWL_VERB_RELEASE).owner, "nightly");
    trial_want(t, &b);
    assert_string_equal(trial_sent(t, PAWL_VERB_ACQUIRE).owner, "tester");
}

static void a_lease_is_passed_on_under_one_label(void **state)
{
    trial *t = *state;
    char same[] = "nightly";
    pawl__want a = want_of_owner("nightly"), b = want_of_owner(same), c = want_of_owner("weekly");
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    trial_want(t, &c);
    trial_release(t, &a);
    assert_ptr_equal(trial_only(t, PAWL__ACT_GRANTED)->want, &b);
    trial_release(t, &b);
    assert_int_equal(trial_count(t, PAWL__ACT_GRANTED), 0);
    trial_sent(t, PAWL_VERB_RELEASE);
    assert_string_equal(trial_sent(t, PAWL_VERB_ACQUIRE).owner, "weekly");
}

/* ---- Passing on and keeping ------------------------------------------------------- */

/* A lease that was not confirmed for a while is not passed on. */
static void a_lease_in_doubt_is_neither_passed_on_nor_kept(void **state)
{
    (void)state;
    for (int others = 0; others <= 1; others++) {
        trial t;
        trial_open(&t);
        pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
        a.retain_ms = TTL;
        trial_hold(&t, &a, 1);
        trial_pass(&t, TTL / 3 * MS);
        trial_fail(&t, trial_sent(&t, PAWL_VERB_RENEW).id, PAWL_FAILED, PAWL_ERR_LOADING);
        if (others) trial_want(&t, &b);
        trial_release(&t, &a);
        assert_int_equal(trial_count(&t, PAWL__ACT_GRANTED), 0);
        trial_sent(&t, PAWL_VERB_RELEASE);
        assert_int_equal(trial_sent_count(&t, PAWL_VERB_ACQUIRE), others);
        trial_close(&t);
    }
}

static void local_passing_ends_some_time_after_a_yield_request(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    trial_grant(t, ask.id, 1);
    trial_push(t, PAWL_PUSH_YIELD, "a", ask.token, 0);
    trial_want(t, &b);
    trial_pass(t, 20 * MS);
    trial_release(t, &a);
    assert_int_equal(trial_count(t, PAWL__ACT_GRANTED), 0);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void who_awaits_the_store_does_not_wait_for_what_stays_here(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    trial_release_await(t, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_RELEASED)->err, PAWL_OK);
    assert_int_equal(b.state, PAWL__WANT_HOLDING);
}

/* The one that the group has room for, and those that come while it is leaving. */
static void many_names_and_many_leases_of_one(void **state)
{
    (void)state;
    enum { NAMES = 40 };
    trial t;
    trial_open(&t);
    static char names[NAMES][8];
    pawl__want wants[NAMES];
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        wants[i] = want_on(names[i], PAWL__NEVER);
        trial_hold(&t, &wants[i], 1);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < NAMES; i++) {
            trial_release(&t, &wants[i]); /* and the store does not answer */
            trial_hold(&t, &wants[i], (uint64_t)round + 2);
        }
    assert_int_equal(pawl__engine_lease_count(t.engine), 3 * NAMES);
    for (int i = 0; i < NAMES; i++)
        assert_ptr_equal(
            pawl__engine_holder(t.engine, names[i], strlen(names[i]), PAWL_MODE_EXCLUSIVE),
            &wants[i]);
    trial_close(&t);
}

/* ---- What can be asked of the engine ---------------------------------------------- */

static void a_holder_can_see_that_others_wait_elsewhere(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    trial_grant(t, ask.id, 1);
    assert_false(pawl__want_is_wanted(&a));
    trial_push(t, PAWL_PUSH_YIELD, "a", ask.token, 0);
    assert_true(pawl__want_is_wanted(&a));
    trial_release(t, &a);
    assert_true(pawl__want_is_wanted(&a)); /* what is not held any more is not to be kept */
    assert_null(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_EXCLUSIVE));
}

static void a_holder_can_see_whether_it_had_queued(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    assert_false(pawl__want_had_queued(&a));
    trial_hold(t, &a, 1);
    assert_false(pawl__want_had_queued(&a));
    pawl_request ask = trial_ask(t, &b);
    trial_queue(t, ask.id, 0, TTL);
    trial_push(t, PAWL_PUSH_GRANT, "b", ask.token, 2);
    assert_true(pawl__want_had_queued(&b));
}

static void busy_until_everyone_has_been_told(void **state)
{
    (void)state;
    trial t;
    trial_open_down(&t);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(&t, &a);
    trial_step_unfetched(&t, (pawl__event){.kind = PAWL__EV_CANCEL, .want = &a});
    assert_int_equal(pawl__engine_lease_count(t.engine), 0);
    assert_true(pawl__engine_busy(t.engine));
    trial_pass(&t, 0);
    trial_only(&t, PAWL__ACT_REFUSED);
    assert_false(pawl__engine_busy(t.engine));
    trial_close(&t);
}

static void no_engine_can_be_freed(void **state)
{
    (void)state;
    assert_null(pawl__engine_free(NULL));
}

/* ---- Closing ---------------------------------------------------------------------- */

static void closing_leaves_what_is_detached_and_what_is_leaving(void **state)
{
    trial *t = *state;
    pawl__want detached = want_on("a", PAWL__NEVER), asks = want_on("b", PAWL__NEVER);
    pawl__want leaving = want_on("c", PAWL__NEVER);
    detached.flags = asks.flags = PAWL_ASK_DETACHED;
    trial_hold(t, &detached, 1);
    trial_hold(t, &leaving, 1);
    pawl_request ask = trial_ask(t, &asks);
    assert_true(ask.flags & PAWL_ASK_DETACHED);
    trial_release_await(t, &leaving);
    pawl_request release = trial_sent(t, PAWL_VERB_RELEASE);
    trial_step(t, (pawl__event){.kind = PAWL__EV_CLOSE});
    assert_ptr_equal(trial_only(t, PAWL__ACT_RELEASED)->want, &detached);
    assert_ptr_equal(trial_only(t, PAWL__ACT_REFUSED)->want, &asks);
    pawl_request gone = trial_sent(t, PAWL_VERB_RELEASE); /* of the one that was not granted */
    assert_string_equal(gone.name, "b");
    trial_answer(t, gone.id, PAWL_NOT_OWNER);
    trial_answer(t, release.id, PAWL_RELEASED);
    assert_ptr_equal(trial_only(t, PAWL__ACT_RELEASED)->want, &leaving);
    assert_false(pawl__engine_busy(t->engine));
}

/* Callers who wait for each other need nobody who listens to the store. */
static void the_store_is_awaited_until_it_has_decided(void **state)
{
    trial *t = *state;
    assert_false(pawl__engine_awaits_store(t->engine));
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    assert_true(pawl__engine_awaits_store(t->engine));
    trial_queue(t, ask.id, 0, 1000);
    assert_true(pawl__engine_awaits_store(t->engine)); /* for the push */
    trial_push(t, PAWL_PUSH_GRANT, "a", ask.token, 3);
    assert_false(pawl__engine_awaits_store(t->engine));
    trial_want(t, &b);
    assert_false(pawl__engine_awaits_store(t->engine));
    trial_release(t, &a);
    assert_false(pawl__engine_awaits_store(t->engine)); /* b has it */
    trial_release_await(t, &b);
    assert_true(pawl__engine_awaits_store(t->engine));
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    assert_false(pawl__engine_awaits_store(t->engine));
}

/* The process ends: what is kept is released now, and what comes back is not kept. */
static void nothing_is_kept_any_more(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    a.retain_ms = b.retain_ms = 10000;
    assert_false(pawl__engine_tends(t->engine));
    trial_hold(t, &a, 1);
    assert_true(pawl__engine_tends(t->engine));
    trial_hold(t, &b, 1);
    trial_release(t, &a);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
    assert_false(pawl__engine_releases(t->engine));
    trial_step(t, (pawl__event){.kind = PAWL__EV_KEEP_NOTHING});
    assert_string_equal(trial_sent(t, PAWL_VERB_RELEASE).name, "a");
    assert_int_equal(b.state, PAWL__WANT_HOLDING); /* it is used */
    assert_true(pawl__engine_tends(t->engine) && pawl__engine_releases(t->engine));
    trial_release(t, &b);
    assert_string_equal(trial_sent(t, PAWL_VERB_RELEASE).name, "b");
    assert_false(pawl__engine_tends(t->engine));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(what_is_not_held_is_not_given_back),
        TRIAL(only_who_waits_can_cancel),
        TRIAL(a_release_replaces_the_renewal_that_has_not_left),
        TRIAL(who_does_not_wait_hears_at_once_what_is_known),
        TRIAL(a_place_that_nobody_wants_is_given_up),
        TRIAL(a_lease_carries_the_label_of_who_asked),
        TRIAL(a_lease_is_passed_on_under_one_label),
        cmocka_unit_test(a_lease_in_doubt_is_neither_passed_on_nor_kept),
        TRIAL(local_passing_ends_some_time_after_a_yield_request),
        TRIAL(who_awaits_the_store_does_not_wait_for_what_stays_here),
        cmocka_unit_test(many_names_and_many_leases_of_one),
        TRIAL(a_holder_can_see_that_others_wait_elsewhere),
        TRIAL(a_holder_can_see_whether_it_had_queued),
        cmocka_unit_test(busy_until_everyone_has_been_told),
        cmocka_unit_test(no_engine_can_be_freed),
        TRIAL(closing_leaves_what_is_detached_and_what_is_leaving),
        TRIAL(the_store_is_awaited_until_it_has_decided),
        TRIAL(nothing_is_kept_any_more),
    };
    return cmocka_run_group_tests_name("engine: callers", tests, NULL, NULL);
}
