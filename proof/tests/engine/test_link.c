/* SPDX-License-Identifier: MIT */
/* The link to the store comes and goes. */
#include "world.h"

static void what_is_under_way_is_not_sent_twice(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", PAWL__NEVER);
    uint64_t id = world_ask(&w, &a).id;
    world_step_unfetched(&w, (pawl__event){.kind = PAWL__EV_WANT, .want = &b});
    world_link(&w, true, PAWL_OK);
    assert_string_equal(world_sent(&w, PAWL_VERB_ACQUIRE).name, "b");
    world_link(&w, true, PAWL_OK);
    assert_int_equal(w.count, 0);
    world_grant(&w, id, 1);
    world_only(&w, PAWL__ACT_GRANTED);
    world_close(&w);
}

/* Law 7: whatever was to be heard may have been lost. */
static void every_lease_catches_up_when_the_link_is_back(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want asks = world_claim("a", PAWL__NEVER), queued = world_claim("b", PAWL__NEVER);
    pawl__want held = world_claim("c", PAWL__NEVER), kept = world_claim("d", PAWL__NEVER);
    pawl__want gone = world_claim("e", PAWL__NEVER);
    kept.retain_ms = TTL;
    world_hold(&w, &held, 1);
    world_hold(&w, &kept, 1);
    world_release(&w, &kept);
    world_hold(&w, &gone, 1);
    world_want(&w, &queued);
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 9, TTL);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_release(&w, &gone);
    world_want(&w, &asks);
    assert_int_equal(world_count(&w, PAWL__ACT_SEND), 0);
    world_link(&w, true, PAWL_OK);
    assert_int_equal(world_sent_count(&w, PAWL_VERB_ACQUIRE), 2);
    assert_int_equal(world_sent_count(&w, PAWL_VERB_RENEW), 2);
    assert_string_equal(world_sent(&w, PAWL_VERB_RELEASE).name, "e");
    world_close(&w);
}

/* A store that will not have us: who has no answer is told at once, and why. */
static void a_final_refusal_ends_those_who_have_no_answer(void **state)
{
    (void)state;
    static const pawl_err final[] = {PAWL_ERR_PERMISSION, PAWL_ERR_UNSUPPORTED, PAWL_ERR_SYSTEM};
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++) {
        world w;
        world_open(&w);
        pawl__want held = world_claim("a", PAWL__NEVER), asks = world_claim("b", PAWL__NEVER);
        pawl__want gone = world_claim("c", PAWL__NEVER);
        world_hold(&w, &held, 1);
        world_want(&w, &gone);
        world_cancel(&w, &gone);
        world_want(&w, &asks);
        world_step(&w, (pawl__event){.kind = PAWL__EV_LINK, .err = final[i], .message = "no"});
        pawl__action *refused = world_only(&w, PAWL__ACT_REFUSED);
        assert_ptr_equal(refused->want, &asks);
        assert_int_equal(refused->err, final[i]);
        assert_string_equal(refused->message, "no");
        assert_int_equal(held.state, PAWL__WANT_HOLDING); /* until its deadline */
        world_close(&w);
    }
}

/* The store says that its reason does not heal, although errors of that class mostly do. */
static void a_reason_that_does_not_heal_is_final(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want asks = world_claim("b", PAWL__NEVER), later = world_claim("c", PAWL__NEVER);
    world_want(&w, &asks);
    world_step(&w, (pawl__event){.kind = PAWL__EV_LINK,
                                 .err = PAWL_ERR_UNAVAILABLE,
                                 .final = true,
                                 .message = "no such directory"});
    pawl__action *refused = world_only(&w, PAWL__ACT_REFUSED);
    assert_ptr_equal(refused->want, &asks);
    assert_int_equal(refused->err, PAWL_ERR_UNAVAILABLE);
    world_want(&w, &later);
    assert_ptr_equal(world_only(&w, PAWL__ACT_REFUSED)->want, &later);
    world_link(&w, true, PAWL_OK);
    world_want(&w, &asks);
    assert_int_equal(world_sent_count(&w, PAWL_VERB_ACQUIRE), 1);
    world_close(&w);
}

/* What the store has answered may recover; a new lease of the name has no answer yet. */
static void who_comes_after_a_final_refusal(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    pawl__want c = world_claim("a", PAWL__NEVER);
    b.ttl_ms = 2 * TTL; /* so that it needs a lease of its own */
    world_hold(&w, &a, 1);
    world_link(&w, false, PAWL_ERR_AUTH);
    world_want(&w, &b);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
    world_release(&w, &a);
    world_want(&w, &c);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_AUTH);
    world_link(&w, true, PAWL_OK);
    assert_int_equal(world_sent(&w, PAWL_VERB_ACQUIRE).ttl_ms, 2 * TTL);
    world_close(&w);
}

static void an_unreachable_store_is_told_with_what_the_link_said(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    world_link(&w, false, PAWL_ERR_LOADING);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_pass(&w, 5000 * MS);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_LOADING);
    world_close(&w);
}

/* Who does not wait waits for no second try to connect, neither before nor after it. */
static void who_does_not_wait_is_told_of_the_first_try_that_failed(void **state)
{
    (void)state;
    world w;
    world_open_down(&w);
    pawl__want hasty = world_claim("a", 0), patient = world_claim("a", PAWL__NEVER);
    pawl__want later = world_claim("b", 0);
    world_want(&w, &patient);
    world_want(&w, &hasty);
    assert_int_equal(hasty.state, PAWL__WANT_WAITING);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    assert_ptr_equal(world_only(&w, PAWL__ACT_REFUSED)->want, &hasty);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
    world_want(&w, &later);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
    world_link(&w, true, PAWL_OK);
    assert_int_equal(world_sent_count(&w, PAWL_VERB_ACQUIRE), 1); /* for the patient one */
    world_close(&w);
}

/* A connection that breaks is no try that failed: the next one may be there at once. */
static void who_does_not_wait_outlives_a_link_that_breaks(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want asked = world_claim("a", 0), new = world_claim("b", 0);
    world_want(&w, &asked);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_want(&w, &new);
    assert_int_equal(asked.state, PAWL__WANT_WAITING);
    assert_int_equal(new.state, PAWL__WANT_WAITING);
    world_link(&w, true, PAWL_OK);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    assert_int_equal(new.state, PAWL__WANT_WAITING);
    world_link(&w, false, PAWL_ERR_LOADING);
    assert_int_equal(world_count(&w, PAWL__ACT_REFUSED), 2);
    world_close(&w);
}

/* Our own holder is known without the store: busy is the truth. */
static void a_holder_of_ours_is_busy_while_the_store_is_away(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want holder = world_claim("a", PAWL__NEVER), hasty = world_claim("a", 0);
    world_hold(&w, &holder, 1);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_want(&w, &hasty);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
    world_close(&w);
}

/* Answered in time: from then on only the caller's own patience counts. */
static void patience_goes_on_when_the_store_has_answered(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", w.now + 8000 * MS), b = world_claim("a", PAWL__NEVER);
    uint64_t id = world_ask(&w, &a).id;
    world_want(&w, &b);
    world_queue(&w, id, 9, TTL);
    world_pass(&w, 5000 * MS);
    assert_int_equal(w.count, 0);
    world_pass(&w, 3000 * MS);
    assert_ptr_equal(world_only(&w, PAWL__ACT_REFUSED)->want, &a);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_TIMEOUT);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
    world_close(&w);
}

/* ---- An outage while queued: as long as for a store that was never there --------------------- */

static uint64_t queue_up(world *w, pawl__want *want)
{
    uint64_t id = world_ask(w, want).id;
    world_queue(w, id, 9, TTL);
    return id;
}

static void an_outage_while_queued_ends_the_wait(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", w.now + 60000 * MS);
    queue_up(&w, &a);
    world_want(&w, &b);
    world_pass(&w, 1000 * MS);
    world_step(&w, (pawl__event){.kind = PAWL__EV_LINK, .err = PAWL_ERR_LOADING, .message = "no"});
    world_pass(&w, 4999 * MS);
    assert_int_equal(world_count(&w, PAWL__ACT_REFUSED), 0);
    world_pass(&w, 1 * MS);
    assert_int_equal(world_count(&w, PAWL__ACT_REFUSED), 2);
    for (size_t i = 0; i < w.count; i++) {
        assert_int_equal(w.actions[i].err, PAWL_ERR_LOADING);
        assert_string_equal(w.actions[i].message, "no");
    }
    world_close(&w);
}

/* Nobody knows whether it is busy: so that must not be said. */
static void patience_that_ends_in_an_outage_is_no_time_out(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", w.now + 2000 * MS);
    queue_up(&w, &a);
    world_pass(&w, 1000 * MS);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_pass(&w, 1000 * MS);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
    world_close(&w);
}

static void a_store_that_comes_back_in_time_keeps_its_waiters(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", 0);
    queue_up(&w, &a);
    for (int i = 0; i < 3; i++) { /* each outage counts by itself */
        world_link(&w, false, PAWL_ERR_UNAVAILABLE);
        world_pass(&w, 4000 * MS);
        if (i == 0) {
            world_want(&w, &b); /* known to be busy */
            assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
        }
        world_link(&w, true, PAWL_OK);
        world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 9, TTL);
        world_pass(&w, 3000 * MS);
        assert_int_equal(a.state, PAWL__WANT_WAITING);
    }
    world_close(&w);
}

static void a_store_that_falls_silent_ends_the_wait(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    queue_up(&w, &a);
    world_pass(&w, TTL / 3 * MS);
    uint64_t refresh = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    world_pass(&w, 4000 * MS);
    world_fail(&w, refresh, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    for (int ms = 0; ms < 5000 && a.state == PAWL__WANT_WAITING; ms += 1000) {
        world_pass(&w, 1000 * MS);
        if (world_sent_count(&w, PAWL_VERB_ACQUIRE))
            world_fail(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, PAWL_ERR_UNKNOWN);
    }
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
    world_close(&w);
}

/* It cannot be served: neither the holder's release nor its loss would reach the store. */
static void an_outage_ends_the_wait_behind_a_local_holder(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", PAWL__NEVER);
    pawl__want gone = world_claim("c", PAWL__NEVER);
    world_hold(&w, &gone, 1);
    world_release(&w, &gone); /* nobody waits for the answer to this */
    world_hold(&w, &a, 1);
    world_want(&w, &b);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_pass(&w, 5000 * MS);
    assert_ptr_equal(world_only(&w, PAWL__ACT_REFUSED)->want, &b);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
    world_close(&w);
}

/* Whoever waited behind a holder waits for the answer to a new lease now. */
static void a_new_lease_that_nobody_answers_ends_the_wait(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want c = world_claim("b", PAWL__NEVER), d = world_claim("b", PAWL__NEVER);
    d.ttl_ms = 2 * TTL; /* so that it needs a lease of its own */
    world_hold(&w, &c, 2);
    world_want(&w, &d);
    world_release(&w, &c); /* from now on nothing is answered */
    assert_int_equal(world_sent(&w, PAWL_VERB_ACQUIRE).ttl_ms, 2 * TTL);
    world_pass(&w, 5000 * MS);
    assert_ptr_equal(world_only(&w, PAWL__ACT_REFUSED)->want, &d);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_UNAVAILABLE);
    world_close(&w);
}

static void an_outage_is_waited_out_if_asked(void **state)
{
    (void)state;
    world w;
    world_open_patient(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", PAWL__NEVER);
    queue_up(&w, &a);
    world_want(&w, &b); /* never answered at all */
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_pass(&w, 600000 * MS);
    assert_int_equal(a.state, PAWL__WANT_WAITING);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_under_way_is_not_sent_twice),
        cmocka_unit_test(every_lease_catches_up_when_the_link_is_back),
        cmocka_unit_test(a_final_refusal_ends_those_who_have_no_answer),
        cmocka_unit_test(a_reason_that_does_not_heal_is_final),
        cmocka_unit_test(who_comes_after_a_final_refusal),
        cmocka_unit_test(an_unreachable_store_is_told_with_what_the_link_said),
        cmocka_unit_test(who_does_not_wait_is_told_of_the_first_try_that_failed),
        cmocka_unit_test(who_does_not_wait_outlives_a_link_that_breaks),
        cmocka_unit_test(a_holder_of_ours_is_busy_while_the_store_is_away),
        cmocka_unit_test(patience_goes_on_when_the_store_has_answered),
        cmocka_unit_test(an_outage_while_queued_ends_the_wait),
        cmocka_unit_test(patience_that_ends_in_an_outage_is_no_time_out),
        cmocka_unit_test(a_store_that_comes_back_in_time_keeps_its_waiters),
        cmocka_unit_test(a_store_that_falls_silent_ends_the_wait),
        cmocka_unit_test(an_outage_ends_the_wait_behind_a_local_holder),
        cmocka_unit_test(a_new_lease_that_nobody_answers_ends_the_wait),
        cmocka_unit_test(an_outage_is_waited_out_if_asked),
    };
    return cmocka_run_group_tests_name("engine: link", tests, NULL, NULL);
}
