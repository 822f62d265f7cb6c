/* SPDX-License-Identifier: MIT */
/*
 * A hand-off does not extend: until it is confirmed, the lease ends where the place would have
 * (rule 8 of pawl/store.h), and so does its holder's belief.
 */
#include "trial.h"

#define PLACE_NS   (pawl__plan_place_ns(TTL))
#define CONFIRM_NS (pawl__plan_confirm_ns(TTL))

typedef struct waiter {
    pawl__want want;
    int64_t sent_at; /* of the ask that the store acknowledged */
    char token[PAWL_TOKEN_LEN + 1];
} waiter;

static void queue_up_for(trial *t, waiter *a, unsigned flags, int ttl_ms)
{
    trial_open_patient(t);
    a->want = want_on("a", PAWL__NEVER);
    a->want.flags = (uint8_t)flags;
    a->want.ttl_ms = ttl_ms;
    a->sent_at = t->now;
    pawl_request ask = trial_ask(t, &a->want);
    strcpy(a->token, ask.token);
    trial_queue_behind(t, ask.id, 5);
}

static void queue_up(trial *t, waiter *a, unsigned flags)
{
    queue_up_for(t, a, flags, TTL);
}

/* After `pause_ns` it is handed the lock. */
static void be_handed(trial *t, waiter *a, int64_t pause_ns)
{
    queue_up(t, a, 0);
    t->now += pause_ns;
    trial_push(t, PAWL_PUSH_GRANT, "a", a->token, 7);
    assert_int_equal(trial_only(t, PAWL__ACT_GRANTED)->deadline, a->sent_at + PLACE_NS);
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
    trial t;
    waiter a;
    be_handed(&t, &a, 5000 * MS);
    trial_pass(&t, CONFIRM_NS);
    trial_sent(&t, PAWL_VERB_RENEW); /* and no answer comes */
    trial_pass(&t, a.sent_at + PLACE_NS - t.now - 1);
    assert_int_equal(a.want.state, PAWL__WANT_HOLDING);
    trial_pass(&t, 1);
    assert_int_equal(trial_only(&t, PAWL__ACT_LOST)->err, PAWL_ERR_LOST);
    trial_sent(&t, PAWL_VERB_RELEASE);
    trial_close(&t);
}

static void a_confirmation_makes_it_a_whole_ttl(void **state)
{
    (void)state;
    trial t;
    waiter a;
    be_handed(&t, &a, 5000 * MS);
    trial_pass(&t, CONFIRM_NS);
    int64_t renewed_at = t.now;
    trial_confirm(&t, trial_sent(&t, PAWL_VERB_RENEW).id, 7, false);
    int64_t deadline = renewed_at + pawl__plan_span_ns(TTL);
    assert_int_equal(trial_only(&t, PAWL__ACT_EXTENDED)->deadline, deadline);
    trial_push(&t, PAWL_PUSH_GRANT, "a", a.token, 7); /* the push comes twice */
    assert_int_equal(t.count, 0);
    trial_pass(&t, TTL / 3 * MS); /* from here on renewals come at their usual time */
    trial_sent(&t, PAWL_VERB_RENEW);
    trial_close(&t);
}

static void a_confirmation_that_comes_too_late_is_none(void **state)
{
    (void)state;
    trial t;
    waiter a;
    be_handed(&t, &a, 0);
    trial_pass(&t, CONFIRM_NS);
    pawl_request renew = trial_sent(&t, PAWL_VERB_RENEW);
    t.now = a.sent_at + PLACE_NS; /* stopped; the first thing read is the confirmation */
    trial_confirm(&t, renew.id, 7, false);
    trial_only(&t, PAWL__ACT_LOST);
    assert_int_equal(trial_count(&t, PAWL__ACT_EXTENDED), 0);
    trial_close(&t);
}

static void the_refresh_that_is_due_confirms_it(void **state)
{
    (void)state;
    trial t;
    waiter a;
    be_handed(&t, &a, TTL / 3 * MS - CONFIRM_NS / 2);
    trial_pass(&t, CONFIRM_NS / 2);
    trial_sent(&t, PAWL_VERB_RENEW);
    trial_close(&t);
}

/* It says that the place stood before the hand-off, and nothing of the lease. */
static void a_place_that_was_confirmed_before_confirms_nothing(void **state)
{
    (void)state;
    trial t;
    waiter a;
    queue_up(&t, &a, 0);
    trial_pass(&t, TTL / 3 * MS);
    uint64_t refresh = trial_sent(&t, PAWL_VERB_ACQUIRE).id;
    trial_push(&t, PAWL_PUSH_GRANT, "a", a.token, 7);
    trial_queue_behind(&t, refresh, 5);
    assert_int_equal(trial_count(&t, PAWL__ACT_EXTENDED), 0);
    trial_sent(&t, PAWL_VERB_RENEW); /* which asks about the lease */
    trial_pass(&t, a.sent_at + PLACE_NS - t.now);
    trial_only(&t, PAWL__ACT_LOST);
    trial_close(&t);
}

static void who_gets_it_locally_has_no_more_of_it(void **state)
{
    (void)state;
    trial t;
    waiter a;
    be_handed(&t, &a, 0);
    pawl__want b = want_on("a", PAWL__NEVER);
    trial_want(&t, &b);
    trial_release(&t, &a.want);
    assert_int_equal(trial_only(&t, PAWL__ACT_GRANTED)->deadline, a.sent_at + PLACE_NS);
    assert_ptr_equal(trial_only(&t, PAWL__ACT_GRANTED)->want, &b);
    trial_close(&t);
}

/* Too little is left to confirm it in time: the store is asked, and gives a whole ttl. */
static void handed_near_its_end_it_asks_first(void **state)
{
    (void)state;
    for (int more = 0; more <= 1; more++) {
        int64_t left = pawl__plan_enough_ns(TTL) + more;
        trial t;
        waiter a;
        queue_up(&t, &a, 0);
        trial_pass(&t, TTL / 3 * MS);
        (void)trial_sent(&t, PAWL_VERB_ACQUIRE); /* its answer is lost; it is asked again */
        t.now = a.sent_at + PLACE_NS - left;
        trial_step(&t, (pawl__event){.kind = PAWL__EV_TIME});
        trial_push(&t, PAWL_PUSH_GRANT, "a", a.token, 7);
        assert_int_equal(a.want.state, more ? PAWL__WANT_HOLDING : PAWL__WANT_WAITING);
        trial_close(&t);
    }
}

/*
 * Whoever believes a hand-off has time for the confirmation, though its answer takes as long as an
 * answer may. With the shortest ttls nobody has: those ask.
 */
static void a_slow_answer_costs_no_lease(void **state)
{
    (void)state;
    static const int ttls[] = {20, 60, 150, 200, 250, 300, 400, 600, 1200, 3000, TTL, 60000};
    for (size_t i = 0; i < sizeof ttls / sizeof ttls[0]; i++) {
        for (int sixth = 0; sixth < 2; sixth++) {
            trial t;
            waiter a;
            queue_up_for(&t, &a, 0, ttls[i]);
            t.now += sixth * pawl__plan_renew_ns(ttls[i]) / 2;
            trial_push(&t, PAWL_PUSH_GRANT, "a", a.token, 7);
            if (a.want.state == PAWL__WANT_HOLDING) {
                trial_pass(&t, pawl__plan_confirm_ns(ttls[i]));
                trial_sent(&t, PAWL_VERB_RENEW);
                trial_pass(&t, pawl__plan_answer_ns(ttls[i]) - 1);
            } else {
                assert_true(ttls[i] < 300); /* of a longer one, so fresh, enough is left */
                trial_grant(&t, trial_sent(&t, PAWL_VERB_ACQUIRE).id, 7);
            }
            assert_int_equal(a.want.state, PAWL__WANT_HOLDING);
            trial_close(&t);
        }
    }
}

static void between_two_asks_a_handed_lease_may_have_run_out(void **state)
{
    (void)state;
    trial t;
    waiter a;
    queue_up(&t, &a, 0);
    t.now = a.sent_at + PLACE_NS; /* stopped */
    trial_step(&t, (pawl__event){.kind = PAWL__EV_TIME});
    trial_queue(&t, trial_sent(&t, PAWL_VERB_ACQUIRE).id, 0, TTL);
    trial_push(&t, PAWL_PUSH_GRANT, "a", a.token, 7); /* is it that grant, or a new one? */
    assert_int_equal(a.want.state, PAWL__WANT_WAITING);
    trial_grant(&t, trial_sent(&t, PAWL_VERB_ACQUIRE).id, 9);
    assert_int_equal(trial_only(&t, PAWL__ACT_GRANTED)->fence, 9);
    trial_close(&t);
}

/* Its token is passed on, and nobody renews for a while. */
static void who_detaches_has_a_whole_ttl(void **state)
{
    (void)state;
    trial t;
    waiter a;
    queue_up(&t, &a, PAWL_ASK_DETACHED);
    trial_push(&t, PAWL_PUSH_GRANT, "a", a.token, 7);
    assert_int_equal(a.want.state, PAWL__WANT_WAITING);
    int64_t asked_at = t.now;
    trial_grant(&t, trial_sent(&t, PAWL_VERB_ACQUIRE).id, 7);
    assert_int_equal(trial_only(&t, PAWL__ACT_GRANTED)->deadline,
                     asked_at + pawl__plan_span_ns(TTL));
    trial_close(&t);
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
        cmocka_unit_test(a_slow_answer_costs_no_lease),
        cmocka_unit_test(between_two_asks_a_handed_lease_may_have_run_out),
        cmocka_unit_test(who_detaches_has_a_whole_ttl),
    };
    return cmocka_run_group_tests_name("engine: handed", tests, NULL, NULL);
}
