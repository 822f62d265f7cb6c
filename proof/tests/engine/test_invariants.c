/* SPDX-License-Identifier: MIT */
/*
 * pawl__engine_check finds each broken invariant of lease.h: the simulator, the fuzzer and the
 * tests rely on it. Each case breaks one by hand, looks, and mends it again.
 */
#include "../../../src/engine/lease.h"
#include "world.h"

#define FINDS(world, broken)                                                                       \
    do {                                                                                           \
        const char *said = pawl__engine_check((world)->engine);                                    \
        assert_non_null(said);                                                                     \
        assert_string_equal(said, broken);                                                         \
    } while (0)

/* Sets a member for one look. */
#define FINDS_IF(world, member, value, broken)                                                     \
    do {                                                                                           \
        __typeof__(member) was = member;                                                           \
        member = value;                                                                            \
        FINDS(world, broken);                                                                      \
        member = was;                                                                              \
        assert_null(pawl__engine_check((world)->engine));                                          \
    } while (0)

/* One of each: `a` is held, `b` is queued, `c` is leaving. */
typedef struct scene {
    world w;
    pawl__want a, b, c;
    pawl__lease *held, *waits, *leaves;
} scene;

static void scene_open(scene *s)
{
    world_open(&s->w);
    s->a = world_claim("a", PAWL__NEVER);
    s->b = world_claim("b", PAWL__NEVER);
    s->c = world_claim("c", PAWL__NEVER);
    world_hold(&s->w, &s->a, 1);
    world_want(&s->w, &s->b);
    uint64_t id = world_sent(&s->w, PAWL_VERB_ACQUIRE).id;
    s->waits = pawl__lease_of_request(s->w.engine, id);
    world_queue(&s->w, id, 9, TTL);
    world_hold(&s->w, &s->c, 1);
    s->held = s->a.lease;
    s->leaves = s->c.lease;
    world_release(&s->w, &s->c);
}

static void l1_a_holder_and_its_lease_know_each_other(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.w, s.held->want, NULL, "L1: a held lease has no holder");
    FINDS_IF(&s.w, s.a.lease, s.waits, "L1: the holder points at another lease");
    FINDS_IF(&s.w, s.waits->want, &s.a, "L1: a lease that is not held has a holder");
    s.a.state = PAWL__WANT_LOST;
    FINDS(&s.w, "L1: the holder does not hold");
    world_close(&s.w);
}

static void l2_a_lease_that_waits_waits_for_somebody(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    pawl__link *wants = &s.waits->slot->wants;
    FINDS_IF(&s.w, wants->next, wants, "L2: a lease waits for nobody");
    world_close(&s.w);
}

static void l3_a_slot_has_the_living_lease(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.w, s.held->slot->lease, NULL, "L3: a held lease is not its slot's");
    FINDS_IF(&s.w, s.waits->slot->lease, NULL, "L3: a waiting lease is not its slot's");
    FINDS_IF(&s.w, s.leaves->slot->lease, s.leaves, "L3: a leaving lease is its slot's");
    world_close(&s.w);
}

static void l4_what_is_held_was_granted_and_is_not_over(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.w, s.held->fence, 0, "L4: a held lease has no fence");
    FINDS_IF(&s.w, s.waits->fence, 1, "L4: a lease that waits has a fence");
    FINDS_IF(&s.w, s.held->base_at, s.w.now - pawl__plan_span_ns(TTL),
             "L4: a lease is held beyond its deadline");
    world_close(&s.w);
}

static void l5_one_request_at_a_time(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    const char *broken = "L5: a lease plans to ask before it is answered";
    FINDS_IF(&s.w, s.held->request, 99, broken); /* it plans its renewal */
    FINDS_IF(&s.w, s.waits->send, PAWL__SEND_ASK, broken);
    FINDS_IF(&s.w, s.leaves->next_at, s.w.now + MS, broken);
    world_close(&s.w);
}

static void l6_who_waits_waits_for_a_lease(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.w, s.w.engine->want_count, 2, "L6: somebody waits for no lease");
    world_close(&s.w);
}

/* Law 4. */
static void l7_an_ask_that_went_unanswered_is_not_forgotten(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    s.waits->state = PAWL__LEASE_REQUESTING;
    assert_null(pawl__engine_check(s.w.engine));
    s.waits->ghost = true;
    FINDS(&s.w, "L7: a lease has forgotten that an ask went unanswered");
    s.waits->state = PAWL__LEASE_UNKNOWN;
    assert_null(pawl__engine_check(s.w.engine));
    world_close(&s.w);
}

static void every_lease_is_in_a_state_and_counted(void **state)
{
    (void)state;
    scene s;
    scene_open(&s);
    FINDS_IF(&s.w, s.waits->state, PAWL__LEASE_ABSENT, PAWL__ASTRAY);
    FINDS_IF(&s.w, s.waits->state, PAWL__LEASE_STATES, PAWL__ASTRAY);
    FINDS_IF(&s.w, s.waits->state, 200, PAWL__ASTRAY);
    FINDS_IF(&s.w, s.w.engine->lease_count, 4, "the number of leases is wrong");
    FINDS_IF(&s.w, s.w.engine->settled_count, 4, "the number of leases is wrong");
    FINDS_IF(&s.w, s.w.engine->tended_count, 4, "the number of leases is wrong");
    world_close(&s.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(l1_a_holder_and_its_lease_know_each_other),
        cmocka_unit_test(l2_a_lease_that_waits_waits_for_somebody),
        cmocka_unit_test(l3_a_slot_has_the_living_lease),
        cmocka_unit_test(l4_what_is_held_was_granted_and_is_not_over),
        cmocka_unit_test(l5_one_request_at_a_time),
        cmocka_unit_test(l6_who_waits_waits_for_a_lease),
        cmocka_unit_test(l7_an_ask_that_went_unanswered_is_not_forgotten),
        cmocka_unit_test(every_lease_is_in_a_state_and_counted),
    };
    return cmocka_run_group_tests_name("engine: invariants", tests, NULL, NULL);
}
