/* SPDX-License-Identifier: MIT */
/* Law 10: when an invariant breaks nobody holds anything any more, and everyone is told. */
#include "../../src/engine/lease.h"
#include "world.h"

static int broken_count;

static void note_broken(const char *what)
{
    assert_non_null(what);
    broken_count++;
}

static void open_to_break(world *w)
{
    world_open(w);
    broken_count = 0;
    pawl__engine_on_broken = note_broken; /* world_open's fails the test */
}

static const pawl__action *told(world *w, const pawl__want *want)
{
    const pawl__action *found = NULL;
    for (size_t i = 0; i < w->count; i++) {
        if (w->actions[i].want != want) continue;
        assert_null(found); /* law 6 */
        found = &w->actions[i];
    }
    assert_non_null(found);
    return found;
}

static void expect_told(world *w, const pawl__want *want, pawl__action_kind kind, pawl_err err)
{
    const pawl__action *action = told(w, want);
    assert_int_equal(action->kind, kind);
    assert_int_equal(action->err, err);
    if (err == PAWL_ERR_INTERNAL) assert_non_null(strstr(action->message, "a store answered"));
}

/* What a store of another pawl might say: each is no answer to that verb. */
static void breaks(world *w, pawl_verb verb, pawl_outcome outcome)
{
    uint64_t id = world_sent(w, verb).id;
    world_answer(w, id, outcome);
    assert_int_equal(broken_count, 1);
}

static void everyone_is_told_and_nothing_is_kept(void **state)
{
    (void)state;
    world w;
    open_to_break(&w);
    pawl__want holder = world_claim("a", PAWL__NEVER), waiter = world_claim("a", PAWL__NEVER);
    pawl__want returned = world_claim("b", PAWL__NEVER), asker = world_claim("c", PAWL__NEVER);
    world_want(&w, &holder);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 1);
    world_want(&w, &waiter);
    world_want(&w, &returned);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 2);
    world_release_await(&w, &returned);
    world_want(&w, &asker);
    breaks(&w, PAWL_VERB_ACQUIRE, PAWL_CONFIRMED);
    assert_int_equal(w.count, 4);
    expect_told(&w, &holder, PAWL__ACT_LOST, PAWL_ERR_INTERNAL);
    expect_told(&w, &waiter, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    expect_told(&w, &returned, PAWL__ACT_RELEASED, PAWL_ERR_UNKNOWN);
    expect_told(&w, &asker, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    assert_false(pawl__engine_busy(w.engine));
    assert_int_equal(pawl__engine_deadline(w.engine), PAWL__NEVER);

    world_release(&w, &holder);
    expect_told(&w, &holder, PAWL__ACT_RELEASED, PAWL_ERR_LOST);
    world_close(&w);
}

/* Found by the fuzzer: news about what had been taken away was looked up in it. */
static void later_news_does_nothing(void **state)
{
    (void)state;
    world w;
    open_to_break(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", PAWL__NEVER);
    world_want(&w, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, world_sent(&w, PAWL_VERB_ACQUIRE).token);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 1);
    world_pass(&w, TTL / 3 * MS);
    uint64_t renewal = world_sent(&w, PAWL_VERB_RENEW).id;
    world_want(&w, &b);
    breaks(&w, PAWL_VERB_ACQUIRE, PAWL_RELEASED);

    world_fail(&w, renewal, PAWL_FAILED, PAWL_ERR_UNAVAILABLE);
    world_push(&w, PAWL_PUSH_YIELD, "a", token, 0);
    world_link(&w, false, PAWL_ERR_UNAVAILABLE);
    world_link(&w, true, PAWL_OK);
    world_pass(&w, 10 * TTL * MS);
    assert_int_equal(w.count, 0);
    assert_int_equal(broken_count, 1);
    world_want(&w, &b);
    expect_told(&w, &b, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    world_close(&w);
}

/* Nobody has heard of it yet: then he never had it. */
static void a_grant_that_was_not_fetched_is_taken_back(void **state)
{
    (void)state;
    world w;
    open_to_break(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", PAWL__NEVER);
    world_want(&w, &a);
    pawl_reply granted = {
        .id = world_sent(&w, PAWL_VERB_ACQUIRE).id, .outcome = PAWL_GRANTED, .fence = 1};
    world_want(&w, &b);
    uint64_t asked = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    pawl__engine_step(w.engine, w.now, &(pawl__event){.kind = PAWL__EV_REPLY, .reply = &granted});
    world_answer(&w, asked, PAWL_NOT_OWNER);
    expect_told(&w, &a, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    expect_told(&w, &b, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    world_close(&w);
}

/* What holds or awaits is the caller's state, also where the lease's is nonsense. */
static void a_holder_of_a_lease_gone_astray_is_told_that_he_lost(void **state)
{
    (void)state;
    world w;
    open_to_break(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", PAWL__NEVER);
    world_want(&w, &a);
    world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 1);
    world_want(&w, &b);
    a.lease->state = PAWL__LEASE_QUEUED;
    breaks(&w, PAWL_VERB_ACQUIRE, PAWL_CONFIRMED);
    expect_told(&w, &a, PAWL__ACT_LOST, PAWL_ERR_INTERNAL);
    expect_told(&w, &b, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
    world_close(&w);
}

static void an_answer_that_does_not_fit_a_renewal(void **state)
{
    (void)state;
    static const pawl_outcome alien[] = {PAWL_GRANTED,  PAWL_QUEUED, PAWL_BUSY,
                                         PAWL_RELEASED, PAWL_LEFT,   PAWL_REPORTED};
    for (size_t i = 0; i < sizeof alien / sizeof alien[0]; i++) {
        world w;
        open_to_break(&w);
        pawl__want a = world_claim("a", PAWL__NEVER);
        world_want(&w, &a);
        world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 1);
        world_pass(&w, TTL / 3 * MS);
        breaks(&w, PAWL_VERB_RENEW, alien[i]);
        expect_told(&w, &a, PAWL__ACT_LOST, PAWL_ERR_INTERNAL);
        world_close(&w);
    }
}

static void an_answer_that_does_not_fit_a_release(void **state)
{
    (void)state;
    static const pawl_outcome alien[] = {PAWL_GRANTED, PAWL_QUEUED, PAWL_BUSY, PAWL_CONFIRMED,
                                         PAWL_REPORTED};
    for (size_t i = 0; i < sizeof alien / sizeof alien[0]; i++) {
        world w;
        open_to_break(&w);
        pawl__want a = world_claim("a", PAWL__NEVER);
        world_want(&w, &a);
        world_grant(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 1);
        world_release_await(&w, &a);
        breaks(&w, PAWL_VERB_RELEASE, alien[i]);
        expect_told(&w, &a, PAWL__ACT_RELEASED, PAWL_ERR_UNKNOWN);
        world_close(&w);
    }
}

static void an_answer_that_does_not_fit_an_acquisition(void **state)
{
    (void)state;
    static const pawl_outcome alien[] = {PAWL_CONFIRMED, PAWL_RELEASED, PAWL_LEFT, PAWL_NOT_OWNER,
                                         PAWL_REPORTED};
    for (size_t i = 0; i < sizeof alien / sizeof alien[0]; i++) {
        world w;
        open_to_break(&w);
        pawl__want a = world_claim("a", PAWL__NEVER);
        world_want(&w, &a);
        breaks(&w, PAWL_VERB_ACQUIRE, alien[i]);
        expect_told(&w, &a, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everyone_is_told_and_nothing_is_kept),
        cmocka_unit_test(later_news_does_nothing),
        cmocka_unit_test(a_grant_that_was_not_fetched_is_taken_back),
        cmocka_unit_test(a_holder_of_a_lease_gone_astray_is_told_that_he_lost),
        cmocka_unit_test(an_answer_that_does_not_fit_a_renewal),
        cmocka_unit_test(an_answer_that_does_not_fit_a_release),
        cmocka_unit_test(an_answer_that_does_not_fit_an_acquisition),
    };
    return cmocka_run_group_tests_name("engine broken", tests, NULL, NULL);
}
