/* SPDX-License-Identifier: MIT */
/*
 * A hand-off does not extend: until it is confirmed, the lease ends where the place would have
 * (rule 8 of pawl/store.h), and so does its holder's belief.
 */
#include "world.h"

#define PLACE_NS   (pawl__plan_place_ns(TTL))
#define CONFIRM_NS (pawl__plan_confirm_ns(TTL))

typedef struct waiter {
    pawl__want want;
    int64_t sent_at; /* of the ask that the store acknowledged */
    char token[PAWL_TOKEN_LEN + 1];
} waiter;

static void queue_up(world *w, waiter *a, unsigned flags)
{
    world_open_patient(w);
    a->want = world_claim("a", PAWL__NEVER);
    a->want.flags = (uint8_t)flags;
    a->sent_at = w->now;
    pawl_request ask = world_ask(w, &a->want);
    strcpy(a->token, ask.token);
    world_queue_behind(w, ask.id, 5);
}

/* After `pause_ns` it is handed the lock. */
static void be_handed(world *w, waiter *a, int64_t pause_ns)
{
    queue_up(w, a, 0);
    w->now += pause_ns;
    world_push(w, PAWL_PUSH_GRANT, "a", a->token, 7);
    assert_int_equal(world_only(w, PAWL__ACT_GRANTED)->deadline, a->sent_at + PLACE_NS);
}

static void the_span_of_a_place_has_its_own_margin(void **state)
{
    (void)state;
    assert_int_equal(pawl__plan_place_ns(30000), 18000 * MS - 2 * MS); /* 20 s less a tenth */
    assert_int_equal(pawl__plan_place_ns(60), (40 - 7) * MS);
    assert_int_equal(pawl__plan_place_ns(10), 0); /* nothing is believed */
    assert_int_equal(pawl__plan_confirm_ns(30000), 250 * MS);
    assert_int_equal(pawl__plan_confirm_ns(1200), 100 * MS);
}

static void without_a_confirmation_it_is_lost_with_the_place(void **state)
{
    (void)state;
    world w;
    waiter a;
    be_handed(&w, &a, 5000 * MS);
    world_pass(&w, CONFIRM_NS);
    world_sent(&w, PAWL_VERB_RENEW); /* and no answer comes */
    world_pass(&w, a.sent_at + PLACE_NS - w.now - 1);
    assert_int_equal(a.want.state, PAWL__WANT_HOLDING);
    world_pass(&w, 1);
    assert_int_equal(world_only(&w, PAWL__ACT_LOST)->err, PAWL_ERR_LOST);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

static void a_confirmation_makes_it_a_whole_ttl(void **state)
{
    (void)state;
    world w;
    waiter a;
    be_handed(&w, &a, 5000 * MS);
    world_pass(&w, CONFIRM_NS);
    int64_t renewed_at = w.now;
    world_confirm(&w, world_sent(&w, PAWL_VERB_RENEW).id, 7, false);
    int64_t deadline = renewed_at + pawl__plan_span_ns(TTL);
    assert_int_equal(world_only(&w, PAWL__ACT_EXTENDED)->deadline, deadline);
    world_push(&w, PAWL_PUSH_GRANT, "a", a.token, 7); /* the push comes twice */
    assert_int_equal(w.count, 0);
    world_pass(&w, TTL / 3 * MS); /* from here on renewals come at their usual time */
    world_sent(&w, PAWL_VERB_RENEW);
    world_close(&w);
}

static void a_confirmation_that_comes_too_late_is_none(void **state)
{
    (void)state;
    world w;
    waiter a;
    be_handed(&w, &a, 0);
    world_pass(&w, CONFIRM_NS);
    pawl_request renew = world_sent(&w, PAWL_VERB_RENEW);
    w.now = a.sent_at + PLACE_NS; /* stopped; the first thing read is the confirmation */
    world_confirm(&w, renew.id, 7, false);
    world_only(&w, PAWL__ACT_LOST);
    assert_int_equal(world_count(&w, PAWL__ACT_EXTENDED), 0);
    world_close(&w);
}

static void the_refresh_that_is_due_confirms_it(void **state)
{
    (void)state;
    world w;
    waiter a;
    be_handed(&w, &a, TTL / 3 * MS - CONFIRM_NS / 2);
    world_pass(&w, CONFIRM_NS / 2);
    world_sent(&w, PAWL_VERB_RENEW);
    world_close(&w);
}

/* It says that the place stood before the hand-off, and nothing of the lease. */
static void a_place_that_was_confirmed_before_confirms_nothing(void **state)
{
    (void)state;
    world w;
    waiter a;
    queue_up(&w, &a, 0);
    world_pass(&w, TTL / 3 * MS);
    uint64_t refresh = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    world_push(&w, PAWL_PUSH_GRANT, "a", a.token, 7);
    world_queue_behind(&w, refresh, 5);
    assert_int_equal(world_count(&w, PAWL__ACT_EXTENDED), 0);
    world_sent(&w, PAWL_VERB_RENEW); /* which asks about the lease */
    world_pass(&w, a.sent_at + PLACE_NS - w.now);
    world_only(&w, PAWL__ACT_LOST);
    world_close(&w);
}

static void who_gets_it_locally_has_no_more_of_it(void **state)
{
    (void)state;
    world w;
    waiter a;
    be_handed(&w, &a, 0);
    pawl__want b = world_claim("a", PAWL__NEVER);
    world_want(&w, &b);
    world_release(&w, &a.want);
    assert_int_equal(world_only(&w, PAWL__ACT_GRANTED)->deadline, a.sent_at + PLACE_NS);
    assert_ptr_equal(world_only(&w, PAWL__ACT_GRANTED)->want, &b);
    world_close(&w);
}

/* What is left could not be confirmed in time: the store is asked, and gives a whole ttl. */
static void handed_near_its_end_it_asks_first(void **state)
{
    (void)state;
    for (int more = 0; more <= 1; more++) {
        int64_t left = pawl__plan_enough_ns(TTL) + more;
        world w;
        waiter a;
        queue_up(&w, &a, 0);
        world_pass(&w, TTL / 3 * MS);
        (void)world_sent(&w, PAWL_VERB_ACQUIRE); /* its answer is lost; it is asked again */
        w.now = a.sent_at + PLACE_NS - left;
        world_step(&w, (pawl__event){.kind = PAWL__EV_TIME});
        world_push(&w, PAWL_PUSH_GRANT, "a", a.token, 7);
        assert_int_equal(a.want.state, more ? PAWL__WANT_HOLDING : PAWL__WANT_WAITING);
        world_close(&w);
    }
}

static void between_two_asks_a_handed_lease_may_have_run_out(void **state)
{
    (void)state;
    world w;
    waiter a;
    queue_up(&w, &a, 0);
    w.now = a.sent_at + PLACE_NS; /* stopped */
    world_step(&w, (pawl__event){.kind = PAWL__EV_TIME});
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 0, TTL);
    world_push(&w, PAWL_PUSH_GRANT, "a", a.token, 7); /* is it that grant, or a new one? */
    assert_int_equal(a.want.state, PAWL__WANT_WAITING);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 9);
    assert_int_equal(world_only(&w, PAWL__ACT_GRANTED)->fence, 9);
    world_close(&w);
}

/* Its token is passed on, and nobody renews for a while. */
static void who_detaches_has_a_whole_ttl(void **state)
{
    (void)state;
    world w;
    waiter a;
    queue_up(&w, &a, PAWL_ASK_DETACHED);
    world_push(&w, PAWL_PUSH_GRANT, "a", a.token, 7);
    assert_int_equal(a.want.state, PAWL__WANT_WAITING);
    int64_t asked_at = w.now;
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 7);
    assert_int_equal(world_only(&w, PAWL__ACT_GRANTED)->deadline,
                     asked_at + pawl__plan_span_ns(TTL));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_span_of_a_place_has_its_own_margin),
        cmocka_unit_test(without_a_confirmation_it_is_lost_with_the_place),
        cmocka_unit_test(a_confirmation_makes_it_a_whole_ttl),
        cmocka_unit_test(a_confirmation_that_comes_too_late_is_none),
        cmocka_unit_test(the_refresh_that_is_due_confirms_it),
        cmocka_unit_test(a_place_that_was_confirmed_before_confirms_nothing),
        cmocka_unit_test(who_gets_it_locally_has_no_more_of_it),
        cmocka_unit_test(handed_near_its_end_it_asks_first),
        cmocka_unit_test(between_two_asks_a_handed_lease_may_have_run_out),
        cmocka_unit_test(who_detaches_has_a_whole_ttl),
    };
    return cmocka_run_group_tests_name("engine: handed", tests, NULL, NULL);
}
