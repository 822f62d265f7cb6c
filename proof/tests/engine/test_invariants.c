/* SPDX-License-Identifier: MIT */
/*
 * pawl__engine_check finds each broken invariant of lease.h: the simulator, the fuzzer and the
 * tests rely on it. Each case breaks one by hand, looks, and mends it again.
 */
#include "../../../src/engine/lease.h"
#include "trial.h"

#define FINDS(trial, broken)                                                                       \
    do {                                                                                           \
        const char *said = pawl__engine_check((trial)->engine);                                    \
        assert_non_null(said);                                                                     \
        assert_string_equal(said, broken);                                                         \
    } while (0)

/* Sets a member for one look. */
#define FINDS_IF(trial, member, value, broken)                                                     \
    do {                                                                                           \
        __typeof__(member) was = member;                                                           \
        member = value;                                                                            \
        FINDS(trial, broken);                                                                      \
        member = was;                                                                              \
        assert_null(pawl__engine_check((trial)->engine));                                          \
    } while (0)

/* One of each: `a` is held, `b` is queued, `c` is leaving. */
typedef struct scene {
    trial t;
    pawl__want a, b, c;
    pawl__lease *held, *waits, *leaves;
} scene;

static void scene_open(scene *s)
{
    trial_open(&s->t);
    s->a = want_on("a", PAWL__NEVER);
    s->b = want_on("b", PAWL__NEVER);
    s->c = want_on("c", PAWL__NEVER);
    trial_hold(&s->t, &s->a, 1);
    trial_want(&s->t, &s->b);
    uint64_t id = trial_sent(&s->t, PAWL_VERB_ACQUIRE).id;
    s->waits = pawl__lease_of_request(s->t.engine, id);
    trial_queue(&s->t, id, 9, TTL);
    trial_hold(&s->t, &s->c, 1);
    s->held = s->a.lease;
    s->leaves = s->c.lease;
    trial_release(&s->t, &s->c);
}

static void l1_a_holder_and_its_lease_know_each_other(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.t, s.held->want, NULL, "L1: a held lease has no holder");
    FINDS_IF(&s.t, s.a.lease, s.waits, "L1: the holder points at another lease");
    FINDS_IF(&s.t, s.waits->want, &s.a, "L1: a lease that is not held has a holder");
    s.a.state = PAWL__WANT_LOST;
    FINDS(&s.t, "L1: the holder does not hold");
    trial_close(&s.t);
}

static void l2_a_lease_that_waits_waits_for_somebody(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    pawl__link *wants = &s.waits->group->wants;
    FINDS_IF(&s.t, wants->next, wants, "L2: a lease waits for nobody");
    trial_close(&s.t);
}

static void l3_a_group_has_the_living_lease(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.t, s.held->group->lease, NULL, "L3: a held lease is not its group's");
    FINDS_IF(&s.t, s.waits->group->lease, NULL, "L3: a waiting lease is not its group's");
    FINDS_IF(&s.t, s.leaves->group->lease, s.leaves, "L3: a leaving lease is its group's");
    trial_close(&s.t);
}

static void l4_what_is_held_was_granted_and_is_not_over(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.t, s.held->fence, 0, "L4: a held lease has no fence");
    FINDS_IF(&s.t, s.waits->fence, 1, "L4: a lease that waits has a fence");
    FINDS_IF(&s.t, s.held->base_at, s.t.now - pawl__plan_span_ns(TTL),
             "L4: a lease is held beyond its deadline");
    trial_close(&s.t);
}

static void l5_one_request_at_a_time(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    const char *broken = "L5: a lease plans to ask before it is answered";
    FINDS_IF(&s.t, s.held->request, 99, broken); /* it plans its renewal */
    FINDS_IF(&s.t, s.waits->send, PAWL__SEND_ASK, broken);
    FINDS_IF(&s.t, s.leaves->next_at, s.t.now + MS, broken);
    trial_close(&s.t);
}

static void l6_who_waits_waits_for_a_lease(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.t, s.t.engine->want_count, 2, "L6: somebody waits for no lease");
    trial_close(&s.t);
}

/* Law 4. */
static void l7_an_ask_that_went_unanswered_is_not_forgotten(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    s.waits->state = PAWL__LEASE_REQUESTING;
    assert_null(pawl__engine_check(s.t.engine));
    s.waits->late_request = true;
    FINDS(&s.t, "L7: a lease has forgotten that an ask went unanswered");
    s.waits->state = PAWL__LEASE_UNKNOWN;
    assert_null(pawl__engine_check(s.t.engine));
    trial_close(&s.t);
}

static void l8_what_nobody_uses_keeps_out_nobody_here(void **state)
{
    (void)state;
    trial t;
    pawl__want reader = want_of_mode(PAWL_MODE_SHARED), writer = want_of_mode(PAWL_MODE_EXCLUSIVE);
    trial_open(&t);
    reader.retain_ms = 60000;
    trial_hold(&t, &reader, 1);
    pawl__lease *lease = reader.lease;
    trial_want(&t, &writer);
    reader.lease = NULL; /* as if it had been kept */
    lease->want = NULL;
    lease->state = PAWL__LEASE_IDLE;
    FINDS(&t, "L8: a lease that nobody uses keeps out who waits here");
    lease->state = PAWL__LEASE_HELD;
    lease->want = &reader;
    reader.lease = lease;
    assert_null(pawl__engine_check(t.engine));
    trial_close(&t);
}

static void every_lease_is_in_a_state_and_counted(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.t, s.waits->state, PAWL__LEASE_ABSENT, PAWL__ASTRAY);
    FINDS_IF(&s.t, s.waits->state, PAWL__LEASE_STATES, PAWL__ASTRAY);
    FINDS_IF(&s.t, s.waits->state, 200, PAWL__ASTRAY);
    FINDS_IF(&s.t, s.t.engine->lease_count, 4, "the number of leases is wrong");
    FINDS_IF(&s.t, s.t.engine->confirmed_count, 4, "the number of leases is wrong");
    FINDS_IF(&s.t, s.t.engine->tended_count, 4, "the number of leases is wrong");
    trial_close(&s.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(l1_a_holder_and_its_lease_know_each_other),
        cmocka_unit_test(l2_a_lease_that_waits_waits_for_somebody),
        cmocka_unit_test(l3_a_group_has_the_living_lease),
        cmocka_unit_test(l4_what_is_held_was_granted_and_is_not_over),
        cmocka_unit_test(l5_one_request_at_a_time),
        cmocka_unit_test(l6_who_waits_waits_for_a_lease),
        cmocka_unit_test(l7_an_ask_that_went_unanswered_is_not_forgotten),
        cmocka_unit_test(l8_what_nobody_uses_keeps_out_nobody_here),
        cmocka_unit_test(every_lease_is_in_a_state_and_counted),
    };
    return cmocka_run_group_tests_name("engine: invariants", tests, NULL, NULL);
}
