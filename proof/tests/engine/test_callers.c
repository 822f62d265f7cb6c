/* SPDX-License-Identifier: MIT */
/* What callers may do at any time, and what they share. */
#include "world.h"

#include <stdio.h>

/* ---- At the wrong time: nothing happens, nothing is told twice (law 6) ------------ */

static void what_is_not_held_is_not_given_back(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_release(&w, &a);
    assert_int_equal(w.count, 0);
    pawl_request ask = world_ask(&w, &a);
    world_release(&w, &a);
    world_step(&w, (pawl__event){.kind = PAWL__EV_DETACH, .want = &a});
    assert_int_equal(w.count, 0);
    world_grant(&w, ask.id, 1);
    world_only(&w, PAWL__ACT_GRANTED);
    world_close(&w);
}

static void only_who_waits_can_cancel(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_cancel(&w, &a);
    assert_int_equal(w.count, 0);
    world_want(&w, &b);
    world_step_unfetched(&w, (pawl__event){.kind = PAWL__EV_CANCEL, .want = &b});
    world_cancel(&w, &b); /* he has not yet heard of the first time */
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_CANCELED);
    world_close(&w);
}

static void a_release_replaces_the_renewal_that_has_not_left(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    w.now += TTL / 3 * MS;
    world_step_unfetched(&w, (pawl__event){.kind = PAWL__EV_TIME});
    world_release(&w, &a);
    world_sent(&w, PAWL_VERB_RELEASE);
    assert_int_equal(world_sent_count(&w, PAWL_VERB_RENEW), 0);
    world_close(&w);
}

/* ---- Who does not wait ------------------------------------------------------------ */

static void expect_busy(world *w, const pawl__want *want)
{
    assert_ptr_equal(world_only(w, PAWL__ACT_REFUSED)->want, want);
    assert_int_equal(world_only(w, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
}

static void who_does_not_wait_hears_at_once_what_is_known(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b;
    pawl_request ask = world_ask(&w, &a);
    b = world_claim("a", 0);
    world_want(&w, &b); /* the store is being asked: it decides */
    assert_int_equal(w.count, 0);
    world_queue(&w, ask.id, 0, TTL);
    expect_busy(&w, &b);
    b = world_claim("a", 0);
    world_want(&w, &b); /* queued */
    expect_busy(&w, &b);
    world_push(&w, PAWL_PUSH_GRANT, "a", ask.token, 9);
    b = world_claim("a", 0);
    world_want(&w, &b); /* held */
    expect_busy(&w, &b);
    world_pass(&w, TTL / 3 * MS);
    world_fail(&w, world_sent(&w, PAWL_VERB_RENEW).id, PAWL_FAILED, PAWL_ERR_LOADING);
    b = world_claim("a", 0);
    world_want(&w, &b); /* held, in doubt */
    expect_busy(&w, &b);
    world_close(&w);
}

/* The place was asked for by one who waits no more. */
static void a_place_that_nobody_wants_is_given_up(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", 0);
    pawl_request ask = world_ask(&w, &a);
    world_want(&w, &b);
    world_cancel(&w, &a);
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), 0);
    world_queue(&w, ask.id, 0, TTL);
    expect_busy(&w, &b);
    world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_LEFT);
    assert_false(pawl__engine_busy(w.engine));
    world_close(&w);
}

/* ---- Owners' labels --------------------------------------------------------------- */

static pawl__want owned_claim(const char *owner)
{
    pawl__want want = world_claim("a", PAWL__NEVER);
    want.owner = owner;
    return want;
}

static void a_lease_carries_the_label_of_who_asked(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    char label[] = "nightly";
    pawl__want a = owned_claim(label), b = world_claim("b", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    assert_string_equal(ask.owner, "nightly");
    world_cancel(&w, &a);
    memset(label, 'x', sizeof label - 1); /* the caller may have freed it by now */
    assert_string_equal(world_sent(&w, PAWL_VERB_RELEASE).owner, "nightly");
    world_want(&w, &b);
    assert_string_equal(world_sent(&w, PAWL_VERB_ACQUIRE).owner, "tester");
    world_close(&w);
}

static void a_lease_is_passed_on_under_one_label(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    char same[] = "nightly";
    pawl__want a = owned_claim("nightly"), b = owned_claim(same), c = owned_claim("weekly");
    world_hold(&w, &a, 1);
    world_want(&w, &b);
    world_want(&w, &c);
    world_release(&w, &a);
    assert_ptr_equal(world_only(&w, PAWL__ACT_GRANTED)->want, &b);
    world_release(&w, &b);
    assert_int_equal(world_count(&w, PAWL__ACT_GRANTED), 0);
    world_sent(&w, PAWL_VERB_RELEASE);
    assert_string_equal(world_sent(&w, PAWL_VERB_ACQUIRE).owner, "weekly");
    world_close(&w);
}

/* ---- Passing on and keeping ------------------------------------------------------- */

/* What the store has not confirmed for a while is not worth giving to another. */
static void a_lease_in_doubt_is_neither_passed_on_nor_kept(void **state)
{
    (void)state;
    for (int others = 0; others <= 1; others++) {
        world w;
        world_open(&w);
        pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
        a.retain_ms = TTL;
        world_hold(&w, &a, 1);
        world_pass(&w, TTL / 3 * MS);
        world_fail(&w, world_sent(&w, PAWL_VERB_RENEW).id, PAWL_FAILED, PAWL_ERR_LOADING);
        if (others) world_want(&w, &b);
        world_release(&w, &a);
        assert_int_equal(world_count(&w, PAWL__ACT_GRANTED), 0);
        world_sent(&w, PAWL_VERB_RELEASE);
        assert_int_equal(world_sent_count(&w, PAWL_VERB_ACQUIRE), others);
        world_close(&w);
    }
}

static void local_passing_ends_some_time_after_a_yield_request(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    world_grant(&w, ask.id, 1);
    world_push(&w, PAWL_PUSH_YIELD, "a", ask.token, 0);
    world_want(&w, &b);
    world_pass(&w, 20 * MS);
    world_release(&w, &a);
    assert_int_equal(world_count(&w, PAWL__ACT_GRANTED), 0);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

static void who_awaits_the_store_does_not_wait_for_what_stays_here(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_want(&w, &b);
    world_release_await(&w, &a);
    assert_int_equal(world_only(&w, PAWL__ACT_RELEASED)->err, PAWL_OK);
    assert_int_equal(b.state, PAWL__WANT_HOLDING);
    world_close(&w);
}

/* The one that the slot has room for, and those that come while it is leaving. */
static void many_names_and_many_leases_of_one(void **state)
{
    (void)state;
    enum { NAMES = 40 };
    world w;
    world_open(&w);
    static char names[NAMES][8];
    pawl__want wants[NAMES];
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        wants[i] = world_claim(names[i], PAWL__NEVER);
        world_hold(&w, &wants[i], 1);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < NAMES; i++) {
            world_release(&w, &wants[i]); /* and the store does not answer */
            world_hold(&w, &wants[i], (uint64_t)round + 2);
        }
    assert_int_equal(pawl__engine_lease_count(w.engine), 3 * NAMES);
    for (int i = 0; i < NAMES; i++)
        assert_ptr_equal(pawl__engine_holder(w.engine, names[i], strlen(names[i])), &wants[i]);
    world_close(&w);
}

/* ---- What can be asked of the engine ---------------------------------------------- */

static void a_holder_can_see_that_others_wait_elsewhere(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    world_grant(&w, ask.id, 1);
    assert_false(pawl__want_is_wanted(&a));
    world_push(&w, PAWL_PUSH_YIELD, "a", ask.token, 0);
    assert_true(pawl__want_is_wanted(&a));
    world_release(&w, &a);
    assert_true(pawl__want_is_wanted(&a)); /* what is not held any more is not to be kept */
    assert_null(pawl__engine_holder(w.engine, "a", 1));
    world_close(&w);
}

static void a_holder_can_see_whether_it_had_queued(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", PAWL__NEVER);
    assert_false(pawl__want_had_queued(&a));
    world_hold(&w, &a, 1);
    assert_false(pawl__want_had_queued(&a));
    pawl_request ask = world_ask(&w, &b);
    world_queue(&w, ask.id, 0, TTL);
    world_push(&w, PAWL_PUSH_GRANT, "b", ask.token, 2);
    assert_true(pawl__want_had_queued(&b));
    world_close(&w);
}

static void busy_until_everyone_has_been_told(void **state)
{
    (void)state;
    world w;
    world_open_down(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_step_unfetched(&w, (pawl__event){.kind = PAWL__EV_CANCEL, .want = &a});
    assert_int_equal(pawl__engine_lease_count(w.engine), 0);
    assert_true(pawl__engine_busy(w.engine));
    world_pass(&w, 0);
    world_only(&w, PAWL__ACT_REFUSED);
    assert_false(pawl__engine_busy(w.engine));
    world_close(&w);
}

static void no_engine_can_be_freed(void **state)
{
    (void)state;
    assert_null(pawl__engine_free(NULL));
}

/* ---- Closing ---------------------------------------------------------------------- */

static void closing_leaves_what_is_detached_and_what_is_leaving(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want detached = world_claim("a", PAWL__NEVER), asks = world_claim("b", PAWL__NEVER);
    pawl__want leaving = world_claim("c", PAWL__NEVER);
    detached.flags = asks.flags = PAWL_ASK_DETACHED;
    world_hold(&w, &detached, 1);
    world_hold(&w, &leaving, 1);
    pawl_request ask = world_ask(&w, &asks);
    assert_true(ask.flags & PAWL_ASK_DETACHED);
    world_release_await(&w, &leaving);
    pawl_request release = world_sent(&w, PAWL_VERB_RELEASE);
    world_step(&w, (pawl__event){.kind = PAWL__EV_CLOSE});
    assert_ptr_equal(world_only(&w, PAWL__ACT_RELEASED)->want, &detached);
    assert_ptr_equal(world_only(&w, PAWL__ACT_REFUSED)->want, &asks);
    pawl_request gone = world_sent(&w, PAWL_VERB_RELEASE); /* of the one that was not granted */
    assert_string_equal(gone.name, "b");
    world_answer(&w, gone.id, PAWL_NOT_OWNER);
    world_answer(&w, release.id, PAWL_RELEASED);
    assert_ptr_equal(world_only(&w, PAWL__ACT_RELEASED)->want, &leaving);
    assert_false(pawl__engine_busy(w.engine));
    world_close(&w);
}

/* Callers who wait for each other need nobody who listens to the store. */
static void the_store_is_awaited_until_it_has_decided(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    assert_false(pawl__engine_awaits_store(w.engine));
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    assert_true(pawl__engine_awaits_store(w.engine));
    world_queue(&w, ask.id, 0, 1000);
    assert_true(pawl__engine_awaits_store(w.engine)); /* for the push */
    world_push(&w, PAWL_PUSH_GRANT, "a", ask.token, 3);
    assert_false(pawl__engine_awaits_store(w.engine));
    world_want(&w, &b);
    assert_false(pawl__engine_awaits_store(w.engine));
    world_release(&w, &a);
    assert_false(pawl__engine_awaits_store(w.engine)); /* b has it */
    world_release_await(&w, &b);
    assert_true(pawl__engine_awaits_store(w.engine));
    world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    assert_false(pawl__engine_awaits_store(w.engine));
    world_close(&w);
}

/* The process ends: what is kept is released now, and what comes back is not kept. */
static void nothing_is_kept_any_more(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", PAWL__NEVER);
    a.retain_ms = b.retain_ms = 10000;
    assert_false(pawl__engine_tends(w.engine));
    world_hold(&w, &a, 1);
    assert_true(pawl__engine_tends(w.engine));
    world_hold(&w, &b, 1);
    world_release(&w, &a);
    assert_int_equal(world_sent_count(&w, PAWL_VERB_RELEASE), 0);
    assert_false(pawl__engine_releases(w.engine));
    world_step(&w, (pawl__event){.kind = PAWL__EV_KEEP_NOTHING});
    assert_string_equal(world_sent(&w, PAWL_VERB_RELEASE).name, "a");
    assert_int_equal(b.state, PAWL__WANT_HOLDING); /* it is used */
    assert_true(pawl__engine_tends(w.engine) && pawl__engine_releases(w.engine));
    world_release(&w, &b);
    assert_string_equal(world_sent(&w, PAWL_VERB_RELEASE).name, "b");
    assert_false(pawl__engine_tends(w.engine));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_held_is_not_given_back),
        cmocka_unit_test(only_who_waits_can_cancel),
        cmocka_unit_test(a_release_replaces_the_renewal_that_has_not_left),
        cmocka_unit_test(who_does_not_wait_hears_at_once_what_is_known),
        cmocka_unit_test(a_place_that_nobody_wants_is_given_up),
        cmocka_unit_test(a_lease_carries_the_label_of_who_asked),
        cmocka_unit_test(a_lease_is_passed_on_under_one_label),
        cmocka_unit_test(a_lease_in_doubt_is_neither_passed_on_nor_kept),
        cmocka_unit_test(local_passing_ends_some_time_after_a_yield_request),
        cmocka_unit_test(who_awaits_the_store_does_not_wait_for_what_stays_here),
        cmocka_unit_test(many_names_and_many_leases_of_one),
        cmocka_unit_test(a_holder_can_see_that_others_wait_elsewhere),
        cmocka_unit_test(a_holder_can_see_whether_it_had_queued),
        cmocka_unit_test(busy_until_everyone_has_been_told),
        cmocka_unit_test(no_engine_can_be_freed),
        cmocka_unit_test(closing_leaves_what_is_detached_and_what_is_leaving),
        cmocka_unit_test(the_store_is_awaited_until_it_has_decided),
        cmocka_unit_test(nothing_is_kept_any_more),
    };
    return cmocka_run_group_tests_name("engine: callers", tests, NULL, NULL);
}
