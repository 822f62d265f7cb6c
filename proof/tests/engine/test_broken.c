/* SPDX-License-Identifier: MIT */
/* Law 10: when an invariant breaks nobody holds anything any more, and everyone is told. */
#include "../../../src/engine/lease.h"
#include "trial.h"

#include <stdio.h>

#define NO_OUTCOME ((pawl_outcome)99)

static int broken_count;
static const char *broken_what;

static void note_broken(const char *what)
{
    broken_what = what;
    broken_count++;
}

static void open_to_break(trial *t)
{
    trial_open(t);
    broken_count = 0;
    pawl__engine_on_broken = note_broken; /* trial_open's fails the test */
}

static const pawl__action *told(trial *t, const pawl__want *want)
{
    const pawl__action *found = NULL;
    for (size_t i = 0; i < t->count; i++) {
        if (t->actions[i].want != want) continue;
        assert_null(found); /* law 6 */
        found = &t->actions[i];
    }
    assert_non_null(found);
    return found;
}

static void expect_told(trial *t, const pawl__want *want, pawl__action_kind kind, pawl_err err)
{
    const pawl__action *action = told(t, want);
    assert_int_equal(action->kind, kind);
    assert_int_equal(action->err, err);
    if (err == PAWL_ERR_INTERNAL) assert_string_equal(action->message, broken_what);
}

/* Answers of a store of another version: none of them fits that verb. */
static void breaks(trial *t, pawl_verb verb, pawl_outcome outcome)
{
    uint64_t id = trial_sent(t, verb).id;
    trial_answer(t, id, outcome);
    assert_int_equal(broken_count, 1);
}

static void everyone_is_told_and_nothing_is_kept(void **state)
{
    (void)state;
    trial t;
    open_to_break(&t);
    pawl__want holder = want_on("a", PAWL__NEVER), waiter = want_on("a", PAWL__NEVER);
    pawl__want returned = want_on("b", PAWL__NEVER), asker = want_on("c", PAWL__NEVER);
    trial_hold(&t, &holder, 1);
    trial_want(&t, &waiter);
    trial_hold(&t, &returned, 2);
    trial_release_await(&t, &returned);
    trial_want(&t, &asker);
    breaks(&t, PAWL_VERB_ACQUIRE, PAWL_CONFIRMED);
    assert_int_equal(t.count, 4);
    expect_told(&t, &holder, PAWL__ACT_LOST, PAWL_ERR_INTERNAL);
    expect_told(&t, &waiter, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    expect_told(&t, &returned, PAWL__ACT_RELEASED, PAWL_ERR_UNKNOWN);
    expect_told(&t, &asker, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    assert_false(pawl__engine_busy(t.engine));
    assert_int_equal(pawl__engine_deadline(t.engine), PAWL__NEVER);

    trial_release(&t, &holder);
    expect_told(&t, &holder, PAWL__ACT_RELEASED, PAWL_ERR_LOST);
    trial_close(&t);
}

/* Found by the fuzzer: news about what had been taken away was looked up in it. */
static void later_news_does_nothing(void **state)
{
    (void)state;
    trial t;
    open_to_break(&t);
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    trial_want(&t, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, trial_sent(&t, PAWL_VERB_ACQUIRE).token);
    trial_grant(&t, trial_sent(&t, PAWL_VERB_ACQUIRE).id, 1);
    trial_pass(&t, TTL / 3 * MS);
    uint64_t renewal = trial_sent(&t, PAWL_VERB_RENEW).id;
    trial_want(&t, &b);
    breaks(&t, PAWL_VERB_ACQUIRE, PAWL_RELEASED);

    trial_fail(&t, renewal, PAWL_FAILED, PAWL_ERR_UNAVAILABLE);
    trial_push(&t, PAWL_PUSH_YIELD, "a", token, 0);
    trial_link(&t, false, PAWL_ERR_UNAVAILABLE);
    trial_link(&t, true, PAWL_OK);
    trial_pass(&t, 10 * TTL * MS);
    assert_int_equal(t.count, 0);
    assert_int_equal(broken_count, 1);
    trial_want(&t, &b);
    expect_told(&t, &b, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    trial_close(&t);
}

/*
 * No answer is wrong here: the engine's own memory is. The step that touches the lease
 * notices it before anybody is told of a grant, in every build.
 */
static void a_step_checks_the_leases_that_it_touches(void **state)
{
    (void)state;
    trial t;
    open_to_break(&t);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(&t, &a, 1);
    a.lease->fence = 0; /* L4: a held lease has one */
    pawl__engine_step(t.engine, t.now, &(pawl__event){.kind = PAWL__EV_TIME});
    assert_int_equal(broken_count, 0); /* that step had nothing to do with it */
    trial_pass(&t, TTL / 3 * MS);      /* the renewal is due */
    assert_int_equal(broken_count, 1);
    assert_string_equal(broken_what, "L4: a held lease has no fence");
    expect_told(&t, &a, PAWL__ACT_LOST, PAWL_ERR_INTERNAL);
    assert_false(pawl__engine_busy(t.engine));
    trial_close(&t);
}

/* A step that touches many stays short: it checks the first ones. */
static void a_step_checks_so_many_at_most(void **state)
{
    (void)state;
    enum { LEASES = PAWL__TOUCHED_MAX + 2 };
    static char names[LEASES][8];
    static pawl__want wants[LEASES];
    trial t;
    open_to_break(&t);
    trial_link(&t, false, PAWL_ERR_UNAVAILABLE);
    for (int i = 0; i < LEASES; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        wants[i] = want_on(names[i], PAWL__NEVER);
        trial_want(&t, &wants[i]);
    }
    trial_link(&t, true, PAWL_OK); /* all of them ask in one step */
    assert_int_equal(t.count, LEASES);
    assert_int_equal(broken_count, 0);
    trial_close(&t);
}

/* It became due, and then its caller left it to itself, in one step. */
static void a_touched_lease_may_be_gone(void **state)
{
    (void)state;
    trial t;
    open_to_break(&t);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(&t, &a, 1);
    t.now += TTL / 3 * MS;
    trial_step(&t, (pawl__event){.kind = PAWL__EV_DETACH, .want = &a});
    assert_false(pawl__engine_busy(t.engine));
    assert_int_equal(broken_count, 0);
    trial_close(&t);
}

/* The caller was not told of the grant yet, so it never had it. */
static void a_grant_that_was_not_fetched_is_taken_back(void **state)
{
    (void)state;
    trial t;
    open_to_break(&t);
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    trial_want(&t, &a);
    pawl_reply granted = {
        .id = trial_sent(&t, PAWL_VERB_ACQUIRE).id, .outcome = PAWL_GRANTED, .fence = 1};
    uint64_t asked = trial_ask(&t, &b).id;
    pawl__engine_step(t.engine, t.now, &(pawl__event){.kind = PAWL__EV_REPLY, .reply = &granted});
    trial_answer(&t, asked, PAWL_NOT_OWNER);
    expect_told(&t, &a, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    expect_told(&t, &b, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    trial_close(&t);
}

/* What holds or awaits is the caller's state, also where the lease's is nonsense. */
static void a_holder_of_a_lease_gone_astray_is_told_that_he_lost(void **state)
{
    (void)state;
    trial t;
    open_to_break(&t);
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    trial_hold(&t, &a, 1);
    trial_want(&t, &b);
    a.lease->state = PAWL__LEASE_QUEUED;
    breaks(&t, PAWL_VERB_ACQUIRE, PAWL_CONFIRMED);
    expect_told(&t, &a, PAWL__ACT_LOST, PAWL_ERR_INTERNAL);
    expect_told(&t, &b, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    trial_close(&t);
}

/* `ask` leaves a request of that verb under way: each outcome breaks it, and the caller is told. */
typedef struct misfits {
    void (*ask)(trial *t, pawl__want *a);
    pawl_verb verb;
    pawl_outcome outcomes[8];
    size_t count;
    pawl__action_kind told;
    pawl_err err;
} misfits;

static void none_of_these_fits(const misfits *m)
{
    for (size_t i = 0; i < m->count; i++) {
        trial t;
        open_to_break(&t);
        pawl__want a = want_on("a", PAWL__NEVER);
        m->ask(&t, &a);
        breaks(&t, m->verb, m->outcomes[i]);
        expect_told(&t, &a, m->told, m->err);
        trial_close(&t);
    }
}

static void renews(trial *t, pawl__want *a)
{
    trial_hold(t, a, 1);
    trial_pass(t, TTL / 3 * MS);
}

static void an_answer_that_does_not_fit_a_renewal(void **state)
{
    (void)state;
    none_of_these_fits(&(misfits){
        renews,
        PAWL_VERB_RENEW,
        {PAWL_GRANTED, PAWL_QUEUED, PAWL_BUSY, PAWL_RELEASED, PAWL_LEFT, PAWL_REPORTED, NO_OUTCOME},
        7,
        PAWL__ACT_LOST,
        PAWL_ERR_INTERNAL});
}

static void holds_and_releases(trial *t, pawl__want *a)
{
    trial_hold(t, a, 1);
    trial_release_await(t, a);
}

static void an_answer_that_does_not_fit_a_release(void **state)
{
    (void)state;
    none_of_these_fits(&(misfits){
        holds_and_releases,
        PAWL_VERB_RELEASE,
        {PAWL_GRANTED, PAWL_QUEUED, PAWL_BUSY, PAWL_CONFIRMED, PAWL_REPORTED, NO_OUTCOME},
        6,
        PAWL__ACT_RELEASED,
        PAWL_ERR_UNKNOWN});
}

static void an_answer_that_does_not_fit_an_acquisition(void **state)
{
    (void)state;
    none_of_these_fits(&(misfits){
        trial_want,
        PAWL_VERB_ACQUIRE,
        {PAWL_CONFIRMED, PAWL_RELEASED, PAWL_LEFT, PAWL_NOT_OWNER, PAWL_REPORTED, NO_OUTCOME},
        6,
        PAWL__ACT_REFUSED,
        PAWL_ERR_INTERNAL});
}

/* ---- Nonsense in memory: nothing that could happen, so made by hand ---- */

static const uint8_t astray[] = {PAWL__LEASE_ABSENT, PAWL__LEASE_LOST, PAWL__LEASE_STATES, 200};
#define ASTRAY_COUNT (sizeof astray / sizeof astray[0])

/* `a` holds, and its lease is in a state that it cannot be in; `b` waits behind it. */
static void go_astray(trial *t, pawl__want *a, pawl__want *b, uint8_t lease_state)
{
    open_to_break(t);
    *a = want_on("a", PAWL__NEVER);
    *b = want_on("a", PAWL__NEVER);
    trial_hold(t, a, 1);
    trial_want(t, b);
    a->lease->state = lease_state;
}

static void expect_broken_and_told(trial *t, const pawl__want *a, const pawl__want *b)
{
    assert_int_equal(broken_count, 1);
    expect_told(t, a, PAWL__ACT_LOST, PAWL_ERR_INTERNAL);
    expect_told(t, b, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    assert_false(pawl__engine_busy(t->engine));
    trial_close(t);
}

static void a_lease_gone_astray_is_due(void **state)
{
    (void)state;
    for (size_t i = 0; i < ASTRAY_COUNT; i++) {
        trial t;
        pawl__want a, b;
        go_astray(&t, &a, &b, astray[i]);
        trial_pass(&t, TTL / 3 * MS);
        assert_string_equal(broken_what, PAWL__ASTRAY);
        expect_broken_and_told(&t, &a, &b);
    }
}

static void a_lease_gone_astray_is_to_catch_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < ASTRAY_COUNT; i++) {
        trial t;
        pawl__want a, b;
        go_astray(&t, &a, &b, astray[i]);
        trial_link(&t, true, PAWL_OK);
        assert_string_equal(broken_what, PAWL__ASTRAY);
        expect_broken_and_told(&t, &a, &b);
    }
}

static void a_lease_gone_astray_hears_a_push(void **state)
{
    static const pawl_push_kind kinds[] = {PAWL_PUSH_YIELD, PAWL_PUSH_RECHECK};
    (void)state;
    for (size_t i = 0; i < 2 * ASTRAY_COUNT; i++) {
        trial t;
        pawl__want a, b;
        go_astray(&t, &a, &b, astray[i / 2]);
        char token[PAWL_TOKEN_LEN + 1];
        strcpy(token, pawl__lease_token(t.engine, a.lease));
        trial_push(&t, kinds[i % 2], "a", i % 2 ? NULL : token, 0);
        assert_string_equal(broken_what, PAWL__ASTRAY);
        expect_broken_and_told(&t, &a, &b);
    }
}

/* The first that breaks is the one that is told. What follows in the same step starts nothing. */
static void a_move_that_the_table_does_not_allow(void **state)
{
    (void)state;
    for (size_t i = 0; i < ASTRAY_COUNT; i++) {
        if (astray[i] == PAWL__LEASE_LOST) continue; /* is on its way out */
        trial t;
        pawl__want a, b;
        go_astray(&t, &a, &b, PAWL__LEASE_HELD);
        trial_pass(&t, TTL / 3 * MS);
        uint64_t id = trial_sent(&t, PAWL_VERB_RENEW).id;
        a.lease->state = astray[i];
        trial_answer(&t, id, PAWL_NOT_OWNER);
        assert_string_equal(broken_what, "a lease made a move that its table does not allow");
        expect_broken_and_told(&t, &a, &b);
    }
}

static void an_answer_that_does_not_fit_a_change(void **state)
{
    (void)state;
    static const pawl_outcome wrong[] = {PAWL_CONFIRMED, PAWL_RELEASED, PAWL_LEFT, PAWL_REPORTED,
                                         (pawl_outcome)99};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        trial t;
        pawl__want a, b;
        go_astray(&t, &a, &b, PAWL__LEASE_HELD);
        trial_step(&t,
                   (pawl__event){.kind = PAWL__EV_CHANGE, .want = &a, .mode = PAWL_MODE_SHARED});
        trial_answer(&t, trial_sent(&t, PAWL_VERB_CHANGE).id, wrong[i]);
        assert_string_equal(broken_what, "a store answered CHANGE with another verb's outcome");
        expect_broken_and_told(&t, &a, &b);
    }
}

static void an_answer_to_what_no_lease_asks(void **state)
{
    (void)state;
    static const uint8_t verbs[] = {PAWL_VERB_INSPECT, PAWL_VERB_LIST, PAWL_VERB_BREAK,
                                    PAWL_VERB_DOCTOR, 99};
    for (size_t i = 0; i < sizeof verbs; i++) {
        trial t;
        pawl__want a, b;
        go_astray(&t, &a, &b, PAWL__LEASE_HELD);
        trial_pass(&t, TTL / 3 * MS);
        uint64_t id = trial_sent(&t, PAWL_VERB_RENEW).id;
        a.lease->verb = verbs[i];
        trial_answer(&t, id, PAWL_CONFIRMED);
        assert_string_equal(broken_what, "a lease awaits an answer to what no lease asks");
        expect_broken_and_told(&t, &a, &b);
    }
}

static void an_event_of_no_kind(void **state)
{
    (void)state;
    trial t;
    pawl__want a, b;
    go_astray(&t, &a, &b, PAWL__LEASE_HELD);
    trial_step(&t, (pawl__event){.kind = (pawl__event_kind)99});
    assert_string_equal(broken_what, "an event is of no kind");
    expect_broken_and_told(&t, &a, &b);
}

/* As in a release build. */
static void nobody_needs_to_be_called(void **state)
{
    (void)state;
    trial t;
    pawl__want a, b;
    go_astray(&t, &a, &b, PAWL__LEASE_STATES);
    pawl__engine_on_broken = NULL;
    trial_link(&t, true, PAWL_OK);
    broken_what = PAWL__ASTRAY;
    expect_told(&t, &a, PAWL__ACT_LOST, PAWL_ERR_INTERNAL);
    expect_told(&t, &b, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    trial_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everyone_is_told_and_nothing_is_kept),
        cmocka_unit_test(later_news_does_nothing),
        cmocka_unit_test(a_step_checks_the_leases_that_it_touches),
        cmocka_unit_test(a_step_checks_so_many_at_most),
        cmocka_unit_test(a_touched_lease_may_be_gone),
        cmocka_unit_test(a_grant_that_was_not_fetched_is_taken_back),
        cmocka_unit_test(a_holder_of_a_lease_gone_astray_is_told_that_he_lost),
        cmocka_unit_test(an_answer_that_does_not_fit_a_renewal),
        cmocka_unit_test(an_answer_that_does_not_fit_a_release),
        cmocka_unit_test(an_answer_that_does_not_fit_an_acquisition),
        cmocka_unit_test(an_answer_that_does_not_fit_a_change),
        cmocka_unit_test(a_lease_gone_astray_is_due),
        cmocka_unit_test(a_lease_gone_astray_is_to_catch_up),
        cmocka_unit_test(a_lease_gone_astray_hears_a_push),
        cmocka_unit_test(a_move_that_the_table_does_not_allow),
        cmocka_unit_test(an_answer_to_what_no_lease_asks),
        cmocka_unit_test(an_event_of_no_kind),
        cmocka_unit_test(nobody_needs_to_be_called),
    };
    return cmocka_run_group_tests_name("engine broken", tests, NULL, NULL);
}
